/* `bind`: the addresses that listeners and the admin port listen on, and which of them cannot be
 * had together. The kernel gives one address to one owner only; a specific address beside the
 * wildcard of its port, and IPv4 beside IPv6, are no conflict. */
#include "config/loader_impl.h"

enum { ALL_FAMILIES = 2 }; /* addresses that ":443" stands for */

static const char expectation[] =
    "invalid value: \"%s\"; expected address:port (0.0.0.0:443, [::]:443), "
    "a port for all addresses (:443, *:443, 443) or unix:/path";

/* An IPv4-mapped IPv6 address is that IPv4 address: sockets for IPv6 are for IPv6 only. */
static void unmap(struct addr *addr)
{
    if (addr->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr))
        return;
    struct addr plain = {.len = sizeof(plain.in)};

    plain.in.sin_family = AF_INET;
    plain.in.sin_port = addr->in6.sin6_port;
    memcpy(&plain.in.sin_addr, &addr->in6.sin6_addr.s6_addr[12], 4);
    *addr = plain;
}

/* ":443", "*:443" and "443": that port of every address; false when `text` is something else. */
static bool parse_all_families(struct str text, struct addr addrs[ALL_FAMILIES])
{
    uint64_t port;

    if (str_starts(text, STR("*:")))
        text = str_skip(text, 2);
    else if (str_starts(text, STR(":")))
        text = str_skip(text, 1);
    if (str_to_u64(text, &port) < 0 || port < 1 || port > 65535)
        return false;
    return addr_parse_ip(STR("0.0.0.0"), (uint16_t)port, &addrs[0]) == 0 &&
           addr_parse_ip(STR("::"), (uint16_t)port, &addrs[1]) == 0;
}

static void add_bind(struct binds_conf *binds, const struct bind_conf *bind)
{
    binds->items[binds->count++] = *bind;
}

/* Adds what one text stands for. */
static int load_address(struct loader *loader, const struct node *node, struct bind_conf bind,
                        struct binds_conf *binds)
{
    struct addr all[ALL_FAMILIES];

    if (!expect_scalar(loader, node, "an address"))
        return -1;
    if (addr_parse(node->text, &bind.addr) == 0) {
        unmap(&bind.addr);
        add_bind(binds, &bind);
        return 0;
    }
    if (!parse_all_families(node->text, all))
        return complain(loader, node, expectation, node->text.ptr);
    bind.addr = all[0];
    add_bind(binds, &bind);
    bind.addr = all[1];
    bind.may_be_missing = true;
    add_bind(binds, &bind);
    return 0;
}

static int load_mode(struct loader *loader, const struct node *node, void *out)
{
    int mode = 0;

    if (!expect_scalar(loader, node, "an octal number"))
        return -1;
    for (size_t i = 0; i < node->text.len && mode <= 0777; i++) {
        char c = node->text.ptr[i];
        mode = c >= '0' && c <= '7' ? mode * 8 + (c - '0') : 01000;
    }
    if (node->text.len == 0 || mode > 0777)
        return complain(loader, node,
                        "bad mode: \"%s\"; expected an octal number from 0 to 0777, such as 0660",
                        node->text.ptr);
    *(int *)out = mode;
    return 0;
}

/* `{ address: unix:/path, mode: 0660, owner: USER, group: GROUP }` */
static int load_bind_map(struct loader *loader, const struct node *node, struct bind_conf bind,
                         struct binds_conf *binds)
{
    static const struct key keys[] = {
        {"address", load_ignored, 0, true},
        {"mode", load_mode, offsetof(struct bind_conf, mode), false},
        {"owner", load_str, offsetof(struct bind_conf, owner), false},
        {"group", load_str, offsetof(struct bind_conf, group), false},
    };
    size_t first = binds->count;

    if (LOAD_KEYS(loader, node, keys, &bind) < 0 ||
        load_address(loader, node_find(node, "address"), bind, binds) < 0)
        return -1;
    bool has_rights = bind.mode >= 0 || bind.owner.len > 0 || bind.group.len > 0;
    if (has_rights && !addr_is_unix(&binds->items[first].addr))
        return complain(loader, node, "only a unix socket has a \"mode\", \"owner\" or \"group\"");
    return 0;
}

int load_binds(struct loader *loader, const struct node *node, void *out)
{
    struct binds_conf *binds = out;
    size_t count;
    struct node *const *items = node_items(&node, &count);
    int result = 0;

    *binds = (struct binds_conf){
        .items = ARENA_NEW_N(loader->arena, struct bind_conf, count * ALL_FAMILIES)};
    for (size_t i = 0; i < count; i++) {
        const struct bind_conf bind = {.place = items[i]->place, .mode = -1};
        int loaded = items[i]->kind == NODE_MAP ? load_bind_map(loader, items[i], bind, binds)
                                                : load_address(loader, items[i], bind, binds);
        if (loaded < 0)
            result = -1;
    }
    if (count == 0)
        return complain(loader, node, "at least one address is needed");
    return result;
}

/* --- conflicts ------------------------------------------------------------------------------- */

static const struct bind_conf *find_bind(const struct bind_conf *items, size_t count,
                                         const struct addr *addr)
{
    for (size_t i = 0; i < count; i++) {
        if (addr_eq(&items[i].addr, addr))
            return &items[i];
    }
    return NULL;
}

static void check_bind(struct loader *loader, const struct bind_conf *bind, size_t listener,
                       size_t before)
{
    const struct config *config = loader->config;
    char text[ADDR_TEXT_MAX];

    if (!addr_is_unix(&bind->addr) && addr_port(&bind->addr) == 0)
        return; /* a free port, another one each time */
    addr_format(&bind->addr, text);
    for (size_t i = 0; i <= listener && i < config->listener_count; i++) {
        const struct listener_conf *other = &config->listeners[i];
        size_t count = i == listener ? before : other->binds.count;
        const struct bind_conf *first = find_bind(other->binds.items, count, &bind->addr);
        if (first == NULL)
            continue;
        complain_place(loader, bind->place,
                       "address bound twice: \"%s\"; listener \"%.*s\" has it at %s:%d:%d", text,
                       STR_FMT(other->name), first->place.file, first->place.line,
                       first->place.column);
        return;
    }
}

/* The default address of the admin port has no place of its own. */
static void check_admin_bind(struct loader *loader, size_t index)
{
    const struct config *config = loader->config;
    struct bind_conf bind = config->admin.binds.items[index];
    char text[ADDR_TEXT_MAX];

    addr_format(&bind.addr, text);
    if (find_bind(config->admin.binds.items, index, &bind.addr) != NULL && bind.place.file != NULL)
        complain_place(loader, bind.place, "address bound twice: \"%s\"; the admin port has it",
                       text);
    for (size_t i = 0; i < config->listener_count && bind.place.file == NULL; i++) {
        const struct binds_conf *binds = &config->listeners[i].binds;
        const struct bind_conf *first = find_bind(binds->items, binds->count, &bind.addr);
        if (first == NULL)
            continue;
        complain_place(loader, first->place,
                       "address bound twice: \"%s\"; the admin port has it by default, \"admin\" "
                       "gives it another one",
                       text);
        return;
    }
    if (bind.place.file != NULL)
        check_bind(loader, &bind, config->listener_count, 0);
}

void check_binds(struct loader *loader)
{
    const struct config *config = loader->config;

    for (size_t i = 0; i < config->listener_count; i++) {
        for (size_t j = 0; j < config->listeners[i].binds.count; j++)
            check_bind(loader, &config->listeners[i].binds.items[j], i, j);
    }
    for (size_t i = 0; config->admin.enabled && i < config->admin.binds.count; i++)
        check_admin_bind(loader, i);
}
