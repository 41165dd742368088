/* From nodes to plain data: a mapping is described by a table of its keys, each with the function
 * that loads its value. A loader function complains and returns -1, and loading goes on with the
 * next item, so that one run shows every mistake. */
#pragma once

#include "config/config.h"
#include "config/units.h"
#include "config/yaml_impl.h"

struct loader {
    struct config *config;
    struct arena *arena; /* of the configuration: what stays */
    struct complaints *complaints;
    struct reader *reader;
    struct router_conf *router;              /* the one being loaded; NULL outside */
    bool has_no_routers, has_no_datacenters; /* reported */
    bool has_wiki_table;
    bool is_wiki_table_broken; /* which has been reported */
    /* Database names that need a table of wikis although there is none: the first, and how many. */
    struct place tableless_place;
    struct str tableless_name;
    size_t tableless_count;
};

/* Loads `node` into the member at `out`. */
typedef int load_fn(struct loader *loader, const struct node *node, void *out);

struct key {
    const char *key;
    load_fn *load;
    size_t offset; /* of the member in the struct */
    bool is_required;
};

/* Loads a mapping whose keys `keys` describes into `out`; unknown keys are complained about. */
int load_keys(struct loader *loader, const struct node *node, const struct key *keys, size_t count,
              void *out);
#define LOAD_KEYS(loader, node, keys, out)                                                         \
    load_keys((loader), (node), (keys), ARRAY_LEN(keys), (out))

/* Always -1. */
int complain(struct loader *loader, const struct node *node, const char *fmt, ...) PRINTF(3, 4);
int complain_place(struct loader *loader, struct place place, const char *fmt, ...) PRINTF(3, 4);
void warn_place(struct loader *loader, struct place place, const char *fmt, ...) PRINTF(3, 4);
void note_place(struct loader *loader, struct place place, const char *fmt, ...) PRINTF(3, 4);

/* "did you mean": try every valid name, then ask for the words. */
struct guess {
    struct str want, best;
    unsigned distance;
};
struct guess guess_for(struct str want);
void guess_try(struct guess *guess, struct str name);
/* `; did you mean "x"?` or "". */
const char *guess_words(struct loader *loader, const struct guess *guess);

/* The same for a value in a form that is not understood: see the functions of units.h. */
const char *suggestion_words(struct loader *loader, struct str text, suggest_fn *suggest);

/* The value of `key` in a mapping, or NULL; of anything else NULL, too. */
const struct node *node_find(const struct node *map, const char *key);

/* The items of a list; a scalar or mapping counts as a list of one. */
struct node *const *node_items(const struct node *const *node, size_t *count);

/* --- values ---------------------------------------------------------------------------------- */

/* The node must be of this kind; complains otherwise. Only a template may have variables of
 * requests. */
bool expect_scalar(struct loader *loader, const struct node *node, const char *what);
bool expect_template(struct loader *loader, const struct node *node, const char *what);
bool expect_map(struct loader *loader, const struct node *node, const char *what);

int load_number(struct loader *loader, const struct node *node, uint64_t min, uint64_t max,
                uint64_t *value);

load_fn load_str; /* struct str: one line, not empty */
load_fn load_str_or_empty;
load_fn load_text; /* struct str: any text, line ends included */
load_fn load_path; /* struct str: a file, relative to the file that names it */
load_fn load_bool;
load_fn load_ms;            /* uint32_t: at least 1 ms */
load_fn load_ms_or_none;    /* uint32_t: 0 allowed */
load_fn load_bytes;         /* uint32_t: a size, at least 1 */
load_fn load_bytes_or_none; /* uint32_t: a size */
load_fn load_bytes64;       /* uint64_t: a size */
load_fn load_count;         /* uint32_t: at least 1 */
load_fn load_count_or_none;
load_fn load_peer_limit;  /* uint32_t: of what a peer may do; 0 is LIMIT_OFF */
load_fn load_bound;       /* uint32_t: a limit that there must be */
load_fn load_byte_bound;  /* uint32_t: the same, a size */
load_fn load_port;        /* uint16_t: 1..65535 */
load_fn load_host_name;   /* struct str: canonical host */
load_fn load_share;       /* uint32_t */
load_fn load_ignored;     /* loaded elsewhere */
load_fn load_status;      /* uint16_t: 200..599 */
load_fn load_tls_version; /* enum tls_version */
load_fn load_rate_limits; /* struct rate_limits_conf */
load_fn load_header_case; /* enum header_case */
load_fn load_field_name;  /* struct str: a header name, in lower case */

/* One word of several; the position in `words`, or -1 after a complaint. */
int load_word(struct loader *loader, const struct node *node, const char *const *words,
              size_t count);
#define LOAD_WORD(loader, node, words) load_word((loader), (node), (words), ARRAY_LEN(words))

bool is_token(struct str text);
struct str canonical_host(struct arena *arena, struct str text);

/* A group, datacenter or router by name: its index, or -1 after a complaint. */
int find_group(struct loader *loader, const struct node *node);
int find_datacenter(struct loader *loader, const struct node *node);
int find_router(struct loader *loader, const struct node *node);

/* --- templates -------------------------------------------------------------------------------- */

/* Where a template stands, which says what variables it may have. */
enum template_place {
    TEMPLATE_REWRITE,
    TEMPLATE_REQUEST,  /* fields of requests */
    TEMPLATE_RESPONSE, /* fields of responses, ours and those of upstreams */
    TEMPLATE_ANSWER,   /* what a rule answers itself */
};

int load_template(struct loader *loader, const struct node *node, enum template_place place,
                  struct template_conf *template);

/* The same without line ends and other controls. */
int load_template_line(struct loader *loader, const struct node *node, enum template_place place,
                       struct template_conf *template);

/* --- sections -------------------------------------------------------------------------------- */

load_fn load_binds;       /* struct binds_conf */
load_fn load_datacenters; /* struct datacenters_conf */
int load_groups(struct loader *loader, const struct node *node);
int load_routers(struct loader *loader, const struct node *node);
int load_listeners(struct loader *loader, const struct node *node);
int load_wikis(struct loader *loader, const struct node *node);
int load_split(struct loader *loader, const struct node *node, struct split_conf *split);
/* `empty: allowed` beside the name of a list file or table; its presence is its value. */
load_fn load_empty;
int complain_empty(struct loader *loader, const struct node *node, const char *file);

/* One complaint for all database names that need the table of wikis when there is none. */
void complain_tableless(struct loader *loader);
int load_conditions(struct loader *loader, const struct node *node, struct match_conf *match);
load_fn load_multi_dc;        /* struct multi_dc_conf */
load_fn load_rewrites;        /* struct rule_conf */
load_fn load_normalize;       /* struct normalize_conf *, made */
load_fn load_header_rules;    /* struct headers_conf *, made */
load_fn load_session_cookies; /* struct multi_dc_conf */

/* The keys of a mapping that conditions take; everything else belongs to the caller. */
#define CONDITION_KEYS                                                                             \
    {"host", load_ignored, 0, false}, {"path", load_ignored, 0, false},                            \
        {"method", load_ignored, 0, false}, {"header", load_ignored, 0, false},                    \
        {"cookie", load_ignored, 0, false}, {"query", load_ignored, 0, false},                     \
        {"unless_header", load_ignored, 0, false}, {"unless_cookie", load_ignored, 0, false},      \
    {                                                                                              \
        "unless_query", load_ignored, 0, false                                                     \
    }

/* A path condition into a struct path_match_conf. */
load_fn load_path_match;

/* The pattern that stands in `node`, checked, into `*out`. */
int load_pattern(struct loader *loader, const struct node *node, struct str pattern,
                 struct str *out);

/* A host or "*.host" into a struct host_match_conf. */
load_fn load_host_match;

/* Complains about addresses that two listeners, or a listener and the admin port, have. */
void check_binds(struct loader *loader);
