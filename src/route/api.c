/* libweir-route's door: the public structs in, those of this room out again. */
#include "weir/route.h"

#include "base/path.h"
#include "config/review.h"
#include "route/arrival.h"
#include "route/route_impl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { COOKIE_BYTES_MAX = 8192 }; /* more than one Cookie field is joined as far as this */

struct weir_router {
    const struct config *config;          /* borrows */
    const struct router_conf *conf;       /* borrows */
    const struct listener_conf *listener; /* borrows: the one in front of it; NULL: none */
    struct router *router;                /* owns */
};

struct weir_routing {
    struct config *config;       /* owns */
    struct weir_router *routers; /* owns: one for each of config.routers */
};

int weir_route_version(void)
{
    return WEIR_ROUTE_VERSION;
}

/* --- configurations -------------------------------------------------------------------------- */

static void tell(const struct complaints *complaints, weir_complaint_fn *complain, void *arg)
{
    for (size_t i = 0; complain != NULL && i < complaints->count; i++) {
        const struct complaint *complaint = &complaints->items[i];
        char text[ERR_TEXT_MAX];
        snprintf(text, sizeof(text), "%.*s", STR_FMT(complaint->text));
        complain(arg, complaint->place.file != NULL ? complaint->place.file : "",
                 complaint->place.line, complaint->place.column,
                 complaint->severity != SEVERITY_ERROR, text);
    }
}

/* Takes `config` over. */
static struct weir_routing *compile(struct config *config, weir_complaint_fn *complain, void *arg)
{
    struct weir_routing *routing = mem_new(sizeof(*routing));
    struct err err;

    routing->config = config;
    routing->routers = mem_new(MAX(config->router_count, 1) * sizeof(*routing->routers));
    for (size_t i = 0; i < config->router_count; i++) {
        struct router *router = router_new(config, i, &err);
        if (router == NULL) {
            if (complain != NULL)
                complain(arg, err.file, err.line, err.column, 0, err.text);
            weir_routing_free(routing);
            return NULL;
        }
        routing->routers[i] =
            (struct weir_router){config, &config->routers[i], arrival_listener(config, i), router};
    }
    return routing;
}

static struct weir_routing *finish(struct config *config, struct complaints *complaints,
                                   weir_complaint_fn *complain, void *arg)
{
    if (config != NULL && complain != NULL)
        config_review(config, complaints);
    tell(complaints, complain, arg);
    complaints_deinit(complaints);
    return config != NULL ? compile(config, complain, arg) : NULL;
}

struct weir_routing *weir_routing_load(const char *path, weir_complaint_fn *complain, void *arg)
{
    struct complaints complaints;

    complaints_init(&complaints);
    struct config *config = config_load(path, &complaints);
    return finish(config, &complaints, complain, arg);
}

struct weir_routing *weir_routing_load_text(const char *text, size_t len, const char *name,
                                            weir_complaint_fn *complain, void *arg)
{
    struct complaints complaints;

    complaints_init(&complaints);
    struct config *config = config_load_text(str_make(text, len), name, &complaints);
    return finish(config, &complaints, complain, arg);
}

void weir_routing_free(struct weir_routing *routing)
{
    if (routing == NULL)
        return;
    for (size_t i = 0; i < routing->config->router_count; i++)
        router_free(routing->routers[i].router);
    free(routing->routers);
    config_free(routing->config);
    free(routing);
}

const char *weir_routing_version(const struct weir_routing *routing)
{
    return routing->config->version;
}

const struct weir_router *weir_router_find(const struct weir_routing *routing, const char *name)
{
    const struct config *config = routing->config;

    if (name == NULL)
        return config->router_count > 0 ? &routing->routers[0] : NULL;
    for (size_t i = 0; i < config->router_count; i++) {
        if (str_eq(config->routers[i].name, str_of(name)))
            return &routing->routers[i];
    }
    return NULL;
}

/* --- facts ----------------------------------------------------------------------------------- */

static struct str in(struct weir_text text)
{
    return str_make(text.ptr, text.ptr != NULL ? text.len : 0);
}

static struct weir_text out_text(struct str text)
{
    return (struct weir_text){text.ptr, text.len};
}

/* A request at a router. */
struct visit {
    const struct weir_router *router;
    const struct weir_request *request;
};

static bool arrives(const struct visit *visit, struct str name)
{
    return arrival_keeps(visit->router->listener, visit->router->conf, visit->request->is_trusted,
                         name);
}

static struct str field_at(const void *arg, struct str name, unsigned *from)
{
    const struct visit *visit = arg;
    const struct weir_request *request = visit->request;

    while (*from < request->field_count) {
        const struct weir_field *field = &request->fields[(*from)++];
        if (str_eq_nocase(in(field->name), name) && arrives(visit, name))
            return field->value.ptr != NULL ? in(field->value) : STR("");
    }
    return (struct str){NULL, 0};
}

/* Facts with the memory that they may need. */
struct question {
    struct facts facts;
    struct visit visit;
    char cookies[COOKIE_BYTES_MAX], debug[COOKIE_BYTES_MAX];
};

/* All lines of a field as one (RFC 9110 section 5.2, RFC 9113 section 8.2.3); one line is the
 * rule. */
static struct str joined(const struct visit *visit, struct str name, const char *between,
                         char *text, size_t size)
{
    const struct weir_request *request = visit->request;
    struct str all = {NULL, 0};
    size_t gap = strlen(between);

    for (size_t i = 0; i < request->field_count; i++) {
        struct str value = in(request->fields[i].value);
        if (!str_eq_nocase(in(request->fields[i].name), name) || !arrives(visit, name))
            continue;
        if (all.ptr == NULL) {
            all = value.ptr != NULL ? value : STR("");
            continue;
        }
        if (all.len + gap + value.len > size)
            break;
        if (all.ptr != text)
            memmove(text, all.ptr, all.len);
        memcpy(text + all.len, between, gap);
        if (value.len > 0)
            memcpy(text + all.len + gap, value.ptr, value.len);
        all = str_make(text, all.len + gap + value.len);
    }
    return all;
}

static void question_of(const struct weir_router *router, const struct weir_request *request,
                        struct question *question)
{
    const struct debug_conf *debug = &router->conf->debug;
    struct str target = in(request->target), path, fragment;

    str_cut(target, '#', &path, &fragment);
    question->visit = (struct visit){router, request};
    question->facts = (struct facts){
        .method = in(request->method),
        .host = in(request->host),
        .path = path,
        .cookie = joined(&question->visit, STR("cookie"), "; ", question->cookies,
                         sizeof(question->cookies)),
        .field = field_at,
        .field_arg = &question->visit,
        .random = request->random,
    };
    memcpy(question->facts.client_ip, request->client_ip, sizeof(request->client_ip));
    if (!request->is_trusted || !debug->enabled)
        return;
    struct facts *facts = &question->facts;
    facts->debug =
        joined(&question->visit, debug->header, ", ", question->debug, sizeof(question->debug));
    facts->has_debug = facts->debug.ptr != NULL;
    if (!facts->has_debug)
        facts->has_debug = route_debug_cookie(debug, facts->cookie, question->debug,
                                              sizeof(question->debug), &facts->debug);
}

/* --- deciding -------------------------------------------------------------------------------- */

static bool has_refused_name(const struct visit *visit)
{
    const struct listener_conf *listener = visit->router->listener;

    if (listener == NULL || listener->odd_names != ODD_NAMES_REJECT)
        return false;
    for (size_t i = 0; i < visit->request->field_count; i++) {
        if (arrival_name_is_odd(listener, in(visit->request->fields[i].name)))
            return true;
    }
    return false;
}

static struct decision decide(const struct weir_router *router, const struct question *question)
{
    if (has_refused_name(&question->visit))
        return route_refuse(WHY_ODD_NAME);
    if (!route_target_is_clear(question->facts.path) ||
        !arrival_takes_target(router->listener, question->facts.path))
        return route_refuse(WHY_BAD_PATH);
    return route_decide(router->router, router_weights(router->router), &question->facts);
}

static void name_parts(const struct weir_router *router, const struct decision *decision,
                       struct weir_decision *out)
{
    const struct config *config = router->config;

    if (decision->service >= 0)
        out->service = out_text(router->conf->services[decision->service].name);
    if (decision->rule >= 0)
        out->rule = out_text(router->conf->rules[decision->rule].name);
    if (decision->datacenter >= 0)
        out->datacenter = out_text(config->datacenters.names[decision->datacenter]);
    if (decision->group >= 0) {
        const struct group_conf *group = &config->groups[decision->group];
        out->group = out_text(group->name);
        out->target = out_text(group->targets[decision->target].name);
    }
}

static enum weir_side side_out(enum side side)
{
    switch (side) {
    case SIDE_NONE:
        return WEIR_SIDE_NONE;
    case SIDE_LEGACY:
        return WEIR_SIDE_LEGACY;
    case SIDE_K8S:
        return WEIR_SIDE_K8S;
    }
    UNREACHABLE("side_out");
}

static struct weir_decision decision_out(const struct weir_router *router,
                                         const struct decision *decision)
{
    struct weir_decision out = {
        .size = sizeof(out),
        .status = decision->status,
        .is_debug = decision->why == WHY_DEBUG,
        .side = side_out(decision->side),
        .has_share = decision->entry >= 0,
        .share = decision->share,
        .bucket = decision->bucket,
        .why = out_text(str_of(why_word(decision->why))),
    };

    name_parts(router, decision, &out);
    return out;
}

void weir_decide(const struct weir_router *router, const struct weir_request *request,
                 struct weir_decision *decision)
{
    struct question question;
    size_t size = MIN(decision->size, sizeof(*decision));

    question_of(router, request, &question);
    struct decision made = decide(router, &question);
    struct weir_decision all = decision_out(router, &made);
    all.size = decision->size;
    memcpy(decision, &all, size);
}

/* The target with raw UTF-8 percent-encoded, into `out` where that changes anything. */
static int encode_target(struct str *target, char *out, size_t size)
{
    size_t len = 0;
    bool is_ascii = true;

    for (size_t i = 0; i < target->len && is_ascii; i++)
        is_ascii = (unsigned char)target->ptr[i] < 0x80;
    for (size_t i = 0; i < target->len && !is_ascii; i++) {
        bool is_raw = (unsigned char)target->ptr[i] >= 0x80;
        if (size - len < 3)
            return -1;
        if (is_raw)
            len += escape_put(out + len, (unsigned char)target->ptr[i]);
        else
            out[len++] = target->ptr[i];
    }
    if (!is_ascii)
        *target = str_make(out, len);
    return 0;
}

int weir_rewrite(const struct weir_router *router, const struct weir_request *request, char *out,
                 size_t size, struct weir_text *target, struct weir_text *host)
{
    struct rewritten rewritten = {0};
    struct question question;

    question_of(router, request, &question);
    struct decision made = decide(router, &question);
    struct str received = question.facts.path, *sent = &question.facts.path;
    if (made.group >= 0 && encode_target(sent, out, size) < 0)
        return -1;
    size_t used = sent->ptr != received.ptr ? sent->len : 0;
    if (made.group >= 0 && route_rewrite(router->router, &question.facts, &made, out + used,
                                         size - used, &rewritten) < 0)
        return -1;
    if (rewritten.target.ptr == NULL && used > 0)
        rewritten.target = *sent;
    *target = out_text(rewritten.target);
    *host = out_text(rewritten.host);
    return 0;
}

/* --- explaining ------------------------------------------------------------------------------ */

/* Text that is counted on when it does not fit. */
struct page {
    char *out;
    size_t size, len;
};

static void put(struct page *page, const char *fmt, ...) PRINTF(2, 3);
static void put(struct page *page, const char *fmt, ...)
{
    va_list args;
    size_t left = page->len < page->size ? page->size - page->len : 0;

    va_start(args, fmt);
    int len = vsnprintf(left > 0 ? page->out + page->len : NULL, left, fmt, args);
    va_end(args);
    page->len += len > 0 ? (size_t)len : 0;
}

static void put_json(struct page *page, const char *key, struct weir_text text)
{
    put(page, ",\"%s\":", key);
    if (text.len == 0) {
        put(page, "null");
        return;
    }
    put(page, "\"");
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '"' || c == '\\')
            put(page, "\\%c", c);
        else if (c < 0x20)
            put(page, "\\u%04x", c);
        else
            put(page, "%c", c);
    }
    put(page, "\"");
}

static struct weir_text side_text(enum weir_side side)
{
    return side == WEIR_SIDE_NONE ? (struct weir_text){NULL, 0}
                                  : out_text(side == WEIR_SIDE_K8S ? STR("k8s") : STR("legacy"));
}

size_t weir_explain_json(const struct weir_router *router, const struct weir_request *request,
                         char *out, size_t size)
{
    struct weir_decision decision = {.size = sizeof(decision)};
    struct page page = {out, size, 0};

    weir_decide(router, request, &decision);
    if (decision.status > 0)
        put(&page, "{\"status\":%d", decision.status);
    else
        put(&page, "{\"status\":null");
    put_json(&page, "service", decision.service);
    put_json(&page, "side", side_text(decision.side));
    put_json(&page, "group", decision.group);
    put_json(&page, "target", decision.target);
    put_json(&page, "datacenter", decision.datacenter);
    if (decision.has_share)
        put(&page, ",\"share\":%.9g,\"bucket\":%" PRIu32, (double)decision.share / WEIR_SHARE_MAX,
            decision.bucket);
    else
        put(&page, ",\"share\":null,\"bucket\":null");
    put_json(&page, "rule", decision.rule);
    put_json(&page, "why", decision.why);
    put(&page, "}");
    return page.len;
}

static void put_places(struct page *page, const struct weir_router *router,
                       const struct decision *decision)
{
    if (decision->rule >= 0) {
        const struct rule_conf *rule = &router->conf->rules[decision->rule];
        put(page, "rule         %.*s (%s:%d)\n", STR_FMT(rule->name), rule->place.file,
            rule->place.line);
    }
    if (decision->dc_rule >= 0) {
        const struct dc_rule_conf *rule = &router->conf->multi_dc.primary_if[decision->dc_rule];
        put(page, "primary      %.*s (%s:%d)\n", STR_FMT(rule->name), rule->place.file,
            rule->place.line);
    }
    if (decision->entry > 0) {
        const struct split_entry_conf *entry = &router->conf->split.entries[decision->entry];
        put(page, "list         %.*s (%s:%d)\n", STR_FMT(entry->name), entry->place.file,
            entry->place.line);
    }
}

size_t weir_explain_text(const struct weir_router *router, const struct weir_request *request,
                         char *out, size_t size)
{
    struct question question;
    struct page page = {out, size, 0};

    question_of(router, request, &question);
    struct decision made = decide(router, &question);
    struct weir_decision decision = decision_out(router, &made);
    put_places(&page, router, &made);
    if (decision.has_share)
        put(&page, "share        %.5g%% on k8s; this request is at %.5g%%\n",
            decision.share / (WEIR_SHARE_MAX / 100.0), decision.bucket / 42949672.96);
    if (decision.status > 0)
        put(&page, "answer       %d, by weir itself\n", decision.status);
    if (decision.group.len > 0)
        put(&page, "group        %.*s (%.*s)\n", (int)decision.group.len, decision.group.ptr,
            (int)decision.target.len, decision.target.ptr);
    put(&page, "why          %.*s\n", (int)decision.why.len, decision.why.ptr);
    return page.len;
}
