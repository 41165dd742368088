/* Filling in `struct complaints`. */
#pragma once

#include "config/config.h"

#include <stdarg.h>

enum { COMPLAINTS_MAX = 1000 }; /* more are counted, not kept */

/* Adds one line; copies everything it is given. */
void complaints_add(struct complaints *complaints, enum severity severity, struct place place,
                    const char *fmt, va_list args) PRINTF(4, 0);

/* By severity, then in the order of files and lines; what was said twice is kept once. */
void complaints_sort(struct complaints *complaints);
