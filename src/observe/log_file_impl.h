/* A file that lines are written to, with a bounded buffer. It never waits longer than one
 * write(2) to a regular file. A full disk, a slow pipe or a closed reader costs lines and
 * nothing else. For observe/ alone. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <sys/types.h>

enum { LOG_FILE_BUFFER = 1024 * 1024 };

struct log_file {
    int fd;
    bool is_borrowed; /* standard output and error are not closed */
    bool must_poll;
    bool is_torn; /* the last byte written was not the end of a line */
    char *path;   /* owns; NULL when the descriptor was handed over */
    char *bytes;  /* owns: LOG_FILE_BUFFER */
    size_t len, sent;
    int64_t retry_at_ms;
    uint64_t lost;   /* lines that found the buffer full */
    uint64_t errors; /* writes that failed for good */
    uint64_t reopen_failures;
};

void log_file_init_fd(struct log_file *file, int fd);
MUST_USE int log_file_init_path(struct log_file *file, struct str path, struct err *err);
void log_file_deinit(struct log_file *file);

/* Memory of `room` bytes to format a line into; NULL when the buffer is full, and the line is
 * counted as lost. log_file_add says how many bytes were used. */
char *log_file_room(struct log_file *file, size_t room);
void log_file_add(struct log_file *file, size_t len);

void log_file_flush(struct log_file *file);
/* Opens the path again. On failure, lines go to the file that was open before. */
void log_file_reopen(struct log_file *file);

/* The file belongs to this user from now on, so that the user can open it again. An error when
 * the path is a symbolic link, or when the file has several names: it might be another file than
 * the one that was intended. */
MUST_USE int log_file_give_to(struct log_file *file, uid_t uid, struct err *err);
