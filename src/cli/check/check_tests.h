/* weir check --tests: what the configuration promises, written down as requests. */
#pragma once

#include "cli/check/check_report.h"

struct tests_options {
    const char *const *files;
    size_t file_count;
    bool is_quiet;
    bool coverage; /* report what no case reaches */
};

/* Reports what fails, and files that cannot be read. */
void check_tests(struct config *config, const struct tests_options *options,
                 struct check_report *report);
