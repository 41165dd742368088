/* The exchange's own verbs, for its files and for the local replies. */
#pragma once

#include "proxy/proxy_impl.h"

/* --- exchange.c ------------------------------------------------------------------------------ */

/* Writes x->state, and checks that the step is one of the diagram. */
void exchange_enter(struct exchange *x, enum exchange_state next);

/* Ends the exchange in whatever state: both streams, the clock, the log. Memory goes at the end of
 * the turn. Safe anywhere, and safe twice. */
void exchange_close(struct exchange *x);

/* Ends the exchange for `reason`: with a local reply where that is still possible; else the
 * client's stream is cut, so that it cannot take a part for the whole. */
void exchange_fail(struct exchange *x, enum reason reason);

static inline bool exchange_is_over(const struct exchange *x)
{
    return x->state == EXCHANGE_CLOSED;
}

void exchange_pause_down(struct exchange *x);
void exchange_resume_down(struct exchange *x);

/* The group is known: makes the first attempt. */
void exchange_try(struct exchange *x);

/* --- variables.c ----------------------------------------------------------------------------- */

/* The value of a variable of `exchange`; and as text of HTML or XML, and inside a JSON string. */
struct str exchange_variable(const void *exchange, enum variable variable, struct str name);
struct str exchange_variable_html(const void *exchange, enum variable variable, struct str name);
struct str exchange_variable_json(const void *exchange, enum variable variable, struct str name);

/* The template filled in, in the arena of x->down; -1 when that is longer than `max`. */
int exchange_fill(const struct exchange *x, const struct template_conf *template,
                  variable_fn *variable, size_t max, struct str *text);

/* --- record.c -------------------------------------------------------------------------------- */

/* From the request sent to the response head. */
uint32_t exchange_upstream_us(const struct exchange *x);

/* --- arrive.c -------------------------------------------------------------------------------- */

/* The client's head is there: on_head of the downstream stream. */
void exchange_on_head(struct stream *down, struct head *head, enum end end);

/* --- outgoing.c ------------------------------------------------------------------------------ */

/* The head for an attempt at `group`, in the exchange's arena. NONE, or URI_TOO_LONG when the path
 * that the rule makes does not fit. It is x->outgoing from now on. */
enum reason outgoing_head(struct exchange *x, const struct group_conf *group, struct head **out);

/* Only the copy of the client's head, as x->outgoing. */
struct head *outgoing_begin(struct exchange *x);

/* How often TRACE or OPTIONS may still be forwarded; false where Max-Forwards says nothing. */
bool max_forwards(const struct head *head, uint64_t *forwards);

/* --- replay.c -------------------------------------------------------------------------------- */

void replay_init(struct replay *replay, struct buf_pool *pool);

/* A piece of the body came: is kept for the first attempt, or for another one. */
void replay_add(struct exchange *x, struct slice data);

/* Sends what is kept down `up`. */
enum stream_status replay_send(struct exchange *x, struct stream *up);

/* There will be no further attempt. */
void replay_forget(struct exchange *x);

/* --- grpc.c ---------------------------------------------------------------------------------- */

/* The head is there: is it a request of gRPC's, or of something with messages of the same form? */
void grpc_begin(struct exchange *x);

/* Bytes of a body that has messages. */
void grpc_read(struct exchange *x, struct str data);

/* Is none of its messages half here? */
static inline bool grpc_is_between_messages(const struct exchange *x)
{
    return x->messages.left == 0 && x->messages.prefix_len == 0;
}

/* The code for a failure that is `status` in HTTP. */
int grpc_status_of(enum reason reason, int status);

/* Makes of `head`, a local reply, a response of trailers only: 200 with grpc-status and
 * grpc-message. */
void grpc_tell_failure(struct exchange *x, struct head *head, enum reason reason, struct str text);

/* --- waits.c --------------------------------------------------------------------------------- */

/* Something has moved: the deadline starts anew. */
void exchange_touch(struct exchange *x);

void exchange_on_deadline(struct deadline *deadline);

/* How large the request's body may be; 0: no limit. */
uint64_t exchange_max_body_bytes(const struct exchange *x);
