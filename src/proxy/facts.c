/* What the router may look at of a request, and the question put to it. */
#include "proxy/exchange_impl.h"

static struct str field_value(const void *arg, struct str name, unsigned *from)
{
    const struct head *head = arg;
    const struct field *field = head_find_received_from(head, name, *from);

    *from = field != NULL ? (unsigned)(field - head->fields) + 1 : head->field_count;
    return field != NULL ? field->value : (struct str){0};
}

struct str exchange_host(const struct exchange *x)
{
    enum { SIZE = 256 };
    char *text = arena_alloc_aligned(x->down->arena, SIZE, 1);
    struct str host;

    return host_canonical(x->host, text, SIZE, &host) == 0 ? host : (struct str){0};
}

struct str exchange_field(const struct exchange *x, struct str name)
{
    unsigned from = 0;

    switch (header_lookup(name)) {
    case HEADER_HOST:
        return exchange_host(x);
    case HEADER_COOKIE:
        return head_joined(x->request, HEADER_COOKIE, STR("; "));
    default:
        return field_value(x->request, name, &from);
    }
}

/* Of two debug fields none is believed: joined they name no backend, and no third is needed
 * (docs/security.md, "Multi-value joins"). */
static void debug_facts(const struct exchange *x, struct str name, struct facts *facts)
{
    const struct head *head = x->request;

    if (name.len == 0 || !x->client->is_trusted)
        return;
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct field *field = &head->fields[i];
        if (field->removed || !str_eq_nocase(field->name, name))
            continue;
        if (facts->has_debug) {
            facts->debug = arena_printf(head->arena, "%.*s, %.*s", STR_FMT(facts->debug),
                                        STR_FMT(field->value));
            return;
        }
        facts->debug = field->value;
        facts->has_debug = true;
    }
}

/* The cookie that stands for the debug header, which wins if it is there. */
static void debug_cookie_facts(const struct router_conf *router, struct arena *arena,
                               struct facts *facts)
{
    char *text = arena_alloc_aligned(arena, facts->cookie.len + 1, 1);

    facts->has_debug = route_debug_cookie(&router->debug, facts->cookie, text,
                                          facts->cookie.len + 1, &facts->debug);
}

void exchange_facts(const struct exchange *x, struct facts *facts)
{
    const struct head *head = x->request;
    const struct router_conf *router = &x->serving->config->routers[x->listener->router];

    *facts = (struct facts){
        .method = head->method_text,
        .host = head->authority,
        .path = head->path,
        .cookie = head_joined(head, HEADER_COOKIE, STR("; ")), /* RFC 9113 section 8.2.3 */
        .field = field_value,
        .field_arg = head,
        .random = rand_next(&x->proxy->dice),
    };
    memcpy(facts->client_ip, x->client_ip, sizeof(facts->client_ip));
    if (head->first[HEADER_X_WIKIMEDIA_DEBUG] != 0 ||
        header_lookup(router->debug.header) != HEADER_X_WIKIMEDIA_DEBUG)
        debug_facts(x, router->debug.enabled ? router->debug.header : (struct str){0}, facts);
    if (!facts->has_debug && x->client->is_trusted && router->debug.cookie.len > 0)
        debug_cookie_facts(router, head->arena, facts);
}

/* A listener that has one group needs no router: the target of this datacenter, or the only one. */
static struct decision decide_direct(const struct exchange *x)
{
    const struct config *config = x->serving->config;
    const struct group_conf *group = &config->groups[x->listener->group];
    struct decision decision = undecided;

    decision.group = x->listener->group;
    decision.target = 0;
    decision.why = WHY_PLAIN;
    for (size_t i = 0; i < group->target_count; i++) {
        if (group->targets[i].datacenter == config->datacenters.local)
            decision.target = (int)i;
    }
    decision.datacenter = group->targets[decision.target].datacenter;
    return decision;
}

void exchange_decide(struct exchange *x)
{
    struct facts facts;

    if (x->listener->group >= 0) {
        x->decision = decide_direct(x);
        return;
    }
    exchange_facts(x, &facts);
    int router = x->listener->router;
    x->decision =
        route_decide(x->serving->routers->items[router], x->serving->weights[router], &facts);
    if (UNLIKELY(x->decision.limits > 0))
        proxy_count(x->proxy, COUNTER_PATTERN_LIMITS, (uint64_t)x->decision.limits);
}
