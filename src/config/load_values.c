/* Loading values: one small function per type, and the table walk that calls them. */
#include "config/complaints_impl.h"
#include "config/loader_impl.h"
#include "config/units.h"

#include <inttypes.h>

enum { GUESS_DISTANCE_MAX = 3, TYPO_DISTANCE_MAX = 2 };

/* --- complaining ----------------------------------------------------------------------------- */

int complain(struct loader *loader, const struct node *node, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    complaints_add(loader->complaints, SEVERITY_ERROR, node->place, fmt, args);
    va_end(args);
    return -1;
}

int complain_place(struct loader *loader, struct place place, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    complaints_add(loader->complaints, SEVERITY_ERROR, place, fmt, args);
    va_end(args);
    return -1;
}

void note_place(struct loader *loader, struct place place, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    complaints_add(loader->complaints, SEVERITY_NOTE, place, fmt, args);
    va_end(args);
}

void warn_place(struct loader *loader, struct place place, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    complaints_add(loader->complaints, SEVERITY_WARNING, place, fmt, args);
    va_end(args);
}

struct guess guess_for(struct str want)
{
    return (struct guess){.want = want, .distance = GUESS_DISTANCE_MAX + 1};
}

void guess_try(struct guess *guess, struct str name)
{
    unsigned distance = str_distance(guess->want, name);

    /* A guess with hardly a common letter is of no use. */
    if (distance < guess->distance && distance < MAX(guess->want.len, name.len)) {
        guess->distance = distance;
        guess->best = name;
    }
}

const char *guess_words(struct loader *loader, const struct guess *guess)
{
    if (guess->best.len == 0)
        return "";
    return arena_printf(&loader->complaints->arena, "; did you mean \"%.*s\"?",
                        STR_FMT(guess->best))
        .ptr;
}

const char *suggestion_words(struct loader *loader, struct str text, suggest_fn *suggest)
{
    char better[SUGGESTION_MAX];

    if (!suggest(text, better))
        return "";
    return arena_printf(&loader->complaints->arena, "; did you mean \"%s\"?", better).ptr;
}

/* --- collections ----------------------------------------------------------------------------- */

const struct node *node_find(const struct node *map, const char *key)
{
    if (map->kind != NODE_MAP)
        return NULL;
    for (size_t i = 0; i < map->count; i++) {
        if (str_eq(map->keys[i]->text, str_of(key)))
            return map->items[i];
    }
    return NULL;
}

struct node *const *node_items(const struct node *const *node, size_t *count)
{
    if ((*node)->kind == NODE_LIST) {
        *count = (*node)->count;
        return (*node)->items;
    }
    *count = (*node)->kind == NODE_SCALAR && (*node)->is_null ? 0 : 1;
    return (struct node *const *)node;
}

bool expect_scalar(struct loader *loader, const struct node *node, const char *what)
{
    return expect_template(loader, node, what) && node_is_plain(loader->reader, node);
}

bool expect_template(struct loader *loader, const struct node *node, const char *what)
{
    if (node->is_bad)
        return false;
    if (node->kind == NODE_SCALAR && !node->is_null)
        return true;
    complain(loader, node, "expected %s, got %s", what,
             node->kind == NODE_SCALAR ? "nothing"
             : node->kind == NODE_LIST ? "a list"
                                       : "a mapping");
    return false;
}

bool expect_map(struct loader *loader, const struct node *node, const char *what)
{
    if (node->kind == NODE_MAP)
        return true;
    if (node->kind == NODE_LIST)
        complain(loader, node, "expected %s, got a list", what);
    else if (node->is_null)
        complain(loader, node, "expected %s, got nothing", what);
    else
        complain(loader, node, "invalid value: \"%s\"; expected %s", node->text.ptr, what);
    return false;
}

static const struct key *key_find(const struct key *keys, size_t count, struct str key)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq(key, str_of(keys[i].key)))
            return &keys[i];
    }
    return NULL;
}

/* Complains, and takes the key for the one that was probably meant, unless that is given as well:
 * so what stands below it is looked at, and nothing is said to be missing that is only
 * misspelled. */
static const struct key *key_guess(struct loader *loader, const struct node *map, struct node *key,
                                   const struct key *keys, size_t count)
{
    struct guess guess = guess_for(key->text);

    for (size_t i = 0; i < count; i++)
        guess_try(&guess, str_of(keys[i].key));
    complain(loader, key, "unknown key: \"%s\"%s", key->text.ptr, guess_words(loader, &guess));
    bool is_typo = guess.best.len > 0 && guess.distance <= TYPO_DISTANCE_MAX &&
                   2 * guess.distance < key->text.len;
    if (!is_typo || node_find(map, guess.best.ptr) != NULL)
        return NULL;
    key->text = guess.best;
    return key_find(keys, count, guess.best);
}

int load_keys(struct loader *loader, const struct node *node, const struct key *keys, size_t count,
              void *out)
{
    int result = 0;
    uint64_t seen = 0;

    ASSERT(count <= 64);
    if (!expect_map(loader, node, "a mapping"))
        return -1;
    for (size_t i = 0; i < node->count; i++) {
        const struct key *field = key_find(keys, count, node->keys[i]->text);
        if (field == NULL) {
            result = -1;
            field = key_guess(loader, node, node->keys[i], keys, count);
        }
        if (field == NULL)
            continue;
        uint64_t bit = (uint64_t)1 << (field - keys);
        if ((seen & bit) != 0)
            continue; /* given twice: the reader of the file has complained */
        seen |= bit;
        if (field->load(loader, node->items[i], (char *)out + field->offset) < 0)
            result = -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (keys[i].is_required && !node->is_partial && node_find(node, keys[i].key) == NULL)
            result = complain(loader, node, "\"%s\" is missing", keys[i].key);
    }
    return result;
}

int load_ignored(struct loader *loader UNUSED, const struct node *node UNUSED, void *out UNUSED)
{
    return 0;
}

/* --- text ------------------------------------------------------------------------------------ */

static bool has_control(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return true;
    }
    return false;
}

int load_str_or_empty(struct loader *loader, const struct node *node, void *out)
{
    if (node->kind == NODE_SCALAR && node->text.len == 0) {
        *(struct str *)out = (struct str){"", 0};
        return 0;
    }
    return load_str(loader, node, out);
}

int load_str(struct loader *loader, const struct node *node, void *out)
{
    if (!expect_scalar(loader, node, "a text"))
        return -1;
    if (node->text.len == 0)
        return complain(loader, node, "must not be empty");
    if (has_control(node->text))
        return complain(loader, node, "control characters in \"%s\"", node->text.ptr);
    *(struct str *)out = arena_str(loader->arena, node->text);
    return 0;
}

int load_text(struct loader *loader, const struct node *node, void *out)
{
    if (!expect_scalar(loader, node, "a text"))
        return -1;
    *(struct str *)out = arena_str(loader->arena, node->text);
    return 0;
}

int load_path(struct loader *loader, const struct node *node, void *out)
{
    struct str path = {NULL, 0};

    if (load_str(loader, node, &path) < 0)
        return -1;
    *(struct str *)out = path_relative_to(loader->arena, path, &node->place);
    return 0;
}

int load_bool(struct loader *loader, const struct node *node, void *out)
{
    if (!expect_scalar(loader, node, "true or false"))
        return -1;
    if (bool_parse(node->text, out) < 0)
        return complain(loader, node, "invalid value: \"%s\"; expected true or false%s",
                        node->text.ptr, suggestion_words(loader, node->text, bool_suggest));
    return 0;
}

int load_word(struct loader *loader, const struct node *node, const char *const *words,
              size_t count)
{
    struct guess guess = guess_for(node->text);
    char list[256] = "";

    if (!expect_scalar(loader, node, "a word"))
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (str_eq(node->text, str_of(words[i])))
            return (int)i;
        guess_try(&guess, str_of(words[i]));
        strncat(list, i > 0 ? (i + 1 < count ? ", " : " or ") : "",
                sizeof(list) - strlen(list) - 1);
        strncat(list, words[i], sizeof(list) - strlen(list) - 1);
    }
    return complain(loader, node, "invalid value: \"%s\"; expected %s%s", node->text.ptr, list,
                    guess_words(loader, &guess));
}

int load_tls_version(struct loader *loader, const struct node *node, void *out)
{
    static const char *const words[] = {"1.2", "1.3"};
    int word = LOAD_WORD(loader, node, words);

    if (word < 0)
        return -1;
    *(enum tls_version *)out = word == 0 ? TLS_VERSION_1_2 : TLS_VERSION_1_3;
    return 0;
}

/* --- numbers --------------------------------------------------------------------------------- */

int load_ms_or_none(struct loader *loader, const struct node *node, void *out)
{
    if (!expect_scalar(loader, node, "a duration"))
        return -1;
    if (duration_parse(node->text, out) < 0)
        return complain(
            loader, node,
            "invalid value: \"%s\"; expected a duration such as 250ms, 4.5s, 60s or 1h%s",
            node->text.ptr, suggestion_words(loader, node->text, duration_suggest));
    return 0;
}

int load_ms(struct loader *loader, const struct node *node, void *out)
{
    if (load_ms_or_none(loader, node, out) < 0)
        return -1;
    if (*(uint32_t *)out == 0)
        return complain(loader, node, "invalid value: \"%s\"; the timeout cannot be 0",
                        node->text.ptr);
    return 0;
}

int load_bytes64(struct loader *loader, const struct node *node, void *out)
{
    if (!expect_scalar(loader, node, "a size"))
        return -1;
    if (size_parse(node->text, out) < 0)
        return complain(loader, node,
                        "invalid value: \"%s\"; expected a size such as 512B, 64KiB or 1MiB%s",
                        node->text.ptr, suggestion_words(loader, node->text, size_suggest));
    return 0;
}

int load_bytes(struct loader *loader, const struct node *node, void *out)
{
    uint64_t bytes;

    if (load_bytes64(loader, node, &bytes) < 0)
        return -1;
    if (bytes < 1 || bytes > (1u << 30))
        return complain(loader, node, "invalid value: \"%s\"; expected 1B to 1GiB", node->text.ptr);
    *(uint32_t *)out = (uint32_t)bytes;
    return 0;
}

int load_bytes_or_none(struct loader *loader, const struct node *node, void *out)
{
    uint64_t bytes;

    if (load_bytes64(loader, node, &bytes) < 0)
        return -1;
    if (bytes > (1u << 30))
        return complain(loader, node, "invalid value: \"%s\"; expected 0 to 1GiB", node->text.ptr);
    *(uint32_t *)out = (uint32_t)bytes;
    return 0;
}

int load_number(struct loader *loader, const struct node *node, uint64_t min, uint64_t max,
                uint64_t *value)
{
    if (!expect_scalar(loader, node, "a number"))
        return -1;
    if (str_to_u64(node->text, value) < 0 || *value < min || *value > max)
        return complain(loader, node,
                        "invalid value: \"%s\"; expected a number from %" PRIu64 " to %" PRIu64,
                        node->text.ptr, min, max);
    return 0;
}

int load_count(struct loader *loader, const struct node *node, void *out)
{
    uint64_t value;

    if (load_number(loader, node, 1, 1000000000, &value) < 0)
        return -1;
    *(uint32_t *)out = (uint32_t)value;
    return 0;
}

int load_count_or_none(struct loader *loader, const struct node *node, void *out)
{
    uint64_t value;

    if (load_number(loader, node, 0, 1000000000, &value) < 0)
        return -1;
    *(uint32_t *)out = (uint32_t)value;
    return 0;
}

int load_peer_limit(struct loader *loader, const struct node *node, void *out)
{
    uint32_t value;

    if (load_count_or_none(loader, node, &value) < 0)
        return -1;
    *(uint32_t *)out = value > 0 ? value : LIMIT_OFF;
    return 0;
}

static bool is_zero(const struct node *node)
{
    uint64_t value;

    return node->kind == NODE_SCALAR &&
           (size_parse(node->text, &value) == 0 || str_to_u64(node->text, &value) == 0) &&
           value == 0;
}

static int complain_bound(struct loader *loader, const struct node *node)
{
    return complain(
        loader, node,
        "\"%s\": this limit bounds memory and cannot be switched off; expected at least 1",
        node->text.ptr);
}

int load_bound(struct loader *loader, const struct node *node, void *out)
{
    return is_zero(node) ? complain_bound(loader, node) : load_count(loader, node, out);
}

int load_byte_bound(struct loader *loader, const struct node *node, void *out)
{
    return is_zero(node) ? complain_bound(loader, node) : load_bytes(loader, node, out);
}

int load_port(struct loader *loader, const struct node *node, void *out)
{
    uint64_t value;

    if (load_number(loader, node, 1, 65535, &value) < 0)
        return -1;
    *(uint16_t *)out = (uint16_t)value;
    return 0;
}

int load_status(struct loader *loader, const struct node *node, void *out)
{
    uint64_t value;

    if (load_number(loader, node, 200, 599, &value) < 0)
        return -1;
    *(uint16_t *)out = (uint16_t)value;
    return 0;
}

int load_share(struct loader *loader, const struct node *node, void *out)
{
    if (!expect_scalar(loader, node, "a share"))
        return -1;
    if (share_parse(node->text, out) < 0)
        return complain(
            loader, node,
            "invalid share: \"%s\"; expected 0%% to 100%% (or 0 to 1) in steps of 0.001%%%s",
            node->text.ptr, suggestion_words(loader, node->text, share_suggest));
    return 0;
}

/* --- names ----------------------------------------------------------------------------------- */

bool is_token(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = ascii_lower(text.ptr[i]);
        if (c == '\0' ||
            (!ascii_is_digit(c) && !(c >= 'a' && c <= 'z') && strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return text.len > 0;
}

int load_header_case(struct loader *loader, const struct node *node, void *out)
{
    static const char *const words[] = {[HEADER_CASE_PRESERVE] = "preserve",
                                        [HEADER_CASE_PROPER] = "proper",
                                        [HEADER_CASE_LOWER] = "lower"};
    int word = LOAD_WORD(loader, node, words);

    if (word < 0)
        return -1;
    *(enum header_case *)out = (enum header_case)word;
    return 0;
}

int load_field_name(struct loader *loader, const struct node *node, void *out)
{
    if (!expect_scalar(loader, node, "the name of a header field"))
        return -1;
    if (!is_token(node->text))
        return complain(loader, node, "\"%s\" cannot be the name of a header field",
                        node->text.ptr);
    *(struct str *)out = arena_str_lower(loader->arena, node->text);
    return 0;
}

static struct str canonical_literal(struct arena *arena, struct str text)
{
    char canonical[ADDR_TEXT_MAX];
    int len = ip_literal_canonical(str_make(text.ptr + 1, text.len - 2), canonical);

    return len < 0 ? arena_str_lower(arena, text) : arena_printf(arena, "[%.*s]", len, canonical);
}

struct str canonical_host(struct arena *arena, struct str text)
{
    if (text.len > 2 && text.ptr[0] == '[')
        return canonical_literal(arena, text);
    if (text.len > 0 && text.ptr[text.len - 1] == '.')
        text.len--;
    return arena_str_lower(arena, text);
}

int load_host_name(struct loader *loader, const struct node *node, void *out)
{
    if (!expect_scalar(loader, node, "a host name"))
        return -1;
    if (!is_host_name(node->text))
        return complain(loader, node, "\"%s\" is not a host name%s", node->text.ptr,
                        str_find_char(node->text, ':') >= 0 ? " (it is written without a port)"
                                                            : "");
    *(struct str *)out = canonical_host(loader->arena, node->text);
    return 0;
}

/* A whole section is not there: that is one mistake, however many names it would have. */
static int complain_section(struct loader *loader, const struct node *node, const char *what,
                            const char *section, bool *is_known)
{
    if (*is_known)
        return -1;
    *is_known = true;
    return complain(loader, node, "unknown %s: \"%s\"; the configuration has no \"%s\"", what,
                    node->text.ptr, section);
}

int find_group(struct loader *loader, const struct node *node)
{
    const struct config *config = loader->config;
    struct guess guess = guess_for(node->text);

    if (!expect_scalar(loader, node, "the name of a group"))
        return -1;
    for (size_t i = 0; i < config->group_count; i++) {
        if (str_eq(config->groups[i].name, node->text))
            return (int)i;
        guess_try(&guess, config->groups[i].name);
    }
    if (loader->reader->is_incomplete ||
        (config->group_count == 0 && loader->complaints->error_count > 0)) /* reported */
        return -1;
    return complain(loader, node, "unknown group: \"%s\"%s", node->text.ptr,
                    guess_words(loader, &guess));
}

int find_datacenter(struct loader *loader, const struct node *node)
{
    const struct datacenters_conf *datacenters = &loader->config->datacenters;
    struct guess guess = guess_for(node->text);

    if (!expect_scalar(loader, node, "the name of a datacenter"))
        return -1;
    for (size_t i = 0; i < datacenters->count; i++) {
        if (str_eq(datacenters->names[i], node->text))
            return (int)i;
        guess_try(&guess, datacenters->names[i]);
    }
    if (loader->reader->is_incomplete)
        return -1;
    if (datacenters->count == 0)
        return complain_section(loader, node, "datacenter", "datacenters",
                                &loader->has_no_datacenters);
    return complain(loader, node, "unknown datacenter: \"%s\"%s", node->text.ptr,
                    guess_words(loader, &guess));
}

int find_router(struct loader *loader, const struct node *node)
{
    const struct config *config = loader->config;
    struct guess guess = guess_for(node->text);

    if (!expect_scalar(loader, node, "the name of a router"))
        return -1;
    for (size_t i = 0; i < config->router_count; i++) {
        if (str_eq(config->routers[i].name, node->text))
            return (int)i;
        guess_try(&guess, config->routers[i].name);
    }
    if (loader->reader->is_incomplete)
        return -1;
    if (config->router_count == 0)
        return complain_section(loader, node, "router", "routers", &loader->has_no_routers);
    return complain(loader, node, "unknown router: \"%s\"%s", node->text.ptr,
                    guess_words(loader, &guess));
}
