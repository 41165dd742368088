/* A text that grows, for pages that the control thread makes: metrics, status, lists. */
#include "observe/metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_FIRST = 4096 };

char *text_room(struct text *text, size_t more)
{
    size_t need = text->len + more + 1;

    if (text->cap < need) {
        text->cap = MAX(MAX(text->cap * 2, (size_t)TEXT_FIRST), need);
        text->ptr = mem_resize(text->ptr, text->cap);
    }
    return text->ptr + text->len;
}

void text_add_str(struct text *text, struct str s)
{
    text_room(text, s.len);
    if (s.len > 0)
        memcpy(text->ptr + text->len, s.ptr, s.len);
    text->len += s.len;
    text->ptr[text->len] = '\0';
}

void text_add(struct text *text, const char *fmt, ...)
{
    va_list args, again;

    text_room(text, 256);
    va_start(args, fmt);
    va_copy(again, args);
    size_t room = text->cap - text->len;
    int need = vsnprintf(text->ptr + text->len, room, fmt, args);
    ASSERT(need >= 0);
    if ((size_t)need >= room) {
        text_room(text, (size_t)need);
        vsnprintf(text->ptr + text->len, (size_t)need + 1, fmt, again);
    }
    va_end(again);
    va_end(args);
    text->len += (size_t)need;
}

static void add_piece(void *arg, struct str piece)
{
    text_add_str(arg, piece);
}

void text_add_doc(struct text *text, const struct doc *doc)
{
    doc_write(doc, DOC_INDENTED, add_piece, text);
}

void text_free(struct text *text)
{
    free(text->ptr);
    *text = (struct text){0};
}
