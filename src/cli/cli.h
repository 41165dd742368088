/* The subcommands. Each takes its own arguments, argv[0] being its name, and answers with the
 * process' exit code: 0, 1 when it failed or said no, 2 when it was called wrongly. `--help` is for
 * each of them. */
#pragma once

int cli_run(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_route(int argc, char **argv);
int cli_diff(int argc, char **argv);
int cli_import(int argc, char **argv);
int cli_demo(int argc, char **argv);
int cli_completion(int argc, char **argv);

enum { EXIT_USAGE = 2 };

/* One line to standard error: "weir COMMAND: …, try `weir help COMMAND`"; EXIT_USAGE, to be
 * returned. */
int cli_usage_error(const char *command, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
