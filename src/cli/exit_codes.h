/* The exit codes of all commands, in one table. `weir --help` prints it; weir(1) has it too. */
#pragma once

enum exit_code {
    EXIT_OK = 0,
    EXIT_NO = 1,    /* the command ran, and the answer is no or something failed */
    EXIT_USAGE = 2, /* a usage error, or an input that could not be read */
};

/* The table as text, one line for each code. */
extern const char exit_codes_text[];
