/* See cases.h. */
#include "config/cases.h"

#include "config/complaints_impl.h"
#include "config/loader_impl.h"
#include "config/units.h"

#include <stdlib.h>

static const char *const words[EXPECT_COUNT] = {
#define X(name, word) word,
    EXPECTATIONS(X)
#undef X
};

const char *expectation_word(enum expectation what)
{
    ASSERT(what < EXPECT_COUNT);
    return words[what];
}

/* --- expectations ---------------------------------------------------------------------------- */

/* Shares are compared as text, so they get one form. */
static int load_expected(struct loader *loader, const struct node *node, enum expectation what,
                         struct str *value)
{
    char text[SHARE_TEXT_MAX];
    uint32_t share;

    if (node->kind != NODE_SCALAR)
        return complain(loader, node, "expected a value of %s", words[what]);
    if (!node_is_plain(loader->reader, node))
        return -1;
    *value = node->is_null ? STR("none") : arena_str(loader->arena, node->text);
    if (what != EXPECT_SHARE || str_eq(*value, STR("none")))
        return 0;
    if (share_parse(node->text, &share) < 0)
        return complain(loader, node, "invalid share: \"%s\"; expected 0%% to 100%%%s",
                        node->text.ptr, suggestion_words(loader, node->text, share_suggest));
    *value = arena_str(loader->arena, str_of(share_format(share, text)));
    return 0;
}

static int load_values(struct loader *loader, const struct node *node, enum expectation what,
                       struct expect_conf *expect)
{
    struct node *const *items = node->kind == NODE_LIST ? node->items : NULL;
    size_t count = node->kind == NODE_LIST ? node->count : 1;
    int result = 0;

    expect->place = node->place;
    expect->values = ARENA_NEW_N(loader->arena, struct str, count + 1);
    for (size_t i = 0; i < count; i++) {
        const struct node *item = items != NULL ? items[i] : node;
        if (load_expected(loader, item, what, &expect->values[i]) < 0)
            result = -1;
    }
    expect->count = count;
    if (count == 0)
        return complain(loader, node, "an empty list expects nothing");
    return result;
}

static int find_word(struct loader *loader, const struct node *key)
{
    struct guess guess = guess_for(key->text);

    for (int i = 0; i < EXPECT_COUNT; i++) {
        if (str_eq(key->text, str_of(words[i])))
            return i;
        guess_try(&guess, str_of(words[i]));
    }
    return complain(loader, key, "unknown expectation: \"%s\"%s", key->text.ptr,
                    guess_words(loader, &guess));
}

static int load_expect(struct loader *loader, const struct node *node, void *out)
{
    struct expect_conf *expect = out;
    int result = 0;

    if (!expect_map(loader, node, "what is expected"))
        return -1;
    for (size_t i = 0; i < node->count; i++) {
        int what = find_word(loader, node->keys[i]);
        if (what < 0 ||
            load_values(loader, node->items[i], (enum expectation)what, &expect[what]) < 0)
            result = -1;
    }
    if (node->count == 0)
        return complain(loader, node, "a case must expect something");
    return result;
}

/* --- requests -------------------------------------------------------------------------------- */

static int load_header(struct loader *loader, struct case_conf *made, const struct node *key,
                       const struct node *node)
{
    struct case_field *field = &made->fields[made->field_count++];

    if (node->kind != NODE_SCALAR)
        return complain(loader, node, "a header is text, a list of texts, or null");
    if (!node_is_plain(loader->reader, node))
        return -1;
    *field = (struct case_field){
        .name = arena_str(loader->arena, key->text),
        .value = arena_str(loader->arena, node->text),
        .is_absent = node->is_null,
    };
    return 0;
}

static size_t count_headers(const struct node *node)
{
    size_t count = 0;

    for (size_t i = 0; i < node->count; i++)
        count += node->items[i]->kind == NODE_LIST ? node->items[i]->count : 1;
    return count;
}

static int load_headers(struct loader *loader, const struct node *node, void *out)
{
    struct case_conf *made = out;
    int result = 0;

    if (!expect_map(loader, node, "headers and their values"))
        return -1;
    made->fields = ARENA_NEW_N(loader->arena, struct case_field, count_headers(node) + 1);
    for (size_t i = 0; i < node->count; i++) {
        const struct node *item = node->items[i];
        struct node *const *values = item->kind == NODE_LIST ? item->items : &node->items[i];
        size_t count = item->kind == NODE_LIST ? item->count : 1;
        for (size_t j = 0; j < count; j++) {
            if (load_header(loader, made, node->keys[i], values[j]) < 0)
                result = -1;
        }
    }
    return result;
}

static int load_trusted(struct loader *loader, const struct node *node, void *out)
{
    bool is_trusted = false;

    if (load_bool(loader, node, &is_trusted) < 0)
        return -1;
    *(enum case_trust *)out = is_trusted ? CASE_TRUSTED : CASE_UNTRUSTED;
    return 0;
}

static int load_case(struct loader *loader, const struct node *node, struct case_conf *made)
{
    static const struct key keys[] = {
        {"name", load_str, offsetof(struct case_conf, name), false},
        {"request", load_str, offsetof(struct case_conf, request), true},
        {"headers", load_headers, 0, false},
        {"client", load_str, offsetof(struct case_conf, client), false},
        {"http", load_str, offsetof(struct case_conf, http), false},
        {"trusted", load_trusted, offsetof(struct case_conf, trust), false},
        {"expect", load_expect, offsetof(struct case_conf, expect), true},
    };

    made->place = node->place;
    if (LOAD_KEYS(loader, node, keys, made) < 0)
        return -1;
    if (!str_cut(made->request, ' ', &made->method, &made->url)) {
        made->url = made->request;
        made->method = STR("GET");
    }
    made->url = str_trim(made->url);
    if (made->name.len == 0)
        made->name = made->request;
    return 0;
}

/* --- the whole ------------------------------------------------------------------------------- */

static int load_cases(struct loader *loader, const struct node *node, void *out)
{
    struct cases_conf *cases = out;
    int result = 0;

    if (node->kind != NODE_LIST)
        return complain(loader, node, "expected a list of cases");
    cases->items = ARENA_NEW_N(loader->arena, struct case_conf, node->count + 1);
    for (size_t i = 0; i < node->count; i++) {
        if (load_case(loader, node->items[i], &cases->items[i]) < 0)
            result = -1;
    }
    cases->count = node->count;
    return result;
}

static void load_root(struct loader *loader, const struct node *root, struct cases_conf *cases)
{
    static const struct key keys[] = {
        {"router", load_str, offsetof(struct cases_conf, router), false},
        {"datacenter", load_str, offsetof(struct cases_conf, datacenter), false},
        {"cases", load_cases, 0, true},
    };

    LOAD_KEYS(loader, root, keys, cases);
}

struct cases_conf *cases_load(const char *path, struct complaints *complaints)
{
    struct cases_conf *cases = mem_new(sizeof(*cases));
    struct arena tree;
    size_t errors_before = complaints->error_count;

    arena_init(&cases->arena, NULL);
    arena_init(&tree, NULL);
    struct reader reader = {.tree = &tree, .names = &cases->arena, .complaints = complaints};
    struct loader loader = {.arena = &cases->arena, .complaints = complaints, .reader = &reader};
    struct node *root = reader_load(&reader, str_of(path), NULL);
    if (root != NULL)
        load_root(&loader, root, cases);
    arena_reset(&tree);
    complaints_sort(complaints);
    if (complaints->error_count == errors_before)
        return cases;
    cases_free(cases);
    return NULL;
}

void cases_free(struct cases_conf *cases)
{
    if (cases == NULL)
        return;
    arena_reset(&cases->arena);
    free(cases);
}
