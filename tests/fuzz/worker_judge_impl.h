/* What is promised, whatever anybody sends. A promise that is broken ends the program, and says who
 * has asked for what and got what. */
#pragma once

#include "worker_world_impl.h"

void expect(bool holds, const char *why);
__attribute__((noreturn)) void fail(const char *why, const char *more);

/* On a connection that has just got more: was it fit for that? `asked_before` requests were there
 * already. */
void judge_reuse(const struct peer *p, size_t asked_before);

/* At rest: which upstreams have said more than they were asked? Weir has written what it had to
 * write, and has chosen no connection that it would not choose now. Before, surplus bytes and the
 * next request may have crossed. */
void judge_surplus(void);

/* At rest: nothing is in flight; then nobody who can be told may be waiting. */
void judge_waiting(void);

/* At rest, when every client and every upstream reads. */
void judge_silence(void);

/* At the end: no second request; the right answers; connections, streams and quotas are back. */
void judge_requests(void);
void judge_answers(void);
void judge_given_back(void);

/* The end of what the client asked for is the end of what the upstream is asked for, also when the
 * router has put something in front of it. */
bool judge_is_same_target(const char *up, const char *asked);
