/* Threads that do the long part of a full handshake (the private key's operation), so that it does
 * not stand in front of other clients' requests on a worker's loop. One small pool for the process;
 * control thread. */
#pragma once

#include "base/err.h"

struct tls_helpers;

/* Starts `threads` (> 0) threads that inherit the caller's signal mask; at most `queue_max`
 * handshakes of the process wait for them. `share_cores`: the workers have no core to spare, so a
 * helper only takes turns with them; a worker whose clients would not notice then signs itself. */
MUST_USE struct tls_helpers *tls_helpers_new(unsigned threads, unsigned queue_max, bool share_cores,
                                             struct err *err);

/* Ends the threads; every library must have been detached (tls_library_detach). NULL is fine. */
void tls_helpers_free(struct tls_helpers *helpers);
