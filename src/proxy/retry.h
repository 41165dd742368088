/* May a request be sent once more? Pure: everything that counts is an argument. */
#pragma once

#include "base/reason.h"

enum again {
    AGAIN_NO,
    AGAIN_RACE,  /* the pooled connection was gone before it read anything: not a retry */
    AGAIN_RETRY, /* one of `retries`, and paid for from the group's budget */
};

/* A try that has failed, and the request that it was for. */
struct failed_try {
    enum reason reason;
    bool was_reused;  /* its connection had carried requests before */
    bool is_unread;   /* it is certain that the upstream has read nothing of the request */
    bool has_interim; /* the upstream has sent an interim response */
    bool is_answered; /* the response to the client has begun, or the client has left */
    bool lacks_body;  /* bytes of the body were sent that are not kept */
    bool sent_body;   /* bytes of the body were sent */
    bool is_idempotent;
    bool has_raced;                /* AGAIN_RACE was the answer once already */
    unsigned retries, max_retries; /* made so far; allowed */
};

/* Only if the upstream cannot have processed it, or if seeing it twice does no harm and the
 * connection had merely gone stale (RFC 9110 section 9.2.2, RFC 9112 section 9.3.1, RFC 9113 section
 * 8.7). A body must be there to be sent again. */
enum again retry_decide(const struct failed_try *failed);
