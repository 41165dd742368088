/* Rewrites and header rules:
 *
 *     rewrite: { path: "/${host}/v1/${rest}" }
 *     rewrite:
 *       - { when: { host: w.wiki, path: "=/" } }      # the first that applies; this one changes nothing
 *       - { when: { host: w.wiki }, host: meta.wikimedia.org, path: "/wiki/X${path}" }
 *     normalize: { methods: [PURGE], decode: ":/@", encode: "[]" }
 *     headers:
 *       request: { set: { X-Client-Port: "${client_port}" }, remove_untrusted: [X-Subdomain] }
 *       response: { remove_unless_debug: [Backend-Timing], vary_add: X-Forwarded-Proto } */
#include "config/loader_impl.h"
#include "config/units.h"

enum { REWRITES_MAX = 64, HEADER_RULES_MAX = 256 };

/* A path begins with a slash, either here or in ${path}. */
static int load_path_template(struct loader *loader, const struct node *node, void *out)
{
    struct template_conf *template = out;

    if (load_template_line(loader, node, TEMPLATE_REWRITE, out) < 0)
        return -1;
    const struct part_conf *first = template->parts;
    bool is_path =
        template->count > 0 && (first->variable == VARIABLE_PATH ||
                                (first->variable == VARIABLE_TEXT && first->text.ptr[0] == '/'));
    if (!is_path)
        return complain(loader, node, "a path begins with a slash, or with ${path}");
    if (str_find_char(node->text, ' ') >= 0 || str_find_char(node->text, '?') >= 0 ||
        str_find_char(node->text, '#') >= 0)
        return complain(loader, node, "a path has no spaces and no query (which stays as it is)");
    return 0;
}

static int load_host_template(struct loader *loader, const struct node *node, void *out)
{
    struct template_conf *template = out;

    if (load_template_line(loader, node, TEMPLATE_REWRITE, out) < 0)
        return -1;
    if (template->count == 1 && template->parts->variable == VARIABLE_TEXT &&
        !is_host_name(template->parts->text))
        return complain(loader, node, "\"%s\" is not a host name", node->text.ptr);
    if (template->count == 0)
        return complain(loader, node, "a host is needed");
    return 0;
}

/* --- rewrites -------------------------------------------------------------------------------- */

/* Only rules have patterns made ready. */
static int refuse_patterns(struct loader *loader, const struct node *node,
                           const struct match_conf *match)
{
    for (size_t i = 0; i < match->host_count; i++) {
        if (match->hosts[i].is_regex)
            return complain(loader, node, "a pattern can stand in the rule only");
    }
    for (size_t i = 0; i < match->path_count; i++) {
        if (match->paths[i].kind == PATH_REGEX)
            return complain(loader, node, "a pattern can stand in the rule only");
    }
    return 0;
}

static int load_when(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {CONDITION_KEYS};
    struct match_conf *match = ARENA_NEW(loader->arena, struct match_conf);

    *(struct match_conf **)out = match;
    if (LOAD_KEYS(loader, node, keys, match) < 0)
        return -1;
    if (load_conditions(loader, node, match) < 0)
        return -1;
    return refuse_patterns(loader, node, match);
}

int load_rewrites(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"when", load_when, offsetof(struct rewrite_conf, when), false},
        {"path", load_path_template, offsetof(struct rewrite_conf, path), false},
        {"host", load_host_template, offsetof(struct rewrite_conf, host), false},
    };
    struct rule_conf *rule = out;
    size_t count;
    struct node *const *items = node_items(&node, &count);
    int result = 0;

    if (count > REWRITES_MAX)
        return complain(loader, node, "more than %d rewrites", REWRITES_MAX);
    rule->rewrites = ARENA_NEW_N(loader->arena, struct rewrite_conf, MAX(count, 1));
    for (size_t i = 0; i < count; i++) {
        struct rewrite_conf *rewrite = &rule->rewrites[rule->rewrite_count++];
        rewrite->place = items[i]->place;
        if (LOAD_KEYS(loader, items[i], keys, rewrite) < 0)
            result = -1;
    }
    return result;
}

static int load_bytes_set(struct loader *loader, const struct node *node, void *out)
{
    bool *set = out;

    if (!expect_scalar(loader, node, "characters"))
        return -1;
    for (size_t i = 0; i < node->text.len; i++) {
        unsigned char c = (unsigned char)node->text.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '%' || c == '?' || c == '#')
            return complain(loader, node,
                            "\"%s\" holds a character that cannot be decoded or encoded here",
                            node->text.ptr);
        set[c] = true;
    }
    return 0;
}

static int load_normalize_methods(struct loader *loader, const struct node *node, void *out)
{
    struct normalize_conf *normalize = out;
    size_t count;
    struct node *const *items = node_items(&node, &count);

    normalize->methods = ARENA_NEW_N(loader->arena, struct str, MAX(count, 1));
    for (size_t i = 0; i < count; i++) {
        if (!expect_scalar(loader, items[i], "a method"))
            return -1;
        if (!is_token(items[i]->text))
            return complain(loader, items[i], "\"%s\" is not a method", items[i]->text.ptr);
        normalize->methods[normalize->method_count++] = arena_str(loader->arena, items[i]->text);
    }
    return 0;
}

int load_normalize(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"methods", load_normalize_methods, 0, false},
        {"decode", load_bytes_set, offsetof(struct normalize_conf, decode), false},
        {"encode", load_bytes_set, offsetof(struct normalize_conf, encode), false},
    };
    struct normalize_conf *normalize = ARENA_NEW(loader->arena, struct normalize_conf);

    normalize->place = node->place;
    *(struct normalize_conf **)out = normalize;
    if (LOAD_KEYS(loader, node, keys, normalize) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(normalize->decode); i++) {
        if (normalize->decode[i] && normalize->encode[i])
            return complain(loader, node, "\"%c\" cannot be decoded and encoded", (int)i);
    }
    return 0;
}

/* --- header fields --------------------------------------------------------------------------- */

/* What frames a message or belongs to one connection is the codecs' alone. */
static int check_name(struct loader *loader, const struct node *node)
{
    static const char *const refused[] = {
        "host",    "connection", "content-length",   "transfer-encoding", "te",    "trailer",
        "upgrade", "keep-alive", "proxy-connection", "http2-settings",    "expect"};

    if (!expect_scalar(loader, node, "the name of a header field"))
        return -1;
    if (!is_token(node->text))
        return complain(loader, node, "\"%s\" cannot be the name of a header field",
                        node->text.ptr);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        if (str_eq_nocase(node->text, str_of(refused[i])))
            return complain(loader, node, "\"%s\" is not for rules to change%s", node->text.ptr,
                            i == 0 ? " (see \"rewrite\")" : "");
    }
    return 0;
}

static struct header_rule_conf *rule_new(struct loader *loader, const struct node *node,
                                         struct header_rules_conf *rules, enum header_op op)
{
    if (rules->count == HEADER_RULES_MAX) {
        complain(loader, node, "more than %d header rules", HEADER_RULES_MAX);
        return NULL;
    }
    struct header_rule_conf *rule = &rules->rules[rules->count++];
    *rule = (struct header_rule_conf){
        .place = node->place, .op = op, .name = arena_str(loader->arena, node->text)};
    return rule;
}

static int load_valued(struct loader *loader, const struct node *node,
                       struct header_rules_conf *rules, enum header_op op,
                       enum template_place place)
{
    int result = 0;

    if (!expect_map(loader, node, "names with values"))
        return -1;
    for (size_t i = 0; i < node->count; i++) {
        struct header_rule_conf *rule = NULL;
        if (check_name(loader, node->keys[i]) < 0 ||
            (rule = rule_new(loader, node->keys[i], rules, op)) == NULL ||
            load_template_line(loader, node->items[i], place, &rule->value) < 0)
            result = -1;
    }
    return result;
}

static int load_named(struct loader *loader, const struct node *node,
                      struct header_rules_conf *rules, enum header_op op)
{
    size_t count;
    struct node *const *items = node_items(&node, &count);
    int result = 0;

    for (size_t i = 0; i < count; i++) {
        if (check_name(loader, items[i]) < 0 || rule_new(loader, items[i], rules, op) == NULL)
            result = -1;
    }
    return result;
}

struct op_key {
    const char *key;
    enum header_op op;
    bool has_value;
};

/* Removing comes first, so that a rule can replace what it removes. */
static const struct op_key request_ops[] = {
    {"remove_untrusted", HEADER_OP_REMOVE_UNTRUSTED, false},
    {"remove", HEADER_OP_REMOVE, false},
    {"set", HEADER_OP_SET, true},
    {"set_if_absent", HEADER_OP_SET_IF_ABSENT, true},
    {"add", HEADER_OP_ADD, true},
    {"append", HEADER_OP_APPEND, true},
};
static const struct op_key response_ops[] = {
    {"remove", HEADER_OP_REMOVE, false},
    {"remove_unless_debug", HEADER_OP_REMOVE_UNLESS_DEBUG, false},
    {"set", HEADER_OP_SET, true},
    {"set_if_absent", HEADER_OP_SET_IF_ABSENT, true},
    {"set_for_trusted", HEADER_OP_SET_FOR_TRUSTED, true},
    {"add", HEADER_OP_ADD, true},
    {"append", HEADER_OP_APPEND, true},
    {"vary_add", HEADER_OP_VARY, false},
};

static int load_ops(struct loader *loader, const struct node *node, const struct op_key *ops,
                    size_t op_count, enum template_place place, struct header_rules_conf *rules)
{
    struct key fields[ARRAY_LEN(response_ops)];
    int result;

    ASSERT(op_count <= ARRAY_LEN(fields));
    for (size_t i = 0; i < op_count; i++)
        fields[i] = (struct key){ops[i].key, load_ignored, 0, false};
    result = load_keys(loader, node, fields, op_count, rules);
    if (node->kind != NODE_MAP)
        return -1;
    rules->rules = ARENA_NEW_N(loader->arena, struct header_rule_conf, HEADER_RULES_MAX);
    for (size_t i = 0; i < op_count; i++) {
        const struct node *value = node_find(node, ops[i].key);
        if (value == NULL)
            continue;
        int loaded = ops[i].has_value ? load_valued(loader, value, rules, ops[i].op, place)
                                      : load_named(loader, value, rules, ops[i].op);
        if (loaded < 0)
            result = -1;
    }
    return result;
}

static int load_request_rules(struct loader *loader, const struct node *node, void *out)
{
    return load_ops(loader, node, request_ops, ARRAY_LEN(request_ops), TEMPLATE_REQUEST, out);
}

static int load_response_rules(struct loader *loader, const struct node *node, void *out)
{
    return load_ops(loader, node, response_ops, ARRAY_LEN(response_ops), TEMPLATE_RESPONSE, out);
}

int load_header_rules(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"request", load_request_rules, offsetof(struct headers_conf, request), false},
        {"response", load_response_rules, offsetof(struct headers_conf, response), false},
        {"always", load_response_rules, offsetof(struct headers_conf, always), false},
    };
    struct headers_conf *headers = ARENA_NEW(loader->arena, struct headers_conf);

    *(struct headers_conf **)out = headers;
    return LOAD_KEYS(loader, node, keys, headers);
}
