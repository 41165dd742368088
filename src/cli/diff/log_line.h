/* Lines of access logs: weir's own JSON, the combined format, and the combined format with the
 * virtual host in front. */
#pragma once

#include "cli/question.h"

enum log_result {
    LOG_REQUEST,    /* the question is the request */
    LOG_DEBUG,      /* chosen by a debug header, which logs do not have */
    LOG_NO_HOST,    /* the format has no host, and none was given */
    LOG_UNREADABLE, /* not a line of a log */
};

struct log_request {
    bool has_bucket; /* the bucket that the client was in is known */
    uint32_t bucket;
};

/* Reads a line, changed in place, into `question` (reset before); `host` is for formats without. */
enum log_result log_line_read(char *line, size_t len, struct str host, struct question *question,
                              struct log_request *request);

/* Puts the request into the bucket that the log names: weir has seen the cookie, a log has none. */
void log_request_use_bucket(const struct log_request *request, struct facts *facts);
