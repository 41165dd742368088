/* The subcommands. Each takes its own arguments, argv[0] being its name, and returns an exit code of
 * cli/exit_codes.h. Each takes `--help`. */
#pragma once

#include "cli/exit_codes.h"

int cli_run(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_route(int argc, char **argv);
int cli_diff(int argc, char **argv);
int cli_import(int argc, char **argv);
int cli_demo(int argc, char **argv);
int cli_completion(int argc, char **argv);

/* Prints "weir COMMAND: MESSAGE" and how to get help to standard error. Returns EXIT_USAGE. */
int cli_usage_error(const char *command, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The usage error for what getopt_long has just returned: ':' (the option string begins with ':') is
 * an option without its value, anything else an unknown option. Returns EXIT_USAGE. */
int cli_option_error(const char *command, char **argv, int returned);
