/* Running a loop until something is so, or for a while: what the tests of this room wait with.
 * Every wait has an end; include cmocka.h before. */
#pragma once

#include "net/loop.h"

enum { PATIENCE_MS = 5000 };

struct wait {
    struct loop *loop;
    bool (*is_so)(const void *arg); /* NULL: never */
    const void *arg;
    int64_t until_ms;
};

static inline void wait_look(void *arg)
{
    struct wait *wait = arg;

    if (loop_now_ms(wait->loop) >= wait->until_ms ||
        (wait->is_so != NULL && wait->is_so(wait->arg)))
        loop_stop(wait->loop);
}

static inline void wait_run(struct wait *wait)
{
    struct ticker *ticker = ticker_new(wait->loop, 2, wait_look, wait);

    loop_run(wait->loop);
    ticker_free(ticker);
}

static inline void wait_for_ms(struct loop *loop, int64_t ms)
{
    struct wait wait = {.loop = loop, .until_ms = loop_now_ms(loop) + ms};

    wait_run(&wait);
}

static inline void wait_until(struct loop *loop, bool (*is_so)(const void *arg), const void *arg)
{
    struct wait wait = {loop, is_so, arg, loop_now_ms(loop) + PATIENCE_MS};

    wait_run(&wait);
    assert_true(is_so(arg));
}

struct wait_count {
    const unsigned *counter;
    unsigned at_least;
};

static inline bool wait_has_counted(const void *arg)
{
    const struct wait_count *count = arg;

    return *count->counter >= count->at_least;
}

static inline void wait_until_count(struct loop *loop, const unsigned *counter, unsigned at_least)
{
    wait_until(loop, wait_has_counted, &(struct wait_count){counter, at_least});
}
