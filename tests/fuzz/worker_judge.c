/* Each client gets the right response, each request is answered, and all resources are released.
 * For a finding, the requests and responses are printed. */
#include "worker_judge_impl.h"

#include "net/loop_impl.h"

#include <stdio.h>
#include <stdlib.h>

/* --- printing a finding ---------------------------------------------------------------------- */

static void show(const char *side, int index, const struct messages *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct message *m = &list->items[i];
        fprintf(stderr, "%s %d: %s%.0d \"%s\" stream=%u body=%llu client=%d id=%s%s%s%s%s%s\n",
                side, index, m->method, m->status, m->tail, m->stream,
                (unsigned long long)m->body_bytes, m->client, m->id, m->has_head ? " head" : "",
                m->is_whole ? " whole" : "", m->was_reset ? " reset" : "",
                m->is_bad || m->is_malformed ? " bad" : "", m->is_matched ? " matched" : "");
    }
}

static void show_all(void)
{
    for (int i = 0; i < CLIENTS; i++) {
        show("asked by", i, &world.clients[i].sent1.messages);
        show("asked by", i, &world.clients[i].sent2.messages);
        show("answer to", i, &world.clients[i].got1.messages);
        show("answer to", i, &world.clients[i].got2.messages);
    }
    for (size_t i = 0; i < world.upstream_count; i++) {
        show("upstream", (int)i, &world.upstreams[i].got1.messages);
        show("upstream", (int)i, &world.upstreams[i].got2.messages);
    }
}

void fail(const char *why, const char *more)
{
    fprintf(stderr, "broken promise: %s%s%s\n", why, more[0] != '\0' ? ": " : "", more);
    show_all();
    abort();
}

void expect(bool holds, const char *why)
{
    if (!holds)
        fail(why, "");
}

/* --- the right answer ------------------------------------------------------------------------ */

static void check_answer(const struct peer *p, const struct message *answer,
                         const struct message *asked)
{
    if (answer->was_client == NO_CLIENT || asked == NULL || !asked->has_head)
        return;
    if (world.listener != LISTENER_PROXY)
        expect(answer->was_client == p->index, "an answer for this client");
    expect(judge_is_same_target(answer->was, asked->tail), "the answer to this request");
}

static void check_answers_to(const struct peer *p)
{
    for (size_t i = 0; i < p->got1.messages.count; i++) {
        const struct messages *asked = &p->sent1.messages;
        check_answer(p, &p->got1.messages.items[i], i < asked->count ? &asked->items[i] : NULL);
    }
    for (size_t i = 0; i < p->got2.messages.count; i++) {
        const struct message *answer = &p->got2.messages.items[i];
        check_answer(p, answer, messages_on_stream(&p->sent2.messages, answer->stream));
    }
}

void judge_answers(void)
{
    for (size_t i = 0; i < CLIENTS; i++)
        check_answers_to(&world.clients[i]);
}

/* --- each request is answered ---------------------------------------------------------------- */

static bool is_answered_h1(const struct peer *p)
{
    return messages_whole(&p->got1.messages) >= messages_whole(&p->sent1.messages);
}

/* The rest of an answer may wait for the client's windows. */
static bool is_answered_h2(const struct peer *p)
{
    if (p->got2.says_goaway)
        return true;
    for (size_t i = 0; i < p->sent2.messages.count; i++) {
        const struct message *asked = &p->sent2.messages.items[i];
        const struct message *answer = messages_on_stream(&p->got2.messages, asked->stream);
        if (!asked->is_whole || asked->was_reset || asked->stream % 2 == 0)
            continue;
        if (answer == NULL)
            return false;
    }
    return true;
}

void judge_waiting(void)
{
    if (proxy_open_exchanges(world.proxy) > 0)
        return;
    for (int i = 0; i < CLIENTS; i++) {
        const struct peer *p = &world.clients[i];
        bool can_be_told = p->fd >= 0 && !p->got_eof && !p->has_shut && p->out.at == p->out.len;
        if (!can_be_told || p->speaks == SPEAKS_NOTHING)
            continue;
        expect(p->speaks == SPEAKS_TWO ? p->sent2.wrong != NULL || is_answered_h2(p)
                                       : is_answered_h1(p),
               "a request is answered or its connection closed");
    }
}

/* Every client reads, and no window is shut: then there is no reason to leave an upstream's bytes
 * where they are. */
static void check_upstreams_are_read(void)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        if (world.clients[i].speaks == SPEAKS_TWO)
            return;
    }
    for (size_t i = 0; i < world.upstream_count; i++)
        expect(peer_unread_bytes(&world.upstreams[i]) == 0,
               "a client that reads again gets the rest");
}

/* Has an HTTP/1 upstream sent everything that it will send for its requests? */
static bool has_said_all(const struct peer *p)
{
    if (p->fd < 0 || p->has_shut || p->got_eof)
        return true;
    return p->speaks == SPEAKS_ONE && !p->is_blind && p->out.at == p->out.len &&
           messages_whole(&p->sent1.messages) >= p->got1.messages.count;
}

/* Every client reads: then an answer that is whole at the upstream is whole at the client. */
static void check_answers_are_passed_on(void)
{
    for (size_t i = 0; i < world.upstream_count; i++) {
        if (!has_said_all(&world.upstreams[i]))
            return;
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        struct peer *p = &world.clients[i];
        if (p->fd < 0 || p->got_eof || p->got1.messages.count == 0)
            continue;
        const struct message *last = messages_last(&p->got1.messages);
        expect(!last->has_head || last->is_whole, "a complete response is passed on completely");
    }
}

void judge_silence(void)
{
    check_upstreams_are_read();
    check_answers_are_passed_on();
    judge_waiting();
}

/* --- all is given back ----------------------------------------------------------------------- */

static uint64_t gauge(enum gauge gauge)
{
    return metric_get(&world.metrics->gauges[gauge]);
}

static void check_counters(void)
{
    struct metrics *metrics = world.metrics;
    uint64_t requests = metric_get(&metrics->counters[COUNTER_DOWN_REQUESTS_H1]) +
                        metric_get(&metrics->counters[COUNTER_DOWN_REQUESTS_H2]);
    uint64_t recorded = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        recorded += metric_get(&metrics->duration.bucket[i]);
    expect(gauge(GAUGE_DOWN_CONNECTIONS_OPEN) == 0, "no connection open");
    expect(gauge(GAUGE_DOWN_STREAMS_OPEN) == 0, "no stream open");
    expect(recorded == requests, "each request recorded once");
    for (struct group_metrics *group = metrics->groups; group != NULL; group = group->next)
        expect(metric_get(&group->active) == 0, "no request active in a group");
}

/* Counts of connections, by listener and by client, are back at nothing: there is room for one. */
static void check_quotas(void)
{
    struct tally *tally = world.quotas->connections;
    const struct serving_listener *listener = &world.proxy->serving->listeners[world.listener];

    expect(tally_take(tally, listener->key, 1) == TALLY_TAKEN, "no connection counted");
    tally_give(tally, listener->key);
}

void judge_given_back(void)
{
    check_counters();
    check_quotas();
}
