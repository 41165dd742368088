/* See lines.h. */
#include "cli/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void lines_init(struct lines *lines, int fd)
{
    *lines = (struct lines){.fd = fd};
    lines->buffer = mem_new(LINE_BYTES_MAX + LINES_READ_BYTES);
    lines->at = lines->filled = lines->buffer;
}

void lines_deinit(struct lines *lines)
{
    free(lines->buffer);
    lines->buffer = NULL;
}

/* Bytes read; 0 at the end; -1. */
static ssize_t fill(struct lines *lines)
{
    size_t kept = (size_t)(lines->filled - lines->at);
    ssize_t got;

    if (lines->before_read != NULL)
        lines->before_read(lines->arg);
    memmove(lines->buffer, lines->at, kept);
    lines->at = lines->buffer;
    lines->filled = lines->buffer + kept;
    do {
        got = read(lines->fd, lines->filled, LINES_READ_BYTES);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        lines->filled += got;
        lines->bytes_read += (uint64_t)got;
    }
    return got;
}

/* Editors on some systems begin a file with a byte order mark. */
static void skip_mark(struct lines *lines)
{
    static const char mark[] = "\xef\xbb\xbf";

    if ((size_t)(lines->filled - lines->at) >= 3 && memcmp(lines->at, mark, 3) == 0)
        lines->at += 3;
    lines->is_begun = true;
}

static size_t without_return(const char *line, size_t len)
{
    return len > 0 && line[len - 1] == '\r' ? len - 1 : len;
}

/* What is left after the last line end. */
static enum lines_result last_line(struct lines *lines, char **line, size_t *len)
{
    bool was_skipping = lines->is_skipping;

    *line = lines->at;
    *len = without_return(lines->at, (size_t)(lines->filled - lines->at));
    lines->at = lines->filled;
    lines->is_skipping = false;
    if (was_skipping)
        return LINES_TOO_LONG;
    return *len > 0 ? LINES_LINE : LINES_END;
}

enum lines_result lines_next(struct lines *lines, char **line, size_t *len)
{
    size_t looked = 0;

    while (true) {
        size_t unread = (size_t)(lines->filled - lines->at);
        char *newline = memchr(lines->at + looked, '\n', unread - looked);
        if (!lines->is_begun && (newline != NULL || lines->is_ended)) {
            skip_mark(lines);
            continue;
        }
        if (newline != NULL) {
            *line = lines->at;
            *len = without_return(lines->at, (size_t)(newline - lines->at));
            lines->at = newline + 1;
            if (!lines->is_skipping)
                return LINES_LINE;
            lines->is_skipping = false;
            return LINES_TOO_LONG;
        }
        if (lines->is_ended)
            return unread > 0 || lines->is_skipping ? last_line(lines, line, len) : LINES_END;
        looked = unread;
        if (unread >= LINE_BYTES_MAX) {
            lines->is_skipping = true;
            lines->at = lines->filled;
            looked = 0;
        }
        ssize_t got = fill(lines);
        if (got < 0)
            return LINES_FAILED;
        lines->is_ended = got == 0;
    }
}
