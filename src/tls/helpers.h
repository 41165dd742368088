/* Threads that do the long part of a full handshake (the private key's operation), so that it does
 * not stand in front of other clients' requests on a worker's loop. One small pool for the process;
 * control thread. */
#pragma once

#include "base/err.h"

struct tls_helpers;

/* Starts `threads` (> 0) threads that inherit the caller's signal mask; at most `queue_max`
 * handshakes of the process wait for them. */
MUST_USE struct tls_helpers *tls_helpers_new(unsigned threads, unsigned queue_max, struct err *err);

/* Ends the threads; every library must have been detached (tls_library_detach). NULL is fine. */
void tls_helpers_free(struct tls_helpers *helpers);
