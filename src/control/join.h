/* Waiting for the end of a thread that may hang. */
#pragma once

#include "base/base.h"

#include <pthread.h>

/* Joins `thread`. False when it has not ended after about `ms`; the caller must then leave alone
 * what the thread uses. */
bool thread_join(pthread_t thread, int64_t ms);
