/* Shares compared by their effect on each host, wherever they are written down: a host that moves
 * from the default into a list with the same share does not move at all. */
#include "cli/diff/diff.h"

#include "config/units.h"
#include "route/weights.h"

#include <stdlib.h>

struct change {
    struct str host;    /* "" = every other host */
    struct str service; /* "" = all of them */
    uint32_t before, after;
};

struct changes {
    struct change *items; /* owns */
    size_t count, cap;
};

/* --- shares ---------------------------------------------------------------------------------- */

int service_find(const struct router_conf *conf, struct str name)
{
    for (size_t i = 0; i < conf->service_count; i++) {
        if (str_eq(conf->services[i].name, name))
            return (int)i;
    }
    return -1;
}

/* --- changes --------------------------------------------------------------------------------- */

static void changes_add(struct changes *changes, struct change change)
{
    if (changes->count == changes->cap) {
        changes->cap = MAX(changes->cap * 2, (size_t)64);
        changes->items = mem_resize(changes->items, changes->cap * sizeof(*changes->items));
    }
    changes->items[changes->count++] = change;
}

uint32_t share_of_host(const struct router *router, struct str host, int service)
{
    return route_weigh(router, router_weights(router), host, service).weight.share;
}

/* One change for all split services if they go together, else one for each that changes. */
static void compare_shares(struct changes *changes, const struct weighing *before,
                           const struct weighing *after, struct str host)
{
    const struct router_conf *old = before->conf, *now = after->conf;
    size_t first = changes->count, split = 0;
    bool is_uniform = true;

    for (size_t i = 0; i < old->service_count; i++) {
        struct str service = old->services[i].name;
        int other = service_find(now, service);
        if (!old->services[i].is_split || other < 0)
            continue;
        split++;
        uint32_t was = share_of_host(before->router, host, (int)i);
        uint32_t is = share_of_host(after->router, host, other);
        if (was != is)
            changes_add(changes, (struct change){host, service, was, is});
    }
    size_t added = changes->count - first;
    for (size_t i = first + 1; i < changes->count; i++) {
        is_uniform = is_uniform && changes->items[i].before == changes->items[first].before &&
                     changes->items[i].after == changes->items[first].after;
    }
    if (added > 0 && added == split && is_uniform) {
        changes->items[first].service = (struct str){"", 0};
        changes->count = first + 1;
    }
}

/* --- hosts ----------------------------------------------------------------------------------- */

struct hosts {
    struct str *items; /* owns the array, borrows the texts */
    size_t count;
};

static int compare_str(const void *left, const void *right)
{
    return str_cmp(*(const struct str *)left, *(const struct str *)right);
}

static void hosts_of(struct hosts *hosts, const struct config *config,
                     const struct router_conf *conf)
{
    for (size_t i = 0; i < conf->split.host_count; i++)
        hosts->items[hosts->count++] = conf->split.hosts[i].host;
    for (size_t i = 0; i < config->wiki_count; i++)
        hosts->items[hosts->count++] = config->wikis[i].host;
}

static struct hosts all_hosts(const struct config *before, const struct router_conf *old,
                              const struct config *after, const struct router_conf *now)
{
    struct hosts hosts = {.count = 0};
    size_t most =
        old->split.host_count + before->wiki_count + now->split.host_count + after->wiki_count;
    size_t kept = 0;

    hosts.items = mem_new((most + 1) * sizeof(*hosts.items));
    hosts_of(&hosts, before, old);
    hosts_of(&hosts, after, now);
    qsort(hosts.items, hosts.count, sizeof(*hosts.items), compare_str);
    for (size_t i = 0; i < hosts.count; i++) {
        if (kept == 0 || !str_eq(hosts.items[kept - 1], hosts.items[i]))
            hosts.items[kept++] = hosts.items[i];
    }
    hosts.count = kept;
    return hosts;
}

/* --- telling --------------------------------------------------------------------------------- */

static bool is_same_kind(const struct change *a, const struct change *b)
{
    return a->before == b->before && a->after == b->after && str_eq(a->service, b->service);
}

static int compare_changes(const void *left, const void *right)
{
    const struct change *a = left, *b = right;
    int order = str_cmp(a->service, b->service);

    if (order == 0)
        order = (a->before > b->before) - (a->before < b->before);
    if (order == 0)
        order = (a->after > b->after) - (a->after < b->after);
    return order != 0 ? order : str_cmp(a->host, b->host);
}

static void print_kind(FILE *out, const struct change *changes, size_t count, size_t max_hosts)
{
    char before[SHARE_TEXT_MAX], after[SHARE_TEXT_MAX];
    struct str service = changes[0].service;
    size_t named = MIN(count, max_hosts);

    fprintf(out, "    %s -> %s", share_format(changes[0].before, before),
            share_format(changes[0].after, after));
    if (service.len > 0)
        fprintf(out, "  (service %.*s)", STR_FMT(service));
    fprintf(out, "  %zu host%s\n", count, count == 1 ? "" : "s");
    for (size_t i = 0; i < named; i++) {
        if (changes[i].host.len > 0)
            fprintf(out, "        %.*s\n", STR_FMT(changes[i].host));
        else
            fprintf(out, "        every host that is in no list (the default)\n");
    }
    if (named < count)
        fprintf(out, "        and %zu more\n", count - named);
}

static void add_kind(struct text *json, struct str router, const struct change *changes,
                     size_t count)
{
    char before[SHARE_TEXT_MAX], after[SHARE_TEXT_MAX];
    bool has_default = false;
    const char *separator = "";

    text_add(json, "%s{\"router\":", json->len > 0 ? "," : "");
    text_add_json(json, router);
    text_add(json, ",\"service\":");
    if (changes[0].service.len > 0)
        text_add_json(json, changes[0].service);
    else
        text_add(json, "null");
    text_add(json, ",\"before\":\"%s\",\"after\":\"%s\",\"hosts\":[",
             share_format(changes[0].before, before), share_format(changes[0].after, after));
    for (size_t i = 0; i < count; i++) {
        has_default = has_default || changes[i].host.len == 0;
        if (changes[i].host.len == 0)
            continue;
        text_add(json, "%s", separator);
        text_add_json(json, changes[i].host);
        separator = ",";
    }
    text_add(json, "],\"default\":%s}", has_default ? "true" : "false");
}

size_t diff_shares(FILE *out, const struct weighing *before, const struct weighing *after,
                   size_t max_hosts, struct text *json)
{
    const struct router_conf *now = after->conf;
    struct hosts hosts = all_hosts(before->config, before->conf, after->config, now);
    struct changes changes = {.count = 0};

    compare_shares(&changes, before, after, (struct str){"", 0});
    for (size_t i = 0; i < hosts.count; i++)
        compare_shares(&changes, before, after, hosts.items[i]);
    if (changes.count > 0) {
        qsort(changes.items, changes.count, sizeof(*changes.items), compare_changes);
        if (json == NULL)
            fprintf(out, "shares of router %.*s:\n", STR_FMT(now->name));
    }
    for (size_t i = 0, end; i < changes.count; i = end) {
        for (end = i + 1; end < changes.count; end++) {
            if (!is_same_kind(&changes.items[i], &changes.items[end]))
                break;
        }
        if (json != NULL)
            add_kind(json, now->name, &changes.items[i], end - i);
        else
            print_kind(out, &changes.items[i], end - i, max_hosts);
    }
    size_t count = changes.count;
    free(changes.items);
    free(hosts.items);
    return count;
}
