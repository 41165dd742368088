/* Formats a log line and hands it to the calling thread's sink. */
#include "base/log.h"

#include "base/clock.h"

#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const char *const level_name[] = {"error", "warn", "info", "debug"};

static _Atomic int max_level = LOG_LEVEL_INFO;
static _Atomic uint64_t lost_lines;
static _Thread_local log_sink *thread_sink;
static _Thread_local void *thread_sink_arg;

void log_set_sink(log_sink *sink, void *arg)
{
    thread_sink = sink;
    thread_sink_arg = arg;
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&max_level, (int)level, memory_order_relaxed);
}

bool log_is_on(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&max_level, memory_order_relaxed);
}

static size_t write_stamp(char *out, size_t size, enum log_level level, const char *event)
{
    int64_t now_us = clock_wall_us();
    time_t seconds = (time_t)(now_us / 1000000);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    size_t len = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
    int more = snprintf(out + len, size - len, ".%03dZ %s %s", (int)(now_us / 1000 % 1000),
                        level_name[level], event);
    return len + (size_t)more;
}

/* Control characters in what peers sent must not reach a terminal or fake a second line. */
static void mask_controls(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7f)
            text[i] = '?';
    }
}

/* Standard error may be a pipe whose reader sleeps. We cannot make it non-blocking, for others
 * share it, so it is asked before each line: a writable pipe takes one of this size whole. */
static bool stderr_takes_a_line(void)
{
    struct pollfd poll_fd = {.fd = STDERR_FILENO, .events = POLLOUT};

    return poll(&poll_fd, 1, 0) == 1;
}

static void write_to_stderr(const char *line, size_t len)
{
    if (!stderr_takes_a_line() || write(STDERR_FILENO, line, len) < 0)
        atomic_fetch_add_explicit(&lost_lines, 1, memory_order_relaxed);
}

uint64_t log_lost_lines(void)
{
    return atomic_load_explicit(&lost_lines, memory_order_relaxed);
}

void log_write(enum log_level level, const char *event, const char *fmt, ...)
{
    char line[1024];
    size_t max = sizeof(line) - 1; /* room for the newline */
    size_t len = write_stamp(line, max, level, event);
    va_list args;

    if (fmt[0] != '\0') {
        line[len++] = ' ';
        va_start(args, fmt);
        int more = vsnprintf(line + len, max - len, fmt, args);
        va_end(args);
        if (more > 0)
            len = MIN(len + (size_t)more, max - 1);
    }
    mask_controls(line, len);
    line[len++] = '\n';

    if (thread_sink != NULL)
        thread_sink(thread_sink_arg, line, len);
    else
        write_to_stderr(line, len);
}

bool log_limit_pass(struct log_limit *limit, unsigned *held)
{
    int64_t now_ms = clock_mono_ms();

    if (limit->since_ms != 0 && now_ms - limit->since_ms < 1000) {
        limit->held++;
        return false;
    }
    *held = limit->held;
    limit->since_ms = now_ms;
    limit->held = 0;
    return true;
}

/* Where `cause` has its limit; or else the one that was used longest ago. */
static unsigned find_limit(const struct log_limits *limits, uint64_t cause)
{
    unsigned oldest = 0;

    for (unsigned i = 0; i < LOG_CAUSES; i++) {
        if (limits->limits[i].since_ms != 0 && limits->causes[i] == cause)
            return i;
        if (limits->limits[i].since_ms < limits->limits[oldest].since_ms)
            oldest = i;
    }
    return oldest;
}

bool log_limits_pass(struct log_limits *limits, uint64_t cause, unsigned *held)
{
    unsigned i = find_limit(limits, cause);

    if (!log_limit_pass(&limits->limits[i], held))
        return false;
    limits->causes[i] = cause;
    return true;
}

/* FNV-1a: the causes are ours, not a peer's to choose. */
uint64_t log_cause(uint64_t number, const char *text)
{
    uint64_t hash = 0xcbf29ce484222325 ^ number;

    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
    return hash;
}
