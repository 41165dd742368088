/* The head of an answer that a codec gives itself, to a request for which there is no stream. */
#pragma once

#include "http/head.h"
#include "http/session.h"

/* The text for the client: the reason's word, or only the status where reasons are hidden. */
struct str refusal_text(const struct session *session, int status, enum reason reason);

/* A plain text of `body_len` bytes; what else such answers say is added by the session's owner.
 * Lives in `arena`. */
void refusal_init(struct head *head, struct arena *arena, struct session *session, int status,
                  size_t body_len);
