/* From YAML to nodes. libyaml gives a document whose aliases point back into it; it is copied once
 * into a tree where each node has its place, ${VARIABLES} are filled in (in scalars only, after
 * parsing, so that no value can change the structure), and `include` is replaced by what it names.
 * Everything is bounded: depth, nodes as the loader will see them, files and their size. */
#include "config/yaml_impl.h"

#include "base/hash.h"
#include "config/complaints_impl.h"
#include "config/text_file.h"
#include "config/yaml_problem_impl.h"

#include <stdlib.h>
#include <yaml.h>

/* One document on its way to a tree. */
struct builder {
    struct reader *reader;
    yaml_document_t *document;
    const char *file;
    struct node **done; /* by document index: aliases share the node */
    bool *in_progress;
    size_t total; /* nodes as the loader will see them */
    unsigned depth;
    bool is_failed; /* no configuration results; loading goes on to report other mistakes */
    struct str key; /* of the mapping that is about to be built: it is the value of this */
};

struct node *reader_complain(struct reader *reader, struct place place, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    complaints_add(reader->complaints, SEVERITY_ERROR, place, fmt, args);
    va_end(args);
    return NULL;
}

/* --- files ----------------------------------------------------------------------------------- */

struct str path_relative_to(struct arena *arena, struct str path, const struct place *from)
{
    const char *slash = from != NULL && from->file != NULL ? strrchr(from->file, '/') : NULL;

    if (slash == NULL || (path.len > 0 && path.ptr[0] == '/'))
        return arena_str(arena, path);
    return arena_join(arena, str_make(from->file, (size_t)(slash - from->file) + 1), path);
}

static void count_version(struct reader *reader, struct str text)
{
    struct hash_key key = {reader->version, text.len};

    reader->version = hash_sip13(key, text.ptr, text.len);
}

static int check_text(struct reader *reader, struct str *text, const char *file)
{
    struct text_fault fault;

    if (text_check(text, &fault) == 0)
        return 0;
    reader_complain(reader, (struct place){file, fault.line, fault.column}, "%s", fault.what);
    return -1;
}

int reader_slurp(struct reader *reader, struct str path, const struct place *from, struct str *text,
                 const char **name)
{
    struct str full = path_relative_to(reader->names, path, from);
    struct place at = from != NULL ? *from : (struct place){.file = full.ptr};

    if (++reader->file_count > YAML_FILES_MAX) {
        reader_complain(reader, at, "more than %d files in one configuration", YAML_FILES_MAX);
        return -1;
    }
    struct err err;
    int result = text_file_read(full.ptr, reader->tree, text, &err);
    *name = full.ptr;
    if (result < 0 && from != NULL)
        reader_complain(reader, at, "%s", err.text);
    else if (result < 0)
        reader_complain(reader, at, "cannot read: %s", strerror(err.errnum));
    else
        count_version(reader, *text);
    return result < 0 ? -1 : check_text(reader, text, full.ptr);
}

/* --- nodes ----------------------------------------------------------------------------------- */

static struct place node_place(const struct builder *builder, const yaml_node_t *from)
{
    return (struct place){
        .file = builder->file,
        .line = (int)from->start_mark.line + 1,
        .column = (int)from->start_mark.column + 1,
    };
}

void node_add(struct reader *reader, struct node *node, struct node *key, struct node *item)
{
    if (node->count == node->cap) {
        size_t cap = node->cap > 0 ? node->cap * 2 : 4;
        struct node **items = ARENA_NEW_N(reader->tree, struct node *, cap);
        struct node **keys = ARENA_NEW_N(reader->tree, struct node *, cap);
        if (node->count > 0) {
            memcpy(items, node->items, node->count * sizeof(*items));
            memcpy(keys, node->keys, node->count * sizeof(*keys));
        }
        node->items = items;
        node->keys = keys;
        node->cap = cap;
    }
    node->keys[node->count] = key;
    node->items[node->count++] = item;
}

static struct node *build(struct builder *builder, int index);

static void build_scalar(struct builder *builder, const yaml_node_t *from, struct node *node)
{
    struct str text = str_make(from->data.scalar.value, from->data.scalar.length);
    bool is_plain = from->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

    if (text.len > YAML_SCALAR_BYTES_MAX) {
        reader_complain(builder->reader, node->place, "a text of more than %d bytes",
                        YAML_SCALAR_BYTES_MAX);
        text.len = 0;
    }
    if (text.len > 0 && memchr(text.ptr, 0, text.len) != NULL) {
        reader_complain(builder->reader, node->place, "a text with a NUL byte");
        text.len = 0;
    }
    text = node_expand(builder->reader, node, text);
    node->is_null =
        is_plain && (text.len == 0 || str_eq(text, STR("~")) || str_eq(text, STR("null")));
    node->text = arena_str(builder->reader->tree, text);
}

/* What `include: file` stands for: the collection that the file holds, which must be of this
 * kind. */
static struct node *included(struct builder *builder, const struct node *value, enum node_kind kind)
{
    if (value->kind != NODE_SCALAR)
        return reader_complain(builder->reader, value->place, "include needs the name of a file");
    if (!node_is_plain(builder->reader, value))
        return NULL;
    if (builder->reader->include_depth >= YAML_INCLUDE_DEPTH_MAX)
        return reader_complain(builder->reader, value->place, "includes are nested too deeply");

    struct node *root = reader_load(builder->reader, value->text, &value->place);
    if (root == NULL) {
        builder->reader->is_incomplete = true;
        return NULL;
    }
    if (root->kind != kind)
        return reader_complain(builder->reader, value->place, "\"%s\" must hold a %s here",
                               value->text.ptr, kind == NODE_MAP ? "mapping" : "list");
    return root;
}

/* `split: { include: file }` takes a file that holds the key "split" itself as well: what stands
 * there. `key` is that of the mapping that includes. */
static struct node *unwrapped(struct node *root, struct str key)
{
    bool is_wrapped = root->kind == NODE_MAP && root->count == 1 && key.len > 0 &&
                      str_eq(root->keys[0]->text, key) && root->items[0]->kind == NODE_MAP;

    return is_wrapped ? root->items[0] : root;
}

static void take_included(struct builder *builder, struct node *into, const struct node *value,
                          struct str key)
{
    struct node *root = included(builder, value, into->kind);

    if (root == NULL) {
        into->is_partial = true;
        return;
    }
    root = unwrapped(root, key);
    into->weight += root->weight;
    for (size_t i = 0; i < root->count; i++)
        node_add(builder->reader, into, root->keys[i], root->items[i]);
}

static bool is_include(const struct node *key)
{
    return str_eq(key->text, STR("include"));
}

/* The value of the only key of `- include: file`, as a document index; 0 when it is something
 * else. */
static int lone_include(struct builder *builder, int index)
{
    const yaml_node_t *item = yaml_document_get_node(builder->document, index);

    if (item == NULL || item->type != YAML_MAPPING_NODE ||
        item->data.mapping.pairs.top - item->data.mapping.pairs.start != 1)
        return 0;
    const yaml_node_pair_t *pair = item->data.mapping.pairs.start;
    const yaml_node_t *key = yaml_document_get_node(builder->document, pair->key);
    bool is_lone =
        key != NULL && key->type == YAML_SCALAR_NODE &&
        str_eq(str_make(key->data.scalar.value, key->data.scalar.length), STR("include"));
    return is_lone ? pair->value : 0;
}

static void build_list(struct builder *builder, const yaml_node_t *from, struct node *node)
{
    for (const yaml_node_item_t *at = from->data.sequence.items.start;
         at < from->data.sequence.items.top && !builder->is_failed; at++) {
        int include = lone_include(builder, *at);
        builder->key.len = 0;
        struct node *item = build(builder, include != 0 ? include : *at);
        if (item == NULL)
            return;
        if (include != 0) {
            take_included(builder, node, item, (struct str){"", 0});
            continue;
        }
        node_add(builder->reader, node, NULL, item);
        node->weight += item->weight;
    }
}

static void complain_duplicate(struct builder *builder, const struct node *key,
                               const struct node *first)
{
    reader_complain(builder->reader, key->place, "\"%s\" is given twice, first at %s:%d:%d",
                    key->text.ptr, first->place.file, first->place.line, first->place.column);
}

static int compare_keys(const void *left, const void *right)
{
    const struct node *a = *(struct node *const *)left, *b = *(struct node *const *)right;
    int order = str_cmp(a->text, b->text);

    if (order != 0)
        return order;
    order = strcmp(a->place.file, b->place.file);
    if (order != 0)
        return order;
    if (a->place.line != b->place.line)
        return a->place.line < b->place.line ? -1 : 1;
    return a->place.column - b->place.column;
}

static void check_duplicates(struct builder *builder, const struct node *map)
{
    if (map->count < 2)
        return;
    struct node **keys = mem_new(map->count * sizeof(*keys));

    memcpy(keys, map->keys, map->count * sizeof(*keys));
    qsort(keys, map->count, sizeof(*keys), compare_keys);
    for (size_t i = 1; i < map->count; i++) {
        bool is_known = strcmp(keys[i]->place.file, builder->file) != 0 &&
                        strcmp(keys[i]->place.file, keys[i - 1]->place.file) == 0;
        if (str_eq(keys[i]->text, keys[i - 1]->text) && !is_known)
            complain_duplicate(builder, keys[i], keys[i - 1]);
    }
    free(keys);
}

static bool is_merge(struct builder *builder, int index)
{
    const yaml_node_t *key = yaml_document_get_node(builder->document, index);

    return key != NULL && key->type == YAML_SCALAR_NODE &&
           key->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           str_eq(str_make(key->data.scalar.value, key->data.scalar.length), STR("<<"));
}

static void merge(struct builder *builder, struct node *map, struct node *value)
{
    size_t count = value->kind == NODE_LIST ? value->count : 1;
    struct node *const *sources = value->kind == NODE_LIST ? value->items : &value;

    for (size_t i = 0; i < count; i++) {
        if (sources[i]->kind != NODE_MAP) {
            reader_complain(builder->reader, sources[i]->place,
                            "\"<<\" merges a mapping or a list of mappings");
            return;
        }
        map->is_partial |= sources[i]->is_partial;
    }
    builder->total += node_merge(builder->reader, map, sources, count);
}

struct pair {
    struct node *key, *value;
};

/* One key of a mapping; -1 when it is beyond repair. `*merged` is the value of its "<<". */
static int build_pair(struct builder *builder, const yaml_node_pair_t *pair, struct node *node,
                      struct str own_key, struct pair *merged)
{
    struct node *key = build(builder, pair->key);

    builder->key = key != NULL ? key->text : (struct str){"", 0};
    struct node *value = build(builder, pair->value);
    if (key == NULL || value == NULL)
        return -1;
    if (key->kind != NODE_SCALAR) {
        reader_complain(builder->reader, key->place, "a key must be a plain text");
        builder->is_failed = true;
        return -1;
    }
    (void)node_is_plain(builder->reader, key);
    if (is_merge(builder, pair->key)) {
        if (merged->key != NULL)
            complain_duplicate(builder, key, merged->key);
        *merged = (struct pair){key, value};
        return 0;
    }
    if (!is_include(key)) {
        node_add(builder->reader, node, key, value);
        node->weight += key->weight + value->weight;
        return 0;
    }
    for (size_t i = 0; i < (value->kind == NODE_LIST ? value->count : 1); i++)
        take_included(builder, node, value->kind == NODE_LIST ? value->items[i] : value, own_key);
    return 0;
}

static void build_map(struct builder *builder, const yaml_node_t *from, struct node *node)
{
    struct pair merged = {NULL, NULL};
    struct str own_key = builder->key;

    for (const yaml_node_pair_t *at = from->data.mapping.pairs.start;
         at < from->data.mapping.pairs.top && !builder->is_failed; at++) {
        if (build_pair(builder, at, node, own_key, &merged) < 0)
            return;
    }
    check_duplicates(builder, node);
    if (merged.value != NULL)
        merge(builder, node, merged.value);
}

static struct node *build_fresh(struct builder *builder, const yaml_node_t *from)
{
    struct node *node = ARENA_NEW(builder->reader->tree, struct node);

    node->place = node_place(builder, from);
    node->weight = 1;
    if (from->type == YAML_SCALAR_NODE) {
        node->kind = NODE_SCALAR;
        build_scalar(builder, from, node);
    } else if (from->type == YAML_SEQUENCE_NODE) {
        node->kind = NODE_LIST;
        build_list(builder, from, node);
    } else {
        node->kind = NODE_MAP;
        build_map(builder, from, node);
    }
    return node;
}

/* The node of document index `index`, built on first use. NULL once something is beyond repair. */
static struct node *build(struct builder *builder, int index)
{
    const yaml_node_t *from = yaml_document_get_node(builder->document, index);

    if (from == NULL || builder->is_failed)
        return NULL;
    struct place place = node_place(builder, from);
    struct node *node = builder->done[index];
    if (node == NULL) {
        if (builder->in_progress[index] || builder->depth >= YAML_DEPTH_MAX) {
            builder->is_failed = true;
            return reader_complain(builder->reader, place, "%s",
                                   builder->in_progress[index] ? "an alias inside its own anchor"
                                                               : "nested too deeply");
        }
        builder->in_progress[index] = true;
        builder->depth++;
        node = build_fresh(builder, from);
        builder->depth--;
        builder->in_progress[index] = false;
        builder->done[index] = node;
    }
    builder->total += node->kind == NODE_SCALAR ? 1 : 0;
    if (node->weight > YAML_NODES_MAX || builder->total > YAML_NODES_MAX) {
        builder->is_failed = true;
        return reader_complain(builder->reader, place, "more than %d items, aliases counted",
                               YAML_NODES_MAX);
    }
    return builder->is_failed ? NULL : node;
}

/* --- documents ------------------------------------------------------------------------------- */

static struct node *build_document(struct reader *reader, yaml_document_t *document,
                                   const char *file)
{
    size_t count = (size_t)(document->nodes.top - document->nodes.start) + 1;
    struct builder builder = {
        .reader = reader,
        .document = document,
        .file = file,
        .done = mem_new(count * sizeof(*builder.done)),
        .in_progress = mem_new(count * sizeof(*builder.in_progress)),
    };
    struct node *root = NULL;

    if (document->nodes.top > document->nodes.start) {
        root = build(&builder, 1);
    } else {
        reader_complain(reader, (struct place){.file = file, .line = 1, .column = 1},
                        "the file is empty");
    }
    free(builder.done);
    free(builder.in_progress);
    return builder.is_failed ? NULL : root;
}

static struct node *complain_syntax(struct reader *reader, struct str text,
                                    const yaml_parser_t *parser, const char *file)
{
    struct yaml_problem problem = yaml_problem_find(text, parser);

    return reader_complain(reader, (struct place){file, problem.line, problem.column},
                           "not valid YAML: %s", problem.what);
}

/* Whatever follows the one document that a file holds. */
static bool is_last_document(struct reader *reader, struct str text, yaml_parser_t *parser,
                             const char *file)
{
    yaml_document_t document;

    if (!yaml_parser_load(parser, &document)) {
        complain_syntax(reader, text, parser, file);
        return false;
    }
    bool is_last = yaml_document_get_root_node(&document) == NULL;
    if (!is_last)
        reader_complain(reader,
                        (struct place){file, (int)document.start_mark.line + 1,
                                       (int)document.start_mark.column + 1},
                        "a second document begins here; a file holds one");
    yaml_document_delete(&document);
    return is_last;
}

static struct node *parse_text(struct reader *reader, struct str text, const char *file)
{
    yaml_parser_t parser;
    yaml_document_t document;
    struct node *root = NULL;

    if (!yaml_parser_initialize(&parser))
        return reader_complain(reader, (struct place){.file = file}, "out of memory");
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
    if (!yaml_parser_load(&parser, &document)) {
        complain_syntax(reader, text, &parser, file);
    } else {
        root = build_document(reader, &document, file);
        yaml_document_delete(&document);
        if (root != NULL && !is_last_document(reader, text, &parser, file))
            root = NULL;
    }
    yaml_parser_delete(&parser);
    return root;
}

struct node *reader_load(struct reader *reader, struct str path, const struct place *from)
{
    struct str text;
    const char *name;

    if (reader_slurp(reader, path, from, &text, &name) < 0)
        return NULL;
    reader->include_depth++;
    struct node *root = parse_text(reader, text, name);
    reader->include_depth--;
    return root;
}

struct node *reader_load_text(struct reader *reader, struct str text, const char *name)
{
    const char *file = arena_str(reader->names, str_of(name)).ptr;

    count_version(reader, text);
    reader->file_count++;
    return check_text(reader, &text, file) < 0 ? NULL : parse_text(reader, text, file);
}
