/* From the client's head to the decision: who may come in, where the request goes, and whether weir
 * answers itself. */
#include "proxy/exchange_impl.h"

/* --- deciding -------------------------------------------------------------------------------- */

static enum reason reason_of_why(enum why why)
{
    switch (why) {
    case WHY_DEBUG_UNKNOWN:
        return REASON_DEBUG_UNKNOWN;
    case WHY_DEBUG_REFUSED:
        return REASON_DEBUG_REFUSED;
    case WHY_BAD_HOST:
        return REASON_BAD_HOST;
    case WHY_UNKNOWN_HOST:
        return REASON_UNKNOWN_HOST;
    case WHY_BAD_PATH:
        return REASON_BAD_TARGET;
    default:
        return REASON_NO_RULE;
    }
}

/* The router says that weir answers itself. */
static void answer_locally(struct exchange *x)
{
    const struct router_conf *router = &x->serving->config->routers[x->listener->router];

    rewrite_forwarding(x, outgoing_begin(x)); /* header rules for answers may name its fields */
    if (x->decision.why == WHY_ANSWER)
        reply_answer(x, router->rules[x->decision.rule].answer);
    else if (x->decision.why == WHY_DEBUG_UNKNOWN)
        reply_debug_unknown(x, &router->debug, x->decision.status);
    else
        reply_reason(x, reason_of_why(x->decision.why), x->decision.status);
}

static void go_upstream(struct exchange *x)
{
    const struct group_conf *conf = &x->serving->config->groups[x->decision.group];
    struct group *group = x->serving->groups[x->decision.group];

    x->group_conf = conf;
    x->group = group_ref(group);
    metric_add(&group->metrics->requests, 1);
    metric_add(&group->metrics->active, 1);
    if (conf->timeouts.total_ms > 0)
        x->total_at_ms = loop_now_ms(x->proxy->loop) + conf->timeouts.total_ms;
    if (group_target(group, x->decision.target) != NULL)
        group_earn_retry(group);
    exchange_try(x);
}

/* --- beginning ------------------------------------------------------------------------------- */

/* May TRACE and OPTIONS be forwarded once more (RFC 9110 section 7.6.2)? */
static bool may_go_on(const struct exchange *x)
{
    uint64_t forwards;

    return LIKELY(x->request->first[HEADER_MAX_FORWARDS] == 0) ||
           !max_forwards(x->request, &forwards) || forwards > 0;
}

/* A connection made to one name must not reach another that asks more of its clients. */
static bool is_misdirected(const struct exchange *x)
{
    struct conn *conn = x->downstream->conn;

    return x->client->listener->tls != NULL && conn != NULL &&
           !tls_host_fits(conn, x->client->listener->tls, x->host);
}

enum { OVERLOAD_RETRY_AFTER_S = 5 };

static bool is_refused_for_overload(struct exchange *x)
{
    if (LIKELY(proxy_overload(x->proxy) < OVERLOAD_REFUSE && !x->client->is_unwelcome))
        return false;
    x->retry_after_s = OVERLOAD_RETRY_AFTER_S;
    return true;
}

static const struct rule_conf *rule_of(const struct exchange *x)
{
    if (x->decision.rule < 0 || x->listener->router < 0)
        return NULL;
    return &x->serving->config->routers[x->listener->router].rules[x->decision.rule];
}

static bool is_announced_too_large(const struct exchange *x)
{
    uint64_t max = exchange_max_body_bytes(x);

    return max > 0 && x->request->content_length > 0 && (uint64_t)x->request->content_length > max;
}

static enum reason admit_to_rule(struct exchange *x)
{
    if (is_announced_too_large(x))
        return REASON_BODY_TOO_LARGE;
    return x->rule != NULL ? admit_request(x, &x->rule->rate_limits) : REASON_NONE;
}

static void redirect_to_https(struct exchange *x)
{
    if (x->request->authority.len > 0)
        reply_redirect_https(x);
    else
        exchange_fail(x, REASON_BAD_HOST); /* HTTP/1.0 that does not say where to */
}

static bool only_redirects(const struct listener_conf *listener)
{
    return listener->router < 0 && listener->group < 0;
}

static void count_datacenter(struct exchange *x)
{
    const struct decision *decision = &x->decision;
    size_t slot = decision->dc_rule >= 0 ? DC_WHY_COUNT + (size_t)decision->dc_rule
                                         : (size_t)decision->dc_why;

    if (LIKELY(decision->dc_why == DC_WHY_NONE) || x->listener->router < 0)
        return;
    metric **counter = &x->serving->dc_metrics[x->listener->router][slot];
    if (*counter == NULL) {
        const struct router_conf *router = &x->serving->config->routers[x->listener->router];
        struct str rule =
            decision->dc_rule >= 0 ? router->multi_dc.primary_if[decision->dc_rule].name : STR("-");
        *counter = metrics_datacenter(x->proxy->metrics, router->name,
                                      str_of(dc_why_word(decision->dc_why)), rule);
    }
    metric_add(*counter, 1);
}

void exchange_on_head(struct stream *down, struct head *head, enum end end)
{
    struct exchange *x = down->arg;

    x->request = x->outgoing = head;
    x->method = head->method_text;
    x->host = head->authority;
    x->path = head->path;
    x->user_agent = head_value(head, HEADER_USER_AGENT);
    x->wants_upgrade = head->upgrade.len > 0;
    x->request_has_body = end == MORE && !x->wants_upgrade;
    x->request_ended = end == END;
    proxy_count(x->proxy,
                head->version == HTTP_2 ? COUNTER_DOWN_REQUESTS_H2 : COUNTER_DOWN_REQUESTS_H1, 1);

    grpc_begin(x);
    enum reason reason = rewrite_arrival(x);
    if (reason == REASON_NONE && head->method == METHOD_TRACE && x->request_has_body)
        reason = REASON_BAD_FRAMING; /* RFC 9110 section 9.3.8: we must not send it on */
    if (reason == REASON_NONE && is_misdirected(x))
        reason = REASON_MISDIRECTED;
    if (reason != REASON_NONE) {
        exchange_fail(x, reason);
        return;
    }
    reason =
        is_refused_for_overload(x) ? REASON_OVERLOAD : admit_request(x, &x->listener->rate_limits);
    if (reason != REASON_NONE) {
        exchange_fail(x, reason);
        return;
    }
    if (x->listener->redirect_to_https && !x->is_https) {
        redirect_to_https(x);
        return;
    }
    if (only_redirects(x->listener)) {
        exchange_fail(x, REASON_NO_RULE); /* a redirect would lead here again */
        return;
    }
    exchange_decide(x);
    x->rule = rule_of(x);
    count_datacenter(x);
    reason = admit_to_rule(x);
    if (reason != REASON_NONE)
        exchange_fail(x, reason);
    else if (x->decision.group < 0)
        answer_locally(x);
    else if (!may_go_on(x))
        reply_last_hop(x);
    else
        go_upstream(x);
}
