/* YAML as a tree of nodes that know where they stand: aliases, `include` and ${VARIABLES} are
 * resolved. Only yaml.c and yaml_problem.c talk to libyaml. */
#pragma once

#include "base/arena.h"
#include "config/config.h"

enum {
    YAML_FILES_MAX = 256, /* files of one configuration, lists included */
    YAML_INCLUDE_DEPTH_MAX = 8,
    YAML_DEPTH_MAX = 32,      /* collections inside each other */
    YAML_NODES_MAX = 2000000, /* of the tree, aliases counted as often as they are used */
    YAML_SCALAR_BYTES_MAX = 65536,
    NODE_VARIABLES_MAX = 64, /* of a request, in one scalar */
};

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

/* Where "${name}" stands in the text of a scalar; len 0: behind the last one. */
struct variable_span {
    uint32_t at, len;
};

struct node {
    enum node_kind kind;
    bool is_null;    /* nothing was written, or null */
    bool is_bad;     /* a scalar that has been complained about */
    bool is_partial; /* a file that it includes could not be read, which has been reported */
    struct place place;
    struct str text;                 /* of a scalar; NUL-ended */
    struct variable_span *variables; /* of a request, or unknown; only templates may have them */
    struct node **items;             /* of a list; of a map its values */
    struct node **keys;              /* of a map: scalars */
    size_t count;
    size_t cap;
    size_t weight; /* nodes of this tree, itself included */
};

struct reader {
    struct arena *tree;  /* nodes; may go when loading is done */
    struct arena *names; /* file names; stay with the configuration */
    struct complaints *complaints;
    uint64_t version; /* hash chained over the text of every file */
    size_t file_count;
    unsigned include_depth;
    bool is_incomplete; /* an included file could not be read */
};

/* Reads `path` (`from`: who asks, for the complaint; NULL: the command line). NULL after a
 * complaint. */
struct node *reader_load(struct reader *reader, struct str path, const struct place *from);

/* The same from text. */
struct node *reader_load_text(struct reader *reader, struct str text, const char *name);

/* The bytes of a file, bounded, counted in the version; -1 after a complaint. `*name` is what
 * places in it are called. */
MUST_USE int reader_slurp(struct reader *reader, struct str path, const struct place *from,
                          struct str *text, const char **name);

/* A complaint about what was read; always NULL. */
struct node *reader_complain(struct reader *reader, struct place place, const char *fmt, ...)
    PRINTF(3, 4);

/* The text of the scalar `node` with the variables of the environment filled in; sets
 * node->variables. */
struct str node_expand(struct reader *reader, struct node *node, struct str text);

/* "name" of a "${name}" in the text of `node`. */
struct str node_variable(const struct node *node, const struct variable_span *span);

/* Complains when `node` has variables, which stand in templates only; whether it has none. */
bool node_is_plain(struct reader *reader, const struct node *node);

void node_add(struct reader *reader, struct node *node, struct node *key, struct node *item);

/* Adds to `map` the keys of `sources`, mappings, that it does not have: of a name that several have
 * the first source's. How many keys were looked at. */
size_t node_merge(struct reader *reader, struct node *map, struct node *const *sources,
                  size_t source_count);

/* `path` as written at `from`: relative to the directory of the file it stands in. In `arena`. */
struct str path_relative_to(struct arena *arena, struct str path, const struct place *from);
