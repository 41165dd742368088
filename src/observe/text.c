/* A growing piece of text for pages that the control thread makes: metrics, status, listings. */
#include "observe/metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_FIRST = 4096 };

static void text_reserve(struct text *text, size_t more)
{
    if (text->cap - text->len >= more)
        return;
    size_t cap = MAX(text->cap * 2, (size_t)TEXT_FIRST);
    while (cap - text->len < more)
        cap *= 2;
    text->ptr = mem_resize(text->ptr, cap);
    text->cap = cap;
}

void text_add_str(struct text *text, struct str s)
{
    text_reserve(text, s.len + 1);
    if (s.len > 0)
        memcpy(text->ptr + text->len, s.ptr, s.len);
    text->len += s.len;
    text->ptr[text->len] = '\0';
}

void text_add(struct text *text, const char *fmt, ...)
{
    va_list args, again;

    text_reserve(text, 256);
    va_start(args, fmt);
    va_copy(again, args);
    size_t room = text->cap - text->len;
    int need = vsnprintf(text->ptr + text->len, room, fmt, args);
    ASSERT(need >= 0);
    if ((size_t)need >= room) {
        text_reserve(text, (size_t)need + 1);
        vsnprintf(text->ptr + text->len, (size_t)need + 1, fmt, again);
    }
    va_end(again);
    va_end(args);
    text->len += (size_t)need;
}

void text_free(struct text *text)
{
    free(text->ptr);
    *text = (struct text){0};
}
