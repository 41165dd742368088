/* weir check --tests: what the configuration promises, written down as requests. */
#pragma once

#include "config/config.h"

struct tests_options {
    const char *const *files;
    size_t file_count;
    bool is_quiet;
    bool coverage; /* tell what no case reaches */
};

/* Prints what fails; 0 when nothing does, 1 when something does or a file cannot be read. */
int check_tests(struct config *config, const struct tests_options *options);
