/* An attempt: one try of a request at one group. It asks for an upstream stream, sends a head down
 * it, and passes on what comes back. What follows from that is decided by its owner, the exchange. A
 * retry is another attempt.
 *
 * An attempt knows nothing of the client's stream: everything goes through the owner's operations.
 * So an attempt whose answer no client waits for needs only other operations. */
#pragma once

#include "http/stream.h"
#include "net/loop.h"
#include "upstream/upstream.h"

struct attempt;

/* What an attempt calls; all from the loop, none after attempt_end. */
struct attempt_ops {
    /* The head has been sent. Also called before attempt_start returns. */
    void (*on_sent)(struct attempt *attempt);
    /* As the operations of struct stream_handler. */
    void (*on_head)(struct attempt *attempt, struct head *head, enum end end);
    void (*on_body)(struct attempt *attempt, struct slice data, enum end end);
    void (*on_trailers)(struct attempt *attempt, struct field *fields, size_t count);
    void (*on_writable)(struct attempt *attempt);
    /* No stream was to be had, or it broke. The lease is still held, for the log and for
     * attempt_was_unread. */
    void (*on_failed)(struct attempt *attempt, enum reason reason);
};

struct attempt {
    const struct attempt_ops *ops;
    struct loop *loop;   /* borrows */
    struct arena *arena; /* borrows: of the request; texts and streams of the attempt lie there */
    struct lease lease;  /* lease.stream is the upstream stream while HELD */
    struct head *head;   /* what is sent; in `arena` */
    enum end head_end;
    bool host_is_target;                    /* Host names the endpoint */
    bool has_interim;                       /* the upstream has sent an interim response */
    int64_t asked_us, sent_us, answered_us; /* for a stream, the head, the final response; 0: not */
    struct str error;                       /* what the connection that failed said; "" */
};

/* Zeroed before first use. */
void attempt_init(struct attempt *attempt, const struct attempt_ops *ops, struct loop *loop,
                  struct arena *arena);

/* How the stream is to be had. */
struct attempt_want {
    enum lease_want lease;
    const struct endpoint *avoid;   /* the endpoint that just failed; NULL */
    struct upstream_client *client; /* where target_needs_client, else NULL */
};

/* Asks `target` for a stream, and sends `head` as soon as there is one. NONE, or why that cannot
 * be. An attempt may be started again after a failure; the times are set again as it goes on. */
enum reason attempt_start(struct attempt *attempt, struct target *target, struct head *head,
                          enum end end, const struct attempt_want *want);

/* The upstream stream; NULL when there is none. */
static inline struct stream *attempt_stream(const struct attempt *attempt)
{
    return attempt->lease.state == LEASE_HELD ? attempt->lease.stream : NULL;
}

/* Is it certain that the upstream has read nothing? For on_failed. */
bool attempt_was_unread(const struct attempt *attempt, enum reason reason);

/* Gives the stream back; `is_answered` tells the balancer whether the endpoint has answered. Safe at
 * any time, and safe twice. The times stay for the log. */
void attempt_end(struct attempt *attempt, bool is_answered);
