/* What `weir --help` and `weir --version` print. */
#pragma once

#include <stdio.h>

/* A subcommand as the dispatcher and the help know it. */
struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about; /* one line */
};

void help_print(FILE *out, const struct command *commands, unsigned count);
void version_print(FILE *out);

/* The command whose name is nearest to `name`, or NULL when none is near. */
const struct command *help_suggest(const char *name, const struct command *commands,
                                   unsigned count);
