/* No request is invented: each request upstream was sent by a client, with the same body. It is
 * complete only if the client's was complete, and is sent twice only as a counted retry. Many
 * requests are alike, so the order in which they are matched matters. */
#include "worker_judge_impl.h"

#include <string.h>

/* --- one request and another ----------------------------------------------------------------- */

bool judge_is_same_target(const char *up, const char *asked)
{
    size_t up_len = strlen(up), asked_len = strlen(asked), len = MIN(up_len, asked_len);

    return memcmp(up + up_len - len, asked + asked_len - len, len) == 0;
}

/* HTTP/2: as many bytes arrived as Content-Length announced, and then no end of the stream, or more
 * bytes. weir cannot know this in advance. */
static bool has_all_announced(const struct message *up, const struct message *asked)
{
    return asked->content_length >= 0 && up->body_bytes == (uint64_t)asked->content_length &&
           asked->body_bytes >= up->body_bytes && up->body_hash == asked->length_hash;
}

static bool is_same_request(const struct message *up, const struct message *asked)
{
    if (!asked->has_head || asked->is_malformed || strcmp(up->method, asked->method) != 0 ||
        !judge_is_same_target(up->tail, asked->tail))
        return false;
    if (asked->asks_upgrade)
        return true; /* what follows is raw */
    if (!up->is_whole)
        return up->body_bytes <= asked->body_bytes;
    return asked->is_whole
               ? up->body_bytes == asked->body_bytes && up->body_hash == asked->body_hash
               : has_all_announced(up, asked);
}

static struct message *find_asked(const struct message *up, const struct messages *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!list->items[i].is_matched && is_same_request(up, &list->items[i]))
            return &list->items[i];
    }
    return NULL;
}

/* Marks the client's request that `up` stands for. */
static bool match(const struct message *up)
{
    struct message *found = NULL;

    for (int i = 0; i < CLIENTS && found == NULL; i++) {
        struct peer *p = &world.clients[i];
        if (world.listener != LISTENER_PROXY && up->client != i)
            continue;
        found = find_asked(up, p->speaks == SPEAKS_TWO ? &p->sent2.messages : &p->sent1.messages);
    }
    if (found != NULL)
        found->is_matched = true;
    return found != NULL;
}

/* --- retries --------------------------------------------------------------------------------- */

static struct messages *upstream_messages(size_t i)
{
    struct peer *p = &world.upstreams[i];

    return p->speaks == SPEAKS_TWO ? &p->got2.messages : &p->got1.messages;
}

/* The request of the same id that came before the `upto_message`th of upstream connection
 * `upto`. */
static const struct message *seen_before(const char *id, size_t upto, size_t upto_message)
{
    for (size_t i = 0; i <= upto; i++) {
        const struct messages *list = upstream_messages(i);
        size_t count = i == upto ? upto_message : list->count;
        for (size_t k = 0; k < count; k++) {
            if (list->items[k].has_head && strcmp(list->items[k].id, id) == 0)
                return &list->items[k];
        }
    }
    return NULL;
}

static bool may_be_done_twice(const char *method)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (strcmp(method, methods[i]) == 0)
            return true;
    }
    return false;
}

/* Has one of this id found its client already? */
static bool is_accounted_for(const char *id)
{
    for (size_t i = 0; i < world.upstream_count; i++) {
        const struct messages *list = upstream_messages(i);
        for (size_t k = 0; k < list->count; k++) {
            if (list->items[k].is_matched && strcmp(list->items[k].id, id) == 0)
                return true;
        }
    }
    return false;
}

/* Retries, and requests on pooled connections that closed before they read them. */
static uint64_t second_attempts(void)
{
    const metric *counters = world.metrics->counters;

    return metric_get(&counters[COUNTER_UP_RETRIES]) + metric_get(&counters[COUNTER_UP_RACES]);
}

/* An HTTP/2 upstream may have said that it has not begun; one of HTTP/1 cannot. */
static bool is_retry(const struct message *m, size_t upstream, size_t index)
{
    const struct message *first = seen_before(m->id, upstream, index);

    if (second_attempts() == 0 || !is_accounted_for(m->id))
        return false;
    expect(first == NULL || first->stream != 0 || may_be_done_twice(first->method),
           "nothing is done twice that must not be");
    return true;
}

/* --- all of them ----------------------------------------------------------------------------- */

/* One of each id; whole requests first: what is not whole fits in more places. */
static void match_firsts(bool whole)
{
    for (size_t i = 0; i < world.upstream_count; i++) {
        struct messages *list = upstream_messages(i);
        for (size_t k = 0; k < list->count; k++) {
            struct message *m = &list->items[k];
            if (!m->has_head || m->is_whole != whole)
                continue;
            expect(m->id_count == 1, "one X-Request-Id in each request");
            if (!is_accounted_for(m->id))
                m->is_matched = match(m);
        }
    }
}

/* Then the retries, which must not be matched with an equal request of another client. Trusted
 * clients choose the id of a request, so two of their requests can have the same id. */
static void match_rest(void)
{
    for (size_t i = 0; i < world.upstream_count; i++) {
        const struct messages *list = upstream_messages(i);
        for (size_t k = 0; k < list->count; k++) {
            const struct message *m = &list->items[k];
            if (m->has_head && !m->is_matched && !match(m) && !is_retry(m, i, k))
                fail("upstream sees only what a client asked for", m->tail);
        }
    }
}

void judge_requests(void)
{
    const metric *counters = world.metrics->counters;
    uint64_t asked = metric_get(&counters[COUNTER_DOWN_REQUESTS_H1]) +
                     metric_get(&counters[COUNTER_DOWN_REQUESTS_H2]) + second_attempts();
    uint64_t seen = 0;

    for (size_t i = 0; i < world.upstream_count; i++) {
        const struct messages *list = upstream_messages(i);
        for (size_t k = 0; k < list->count; k++)
            seen += list->items[k].has_head;
    }
    expect(seen <= asked, "no more requests upstream than were asked for");
    match_firsts(true);
    match_firsts(false);
    match_rest();
}
