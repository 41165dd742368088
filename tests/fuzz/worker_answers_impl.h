/* Answers that an upstream gives without fault. */
#pragma once

#include "worker_peer_impl.h"

/* To the oldest request that has had none. In HTTP/1 that is the last or nobody: those before it
 * have been answered, if only by bytes of the input's own. `kind` chooses the answer. */
void answer_oldest(struct peer *p, unsigned kind);
