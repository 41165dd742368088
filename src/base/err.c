/* Filling and printing struct err. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int err_set(struct err *err, const char *fmt, ...)
{
    va_list args;

    *err = (struct err){0};
    va_start(args, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);
    return -1;
}

int err_set_errno(struct err *err, const char *fmt, ...)
{
    va_list args;
    int errnum = errno;

    *err = (struct err){.errnum = errnum};
    va_start(args, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);

    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(errnum));
    return -1;
}

const char *err_line(const struct err *err, char *out, size_t size)
{
    if (err->file[0] == '\0')
        snprintf(out, size, "%s", err->text);
    else if (err->line == 0)
        snprintf(out, size, "%s: %s", err->file, err->text);
    else if (err->column == 0)
        snprintf(out, size, "%s:%d: %s", err->file, err->line, err->text);
    else
        snprintf(out, size, "%s:%d:%d: %s", err->file, err->line, err->column, err->text);
    return out;
}
