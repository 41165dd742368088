/* Log lines about the life of the process: one event, a fixed name to search for, then key=value.
 * Written as `2023-09-01T12:00:00.123Z level event key=value …` to the thread's sink.
 *
 *   error  a person must act      warn   we coped
 *   info   life of the process    debug  one exchange, switchable while running
 */
#pragma once

#include "base/base.h"
#include "base/str.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Takes one whole line, newline included. May be called on any thread that set it. */
typedef void log_sink(void *arg, const char *line, size_t len);

/* Where this thread's lines go; NULL is standard error. Workers set a sink that never blocks. */
void log_set_sink(log_sink *sink, void *arg);

/* Lines that standard error would not take, by all threads: no thread waits for its reader. */
uint64_t log_lost_lines(void);

/* Lines above this level are dropped; default LOG_LEVEL_INFO. Any thread, any time. */
void log_set_level(enum log_level level);
bool log_is_on(enum log_level level);

void log_write(enum log_level level, const char *event, const char *fmt, ...) PRINTF(3, 4);

/* Lets one line through per second and call site; the next one says how many were held back. */
struct log_limit {
    int64_t since_ms;
    unsigned held;
};
bool log_limit_pass(struct log_limit *limit, unsigned *held);

/* The same for each of several causes at one call site: a cause that is new gets its line, while
 * one that repeats is held back. Of more causes than there are limits in one second, some are
 * held. */
enum { LOG_CAUSES = 16 };
struct log_limits {
    struct log_limit limits[LOG_CAUSES];
    uint64_t causes[LOG_CAUSES];
};
bool log_limits_pass(struct log_limits *limits, uint64_t cause, unsigned *held);

/* A number that stands for a cause: of texts, and of numbers before them. */
uint64_t log_cause(uint64_t number, const char *text);

/* LOG_INFO("listener_open", "name=%s address=%s", …); the format may be "" for an event alone. */
#define LOG_AT(level, event, ...)                                                                  \
    do {                                                                                           \
        if (log_is_on(level))                                                                      \
            log_write(level, event, __VA_ARGS__);                                                  \
    } while (0)
#define LOG_ERROR(event, ...) LOG_AT(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define LOG_WARN(event, ...) LOG_AT(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define LOG_INFO(event, ...) LOG_AT(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define LOG_DEBUG(event, ...) LOG_AT(LOG_LEVEL_DEBUG, event, __VA_ARGS__)

/* For what a peer can trigger: at most one line a second from this place in the code and thread. */
#define LOG_LIMITED(level, event, fmt, ...)                                                        \
    do {                                                                                           \
        static _Thread_local struct log_limit limit_;                                              \
        unsigned held_;                                                                            \
        if (log_is_on(level) && log_limit_pass(&limit_, &held_))                                   \
            log_write(level, event, fmt " held_back=%u", ##__VA_ARGS__, held_);                    \
    } while (0)

/* The same, at most one line a second for each `cause` (log_cause). */
#define LOG_LIMITED_BY(cause, level, event, fmt, ...)                                              \
    do {                                                                                           \
        static _Thread_local struct log_limits limits_;                                            \
        unsigned held_;                                                                            \
        if (log_is_on(level) && log_limits_pass(&limits_, cause, &held_))                          \
            log_write(level, event, fmt " held_back=%u", ##__VA_ARGS__, held_);                    \
    } while (0)
