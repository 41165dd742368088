/* Valid responses of an upstream. */
#pragma once

#include "worker_peer_impl.h"

/* Answers the oldest request without a response. In HTTP/1 only the last request can be without
 * one: earlier ones have a response, or bytes of the input in its place. `kind` chooses the
 * response. */
void answer_oldest(struct peer *p, unsigned kind);
