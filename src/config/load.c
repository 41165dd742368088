/* The doors: a file or a text becomes a configuration or a list of complaints. Sections are loaded
 * in the order in which they refer to each other, whatever their order in the file: datacenters,
 * groups, the table of wikis, routers, listeners. */
#include "config/config.h"

#include "config/complaints_impl.h"
#include "config/loader_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_word(const struct node *node, const char *word)
{
    return node->kind == NODE_SCALAR && str_eq(node->text, str_of(word));
}

static int load_admin_hosts(struct loader *loader, const struct node *node, void *out)
{
    struct admin_conf *admin = out;
    size_t count;
    struct node *const *items = node_items(&node, &count);

    admin->hosts = ARENA_NEW_N(loader->arena, struct str, MAX(count, 1u));
    for (size_t i = 0; i < count; i++) {
        if (load_host_name(loader, items[i], &admin->hosts[i]) < 0)
            return -1;
    }
    admin->host_count = count;
    return 0;
}

static int load_admin(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"enabled", load_bool, offsetof(struct admin_conf, enabled), false},
        {"bind", load_binds, offsetof(struct admin_conf, binds), false},
        {"hosts", load_admin_hosts, 0, false},
        {"keep_series", load_ms, offsetof(struct admin_conf, keep_series_ms), false},
    };
    struct admin_conf *admin = out;

    if (is_word(node, "off")) {
        admin->enabled = false;
        return 0;
    }
    return LOAD_KEYS(loader, node, keys, admin);
}

static int load_min_status(struct loader *loader, const struct node *node, void *out)
{
    if (is_word(node, "0")) {
        *(uint16_t *)out = 0;
        return 0;
    }
    return load_status(loader, node, out);
}

/* "-" is standard output, everything else a file. */
static int load_log_path(struct loader *loader, const struct node *node, void *out)
{
    return is_word(node, "-") ? load_str(loader, node, out) : load_path(loader, node, out);
}

static int load_access_log(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"enabled", load_bool, offsetof(struct access_log_conf, enabled), false},
        {"path", load_log_path, offsetof(struct access_log_conf, path), false},
        {"min_status", load_min_status, offsetof(struct access_log_conf, min_status), false},
        {"ring_bytes", load_bytes, offsetof(struct access_log_conf, ring_bytes), false},
    };
    struct access_log_conf *log = out;

    if (is_word(node, "off")) {
        log->enabled = false;
        return 0;
    }
    return LOAD_KEYS(loader, node, keys, log);
}

/* A list of addresses, kept as c-ares wants them: separated by commas. */
static int load_dns_servers(struct loader *loader, const struct node *node, void *out)
{
    struct str servers = {"", 0};
    struct addr addr;
    size_t count;
    struct node *const *items = node_items(&node, &count);

    for (size_t i = 0; i < count; i++) {
        struct str text = items[i]->text;
        if (!expect_scalar(loader, items[i], "the address of a DNS server"))
            return -1;
        if (((addr_parse(text, &addr) < 0 || addr_is_unix(&addr)) &&
             addr_parse_ip(text, 53, &addr) < 0))
            return complain(loader, items[i], "expected the address of a DNS server");
        if (i > 0)
            servers = arena_join(loader->arena, servers, STR(","));
        servers = arena_join(loader->arena, servers, text);
    }
    *(struct str *)out = servers;
    return 0;
}

static int load_handshake_threads(struct loader *loader, const struct node *node, void *out)
{
    enum { THREADS_MAX = 64 };
    uint64_t threads;

    if (load_number(loader, node, 0, THREADS_MAX, &threads) < 0)
        return -1;
    *(uint32_t *)out = (uint32_t)threads;
    return 0;
}

static int load_workers(struct loader *loader, const struct node *node, void *out)
{
    uint64_t workers;

    if (load_number(loader, node, 1, WORKERS_MAX, &workers) < 0)
        return -1;
    *(uint32_t *)out = (uint32_t)workers;
    return 0;
}

static int load_ticket_keys(struct loader *loader, const struct node *node, void *out)
{
    enum { KEYS_MAX = 16 };
    struct config *config = out;
    size_t count;
    struct node *const *items = node_items(&node, &count);

    if (count == 0 || count > KEYS_MAX)
        return complain(loader, node, "expected 1 to %d files with ticket keys", KEYS_MAX);
    config->ticket_keys = ARENA_NEW_N(loader->arena, struct str, count);
    for (size_t i = 0; i < count; i++) {
        if (load_path(loader, items[i], &config->ticket_keys[i]) < 0)
            return -1;
    }
    config->ticket_key_count = count;
    return 0;
}

static int load_overload(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"memory", load_bytes64, offsetof(struct overload_conf, memory_bytes), false},
        {"keepalive_at", load_share, offsetof(struct overload_conf, keepalive_at), false},
        {"refuse_at", load_share, offsetof(struct overload_conf, refuse_at), false},
        {"keepalive_lag", load_ms, offsetof(struct overload_conf, keepalive_lag_ms), false},
        {"refuse_lag", load_ms, offsetof(struct overload_conf, refuse_lag_ms), false},
    };
    struct overload_conf *overload = out;

    if (LOAD_KEYS(loader, node, keys, overload) < 0)
        return -1;
    if (overload->keepalive_at == 0 || overload->refuse_at < overload->keepalive_at)
        return complain(loader, node, "keepalive_at must be above 0%% and not above refuse_at");
    return 0;
}

static const struct key top_keys[] = {
    {"listeners", load_ignored, 0, true},
    {"groups", load_ignored, 0, true},
    {"routers", load_ignored, 0, false},
    {"wikis", load_ignored, 0, false},
    {"list_shrink_warning", load_share, offsetof(struct config, list_shrink_warning), false},
    {"datacenters", load_datacenters, offsetof(struct config, datacenters), false},
    {"admin", load_admin, offsetof(struct config, admin), false},
    {"access_log", load_access_log, offsetof(struct config, access_log), false},
    {"workers", load_workers, offsetof(struct config, workers), false},
    {"drain_timeout", load_ms, offsetof(struct config, drain_timeout_ms), false},
    {"drain_grace", load_ms_or_none, offsetof(struct config, drain_grace_ms), false},
    {"max_connections", load_bound, offsetof(struct config, max_connections), false},
    {"user", load_str, offsetof(struct config, privileges.user), false},
    {"group", load_str, offsetof(struct config, privileges.group), false},
    {"core_dumps", load_bool, offsetof(struct config, privileges.core_dumps), false},
    {"seccomp", load_bool, offsetof(struct config, privileges.seccomp), false},
    {"overload", load_overload, offsetof(struct config, overload), false},
    {"max_retry_memory", load_bytes_or_none, offsetof(struct config, max_retry_memory), false},
    {"max_handshakes", load_bound, offsetof(struct config, max_handshakes), false},
    {"dns_servers", load_dns_servers, offsetof(struct config, dns.servers), false},
    {"dns_min_ttl", load_ms, offsetof(struct config, dns.min_ttl_ms), false},
    {"dns_max_ttl", load_ms, offsetof(struct config, dns.max_ttl_ms), false},
    {"dns_max_addresses", load_bound, offsetof(struct config, dns.max_addresses), false},
    {"handshake_threads", load_handshake_threads, offsetof(struct config, handshake_threads),
     false},
    {"ticket_keys", load_ticket_keys, 0, false},
    {"handshake_queue", load_bound, offsetof(struct config, handshake_queue), false},
};

static void config_defaults(struct config *config)
{
    config->datacenters.local = config->datacenters.primary = -1;
    config->admin.enabled = true;
    config->admin.binds.items = ARENA_NEW(&config->arena, struct bind_conf);
    config->admin.binds.items->mode = -1;
    if (addr_parse(STR("127.0.0.1:9901"), &config->admin.binds.items->addr) < 0)
        UNREACHABLE("a literal address");
    config->admin.binds.count = 1;
    config->admin.keep_series_ms = 30000;
    config->access_log = (struct access_log_conf){
        .enabled = true,
        .path = STR("-"),
        .ring_bytes = 1 << 20,
    };
    config->list_shrink_warning = SHARE_MAX / 5;
    config->drain_timeout_ms = 30000;
    config->max_connections = 50000;
    config->max_retry_memory = 16 << 20;
    config->max_handshakes = 8192;
    config->overload = (struct overload_conf){.keepalive_at = SHARE_MAX / 100 * 90,
                                              .refuse_at = SHARE_MAX / 100 * 95,
                                              .keepalive_lag_ms = 1000,
                                              .refuse_lag_ms = 5000};
    config->handshake_threads = HANDSHAKE_THREADS_AUTO;
    config->handshake_queue = 512;
    config->dns = (struct dns_conf){
        .servers = STR(""), .min_ttl_ms = 5000, .max_ttl_ms = 300000, .max_addresses = 256};
}

static void load_sections(struct loader *loader, const struct node *root)
{
    static const struct {
        const char *key;
        int (*load)(struct loader *loader, const struct node *node);
    } sections[] = {
        {"groups", load_groups},
        {"wikis", load_wikis},
        {"routers", load_routers},
        {"listeners", load_listeners},
    };

    if (LOAD_KEYS(loader, root, top_keys, loader->config) < 0 && root->kind != NODE_MAP)
        return;
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        const struct node *node = node_find(root, sections[i].key);
        if (node != NULL)
            sections[i].load(loader, node);
    }
    complain_tableless(loader);
    check_binds(loader);
}

/* `path` from a file, or `text` when `path` is empty. */
static struct config *load(struct str path, struct str text, const char *name,
                           struct complaints *complaints)
{
    struct config *config = mem_new(sizeof(*config));
    struct arena tree;
    size_t errors_before = complaints->error_count;

    arena_init(&config->arena, NULL);
    arena_init(&tree, NULL);
    config->file = arena_str(&config->arena, str_of(name));
    config_defaults(config);

    struct reader reader = {.tree = &tree, .names = &config->arena, .complaints = complaints};
    struct loader loader = {
        .config = config,
        .arena = &config->arena,
        .complaints = complaints,
        .reader = &reader,
    };
    struct node *root =
        path.len > 0 ? reader_load(&reader, path, NULL) : reader_load_text(&reader, text, name);
    if (root != NULL)
        load_sections(&loader, root);
    snprintf(config->version, sizeof(config->version), "%016" PRIx64, reader.version);
    arena_reset(&tree);
    complaints_sort(complaints);
    if (complaints->error_count == errors_before)
        return config;
    config_free(config);
    return NULL;
}

struct config *config_load(const char *path, struct complaints *complaints)
{
    return load(path[0] != '\0' ? str_of(path) : STR("."), (struct str){0}, path, complaints);
}

struct config *config_load_text(struct str text, const char *name, struct complaints *complaints)
{
    return load((struct str){0}, text, name, complaints);
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    arena_reset(&config->arena);
    free(config);
}
