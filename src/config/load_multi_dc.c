/* `multi_dc`: which requests may stay in the local datacenter, and which must go to the primary. */
#include "config/loader_impl.h"

#include <stdlib.h>

static int load_mode(struct loader *loader, const struct node *node, void *out)
{
    static const char *const words[] = {"primary", "local", "local-anon"};
    int word = LOAD_WORD(loader, node, words);

    if (word < 0)
        return -1;
    *(enum dc_mode *)out = (enum dc_mode)word;
    return 0;
}

/* What a host does not say it has from the router. */
static int load_dc_host(struct loader *loader, const struct node *key, const struct node *node,
                        const struct multi_dc_conf *multi_dc, struct dc_host_conf *host)
{
    static const struct key keys[] = {
        {"mode", load_mode, offsetof(struct dc_host_conf, mode), false},
        {"share", load_share, offsetof(struct dc_host_conf, share), false},
    };

    host->place = key->place;
    host->mode = multi_dc->mode;
    host->share = multi_dc->share;
    if (load_host_name(loader, key, &host->host) < 0)
        return -1;
    if (node->kind == NODE_SCALAR)
        return load_mode(loader, node, &host->mode);
    return LOAD_KEYS(loader, node, keys, host);
}

static int compare_hosts(const void *left, const void *right)
{
    const struct dc_host_conf *a = left, *b = right;

    return str_cmp(a->host, b->host);
}

static int load_dc_hosts(struct loader *loader, const struct node *node,
                         struct multi_dc_conf *multi_dc)
{
    int result = 0;

    if (!expect_map(loader, node, "hosts with a mode"))
        return -1;
    multi_dc->hosts = ARENA_NEW_N(loader->arena, struct dc_host_conf, MAX(node->count, 1));
    for (size_t i = 0; i < node->count; i++) {
        if (load_dc_host(loader, node->keys[i], node->items[i], multi_dc,
                         &multi_dc->hosts[multi_dc->host_count]) < 0)
            result = -1;
        else
            multi_dc->host_count++;
    }
    if (multi_dc->host_count > 1)
        qsort(multi_dc->hosts, multi_dc->host_count, sizeof(*multi_dc->hosts), compare_hosts);
    for (size_t i = 1; i < multi_dc->host_count; i++) {
        const struct dc_host_conf *host = &multi_dc->hosts[i], *before = host - 1;
        if (str_eq(host->host, before->host))
            result =
                complain_place(loader, host->place, "host \"%s\" is given twice, also at %s:%d",
                               host->host.ptr, before->place.file, before->place.line);
    }
    return result;
}

static int load_dc_rule(struct loader *loader, const struct node *node, struct dc_rule_conf *rule)
{
    static const struct key keys[] = {
        {"name", load_str, offsetof(struct dc_rule_conf, name), true},
        CONDITION_KEYS,
    };

    rule->place = node->place;
    if (LOAD_KEYS(loader, node, keys, rule) < 0)
        return -1;
    if (node->count < 2)
        return complain(loader, node,
                        "a rule without a condition would send everything to the "
                        "primary: that is \"mode: primary\"");
    return load_conditions(loader, node, &rule->match);
}

static int load_primary_if(struct loader *loader, const struct node *node, void *out)
{
    struct multi_dc_conf *multi_dc = out;
    size_t count;
    struct node *const *items = node_items(&node, &count);
    int result = 0;

    multi_dc->writes_to_primary = false;
    multi_dc->primary_if = ARENA_NEW_N(loader->arena, struct dc_rule_conf, MAX(count, 1));
    for (size_t i = 0; i < count; i++) {
        if (load_dc_rule(loader, items[i], &multi_dc->primary_if[multi_dc->primary_if_count++]) < 0)
            result = -1;
    }
    return result;
}

int load_session_cookies(struct loader *loader, const struct node *node, void *out)
{
    struct multi_dc_conf *multi_dc = out;
    size_t count;
    struct node *const *items = node_items(&node, &count);

    multi_dc->session_count = 0;
    multi_dc->sessions = ARENA_NEW_N(loader->arena, struct field_match_conf, MAX(count, 1));
    for (size_t i = 0; i < count; i++) {
        struct field_match_conf *match = &multi_dc->sessions[multi_dc->session_count++];
        struct str name = items[i]->text;
        *match = (struct field_match_conf){
            .place = items[i]->place,
            .where = FIELD_COOKIE,
            .kind = TEXT_ANY,
            .is_name_suffix = str_starts(name, STR("*")),
        };
        if (match->is_name_suffix)
            name = str_skip(name, 1);
        if (!expect_scalar(loader, items[i], "the name of a cookie") || !is_token(name))
            return complain(loader, items[i], "expected the name of a cookie, or * and its end");
        match->name = arena_str(loader->arena, name);
    }
    return 0;
}

int load_multi_dc(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"mode", load_mode, offsetof(struct multi_dc_conf, mode), true},
        {"share", load_share, offsetof(struct multi_dc_conf, share), false},
        {"hosts", load_ignored, 0, false},
        {"primary_if", load_primary_if, 0, false},
        {"session_cookies", load_session_cookies, 0, false},
    };
    struct multi_dc_conf *multi_dc = out;

    multi_dc->place = node->place;
    int result = LOAD_KEYS(loader, node, keys, multi_dc);
    const struct node *hosts = node->kind == NODE_MAP ? node_find(node, "hosts") : NULL;
    if (hosts != NULL && load_dc_hosts(loader, hosts, multi_dc) < 0)
        result = -1;
    return result;
}
