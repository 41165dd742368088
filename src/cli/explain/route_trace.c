/* From the request down to the endpoint, one line for each step that had something to say. */
#include "cli/explain/route_trace.h"

#include "cli/answer.h"
#include "config/fold.h"
#include "config/units.h"

#include <inttypes.h>

struct trace {
    FILE *out;
    const struct judge *judge;
    const struct question *question;
    const struct decision *decision;
    enum trace_detail detail;
};

static void put_place(const struct trace *trace, struct place place)
{
    if (place.line > 0)
        fprintf(trace->out, "  (%s:%d:%d)", place.file, place.line, place.column);
    putc('\n', trace->out);
}

/* --- request and rule ------------------------------------------------------------------------ */

static const struct wiki_conf *wiki_of(const struct config *config, struct str host)
{
    for (size_t i = 0; i < config->wiki_count; i++) {
        if (str_eq(config->wikis[i].host, host) || str_eq(config->wikis[i].mobile, host))
            return &config->wikis[i];
    }
    return NULL;
}

static void trace_request(const struct trace *trace)
{
    const struct facts *facts = &trace->question->facts;

    fprintf(trace->out, "%.*s %.*s%.*s\n", STR_FMT(facts->method), STR_FMT(facts->host),
            STR_FMT(facts->path));
}

static void trace_wiki(const struct trace *trace)
{
    const struct judge *judge = trace->judge;
    char canonical[FOLD_MAX], fold[FOLD_MAX];
    struct str host;

    if (host_canonical(trace->question->facts.host, canonical, sizeof(canonical), &host) < 0)
        return;
    struct str folded = mobile_fold(&judge->conf->split, host, fold);
    const struct wiki_conf *wiki = wiki_of(judge->config, folded);
    bool is_folded = folded.len != host.len;
    if (wiki == NULL && !is_folded)
        return;
    fprintf(trace->out, "  wiki        %.*s", STR_FMT(wiki != NULL ? wiki->name : folded));
    if (is_folded)
        fprintf(trace->out, ", mobile: counts as %.*s", STR_FMT(folded));
    put_place(trace, wiki != NULL ? wiki->place : (struct place){0});
}

static void trace_rule(const struct trace *trace)
{
    const struct router_conf *conf = trace->judge->conf;
    const struct decision *decision = trace->decision;

    if (decision->why == WHY_NO_RULE)
        fprintf(trace->out, "  rule        none matches\n");
    if (decision->rule < 0)
        return;
    const struct rule_conf *rule = &conf->rules[decision->rule];
    fprintf(trace->out, "  rule        %.*s", STR_FMT(rule->name));
    put_place(trace, rule->place);
    if (decision->service < 0)
        return;
    const struct service_conf *service = &conf->services[decision->service];
    fprintf(trace->out, "  service     %.*s%s", STR_FMT(service->name),
            service->is_split ? ", split" : "");
    put_place(trace, service->place);
}

/* --- debug ----------------------------------------------------------------------------------- */

static void trace_unknown_backend(const struct trace *trace)
{
    const struct debug_conf *debug = &trace->judge->conf->debug;

    fprintf(trace->out,
            "  debug       %.*s: \"%.*s\" names no backend; these exist:", STR_FMT(debug->header),
            STR_FMT(trace->question->facts.debug));
    for (size_t i = 0; i < debug->backend_count; i++)
        fprintf(trace->out, " %.*s", STR_FMT(debug->backends[i].name));
    putc('\n', trace->out);
}

static bool asks_for_debug(const struct trace *trace)
{
    const struct debug_conf *debug = &trace->judge->conf->debug;

    for (unsigned i = 0; debug->enabled && i < trace->question->field_count; i++) {
        if (str_eq_nocase(trace->question->fields[i].name, debug->header))
            return true;
    }
    return false;
}

static void trace_debug(const struct trace *trace)
{
    const struct decision *decision = trace->decision;
    const struct debug_conf *debug = &trace->judge->conf->debug;

    if (decision->why == WHY_DEBUG_UNKNOWN)
        trace_unknown_backend(trace);
    if (asks_for_debug(trace) && !trace->question->facts.has_debug)
        fprintf(trace->out, "  debug       %.*s: not believed, the client is not trusted\n",
                STR_FMT(debug->header));
    if (decision->backend < 0)
        return;
    const struct debug_backend_conf *backend = &debug->backends[decision->backend];
    fprintf(trace->out, "  debug       %.*s: backend %.*s%s", STR_FMT(debug->header),
            STR_FMT(backend->name),
            decision->why == WHY_DEBUG_REFUSED ? ", not for this host" : "");
    put_place(trace, backend->place);
}

/* --- datacenter ------------------------------------------------------------------------------ */

static const char *role_of(const struct datacenters_conf *datacenters, int index)
{
    if (index == datacenters->local)
        return index == datacenters->primary ? " (local and primary)" : " (local)";
    return index == datacenters->primary ? " (primary)" : "";
}

/* Why there, when no rule of primary_if said so. */
static const char *datacenter_reason(enum dc_why why)
{
    switch (why) {
    case DC_WHY_NONE:
        return "multi_dc does not concern this service";
    case DC_WHY_LOCAL:
        return "nothing sends it to the primary";
    case DC_WHY_MODE:
        return "the mode of multi_dc";
    case DC_WHY_METHOD:
        return "not a reading method";
    case DC_WHY_RULE:
        return "a rule of primary_if";
    case DC_WHY_SESSION:
        return "a session, and the mode of multi_dc is local-anon";
    case DC_WHY_SHARE:
        return "not in the share of multi_dc that stays local";
    case DC_WHY_NO_HOST:
        return "a request without Host goes to the primary";
    case DC_WHY_DEBUG:
        return "where the debug backend is";
    case DC_WHY_COUNT:
        break;
    }
    UNREACHABLE("every reason is above");
}

static void trace_datacenter(const struct trace *trace)
{
    const struct decision *decision = trace->decision;
    const struct datacenters_conf *datacenters = &trace->judge->config->datacenters;

    if (decision->group < 0 || decision->datacenter < 0)
        return;
    fprintf(trace->out, "  datacenter  %.*s%s: ", STR_FMT(datacenters->names[decision->datacenter]),
            role_of(datacenters, decision->datacenter));
    if (decision->dc_rule < 0) {
        fprintf(trace->out, "%s\n", datacenter_reason(decision->dc_why));
        return;
    }
    const struct dc_rule_conf *rule = &trace->judge->conf->multi_dc.primary_if[decision->dc_rule];
    fprintf(trace->out, "rule \"%.*s\"", STR_FMT(rule->name));
    put_place(trace, rule->place);
}

/* --- share and bucket ------------------------------------------------------------------------ */

static void trace_share(const struct trace *trace)
{
    const struct decision *decision = trace->decision;
    const struct split_conf *split = &trace->judge->conf->split;
    char share[SHARE_TEXT_MAX];

    if (!decision_has_share(decision))
        return;
    const struct split_entry_conf *entry = &split->entries[decision->entry];
    fprintf(trace->out, "  share       %s on k8s: ", share_format(decision->share, share));
    if (decision->why == WHY_EMERGENCY) {
        fprintf(trace->out, "the emergency brake is on\n");
        return;
    }
    if (decision->host < 0) {
        fprintf(trace->out, "the default");
        put_place(trace, entry->place);
        return;
    }
    const struct split_host_conf *host = &split->hosts[decision->host];
    if (entry->level == SPLIT_LIST)
        fprintf(trace->out, "%.*s is in list %.*s", STR_FMT(host->host), STR_FMT(entry->name));
    else
        fprintf(trace->out, "%.*s has its own", STR_FMT(host->host));
    put_place(trace, host->place);
}

static void trace_key(const struct trace *trace)
{
    int index = route_sticky_key(trace->judge->router, &trace->question->facts);

    if (index < 0) {
        fprintf(trace->out, "drawn by chance: the request has no sticky key");
        return;
    }
    const struct sticky_key_conf *key = &trace->judge->conf->sticky.keys[index];
    switch (key->kind) {
    case STICKY_COOKIE:
        fprintf(trace->out, "from cookie %.*s", STR_FMT(key->name));
        break;
    case STICKY_HEADER:
        fprintf(trace->out, "from header %.*s", STR_FMT(key->name));
        break;
    case STICKY_CLIENT_IP:
        fprintf(trace->out, "from the client's address");
        break;
    case STICKY_NONE:
        fprintf(trace->out, "drawn by chance");
        break;
    }
}

/* The bucket in percent, rounded down, with as many digits as its relation to the share needs. */
static double bucket_percent(uint32_t bucket, uint32_t share, int *digits)
{
    static const uint64_t steps[] = {10, 100, 1000}; /* of one percent */
    uint64_t threshold = ((uint64_t)share << 32) / SHARE_MAX;
    uint64_t floor = 0;

    for (*digits = 1; *digits <= 3; ++*digits) {
        uint64_t step = steps[*digits - 1];
        floor = (bucket * (100 * step)) >> 32;
        bool is_below = floor * (1000 / step) < share;
        if (is_below == (bucket < threshold))
            return (double)floor / (double)step;
    }
    *digits = 3;
    return (double)floor / 1000;
}

static void trace_bucket(const struct trace *trace)
{
    char share[SHARE_TEXT_MAX];
    int digits;

    const struct decision *decision = trace->decision;
    uint64_t threshold = ((uint64_t)decision->share << 32) / SHARE_MAX;

    if (!decision_has_bucket(decision))
        return;
    double percent = bucket_percent(decision->bucket, decision->share, &digits);
    fprintf(trace->out, "  bucket      %.*f %%", digits, percent);
    if (decision_has_share(decision)) {
        share_format(decision->share, share);
        fprintf(trace->out, " %s %.*s %%", decision->bucket < threshold ? "<" : "\u2265",
                (int)strlen(share) - 1, share);
    }
    fprintf(trace->out, ", ");
    trace_key(trace);
    if (trace->detail == TRACE_NUMBERS && decision_has_share(decision))
        fprintf(trace->out, "  (bucket %" PRIu32 ", threshold %" PRIu64 " of %" PRIu64 ")",
                decision->bucket, threshold, (uint64_t)1 << 32);
    putc('\n', trace->out);
}

/* --- group and endpoints --------------------------------------------------------------------- */

static void put_ms(const struct trace *trace, const char *name, uint32_t ms)
{
    if (ms == 0)
        fprintf(trace->out, " %s none", name);
    else if (ms % 1000 == 0)
        fprintf(trace->out, " %s %" PRIu32 "s", name, ms / 1000);
    else
        fprintf(trace->out, " %s %" PRIu32 "ms", name, ms);
}

static void trace_policy(const struct trace *trace, const struct group_conf *group)
{
    static const char *const protocols[] = {
        [PROTOCOL_H1] = "HTTP/1.1", [PROTOCOL_H2] = "HTTP/2", [PROTOCOL_AUTO] = "HTTP/2 or 1.1"};
    const struct upstream_timeouts_conf *timeouts = &group->timeouts;

    fprintf(trace->out, "  endpoints   %s%s%s, %s, %" PRIu32 " retr%s\n",
            protocols[group->protocol], group->tls != NULL ? " over TLS" : "",
            group->tls != NULL && !group->tls->verify ? " (not verified)" : "",
            group->balance == BALANCE_ROUND_ROBIN ? "round robin" : "least request", group->retries,
            group->retries == 1 ? "y" : "ies");
    fprintf(trace->out, "  timeouts   ");
    put_ms(trace, "connect", timeouts->connect_ms);
    put_ms(trace, "response", timeouts->response_ms);
    put_ms(trace, "idle", timeouts->idle_ms);
    put_ms(trace, "total", timeouts->total_ms);
    putc('\n', trace->out);
}

static void trace_group(const struct trace *trace)
{
    const struct decision *decision = trace->decision;

    if (decision->side != SIDE_NONE)
        fprintf(trace->out, "  side        %s\n", side_word(decision->side));
    if (decision->group < 0) {
        fprintf(trace->out, "  answer      %d, without upstream\n", decision->status);
        return;
    }
    const struct group_conf *group = &trace->judge->config->groups[decision->group];
    const struct target_conf *target = &group->targets[decision->target];
    fprintf(trace->out, "  group       %.*s", STR_FMT(group->name));
    put_place(trace, group->place);
    fprintf(trace->out, "  target      %.*s", STR_FMT(target->name));
    for (size_t i = 1; i < target->host_count; i++)
        fprintf(trace->out, " %.*s:%u", STR_FMT(target->hosts[i].name), target->hosts[i].port);
    put_place(trace, target->place);
    trace_policy(trace, group);
}

void route_trace(FILE *out, const struct judge *judge, const struct question *question,
                 const struct decision *decision, enum trace_detail detail)
{
    struct trace trace = {out, judge, question, decision, detail};

    trace_request(&trace);
    trace_wiki(&trace);
    trace_rule(&trace);
    trace_debug(&trace);
    trace_datacenter(&trace);
    trace_share(&trace);
    trace_bucket(&trace);
    trace_group(&trace);
    fprintf(out, "  why         %s\n", why_word(decision->why));
}
