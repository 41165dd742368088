/* Usage errors, in one form for all commands, and the table of exit codes. */
#include "cli/cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char exit_codes_text[] =
    "  0   success; check: no errors; route: the request is routed; diff: nothing changes\n"
    "  1   failure; check: errors, or a test case failed; diff: something changes;\n"
    "      import: a line could not be imported\n"
    "  2   usage error; diff: a file could not be read\n";

int cli_usage_error(const char *command, const char *fmt, ...)
{
    va_list args;

    fprintf(stderr, "weir %s: ", command);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\nTry \"weir %s --help\".\n", command);
    return EXIT_USAGE;
}

int cli_option_error(const char *command, char **argv, int returned)
{
    const char *word = argv[optind - 1];
    char letter[] = {'-', (char)optopt, '\0'};
    const char *option = strncmp(word, "--", 2) == 0 || optopt == 0 ? word : letter;

    if (returned == ':')
        return cli_usage_error(command, "option %s needs a value", option);
    return cli_usage_error(command, "unknown option %s", option);
}
