/* See join.h. The thread sanitizer of GCC 12 does not know pthread_clockjoin_np, so the limit is an
 * instant of the wall clock. A clock that jumps makes the wait shorter or longer; it is used only
 * when the process ends. */
#include "control/join.h"

#include <time.h>

bool thread_join(pthread_t thread, int64_t ms)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    return pthread_timedjoin_np(thread, NULL, &until) == 0;
}
