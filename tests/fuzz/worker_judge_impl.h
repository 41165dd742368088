/* The promises that hold for any input. A broken promise aborts the program and prints the requests
 * and responses of all peers. */
#pragma once

#include "worker_world_impl.h"

void expect(bool holds, const char *why);
__attribute__((noreturn)) void fail(const char *why, const char *more);

/* For a connection that has just got more requests: was it allowed to be used again? It had
 * `asked_before` requests before. */
void judge_reuse(const struct peer *p, size_t asked_before);

/* When the loop is idle: finds upstreams that have sent surplus bytes. Earlier, surplus bytes and
 * the next request could have crossed on the connection. */
void judge_surplus(void);

/* When the loop is idle and nothing is in flight: no client that can get a response waits for one.
 * */
void judge_waiting(void);

/* When the loop is idle and every client and upstream reads. */
void judge_silence(void);

/* At the end: no second request; the right answers; connections, streams and quotas are back. */
void judge_requests(void);
void judge_answers(void);
void judge_given_back(void);

/* The end of what the client asked for is the end of what the upstream is asked for, also when the
 * router has put something in front of it. */
bool judge_is_same_target(const char *up, const char *asked);
