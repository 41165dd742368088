/* Configured rewrites and header rules. The listener's rules come first, then the router's, then
 * those of the rule that matched, then those for debug backends; each may look at what the request,
 * its connection and its decision are by ${variables}. */
#include "http/chars.h"
#include "proxy/exchange_impl.h"
#include "route/arrival.h"

enum { HEADER_VALUE_MAX = 4096 }; /* one configured value, filled in; longer ones are not set */

/* --- fields ---------------------------------------------------------------------------------- */

static void remove_named(struct head *head, struct str name)
{
    enum header_id id = header_lookup(name);
    struct field *field;
    unsigned from = 0;

    if (id != HEADER_OTHER) {
        head_remove(head, id);
        return;
    }
    while ((field = head_find_name_from(head, name, from)) != NULL) {
        field->removed = true;
        from = (unsigned)(field - head->fields) + 1;
    }
}

/* The value filled in, in the request's arena; false when it is none that a field may have. */
static bool value_of(struct exchange *x, const struct header_rule_conf *rule, struct str *value)
{
    return exchange_fill(x, &rule->value, exchange_variable, HEADER_VALUE_MAX, value) == 0 &&
           field_value_is_valid(*value);
}

static struct field *last_named(struct head *head, struct str name)
{
    struct field *last = NULL, *field;
    unsigned from = 0;

    while ((field = head_find_name_from(head, name, from)) != NULL) {
        from = (unsigned)(field - head->fields) + 1;
        last = field;
    }
    return last;
}

/* Behind all values of that name, which are one list in the order of their lines (RFC 9110 section
 * 5.3). Set-Cookie is no list, and cookies are not separated by commas. */
static void append_named(struct head *head, struct str name, struct str value)
{
    struct field *field = last_named(head, name);

    if (field == NULL || field->id == HEADER_SET_COOKIE)
        head_add(head, name, value);
    else if (field->value.len == 0)
        field->value = value;
    else
        field->value = arena_printf(head->arena, "%.*s%s%.*s", STR_FMT(field->value),
                                    field->id == HEADER_COOKIE ? "; " : ", ", STR_FMT(value));
}

static bool list_has(struct str list, struct str word)
{
    struct str item;

    while (str_next(&list, ',', &item)) {
        item = str_trim(item);
        if (str_eq_nocase(item, word) || str_eq(item, STR("*")))
            return true;
    }
    return false;
}

static void vary(struct head *head, struct str name)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct field *field = &head->fields[i];
        if (!field->removed && str_eq_nocase(field->name, STR("vary")) &&
            list_has(field->value, name))
            return;
    }
    append_named(head, STR("Vary"), name);
}

/* Did the client ask for a debug backend, and may it? Then it may see what others do not. */
static bool is_debug(const struct exchange *x)
{
    if (x->decision.why == WHY_DEBUG)
        return true;
    if (!x->client->is_trusted || x->listener->router < 0)
        return false;
    const struct debug_conf *debug = &x->serving->config->routers[x->listener->router].debug;
    return debug->enabled && head_find_name(x->request, debug->header) != NULL;
}

static void do_valued(struct exchange *x, struct head *head, const struct header_rule_conf *rule)
{
    struct str value;

    if (rule->op == HEADER_OP_SET_IF_ABSENT && head_find_name(head, rule->name) != NULL)
        return;
    if (rule->op == HEADER_OP_SET || rule->op == HEADER_OP_SET_FOR_TRUSTED)
        remove_named(head, rule->name);
    if (rule->op == HEADER_OP_SET_FOR_TRUSTED && !x->client->is_trusted)
        return;
    if (!value_of(x, rule, &value)) {
        proxy_count(x->proxy, COUNTER_HEADER_RULES_SKIPPED, 1);
        return;
    }
    if (rule->op == HEADER_OP_APPEND)
        append_named(head, rule->name, value);
    else
        head_add(head, rule->name, value);
}

static void do_rule(struct exchange *x, struct head *head, const struct header_rule_conf *rule)
{
    switch (rule->op) {
    case HEADER_OP_SET:
    case HEADER_OP_SET_IF_ABSENT:
    case HEADER_OP_SET_FOR_TRUSTED:
    case HEADER_OP_ADD:
    case HEADER_OP_APPEND:
        do_valued(x, head, rule);
        return;
    case HEADER_OP_REMOVE:
        remove_named(head, rule->name);
        return;
    case HEADER_OP_REMOVE_UNTRUSTED:
        return; /* done on arrival */
    case HEADER_OP_REMOVE_UNLESS_DEBUG:
        if (!is_debug(x))
            remove_named(head, rule->name);
        return;
    case HEADER_OP_VARY:
        if (head->status == 301 || head->status == 302)
            vary(head, rule->name);
        return;
    }
}

static void do_rules(struct exchange *x, struct head *head, const struct header_rules_conf *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        do_rule(x, head, &rules->rules[i]);
}

/* --- whose rules ----------------------------------------------------------------------------- */

enum { SOURCES = 4 };

/* In the order in which they are done; NULL where there are none. */
static void sources_of(const struct exchange *x, const struct headers_conf *sources[SOURCES])
{
    memset(sources, 0, SOURCES * sizeof(*sources));
    sources[0] = x->listener->headers;
    if (x->listener->router < 0)
        return;
    const struct router_conf *router = &x->serving->config->routers[x->listener->router];
    sources[1] = router->headers;
    if (x->decision.rule >= 0)
        sources[2] = router->rules[x->decision.rule].headers;
    if (x->group_conf != NULL && x->decision.why == WHY_DEBUG)
        sources[3] = router->debug.headers;
}

static void remove_untrusted_of(struct exchange *x, const struct headers_conf *headers)
{
    for (size_t i = 0; headers != NULL && i < headers->request.count; i++) {
        if (headers->request.rules[i].op == HEADER_OP_REMOVE_UNTRUSTED)
            remove_named(x->request, headers->request.rules[i].name);
    }
}

void header_rules_arrival(struct exchange *x)
{
    remove_untrusted_of(x, x->listener->headers);
    if (x->listener->router < 0)
        return;
    const struct router_conf *router = &x->serving->config->routers[x->listener->router];
    remove_untrusted_of(x, router->headers);
    if (arrival_removes_debug(router))
        remove_named(x->request, router->debug.header);
}

enum reason rewrite_target(struct exchange *x, struct head *head)
{
    const struct router *router = x->serving->routers->items[x->listener->router];
    struct rewritten rewritten;
    struct facts facts;

    if (!route_rewrites(router, &x->decision))
        return REASON_NONE;
    exchange_facts(x, &facts);
    size_t size = 2048 + 6 * head->path.len;
    char *text = arena_alloc_aligned(head->arena, size, 1);
    if (route_rewrite(router, &facts, &x->decision, text, size, &rewritten) < 0)
        return REASON_URI_TOO_LONG;
    if (rewritten.target.ptr != NULL)
        head->path = rewritten.target;
    if (rewritten.host.ptr != NULL)
        head->authority = rewritten.host;
    return REASON_NONE;
}

void header_rules_request(struct exchange *x, struct head *head)
{
    const struct headers_conf *sources[SOURCES];

    sources_of(x, sources);
    for (size_t i = 0; i < SOURCES; i++) {
        if (sources[i] != NULL)
            do_rules(x, head, &sources[i]->request);
    }
}

bool header_rules_name(const struct exchange *x, struct str name)
{
    const struct headers_conf *sources[SOURCES];

    sources_of(x, sources);
    for (size_t i = 0; i < SOURCES; i++) {
        for (size_t j = 0; sources[i] != NULL && j < sources[i]->request.count; j++) {
            if (str_eq_nocase(sources[i]->request.rules[j].name, name))
                return true;
        }
    }
    return false;
}

void header_rules_response(struct exchange *x, struct head *head)
{
    const struct headers_conf *sources[SOURCES];

    if (head->status < 200) /* interim: the rules are for the response itself */
        return;
    sources_of(x, sources);
    for (size_t i = 0; i < SOURCES; i++) {
        if (sources[i] == NULL)
            continue;
        do_rules(x, head, &sources[i]->response);
        do_rules(x, head, &sources[i]->always);
    }
}

void header_rules_reply(struct exchange *x, struct head *head)
{
    const struct headers_conf *sources[SOURCES];

    sources_of(x, sources);
    for (size_t i = 0; i < SOURCES; i++) {
        if (sources[i] != NULL)
            do_rules(x, head, &sources[i]->always);
    }
}

/* The rules look at an exchange, so here is one of which nothing is known but the connection. */
void header_rules_refusal(struct downstream *downstream, struct head *head)
{
    struct client *client = &downstream->client;
    struct stream down = {.arena = head->arena};
    struct head request;
    struct exchange x = {
        .proxy = client->proxy,
        .client = client,
        .downstream = downstream,
        .serving = downstream->serving,
        .listener = client->listener->conf,
        .down = &down,
        .request = &request,
        .outgoing = &request,
        .decision = undecided,
        .is_https = client->listener->conf->tls != NULL,
    };

    head_init(&request, head->arena);
    memcpy(x.client_text, client->text, client->text_len);
    x.client_text_len = client->text_len;
    header_rules_reply(&x, head);
}
