/* `rate_limit`: how many requests a client, or all with one header or cookie, may send. */
#include "config/loader_impl.h"

/* "100/s", "600/m", "1000/h": the microseconds from one to the next. */
static int load_rate(struct loader *loader, const struct node *node, void *out)
{
    static const struct {
        struct str unit;
        uint64_t us;
    } units[] = {{STR_INIT("s"), 1000000}, {STR_INIT("m"), 60000000}, {STR_INIT("h"), 3600000000}};
    struct rate_limit_conf *limit = out;
    struct str number, unit;
    uint64_t count;

    if (!expect_scalar(loader, node, "a rate"))
        return -1;
    if (str_cut(node->text, '/', &number, &unit) && str_to_u64(str_trim(number), &count) == 0 &&
        count >= 1 && count <= 1000000) {
        for (size_t i = 0; i < ARRAY_LEN(units); i++) {
            if (!str_eq(str_trim(unit), units[i].unit))
                continue;
            limit->every_us = units[i].us / count;
            return 0;
        }
    }
    return complain(loader, node,
                    "invalid value: \"%s\"; expected a rate such as 100/s, 600/m or 1000/h",
                    node->text.ptr);
}

static int load_rate_key(struct loader *loader, const struct node *node, void *out)
{
    struct rate_limit_conf *limit = out;
    struct str kind, name;

    if (!expect_scalar(loader, node, "what is limited"))
        return -1;
    if (str_eq(node->text, STR("client-ip")))
        return 0;
    if (str_cut(node->text, ':', &kind, &name) && is_token(name)) {
        if (str_eq(kind, STR("header"))) {
            const struct node text = {.kind = NODE_SCALAR, .text = name, .place = node->place};
            limit->key = RATE_HEADER;
            return load_field_name(loader, &text, &limit->name);
        }
        if (str_eq(kind, STR("cookie"))) {
            limit->key = RATE_COOKIE;
            limit->name = arena_str(loader->arena, name);
            return 0;
        }
    }
    return complain(loader, node,
                    "invalid value: \"%s\"; expected client-ip, header:NAME or cookie:NAME",
                    node->text.ptr);
}

static int load_bits(struct loader *loader, const struct node *node, uint32_t most, uint8_t *out)
{
    uint32_t bits;

    if (load_count(loader, node, &bits) < 0)
        return -1;
    if (bits > most)
        return complain(loader, node, "expected 1 to %u bits, got %u", most, bits);
    *out = (uint8_t)bits;
    return 0;
}

static int load_ipv4_bits(struct loader *loader, const struct node *node, void *out)
{
    return load_bits(loader, node, 32, out);
}

static int load_ipv6_bits(struct loader *loader, const struct node *node, void *out)
{
    return load_bits(loader, node, 128, out);
}

static int load_limit(struct loader *loader, const struct node *node, struct rate_limit_conf *limit)
{
    static const struct key keys[] = {
        {"rate", load_rate, 0, true},
        {"burst", load_count, offsetof(struct rate_limit_conf, burst), false},
        {"key", load_rate_key, 0, false},
        {"ipv4_prefix", load_ipv4_bits, offsetof(struct rate_limit_conf, ipv4_prefix), false},
        {"ipv6_prefix", load_ipv6_bits, offsetof(struct rate_limit_conf, ipv6_prefix), false},
    };

    *limit = (struct rate_limit_conf){.place = node->place, .ipv4_prefix = 32, .ipv6_prefix = 64};
    int result = LOAD_KEYS(loader, node, keys, limit);
    if (result == 0 && limit->burst == 0)
        limit->burst = (uint32_t)MAX(1000000 / limit->every_us, 1);
    return result;
}

int load_rate_limits(struct loader *loader, const struct node *node, void *out)
{
    struct rate_limits_conf *limits = out;
    size_t count;
    struct node *const *items = node_items(&node, &count);
    int result = 0;

    limits->items = ARENA_NEW_N(loader->arena, struct rate_limit_conf, count);
    for (size_t i = 0; i < count; i++) {
        if (load_limit(loader, items[i], &limits->items[limits->count]) < 0)
            result = -1;
        else
            limits->count++;
    }
    return result;
}
