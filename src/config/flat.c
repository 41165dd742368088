/* See flat.h. */
#include "config/flat.h"

#include "config/loader_impl.h"

#include <stdlib.h>

static void add(struct flat *flat, struct str path, struct str value, struct place place)
{
    if (flat->count == flat->cap) {
        flat->cap = MAX(flat->cap * 2, (size_t)256);
        flat->items = mem_resize(flat->items, flat->cap * sizeof(*flat->items));
    }
    flat->items[flat->count++] = (struct flat_item){path, value, place};
}

static struct str text_of(struct flat *flat, const struct node *node);

static struct str joined(struct flat *flat, struct str a, struct str b)
{
    return arena_join(&flat->arena, a, b);
}

static struct str items_text(struct flat *flat, const struct node *node)
{
    struct str all = {"", 0};

    for (size_t i = 0; i < node->count; i++) {
        if (i > 0)
            all = joined(flat, all, STR(", "));
        if (node->kind == NODE_MAP)
            all = joined(flat, joined(flat, all, node->keys[i]->text), STR(": "));
        all = joined(flat, all, text_of(flat, node->items[i]));
    }
    return all;
}

/* The node in one line. */
static struct str text_of(struct flat *flat, const struct node *node)
{
    if (node->kind == NODE_SCALAR)
        return node->is_null ? STR("null") : arena_str(&flat->arena, node->text);
    bool is_map = node->kind == NODE_MAP;
    struct str text = joined(flat, is_map ? STR("{ ") : STR("["), items_text(flat, node));
    return joined(flat, text, is_map ? STR(" }") : STR("]"));
}

static bool is_list_of_maps(const struct node *node)
{
    for (size_t i = 0; i < node->count; i++) {
        if (node->items[i]->kind != NODE_MAP)
            return false;
    }
    return node->kind == NODE_LIST && node->count > 0;
}

static void flatten(struct flat *flat, struct str path, const struct node *node);

static void flatten_list(struct flat *flat, struct str path, const struct node *node)
{
    struct str order = {"", 0};

    for (size_t i = 0; i < node->count; i++) {
        const struct node *item = node->items[i], *name = node_find(item, "name");
        bool is_named = name != NULL && name->kind == NODE_SCALAR && !name->is_null;
        struct str key = is_named ? name->text : text_of(flat, item);
        struct str inner = arena_printf(&flat->arena, "%.*s[%.*s]", STR_FMT(path), STR_FMT(key));
        if (is_named)
            flatten(flat, inner, item);
        else
            add(flat, inner, STR(""), item->place);
        order = arena_printf(&flat->arena, "%.*s%s%.*s", STR_FMT(order), i > 0 ? " " : "",
                             STR_FMT(key));
    }
    add(flat, joined(flat, path, STR("[]")), order, node->place);
}

static void flatten(struct flat *flat, struct str path, const struct node *node)
{
    if (is_list_of_maps(node)) {
        flatten_list(flat, path, node);
        return;
    }
    if (node->kind != NODE_MAP) {
        add(flat, path, text_of(flat, node), node->place);
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        struct str inner = node->keys[i]->text;
        if (path.len > 0)
            inner = joined(flat, joined(flat, path, STR(".")), inner);
        flatten(flat, arena_str(&flat->arena, inner), node->items[i]);
    }
    if (node->count == 0)
        add(flat, path, STR("{}"), node->place);
}

static int compare_items(const void *left, const void *right)
{
    const struct flat_item *a = left, *b = right;
    int order = str_cmp(a->path, b->path);

    return order != 0 ? order : (a->place.line > b->place.line) - (a->place.line < b->place.line);
}

/* Two items that say the very same are one. */
static void drop_repeated(struct flat *flat)
{
    size_t kept = 0;

    for (size_t i = 0; i < flat->count; i++) {
        if (kept == 0 || !str_eq(flat->items[kept - 1].path, flat->items[i].path))
            flat->items[kept++] = flat->items[i];
    }
    flat->count = kept;
}

struct flat *flat_load(const char *path, struct complaints *complaints)
{
    struct flat *flat = mem_new(sizeof(*flat));
    struct arena tree;

    arena_init(&flat->arena, NULL);
    arena_init(&tree, NULL);
    struct reader reader = {.tree = &tree, .names = &flat->arena, .complaints = complaints};
    struct node *root = reader_load(&reader, str_of(path), NULL);
    if (root != NULL) {
        flatten(flat, (struct str){"", 0}, root);
        if (flat->count > 1)
            qsort(flat->items, flat->count, sizeof(*flat->items), compare_items);
        drop_repeated(flat);
    }
    arena_reset(&tree);
    if (root != NULL)
        return flat;
    flat_free(flat);
    return NULL;
}

void flat_free(struct flat *flat)
{
    if (flat == NULL)
        return;
    arena_reset(&flat->arena);
    free(flat->items);
    free(flat);
}
