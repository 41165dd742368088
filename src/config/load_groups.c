/* `datacenters` and `groups`: where requests can go. A group says either `hosts` (names by
 * datacenter, with one `port`) or `endpoints` (addresses and names with ports, the same
 * everywhere). */
#include "config/loader_impl.h"
#include "config/units.h"

/* --- datacenters ----------------------------------------------------------------------------- */

/* The index of `node`'s name, added when it is new. */
static int datacenter_index(struct loader *loader, struct datacenters_conf *datacenters,
                            const struct node *node)
{
    struct str name;

    if (load_str(loader, node, &name) < 0)
        return -1;
    if (!is_token(name))
        return complain(loader, node, "\"%s\" cannot be the name of a datacenter", node->text.ptr);
    for (size_t i = 0; i < datacenters->count; i++) {
        if (str_eq(datacenters->names[i], name))
            return (int)i;
    }
    datacenters->names[datacenters->count] = name;
    return (int)datacenters->count++;
}

int load_datacenters(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"local", load_ignored, 0, true},
        {"primary", load_ignored, 0, true},
        {"others", load_ignored, 0, false},
    };
    struct datacenters_conf *datacenters = out;
    struct node *const *others = NULL;
    size_t other_count = 0;

    if (LOAD_KEYS(loader, node, keys, datacenters) < 0)
        return -1;
    const struct node *list = node_find(node, "others");
    if (list != NULL)
        others = node_items(&list, &other_count);
    datacenters->names = ARENA_NEW_N(loader->arena, struct str, other_count + 2);
    datacenters->local = datacenter_index(loader, datacenters, node_find(node, "local"));
    datacenters->primary = datacenter_index(loader, datacenters, node_find(node, "primary"));
    for (size_t i = 0; i < other_count; i++)
        datacenter_index(loader, datacenters, others[i]);
    return 0;
}

/* --- targets --------------------------------------------------------------------------------- */

/* "name:port", "192.0.2.1:443", "[2001:db8::1]:443", "unix:/path", and with a default port without
 * it. */
static int load_host(struct loader *loader, const struct node *node, uint16_t default_port,
                     struct host_conf *host)
{
    struct str name, port_text, text;
    uint64_t port = default_port;

    if (load_str(loader, node, &text) < 0)
        return -1;
    host->place = node->place;
    if (addr_parse(text, &host->addr) == 0) {
        host->name = text;
        host->port = addr_is_unix(&host->addr) ? 0 : addr_port(&host->addr);
        if (host->port == 0 && !addr_is_unix(&host->addr))
            return complain(loader, node, "\"%s\" has port 0", text.ptr);
        return 0;
    }
    if (default_port > 0 && addr_parse_ip(text, default_port, &host->addr) == 0) {
        host->name = text;
        host->port = default_port;
        return 0;
    }
    bool has_port = str_cut(text, ':', &name, &port_text);
    if (!is_host_name(name) || name.ptr[0] == '[' ||
        (has_port && (str_to_u64(port_text, &port) < 0 || port == 0 || port > 65535)))
        return complain(loader, node,
                        "invalid value: \"%s\"; expected name:port, address:port or unix:/path",
                        text.ptr);
    if (port == 0)
        return complain(loader, node, "\"%s\" needs a port (there is no \"port\" in this group)",
                        text.ptr);
    host->name = canonical_host(loader->arena, name);
    host->lookup = arena_str_lower(loader->arena, name);
    host->port = (uint16_t)port;
    host->addr = (struct addr){0};
    return 0;
}

static int load_target_hosts(struct loader *loader, const struct node *node, uint16_t port,
                             struct target_conf *target)
{
    size_t count;
    struct node *const *items = node_items(&node, &count);

    if (count == 0)
        return complain(loader, node, "at least one host is needed");
    target->place = node->place;
    target->hosts = ARENA_NEW_N(loader->arena, struct host_conf, count);
    for (size_t i = 0; i < count; i++) {
        if (load_host(loader, items[i], port, &target->hosts[target->host_count]) == 0)
            target->host_count++;
    }
    return target->host_count == count ? 0 : -1;
}

/* One host is called by its name, several by the group's. */
static void name_target(struct loader *loader, const struct group_conf *group,
                        struct target_conf *target)
{
    const struct host_conf *host = target->hosts;
    char text[ADDR_TEXT_MAX];

    if (target->host_count != 1 && target->datacenter >= 0)
        target->name = arena_printf(loader->arena, "%.*s.%.*s", STR_FMT(group->name),
                                    STR_FMT(loader->config->datacenters.names[target->datacenter]));
    else if (target->host_count != 1)
        target->name = group->name;
    else if (host->addr.len > 0)
        target->name = arena_str(loader->arena, str_make(text, addr_format(&host->addr, text)));
    else
        target->name = arena_printf(loader->arena, "%.*s:%u", STR_FMT(host->name), host->port);
}

/* What the key under `hosts` says; -1 after a complaint. */
static int load_target_use(struct loader *loader, const struct node *key,
                           struct target_conf *target)
{
    static const struct {
        const char *word;
        enum target_use use;
    } words[] = {{"any", TARGET_ANY}, {"ro", TARGET_RO}, {"rw", TARGET_RW}};
    target->datacenter = -1;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!str_eq(key->text, str_of(words[i].word)))
            continue;
        target->use = words[i].use;
        return 0;
    }
    target->use = TARGET_DATACENTER;
    target->datacenter = find_datacenter(loader, key);
    return target->datacenter >= 0 ? 0 : -1;
}

static int load_hosts(struct loader *loader, const struct node *node, uint16_t port,
                      struct group_conf *group)
{
    int result = 0;

    if (!expect_map(loader, node, "hosts by datacenter, or under any, ro and rw"))
        return -1;
    if (node->count == 0)
        return complain(loader, node, "at least one host is needed");
    group->targets = ARENA_NEW_N(loader->arena, struct target_conf, node->count);
    for (size_t i = 0; i < node->count; i++) {
        struct target_conf *target = &group->targets[group->target_count];
        if (load_target_use(loader, node->keys[i], target) < 0 ||
            load_target_hosts(loader, node->items[i], port, target) < 0) {
            result = -1;
            continue;
        }
        name_target(loader, group, target);
        group->target_count++;
    }
    return result;
}

static int load_endpoints(struct loader *loader, const struct node *node, uint16_t port,
                          struct group_conf *group)
{
    group->targets = ARENA_NEW(loader->arena, struct target_conf);
    group->targets[0].datacenter = -1;
    if (load_target_hosts(loader, node, port, &group->targets[0]) < 0)
        return -1;
    name_target(loader, group, &group->targets[0]);
    group->target_count = 1;
    return 0;
}

/* --- groups ---------------------------------------------------------------------------------- */

static int load_upstream_tls(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"verify", load_bool, offsetof(struct upstream_tls_conf, verify), false},
        {"ca", load_path, offsetof(struct upstream_tls_conf, ca), false},
        {"ca_pem", load_text, offsetof(struct upstream_tls_conf, ca_pem), false},
        {"crl", load_path, offsetof(struct upstream_tls_conf, crl), false},
        {"server_name", load_host_name, offsetof(struct upstream_tls_conf, server_name), false},
        {"min_version", load_tls_version, offsetof(struct upstream_tls_conf, min_version), false},
        {"ciphers", load_str, offsetof(struct upstream_tls_conf, ciphers), false},
    };
    struct upstream_tls_conf *tls = ARENA_NEW(loader->arena, struct upstream_tls_conf);

    tls->verify = true;
    *(struct upstream_tls_conf **)out = tls;
    if (LOAD_KEYS(loader, node, keys, tls) < 0)
        return -1;
    if (tls->ca.len > 0 && tls->ca_pem.len > 0)
        return complain(loader, node, "\"ca\" and \"ca_pem\" exclude each other");
    return 0;
}

static int load_protocol(struct loader *loader, const struct node *node, void *out)
{
    static const char *const words[] = {"h1", "h2", "auto"};
    int word = LOAD_WORD(loader, node, words);

    if (word < 0)
        return -1;
    *(enum upstream_protocol *)out = (enum upstream_protocol)word;
    return 0;
}

static int load_send_proxy(struct loader *loader, const struct node *node, void *out)
{
    static const char *const words[] = {"off", "v1", "v2"};
    int word = LOAD_WORD(loader, node, words);

    if (word < 0)
        return -1;
    *(enum send_proxy *)out = (enum send_proxy)word;
    return 0;
}

static int load_balance(struct loader *loader, const struct node *node, void *out)
{
    static const char *const words[] = {"round_robin", "least_request"};
    int word = LOAD_WORD(loader, node, words);

    if (word < 0)
        return -1;
    *(enum balance *)out = word == 0 ? BALANCE_ROUND_ROBIN : BALANCE_LEAST_REQUEST;
    return 0;
}

static int load_family(struct loader *loader, const struct node *node, void *out)
{
    static const char *const words[] = {"both", "ipv4", "ipv6"};
    int word = LOAD_WORD(loader, node, words);

    if (word < 0)
        return -1;
    *(enum address_family *)out = (enum address_family)word;
    return 0;
}

static int load_on_nxdomain(struct loader *loader, const struct node *node, void *out)
{
    static const char *const words[] = {"keep", "drop"};
    int word = LOAD_WORD(loader, node, words);

    if (word < 0)
        return -1;
    *(enum on_nxdomain *)out = (enum on_nxdomain)word;
    return 0;
}

static int load_group_timeouts(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"connect", load_ms, offsetof(struct upstream_timeouts_conf, connect_ms), false},
        {"response", load_ms, offsetof(struct upstream_timeouts_conf, response_ms), false},
        {"idle", load_ms, offsetof(struct upstream_timeouts_conf, idle_ms), false},
        {"total", load_ms_or_none, offsetof(struct upstream_timeouts_conf, total_ms), false},
        {"pool_idle", load_ms, offsetof(struct upstream_timeouts_conf, pool_idle_ms), false},
    };

    return LOAD_KEYS(loader, node, keys, out);
}

/* So many that an exchange can count them. */
static int load_retries(struct loader *loader, const struct node *node, void *out)
{
    uint32_t retries;

    if (load_count_or_none(loader, node, &retries) < 0)
        return -1;
    if (retries > RETRIES_MAX)
        return complain(loader, node, "invalid value: \"%s\"; expected a number from 0 to %d",
                        node->text.ptr, RETRIES_MAX);
    *(uint32_t *)out = retries;
    return 0;
}

static int load_retry_body_bytes(struct loader *loader, const struct node *node, void *out)
{
    uint32_t bytes;

    if (load_bytes_or_none(loader, node, &bytes) < 0)
        return -1;
    if (bytes > RETRY_BODY_BYTES_MAX)
        return complain(loader, node, "invalid value: \"%s\"; expected 0 to 1MiB", node->text.ptr);
    *(uint32_t *)out = bytes;
    return 0;
}

static void group_defaults(struct group_conf *group)
{
    group->balance = BALANCE_LEAST_REQUEST;
    group->timeouts = (struct upstream_timeouts_conf){
        .connect_ms = 3000,
        .response_ms = 180000,
        .idle_ms = 300000,
        .pool_idle_ms = 4500,
    };
    group->max_connections = 1024;
    group->max_pending = 1024;
    group->max_idle = UINT32_MAX;
    group->max_requests = 1000;
    group->max_cancels = 32;
    group->max_interim_rate = 100;
    group->max_response_header_bytes = 64 << 10;
    group->max_held_header_bytes = 4 << 20;
    group->retries = 1;
    group->max_retry_body_bytes = 64 << 10;
    group->retry_budget = (struct retry_budget_conf){
        .share = SHARE_MAX / 5,
        .floor = 10,
        .ceiling = 100,
    };
}

/* A PROXY header names one client; an h2 connection is there to be shared by many. */
static int check_send_proxy(struct loader *loader, const struct node *node,
                            const struct group_conf *group)
{
    if (group->send_proxy == SEND_PROXY_OFF || group->protocol == PROTOCOL_H1)
        return 0;
    return complain(loader, node_find(node, "protocol"),
                    "group \"%s\" has \"proxy_protocol\", which names one client for each "
                    "connection: \"protocol\" must be h1",
                    group->name.ptr);
}

static int check_retry_budget(struct loader *loader, const struct node *node,
                              const struct group_conf *group)
{
    const struct retry_budget_conf *budget = &group->retry_budget;
    const struct node *place = node_find(node, "retry_floor");

    if (budget->floor <= budget->ceiling)
        return 0;
    if (place == NULL)
        place = node_find(node, "retry_ceiling");
    return complain(loader, place,
                    "group \"%s\" has a \"retry_floor\" of %u above its \"retry_ceiling\" of %u",
                    group->name.ptr, budget->floor, budget->ceiling);
}

static int load_group(struct loader *loader, const struct node *node, struct group_conf *group)
{
    static const struct key keys[] = {
        {"hosts", load_ignored, 0, false},
        {"endpoints", load_ignored, 0, false},
        {"port", load_ignored, 0, false},
        {"tls", load_upstream_tls, offsetof(struct group_conf, tls), false},
        {"protocol", load_protocol, offsetof(struct group_conf, protocol), false},
        {"proxy_protocol", load_send_proxy, offsetof(struct group_conf, send_proxy), false},
        {"balance", load_balance, offsetof(struct group_conf, balance), false},
        {"timeouts", load_group_timeouts, offsetof(struct group_conf, timeouts), false},
        {"max_connections", load_peer_limit, offsetof(struct group_conf, max_connections), false},
        {"max_pending", load_count_or_none, offsetof(struct group_conf, max_pending), false},
        {"max_idle", load_count_or_none, offsetof(struct group_conf, max_idle), false},
        {"max_requests", load_count_or_none, offsetof(struct group_conf, max_requests), false},
        {"max_cancels", load_count_or_none, offsetof(struct group_conf, max_cancels), false},
        {"max_interim_rate", load_count_or_none, offsetof(struct group_conf, max_interim_rate),
         false},
        {"max_response_header_bytes", load_byte_bound,
         offsetof(struct group_conf, max_response_header_bytes), false},
        {"max_held_header_bytes", load_byte_bound,
         offsetof(struct group_conf, max_held_header_bytes), false},
        {"retries", load_retries, offsetof(struct group_conf, retries), false},
        {"retry_budget", load_share, offsetof(struct group_conf, retry_budget.share), false},
        {"retry_floor", load_count_or_none, offsetof(struct group_conf, retry_budget.floor), false},
        {"retry_ceiling", load_count, offsetof(struct group_conf, retry_budget.ceiling), false},
        {"max_retry_body_bytes", load_retry_body_bytes,
         offsetof(struct group_conf, max_retry_body_bytes), false},
        {"family", load_family, offsetof(struct group_conf, family), false},
        {"on_nxdomain", load_on_nxdomain, offsetof(struct group_conf, on_nxdomain), false},
        {"header_case", load_header_case, offsetof(struct group_conf, header_case), false},
        {"host_is_target", load_bool, offsetof(struct group_conf, host_is_target), false},
    };
    uint16_t port = 0;

    group_defaults(group);
    if (LOAD_KEYS(loader, node, keys, group) < 0 && node->kind != NODE_MAP)
        return -1;
    const struct node *hosts = node_find(node, "hosts");
    const struct node *endpoints = node_find(node, "endpoints");
    const struct node *port_node = node_find(node, "port");
    if (hosts == NULL && endpoints == NULL && node->is_partial)
        return -1;
    if ((hosts != NULL) == (endpoints != NULL))
        return complain(loader, node, "group \"%s\" needs either \"hosts\" or \"endpoints\"",
                        group->name.ptr);
    if (port_node != NULL && load_port(loader, port_node, &port) < 0)
        return -1;
    if (check_send_proxy(loader, node, group) < 0 || check_retry_budget(loader, node, group) < 0)
        return -1;
    return hosts != NULL ? load_hosts(loader, hosts, port, group)
                         : load_endpoints(loader, endpoints, port, group);
}

int load_groups(struct loader *loader, const struct node *node)
{
    struct config *config = loader->config;
    int result = 0;

    if (!expect_map(loader, node, "groups by name"))
        return -1;
    config->groups = ARENA_NEW_N(loader->arena, struct group_conf, node->count);
    for (size_t i = 0; i < node->count; i++) {
        struct group_conf *group = &config->groups[config->group_count++];
        group->place = node->keys[i]->place;
        group->name = arena_str(loader->arena, node->keys[i]->text);
        if (!is_token(group->name))
            result = complain(loader, node->keys[i], "\"%s\" cannot be the name of a group",
                              group->name.ptr);
        else if (group->name.len > GROUP_NAME_MAX)
            result = complain(loader, node->keys[i], "the name of a group has at most %d bytes",
                              GROUP_NAME_MAX);
        if (load_group(loader, node->items[i], group) < 0)
            result = -1;
    }
    return result;
}
