/* weir route: build the facts of one request from the command line, ask the router, tell the answer
 * as a trace for a person or as JSON for a program. */
#include "cli/route.h"

#include "cli/complain.h"
#include "observe/metrics.h"
#include "route/route.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

enum { HEADERS_MAX = 128 };

static const char help[] =
    "Usage: weir route -c FILE [options] URL\n"
    "\n"
    "Tells which group would serve a request, and why. The URL may be whole\n"
    "(https://en.wikipedia.org/wiki/Earth) or begin with the host (en.wikipedia.org/wiki/Earth).\n"
    "The request counts as one from a trusted client: its debug header is honoured.\n"
    "\n"
    "  -c, --config FILE      the configuration\n"
    "  -X, --request METHOD   the method (default GET)\n"
    "  -H, --header 'K: V'    a header field; may be repeated; \"Host:\" sends none\n"
    "      --http1.0          the request is HTTP/1.0: it may come without Host\n"
    "      --client IP        the client's address\n"
    "      --router NAME      the router to ask (default: the first)\n"
    "      --json             print the decision as one line of JSON\n"
    "  -h, --help             this page\n"
    "\n"
    "Exit status: 0 a decision was made, 1 the configuration has errors, 2 the command line is "
    "wrong.\n";

struct header {
    struct str name, value;
};

struct options {
    const char *config, *url, *router, *method, *client;
    struct header headers[HEADERS_MAX];
    size_t header_count;
    bool is_json, is_http10;
};

/* --- the command line --------------------------------------------------------------------------
 */

static int usage_error(const char *what, const char *value)
{
    fprintf(stderr, "weir route: %s%s%s\n", what, value != NULL ? ": " : "",
            value != NULL ? value : "");
    return 2;
}

static int add_header(struct options *options, const char *text)
{
    struct str name, value;

    if (!str_cut(str_of(text), ':', &name, &value) || name.len == 0)
        return usage_error("a header is written 'Name: value'", text);
    if (options->header_count == HEADERS_MAX)
        return usage_error("too many headers", text);
    options->headers[options->header_count++] = (struct header){name, str_trim(value)};
    return -1;
}

/* -1: go on; else the exit status. */
static int parse_options(int argc, char **argv, struct options *options)
{
    enum { OPTION_CLIENT = 256, OPTION_ROUTER, OPTION_JSON, OPTION_HTTP10 };
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"request", required_argument, NULL, 'X'},
        {"header", required_argument, NULL, 'H'},
        {"client", required_argument, NULL, OPTION_CLIENT},
        {"router", required_argument, NULL, OPTION_ROUTER},
        {"json", no_argument, NULL, OPTION_JSON},
        {"http1.0", no_argument, NULL, OPTION_HTTP10},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option, status;

    optind = 0;
    while ((option = getopt_long(argc, argv, "c:X:H:h", longs, NULL)) != -1) {
        switch (option) {
        case 'c':
            options->config = optarg;
            break;
        case 'X':
            options->method = optarg;
            break;
        case 'H':
            if ((status = add_header(options, optarg)) >= 0)
                return status;
            break;
        case OPTION_CLIENT:
            options->client = optarg;
            break;
        case OPTION_ROUTER:
            options->router = optarg;
            break;
        case OPTION_HTTP10:
            options->is_http10 = true;
            break;
        case OPTION_JSON:
            options->is_json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            fputs("Try \"weir route --help\".\n", stderr);
            return 2;
        }
    }
    if (options->config == NULL)
        return usage_error("a configuration is needed: weir route -c FILE URL", NULL);
    if (optind != argc - 1)
        return usage_error("one URL is needed", NULL);
    options->url = argv[optind];
    return -1;
}

/* --- facts -------------------------------------------------------------------------------------
 */

/* The request that the options describe, with the memory that its facts borrow. */
struct question {
    const struct options *options;
    struct arena arena;
    struct facts facts;
    struct str authority; /* of the URL, for the trace */
};

static struct str field_find(const void *arg, struct str name)
{
    const struct options *options = arg;

    for (size_t i = 0; i < options->header_count; i++) {
        if (str_eq_nocase(options->headers[i].name, name))
            return options->headers[i].value;
    }
    return (struct str){NULL, 0};
}

/* Several Cookie fields are one (RFC 9113 section 8.2.3). */
static struct str join_cookies(struct question *question)
{
    const struct options *options = question->options;
    struct str all = {"", 0};

    for (size_t i = 0; i < options->header_count; i++) {
        if (!str_eq_nocase(options->headers[i].name, STR("cookie")))
            continue;
        if (all.len > 0)
            all = arena_join(&question->arena, all, STR("; "));
        all = arena_join(&question->arena, all, options->headers[i].value);
    }
    return all;
}

/* "scheme://authority/path?query" or without the scheme. */
static void split_url(struct str url, struct str *authority, struct str *path)
{
    ptrdiff_t scheme = str_find(url, STR("://"));
    size_t len = 0;

    if (scheme >= 0)
        url = str_skip(url, (size_t)scheme + 3);
    while (len < url.len && url.ptr[len] != '/' && url.ptr[len] != '?' && url.ptr[len] != '#')
        len++;
    *authority = str_make(url.ptr, len);
    *path = str_skip(url, len);
}

static struct str request_path(struct question *question, struct str path)
{
    struct str sent, fragment;

    str_cut(path, '#', &sent, &fragment); /* a fragment is never sent */
    if (sent.len > 0 && sent.ptr[0] == '/')
        return sent;
    return arena_join(&question->arena, STR("/"), sent);
}

/* -1: go on; else the exit status. */
static int build_question(struct question *question, const struct router_conf *router)
{
    const struct options *options = question->options;
    struct facts *facts = &question->facts;
    struct addr client;
    struct str path;

    split_url(str_of(options->url), &question->authority, &path);
    *facts = (struct facts){
        .method = str_of(options->method),
        .host = question->authority,
        .path = request_path(question, path),
        .cookie = join_cookies(question),
        .field = field_find,
        .field_arg = options,
        .random = rand_seed(),
    };
    struct str host = field_find(options, STR("host"));
    if (host.ptr != NULL)
        facts->host = host;
    facts->debug = field_find(options, router->debug.header);
    facts->has_debug = facts->debug.ptr != NULL;
    if (options->client == NULL)
        return -1;
    if (addr_parse_ip(str_of(options->client), 0, &client) < 0)
        return usage_error("not an IP address", options->client);
    addr_ip_bytes(&client, facts->client_ip);
    return -1;
}

/* --- JSON --------------------------------------------------------------------------------------
 */

static void json_str_or_null(struct text *out, const char *key, bool is_set, struct str value)
{
    text_add(out, ",\"%s\":", key);
    if (is_set)
        text_add_json(out, value);
    else
        text_add(out, "null");
}

static bool has_share(const struct decision *decision)
{
    return decision->entry >= 0;
}

static bool has_bucket(const struct decision *decision)
{
    return has_share(decision) || decision->why == WHY_WEIGHTS;
}

static struct str target_name(const struct config *config, const struct decision *decision)
{
    if (decision->group < 0)
        return (struct str){"", 0};
    return config->groups[decision->group].targets[decision->target].name;
}

static struct str datacenter_name(const struct config *config, const struct decision *decision)
{
    if (decision->datacenter < 0)
        return (struct str){"", 0};
    return config->datacenters.names[decision->datacenter];
}

static void print_json(const struct config *config, const struct router_conf *router,
                       const struct decision *decision)
{
    struct text out = {0};
    bool has_group = decision->group >= 0;
    struct str none = {"", 0};

    if (decision->status > 0)
        text_add(&out, "{\"status\":%d", decision->status);
    else
        text_add(&out, "{\"status\":null");
    json_str_or_null(&out, "service", decision->service >= 0,
                     decision->service >= 0 ? router->services[decision->service].name : none);
    json_str_or_null(&out, "side", decision->side != SIDE_NONE, str_of(side_word(decision->side)));
    json_str_or_null(&out, "group", has_group,
                     has_group ? config->groups[decision->group].name : none);
    json_str_or_null(&out, "target", has_group, target_name(config, decision));
    json_str_or_null(&out, "datacenter", decision->datacenter >= 0,
                     datacenter_name(config, decision));
    if (has_share(decision))
        text_add(&out, ",\"share\":%.9g", (double)decision->share / SHARE_MAX);
    else
        text_add(&out, ",\"share\":null");
    if (has_bucket(decision))
        text_add(&out, ",\"bucket\":%" PRIu32, decision->bucket);
    else
        text_add(&out, ",\"bucket\":null");
    json_str_or_null(&out, "rule", decision->rule >= 0,
                     decision->rule >= 0 ? router->rules[decision->rule].name : none);
    json_str_or_null(&out, "why", true, str_of(why_word(decision->why)));
    printf("%.*s}\n", (int)out.len, out.ptr);
    text_free(&out);
}

/* --- the trace ---------------------------------------------------------------------------------
 */

struct trace {
    const struct config *config;
    const struct router_conf *conf;
    const struct router *router;
    const struct facts *facts;
    const struct decision *decision;
};

static void print_place(struct place place)
{
    if (place.line > 0)
        printf("  (%s:%d:%d)", place.file, place.line, place.column);
    putchar('\n');
}

static void trace_rule(const struct trace *trace)
{
    const struct decision *decision = trace->decision;

    if (decision->rule < 0) {
        if (decision->why == WHY_NO_RULE)
            printf("  rule        none matches\n");
        return;
    }
    const struct rule_conf *rule = &trace->conf->rules[decision->rule];
    printf("  rule        %.*s", STR_FMT(rule->name));
    print_place(rule->place);
    if (decision->service < 0)
        return;
    const struct service_conf *service = &trace->conf->services[decision->service];
    printf("  service     %.*s", STR_FMT(service->name));
    print_place(service->place);
}

static void trace_debug(const struct trace *trace)
{
    const struct decision *decision = trace->decision;
    const struct debug_conf *debug = &trace->conf->debug;

    if (decision->why == WHY_DEBUG_UNKNOWN) {
        printf("  debug       %.*s: \"%.*s\" names no backend; these exist:",
               STR_FMT(debug->header), STR_FMT(trace->facts->debug));
        for (size_t i = 0; i < debug->backend_count; i++)
            printf(" %.*s", STR_FMT(debug->backends[i].name));
        putchar('\n');
    }
    if (decision->backend < 0)
        return;
    const struct debug_backend_conf *backend = &debug->backends[decision->backend];
    printf("  debug       %.*s: backend %.*s%s", STR_FMT(debug->header), STR_FMT(backend->name),
           decision->why == WHY_DEBUG_REFUSED ? ", not for this host" : "");
    print_place(backend->place);
}

static void trace_datacenter(const struct trace *trace)
{
    const struct decision *decision = trace->decision;
    const struct datacenters_conf *datacenters = &trace->config->datacenters;

    if (decision->group < 0 || decision->datacenter < 0)
        return;
    struct str name = datacenters->names[decision->datacenter];
    const char *role = decision->datacenter == datacenters->local ? " (local)" : "";
    if (decision->datacenter == datacenters->primary)
        role = datacenters->local == datacenters->primary ? " (local and primary)" : " (primary)";
    printf("  datacentre  %.*s%s", STR_FMT(name), role);
    if (decision->dc_rule >= 0) {
        const struct dc_rule_conf *rule = &trace->conf->multi_dc.primary_if[decision->dc_rule];
        printf(": rule \"%.*s\"", STR_FMT(rule->name));
        print_place(rule->place);
    } else {
        putchar('\n');
    }
}

static void trace_share(const struct trace *trace)
{
    const struct decision *decision = trace->decision;
    const struct split_conf *split = &trace->conf->split;
    uint32_t thousandths = decision->share;

    if (!has_share(decision))
        return;
    const struct split_entry_conf *entry = &split->entries[decision->entry];
    printf("  share       %" PRIu32 ".%03" PRIu32 "%% on k8s: ", thousandths / 1000,
           thousandths % 1000);
    if (decision->why == WHY_EMERGENCY) {
        printf("the emergency brake is on\n");
        return;
    }
    if (decision->host < 0) {
        printf("the default");
        print_place(entry->place);
        return;
    }
    const struct split_host_conf *host = &split->hosts[decision->host];
    if (entry->level == SPLIT_LIST)
        printf("%.*s is in list %.*s", STR_FMT(host->host), STR_FMT(entry->name));
    else
        printf("%.*s has its own", STR_FMT(host->host));
    print_place(host->place);
}

static void print_key(const struct trace *trace)
{
    int index = route_sticky_key(trace->router, trace->facts);

    if (index < 0) {
        printf("drawn by chance: the request has no sticky key");
        return;
    }
    const struct sticky_key_conf *key = &trace->conf->sticky.keys[index];
    switch (key->kind) {
    case STICKY_COOKIE:
        printf("from cookie %.*s", STR_FMT(key->name));
        break;
    case STICKY_HEADER:
        printf("from header %.*s", STR_FMT(key->name));
        break;
    case STICKY_CLIENT_IP:
        printf("from the client's address");
        break;
    case STICKY_NONE:
        printf("drawn by chance");
        break;
    }
}

static void trace_bucket(const struct trace *trace)
{
    const struct decision *decision = trace->decision;
    uint64_t threshold = ((uint64_t)decision->share << 32) / SHARE_MAX;

    if (!has_bucket(decision))
        return;
    printf("  bucket      %" PRIu32, decision->bucket);
    if (has_share(decision))
        printf(" %s threshold %" PRIu64, decision->bucket < threshold ? "<" : ">=", threshold);
    printf(", ");
    print_key(trace);
    putchar('\n');
}

static void trace_group(const struct trace *trace)
{
    const struct decision *decision = trace->decision;

    if (decision->side != SIDE_NONE)
        printf("  side        %s\n", side_word(decision->side));
    if (decision->group < 0) {
        printf("  answer      %d, without upstream\n", decision->status);
        return;
    }
    const struct group_conf *group = &trace->config->groups[decision->group];
    const struct target_conf *target = &group->targets[decision->target];
    printf("  group       %.*s", STR_FMT(group->name));
    print_place(group->place);
    printf("  target      %.*s, %s over %zu name%s%s\n", STR_FMT(target->name),
           group->balance == BALANCE_ROUND_ROBIN ? "round robin" : "least request",
           target->host_count, target->host_count == 1 ? "" : "s",
           group->tls != NULL ? ", TLS" : "");
}

static void print_trace(const struct trace *trace)
{
    printf("%.*s %.*s%.*s\n", STR_FMT(trace->facts->method), STR_FMT(trace->facts->host),
           STR_FMT(trace->facts->path));
    trace_rule(trace);
    trace_debug(trace);
    trace_datacenter(trace);
    trace_share(trace);
    trace_bucket(trace);
    trace_group(trace);
    printf("  why         %s\n", why_word(trace->decision->why));
}

/* --- the decision -------------------------------------------------------------------------------
 */

static size_t count_headers(const struct options *options, struct str name)
{
    size_t count = 0;

    for (size_t i = 0; i < options->header_count; i++)
        count += str_eq_nocase(options->headers[i].name, name) ? 1 : 0;
    return count;
}

/* What the codec refuses before a router is asked is refused here, too (RFC 9112 section 3.2). */
static struct decision decide(const struct router *router, const struct question *question)
{
    bool is_hostless = question->facts.host.len == 0 && !question->options->is_http10;

    if (!is_hostless && count_headers(question->options, STR("host")) <= 1)
        return route_decide(router, &question->facts);
    return (struct decision){
        .status = 400,
        .why = WHY_BAD_HOST,
        .group = -1,
        .target = -1,
        .service = -1,
        .rule = -1,
        .datacenter = -1,
        .entry = -1,
        .host = -1,
        .dc_rule = -1,
        .backend = -1,
    };
}

/* --- the whole ---------------------------------------------------------------------------------
 */

static int router_find(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->router_count; i++) {
        if (name == NULL || str_eq(config->routers[i].name, str_of(name)))
            return (int)i;
    }
    return -1;
}

static int route(const struct options *options, const struct config *config)
{
    struct question question = {.options = options};
    struct err err = {0};
    char line[ERR_TEXT_MAX + 320];
    int index = router_find(config, options->router);

    if (index < 0)
        return usage_error(options->router != NULL ? "no such router" : "there is no router",
                           options->router);
    const struct router_conf *conf = &config->routers[index];
    struct router *router = router_new(config, (size_t)index, &err);
    if (router == NULL) {
        fprintf(stderr, "weir route: %s\n", err_line(&err, line, sizeof(line)));
        return 1;
    }
    arena_init(&question.arena, NULL);
    int status = build_question(&question, conf);
    if (status < 0) {
        struct decision decision = decide(router, &question);
        struct trace trace = {config, conf, router, &question.facts, &decision};
        if (options->is_json)
            print_json(config, conf, &decision);
        else
            print_trace(&trace);
        status = 0;
    }
    arena_reset(&question.arena);
    router_free(router);
    return status;
}

int cli_route(int argc, char **argv)
{
    struct options options = {.method = "GET"};
    int status = parse_options(argc, argv, &options);

    if (status >= 0)
        return status;
    struct config *config = config_load_or_complain(options.config, COMPLAINTS_ERRORS_ONLY);
    if (config == NULL)
        return 1;
    status = route(&options, config);
    config_free(config);
    return status;
}
