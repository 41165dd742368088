/* `routers`: services, rules, debug, stickiness. The split and the datacenters have files of their
 * own. */
#include "config/loader_impl.h"
#include "config/units.h"

enum { RULES_MAX = 4096, BACKENDS_MAX = 4096 };

/* --- services -------------------------------------------------------------------------------- */

static int load_weighted(struct loader *loader, const struct node *node, struct choice_conf *choice)
{
    uint64_t sum = 0;
    char text[SHARE_TEXT_MAX];

    choice->weights = ARENA_NEW_N(loader->arena, struct weight_conf, MAX(node->count, 1));
    for (size_t i = 0; i < node->count; i++) {
        struct weight_conf *weight = &choice->weights[i];
        weight->place = node->keys[i]->place;
        weight->group = find_group(loader, node->keys[i]);
        if (weight->group < 0 || load_share(loader, node->items[i], &weight->share) < 0)
            return -1;
        sum += weight->share;
    }
    choice->count = node->count;
    if (sum == SHARE_MAX)
        return 0;
    if (sum > UINT32_MAX)
        sum = UINT32_MAX;
    return complain(loader, node, "the shares add up to %s, not to 100%%",
                    share_format((uint32_t)sum, text));
}

/* `mw-web`, or `{ mw-web: 97%, mw-web-canary: 3% }`. */
static int load_choice(struct loader *loader, const struct node *node, void *out)
{
    struct choice_conf *choice = out;

    choice->place = node->place;
    if (node->kind == NODE_MAP)
        return load_weighted(loader, node, choice);
    choice->weights = ARENA_NEW(loader->arena, struct weight_conf);
    choice->weights->place = node->place;
    choice->weights->share = SHARE_MAX;
    choice->weights->group = find_group(loader, node);
    choice->count = 1;
    return choice->weights->group < 0 ? -1 : 0;
}

static int load_service(struct loader *loader, const struct node *node,
                        struct service_conf *service)
{
    static const struct key keys[] = {
        {"legacy", load_choice, offsetof(struct service_conf, legacy), false},
        {"k8s", load_choice, offsetof(struct service_conf, k8s), false},
        {"group", load_choice, offsetof(struct service_conf, all), false},
        {"groups", load_choice, offsetof(struct service_conf, all), false},
        {"debug", load_bool, offsetof(struct service_conf, debug), false},
        {"multi_dc", load_bool, offsetof(struct service_conf, multi_dc), false},
    };

    if (node->kind == NODE_SCALAR && !node->is_null)
        return load_choice(loader, node, &service->all);
    if (!expect_map(loader, node, "a group, or { legacy: …, k8s: … }"))
        return -1;
    bool has_legacy = node_find(node, "legacy") != NULL;
    bool has_k8s = node_find(node, "k8s") != NULL;
    int plain = (node_find(node, "group") != NULL) + (node_find(node, "groups") != NULL);
    service->is_split = service->debug = service->multi_dc = has_legacy && has_k8s;
    if (LOAD_KEYS(loader, node, keys, service) < 0)
        return -1;
    if (has_legacy != has_k8s || (has_legacy ? 1 : 0) + plain != 1)
        return complain(loader, node,
                        "service \"%s\" needs \"legacy\" and \"k8s\", or \"group\", or \"groups\"",
                        service->name.ptr);
    return 0;
}

static int load_services(struct loader *loader, const struct node *node, struct router_conf *router)
{
    int result = 0;

    if (!expect_map(loader, node, "services by name"))
        return -1;
    for (size_t i = 0; i < node->count; i++) {
        struct service_conf *service = &router->services[router->service_count++];
        service->place = node->keys[i]->place;
        service->name = arena_str(loader->arena, node->keys[i]->text);
        if (!is_token(service->name))
            result = complain(loader, node->keys[i], "\"%s\" cannot be the name of a service",
                              service->name.ptr);
        if (load_service(loader, node->items[i], service) < 0)
            result = -1;
    }
    return result;
}

static int find_service(struct loader *loader, const struct node *node)
{
    const struct router_conf *router = loader->router;
    struct guess guess = guess_for(node->text);

    if (!expect_scalar(loader, node, "the name of a service"))
        return -1;
    for (size_t i = 0; i < router->service_count; i++) {
        if (str_eq(router->services[i].name, node->text))
            return (int)i;
        guess_try(&guess, router->services[i].name);
    }
    if (loader->reader->is_incomplete)
        return -1;
    return complain(loader, node, "unknown service: \"%s\"%s", node->text.ptr,
                    guess_words(loader, &guess));
}

/* A rule that names a group means the service of that name and only that group, made on first
 * use. */
static int service_of_group(struct loader *loader, const struct node *node)
{
    struct router_conf *router = loader->router;
    struct choice_conf choice = {0};

    if (!expect_scalar(loader, node, "the name of a group") ||
        load_choice(loader, node, &choice) < 0)
        return -1;
    const struct group_conf *group = &loader->config->groups[choice.weights->group];
    for (size_t i = 0; i < router->service_count; i++) {
        const struct service_conf *service = &router->services[i];
        if (!str_eq(service->name, group->name))
            continue;
        if (!service->is_split && service->all.count == 1 &&
            service->all.weights->group == choice.weights->group)
            return (int)i;
        return complain(loader, node,
                        "\"%s\" is also a service that means something else: write "
                        "\"service\"",
                        node->text.ptr);
    }
    router->services[router->service_count] = (struct service_conf){
        .place = node->place,
        .name = group->name,
        .all = choice,
    };
    return (int)router->service_count++;
}

/* --- rules ----------------------------------------------------------------------------------- */

static int load_body(struct loader *loader, const struct node *node, void *out)
{
    return load_template(loader, node, TEMPLATE_ANSWER, out);
}

static int load_location(struct loader *loader, const struct node *node, void *out)
{
    if (load_template_line(loader, node, TEMPLATE_ANSWER, out) < 0)
        return -1;
    return node->text.len > 0 ? 0 : complain(loader, node, "must not be empty");
}

static int load_answer(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"status", load_status, offsetof(struct answer_conf, status), true},
        {"body", load_body, offsetof(struct answer_conf, body), false},
        {"type", load_str, offsetof(struct answer_conf, type), false},
        {"location", load_location, offsetof(struct answer_conf, location), false},
    };
    struct answer_conf *answer = ARENA_NEW(loader->arena, struct answer_conf);

    *(struct answer_conf **)out = answer;
    answer->type = STR("text/plain; charset=utf-8");
    if (node->kind == NODE_SCALAR)
        return load_status(loader, node, &answer->status);
    return LOAD_KEYS(loader, node, keys, answer);
}

static int load_rule_timeouts(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"body", load_ms, offsetof(struct rule_body_conf, timeout_ms), false},
        {"body_grace", load_ms, offsetof(struct rule_body_conf, grace_ms), false},
    };

    return LOAD_KEYS(loader, node, keys, out);
}

static int load_rule_limits(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"min_body_rate", load_count_or_none, offsetof(struct rule_body_conf, min_rate), false},
        {"max_body_bytes", load_bytes64, offsetof(struct rule_body_conf, max_bytes), false},
    };
    struct rule_body_conf *body = out;

    body->has_min_rate = node_find(node, "min_body_rate") != NULL;
    body->has_max_bytes = node_find(node, "max_body_bytes") != NULL;
    return LOAD_KEYS(loader, node, keys, body);
}

static int load_rule(struct loader *loader, const struct node *node, struct rule_conf *rule)
{
    static const struct key keys[] = {
        {"name", load_str, offsetof(struct rule_conf, name), false},
        {"service", load_ignored, 0, false},
        {"group", load_ignored, 0, false},
        {"answer", load_answer, offsetof(struct rule_conf, answer), false},
        {"normalize", load_normalize, offsetof(struct rule_conf, normalize), false},
        {"rewrite", load_rewrites, 0, false},
        {"headers", load_header_rules, offsetof(struct rule_conf, headers), false},
        {"rate_limit", load_rate_limits, offsetof(struct rule_conf, rate_limits), false},
        {"timeouts", load_rule_timeouts, offsetof(struct rule_conf, body), false},
        {"limits", load_rule_limits, offsetof(struct rule_conf, body), false},
        CONDITION_KEYS,
    };
    int result = LOAD_KEYS(loader, node, keys, rule);

    if (node->kind != NODE_MAP)
        return -1;
    const struct node *service = node_find(node, "service");
    const struct node *group = node_find(node, "group");
    if (!node->is_partial &&
        (service != NULL) + (group != NULL) + (node_find(node, "answer") != NULL) != 1)
        return complain(loader, node, "a rule needs one of \"service\", \"group\" and \"answer\"");
    if (service != NULL && (rule->service = find_service(loader, service)) < 0)
        result = -1;
    if (group != NULL && (rule->service = service_of_group(loader, group)) < 0)
        result = -1;
    if (load_conditions(loader, node, &rule->match) < 0)
        result = -1;
    return result;
}

static int load_rules(struct loader *loader, const struct node *node, struct router_conf *router)
{
    size_t count;
    struct node *const *items = node_items(&node, &count);
    int result = 0;

    if (count == 0 && node->is_partial)
        return -1;
    if (count == 0)
        return complain(loader, node, "at least one rule is needed");
    if (count > RULES_MAX)
        return complain(loader, node, "more than %d rules", RULES_MAX);
    router->rules = ARENA_NEW_N(loader->arena, struct rule_conf, count);
    for (size_t i = 0; i < count; i++) {
        struct rule_conf *rule = &router->rules[router->rule_count++];
        rule->place = items[i]->place;
        rule->service = -1;
        rule->name = arena_printf(loader->arena, "#%zu", i + 1);
        if (load_rule(loader, items[i], rule) < 0)
            result = -1;
    }
    return result;
}

/* --- debug ----------------------------------------------------------------------------------- */

static int load_backend_hosts(struct loader *loader, const struct node *node, void *out)
{
    struct debug_backend_conf *backend = out;
    size_t count;
    struct node *const *items = node_items(&node, &count);

    backend->hosts = ARENA_NEW_N(loader->arena, struct host_match_conf, MAX(count, 1));
    for (size_t i = 0; i < count; i++) {
        if (load_host_match(loader, items[i], &backend->hosts[backend->host_count++]) < 0)
            return -1;
    }
    if (count == 0)
        return complain(loader, node, "at least one host is needed");
    return 0;
}

static int load_backend_datacenter(struct loader *loader, const struct node *node, void *out)
{
    int index = find_datacenter(loader, node);

    *(int *)out = index;
    return index < 0 ? -1 : 0;
}

static int load_backend_group(struct loader *loader, const struct node *node, void *out)
{
    int index = find_group(loader, node);

    *(int *)out = index;
    return index < 0 ? -1 : 0;
}

/* A backend that is pinned to a datacenter needs a target of its group there. */
static int check_backend(struct loader *loader, const struct node *node,
                         const struct debug_backend_conf *backend)
{
    if (backend->group < 0 || backend->datacenter < 0)
        return 0;
    const struct group_conf *group = &loader->config->groups[backend->group];
    for (size_t i = 0; i < group->target_count; i++) {
        if (group->targets[i].datacenter == backend->datacenter)
            return 0;
    }
    return complain(loader, node, "group \"%s\" has no hosts in datacenter \"%s\"", group->name.ptr,
                    loader->config->datacenters.names[backend->datacenter].ptr);
}

static int load_backend(struct loader *loader, const struct node *node,
                        struct debug_backend_conf *backend)
{
    static const struct key keys[] = {
        {"group", load_backend_group, offsetof(struct debug_backend_conf, group), true},
        {"datacenter", load_backend_datacenter, offsetof(struct debug_backend_conf, datacenter),
         false},
        {"hosts", load_backend_hosts, 0, false},
        {"refused", load_status, offsetof(struct debug_backend_conf, refused_status), false},
    };

    backend->group = backend->datacenter = -1;
    backend->refused_status = 403;
    if (node->kind == NODE_SCALAR)
        return load_backend_group(loader, node, &backend->group);
    if (LOAD_KEYS(loader, node, keys, backend) < 0)
        return -1;
    return check_backend(loader, node, backend);
}

static int load_backends(struct loader *loader, const struct node *node, void *out)
{
    struct debug_conf *debug = out;
    int result = 0;

    if (!expect_map(loader, node, "groups by the name in the debug header"))
        return -1;
    if (node->count > BACKENDS_MAX)
        return complain(loader, node, "more than %d debug backends", BACKENDS_MAX);
    debug->backends = ARENA_NEW_N(loader->arena, struct debug_backend_conf, MAX(node->count, 1));
    for (size_t i = 0; i < node->count; i++) {
        struct debug_backend_conf *backend = &debug->backends[debug->backend_count++];
        backend->place = node->keys[i]->place;
        if (load_str(loader, node->keys[i], &backend->name) < 0 ||
            load_backend(loader, node->items[i], backend) < 0)
            result = -1;
    }
    return result;
}

static int load_debug(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"header", load_field_name, offsetof(struct debug_conf, header), false},
        {"cookie", load_str, offsetof(struct debug_conf, cookie), false},
        {"backends", load_backends, 0, true},
        {"unknown", load_status, offsetof(struct debug_conf, unknown_status), false},
        {"headers", load_header_rules, offsetof(struct debug_conf, headers), false},
    };
    struct debug_conf *debug = out;

    debug->enabled = true;
    return LOAD_KEYS(loader, node, keys, debug);
}

/* --- stickiness ------------------------------------------------------------------------------ */

/* "client-ip", "client-ip/24" or "client-ip/24/48": how much of an IPv4 and of an IPv6 address
 * counts. */
static bool parse_client_ip_key(struct str text, struct sticky_key_conf *key)
{
    uint64_t bits4 = 32, bits6 = 128;
    struct str name, bits, four, six;
    bool has_bits = str_cut(text, '/', &name, &bits);

    if (!str_eq(name, STR("client-ip")))
        return false;
    if (has_bits) {
        bool has_six = str_cut(bits, '/', &four, &six);
        bits6 = 64;
        if (str_to_u64(four, &bits4) < 0 || bits4 < 1 || bits4 > 32 ||
            (has_six && (str_to_u64(six, &bits6) < 0 || bits6 < 1 || bits6 > 128)))
            return false;
    }
    key->kind = STICKY_CLIENT_IP;
    key->ipv4_bits = (uint8_t)bits4;
    key->ipv6_bits = (uint8_t)bits6;
    return true;
}

static int load_sticky_key(struct loader *loader, const struct node *node,
                           struct sticky_key_conf *key)
{
    struct str kind, name;
    bool has_name;

    key->place = node->place;
    if (!expect_scalar(loader, node, "cookie:NAME, header:NAME, client-ip or none"))
        return -1;
    has_name = str_cut(node->text, ':', &kind, &name);
    if (parse_client_ip_key(node->text, key))
        return 0;
    if (str_eq(node->text, STR("none")) || str_eq(node->text, STR("random")))
        key->kind = STICKY_NONE;
    else if (has_name && str_eq(kind, STR("cookie")) && is_token(name))
        key->kind = STICKY_COOKIE;
    else if (has_name && str_eq(kind, STR("header")) && is_token(name))
        key->kind = STICKY_HEADER;
    else
        return complain(
            loader, node,
            "invalid value: \"%s\"; expected cookie:NAME, header:NAME, client-ip or none",
            node->text.ptr);
    key->name = key->kind == STICKY_HEADER ? arena_str_lower(loader->arena, name)
                                           : arena_str(loader->arena, name);
    return 0;
}

static int load_sticky_keys(struct loader *loader, const struct node *node, void *out)
{
    struct sticky_conf *sticky = out;
    size_t count;
    struct node *const *items = node_items(&node, &count);

    sticky->count = 0;
    sticky->keys = ARENA_NEW_N(loader->arena, struct sticky_key_conf, MAX(count, 1));
    for (size_t i = 0; i < count; i++) {
        if (load_sticky_key(loader, items[i], &sticky->keys[sticky->count++]) < 0)
            return -1;
    }
    if (count == 0)
        return complain(loader, node, "at least one key is needed (\"none\" draws by chance)");
    return 0;
}

static int load_sticky(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"key", load_sticky_keys, 0, false},
        {"salt", load_str, offsetof(struct sticky_conf, salt), false},
    };

    return LOAD_KEYS(loader, node, keys, out);
}

/* --- routers --------------------------------------------------------------------------------- */

static void router_defaults(struct loader *loader, struct router_conf *router)
{
    struct node sessions[] = {
        {.kind = NODE_SCALAR, .text = STR_INIT("*Session")},
        {.kind = NODE_SCALAR, .text = STR_INIT("*session")},
        {.kind = NODE_SCALAR, .text = STR_INIT("*Token")},
    };
    struct node *items[] = {&sessions[0], &sessions[1], &sessions[2]};
    const struct node list = {.kind = NODE_LIST, .items = items, .count = ARRAY_LEN(items)};

    router->debug.header = STR("x-wikimedia-debug");
    router->debug.unknown_status = 400;
    router->sticky.salt = router->name;
    router->sticky.keys = ARENA_NEW(loader->arena, struct sticky_key_conf);
    router->sticky.keys->kind = STICKY_CLIENT_IP;
    router->sticky.keys->ipv4_bits = 32;
    router->sticky.keys->ipv6_bits = 128;
    router->sticky.count = 1;
    router->multi_dc.share = SHARE_MAX;
    router->multi_dc.writes_to_primary = true;
    load_session_cookies(loader, &list, &router->multi_dc);
}

static int load_unknown_host(struct loader *loader, const struct node *node, void *out)
{
    static const char *const words[] = {"serve", "404", "421"};
    static const uint16_t statuses[] = {0, 404, 421};
    int word = LOAD_WORD(loader, node, words);

    if (word < 0)
        return -1;
    *(uint16_t *)out = statuses[word];
    return 0;
}

static int load_normalize_path(struct loader *loader, const struct node *node, void *out)
{
    static const char *const words[] = {"match", "forward"};
    int word = LOAD_WORD(loader, node, words);

    if (word < 0)
        return -1;
    *(bool *)out = word == 1;
    return 0;
}

static int load_router(struct loader *loader, const struct node *node, struct router_conf *router)
{
    static const struct key keys[] = {
        {"services", load_ignored, 0, false},
        {"rules", load_ignored, 0, true},
        {"split", load_ignored, 0, false},
        {"debug", load_debug, offsetof(struct router_conf, debug), false},
        {"sticky", load_sticky, offsetof(struct router_conf, sticky), false},
        {"multi_dc", load_multi_dc, offsetof(struct router_conf, multi_dc), false},
        {"headers", load_header_rules, offsetof(struct router_conf, headers), false},
        {"unknown_host", load_unknown_host, offsetof(struct router_conf, unknown_host_status),
         false},
        {"normalize_path", load_normalize_path, offsetof(struct router_conf, forwards_normalized),
         false},
    };
    int result = LOAD_KEYS(loader, node, keys, router);

    if (node->kind != NODE_MAP)
        return -1;
    const struct node *services = node_find(node, "services");
    const struct node *rules = node_find(node, "rules");
    size_t most = (services != NULL ? services->count : 0) + (rules != NULL ? rules->count + 1 : 1);
    router->services = ARENA_NEW_N(loader->arena, struct service_conf, most);
    if (services != NULL && load_services(loader, services, router) < 0)
        result = -1;
    if (rules != NULL && load_rules(loader, rules, router) < 0)
        result = -1;
    if (load_split(loader, node_find(node, "split"), &router->split) < 0)
        result = -1;
    return result;
}

int load_routers(struct loader *loader, const struct node *node)
{
    struct config *config = loader->config;
    int result = 0;

    if (!expect_map(loader, node, "routers by name"))
        return -1;
    config->routers = ARENA_NEW_N(loader->arena, struct router_conf, MAX(node->count, 1));
    for (size_t i = 0; i < node->count; i++) {
        struct router_conf *router = &config->routers[config->router_count++];
        router->place = node->keys[i]->place;
        router->name = arena_str(loader->arena, node->keys[i]->text);
        router_defaults(loader, router);
        loader->router = router;
        if (load_router(loader, node->items[i], router) < 0)
            result = -1;
    }
    loader->router = NULL;
    return result;
}
