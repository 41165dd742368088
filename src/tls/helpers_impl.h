/* A handshake step on its way: waiting for its turn on the worker, or with a helper thread. */
#pragma once

#include "tls/helpers.h"
#include "tls/tls_impl.h"

enum {
    HELP_FLIGHT_MAX = 64 * 1024, /* bytes one step may have to say: chain and all */
};

/* Where an offloaded step is; the pool's, under its mutex. */
enum step_state {
    STEP_BACK,    /* the worker's again */
    STEP_QUEUED,  /* in helpers->queue */
    STEP_RUNNING, /* a helper thread has the stream; no other thread may touch it */
    STEP_DONE,    /* in library->done */
};

struct tls_step {
    struct list node;      /* in one of those, or in library->waiting */
    enum step_state state; /* of offloaded ones */
    bool is_offloaded;     /* else it waits for a turn of its worker */
    struct tls_stream *stream;

    /* what came of it, filled by the helper */
    bool is_done;
    enum io io;
    enum reason reason;
    char *flight; /* owns: records to be sent; NULL: none */
    uint32_t flight_len;
    char error[256]; /* "" or why it failed */
};

/* What tls_helpers_new was told. */
bool helpers_share_cores(const struct tls_helpers *helpers);

/* Queues `step`; false when the queue is full. */
bool helpers_queue(struct tls_helpers *helpers, struct tls_step *step);

/* Takes `step` (queued, running or done) back; false when a helper is at it right now. */
bool helpers_take_back(struct tls_helpers *helpers, struct tls_step *step);

/* The next finished step of `library`; NULL when there is none. */
struct tls_step *helpers_next_done(struct tls_helpers *helpers, struct tls_library *library);

/* Waits until no helper works for `library`, and makes each forget what OpenSSL keeps per thread
 * and library context. Nothing of `library` may be queued. */
void helpers_leave(struct tls_helpers *helpers, struct tls_library *library);

/* The step itself, on a helper thread; `gather` has HELP_FLIGHT_MAX bytes. */
void tls_stream_step(struct tls_stream *s, struct tls_step *step, char *gather);
