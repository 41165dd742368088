/* Lines of a file or pipe, read in big pieces; each stands in the buffer until the next call and
 * may be changed there. */
#pragma once

#include "base/base.h"

enum {
    LINES_READ_BYTES = 1 << 20,
    LINE_BYTES_MAX = 1 << 20, /* longer ones are reported and skipped */
};

struct lines {
    int fd;            /* borrows */
    char *buffer;      /* owns */
    char *at, *filled; /* unread bytes */
    bool is_begun, is_ended, is_skipping;
    uint64_t bytes_read;
    void (*before_read)(void *arg); /* we may wait now: say what there is to say; may be NULL */
    void *arg;
};

enum lines_result { LINES_LINE, LINES_TOO_LONG, LINES_END, LINES_FAILED };

void lines_init(struct lines *lines, int fd);
void lines_deinit(struct lines *lines);

/* The next line without its "\n" (or "\r\n"). At LINES_FAILED errno says why. */
enum lines_result lines_next(struct lines *lines, char **line, size_t *len);
