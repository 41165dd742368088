/* What the files of this room share: small parsers and the compiled router. */
#pragma once

#include "base/regex.h"
#include "config/fold.h"
#include "route/route.h"

enum {
    HOST_BYTES_MAX = 256,
    PATH_BYTES_MAX = 16384, /* longer paths are not routed, if they need normalising */
};

/* --- parsers (pure) -------------------------------------------------------------------------- */

/* The path of a request target as the server behind will see it: without query, unreserved
 * characters decoded, percent-encodings in upper case, empty segments, "." and ".." resolved. Into
 * `out` (PATH_BYTES_MAX) when anything changes. -1 when it does not fit. */
MUST_USE int path_normalise(struct str target, char *out, struct str *path);

/* The query of a request target, without "?". */
struct str target_query(struct str target);

/* "backend=NAME; log" or a bare name; see route.h. Empty when there is none. */
struct str debug_backend_name(struct str value);

/* The next cookie of `*rest`; false at the end. */
bool cookie_next(struct str *rest, struct str *name, struct str *value);

/* The value of the first cookie `name`; ptr NULL when there is none. */
struct str cookie_find(struct str cookies, struct str name);

/* Whether `raw`, decoded as a form parameter ("+", "%41"), is `text`, or begins with it. Nearly
 * always its first byte tells that it does not. */
bool query_decoded_matches(struct str raw, struct str text, bool is_whole);
static inline bool query_may_match(struct str raw, struct str text)
{
    if (text.len == 0)
        return true;
    return raw.len >= text.len &&
           (raw.ptr[0] == text.ptr[0] || raw.ptr[0] == '%' || raw.ptr[0] == '+');
}
static inline bool query_text_eq(struct str raw, struct str text)
{
    return query_may_match(raw, text) && query_decoded_matches(raw, text, true);
}
static inline bool query_text_starts(struct str raw, struct str text)
{
    return query_may_match(raw, text) && query_decoded_matches(raw, text, false);
}

/* Path and query of a request target: what path_normalise and target_query say, in one go. */
MUST_USE int target_read(struct str target, char *out, struct str *path, struct str *query);

/* host_canonical, and whether the host may have a label "m" to fold. */
MUST_USE int host_read(struct str authority, char *out, struct str *host, bool *is_mobile);

/* --- conditions ------------------------------------------------------------------------------ */

/* The names of cookies, or of query parameters, that a router looks for: bit i of a set of them is
 * names[i]. What does not fit is looked for when it is asked for, one by one. */
enum { NAMES_MAX = 32 };
struct names {
    struct str names[NAMES_MAX]; /* borrows */
    uint32_t count;
    uint32_t by_first[256]; /* the bits of the names that begin with this byte */
};
/* The bit of `name`; 0 when there is no more room. */
uint32_t names_add(struct names *names, struct str name);

/* What conditions look at; `path` is normalised. Cookies and query are looked through at most once,
 * for all names at a time, and only when a condition asks. */
struct request {
    const struct facts *facts;
    const struct router *router;
    struct str host; /* canonical */
    struct str path;
    struct str query;
    uint64_t path_head; /* its first eight bytes, zeroes behind a shorter one */
    uint64_t shape;     /* see below */
    bool cookies_seen, params_seen;
    int limits;                                     /* patterns that took too long */
    uint32_t cookies, params;                       /* bits of the names that are there */
    uint32_t cookies_repeated, params_repeated;     /* … more than once */
    uint8_t client[16];                             /* its address, as far as it counts */
    struct str cookie[NAMES_MAX], param[NAMES_MAX]; /* value of the first; set where the bit is */
};
void request_see_cookies(struct request *request);
void request_see_params(struct request *request);

/* What can be said about a request in one word: its method, that it has no cookie, that it has no
 * query, which of some classes its path falls into. A condition is settled in one step when it
 * rejects any of that, as nearly all of them do. */
enum {
    SHAPE_METHODS = 0xffff, /* one bit each; those that weir does not know share the last one */
    SHAPE_METHOD_OTHER = BIT(15),
    SHAPE_NO_COOKIE = BIT(16),
    SHAPE_NO_QUERY = BIT(17),
    SHAPE_OTHER_HOST = BIT(18), /* no rule of multi_dc names the host */
    SHAPE_PATH = 19, /* the first of 32 bits, one of which is set by the path's first bytes */
    SHAPE_PATH_CLASSES = 32,
};
uint32_t method_bit(struct str method);
static inline uint64_t path_class(uint64_t head)
{
    return (uint64_t)1 << (SHAPE_PATH + ((head * 0x9e3779b97f4a7c15u) >> 59));
}

/* A path condition: what the shape lets through is mostly settled by comparing eight bytes. */
struct path_test {
    uint64_t head, mask;                 /* the path's first bytes must be these */
    const struct path_match_conf *match; /* borrows */
    struct regex *regex;                 /* borrows from the router: of PATH_REGEX; NULL */
};
uint64_t path_head(struct str path);

/* A condition on a field whose first value may have been found already. */
struct field_test {
    const struct field_match_conf *match; /* borrows */
    uint32_t bit;                         /* of its name; 0: it must be looked for */
};

/* A match_conf made ready. */
struct test {
    uint64_t rejects;               /* bits of the shape */
    const struct match_conf *match; /* borrows */
    const struct path_test *paths;  /* borrows from the router */
    struct field_test *fields;      /* borrows from the router */
    uint32_t cookies, params;       /* bits of the names that must all be there */
    uint16_t path_count;
    uint16_t index; /* of the rule */
    bool is_simple; /* nothing but paths, methods and hosts is asked for */
    bool sees_cookies, sees_params;
    bool fails_closed;            /* a pattern that takes too long counts as met: the rule denies */
    struct regex **host_patterns; /* borrows: for each host, NULL for a name; NULL: no patterns */
};

bool host_match(const struct host_match_conf *match, struct str host);
bool path_match(const struct path_match_conf *match, struct str path);
bool field_match(const struct field_match_conf *match, const struct request *request);
bool hosts_match(const struct match_conf *match, struct str host);

/* The path condition of `match` that `path` meets; NULL when it has none, or none is met. */
const struct path_match_conf *paths_match_find(const struct match_conf *match, struct str path);

/* All of `match`, slowly, without what a router has prepared. */
bool match_holds(const struct match_conf *match, const struct request *request);

/* All conditions but the host's, which an index may have settled already. */
bool test_matches_shape(const struct test *test, struct request *request);
static inline bool test_matches(const struct test *test, struct request *request)
{
    return UNLIKELY((test->rejects & request->shape) == 0) && test_matches_shape(test, request);
}

/* --- compiled -------------------------------------------------------------------------------- */

/* The rules that a host can meet, in order; ends after one that takes everything. */
struct candidates {
    struct test *tests; /* owns */
    uint32_t count;
    bool needs_path;
};

/* A host that something knows about. */
struct host_record {
    int32_t split_host; /* index in split.hosts; -1 */
    uint32_t entry;     /* its index in split.entries */
    int32_t candidates; /* index in router.candidates; -1: as any host */
    int32_t dc_host;    /* index in multi_dc.hosts; -1 */
    int32_t alias;      /* index in split.aliases, as the mobile host; -1 */
    bool is_dc_named;   /* some rule of multi_dc.primary_if names it */
    uint8_t len;
    char name[];
};

struct host_slot {
    uint32_t hash;
    uint32_t at; /* 1 + position of the record in units of four bytes; 0 = free */
};

/* The key is the host. */
struct host_table {
    struct host_slot *slots; /* owns */
    uint32_t mask;
    uint32_t count;
    char *records; /* owns: one behind the other */
    size_t used, cap;
};

uint32_t host_hash(struct str host);

/* Asks the memory for what host_table_find will look at first; large tables are rarely cached. */
void host_table_expect(const struct host_table *table, struct str host);
const struct host_record *host_table_find(const struct host_table *table, struct str host);

/* The record of `host`, made when there is none; valid until the next one is. */
struct host_record *host_table_add(struct host_table *table, struct str host);
void host_table_trim(struct host_table *table); /* nothing will be added any more */
void host_table_deinit(struct host_table *table);

/* Where a group's requests go. */
struct group_route {
    int16_t local, primary;       /* index of the target */
    int16_t debug;                /* of one that was asked for by name: `any` first */
    int16_t local_dc, primary_dc; /* index of the datacentre that this is; -1 */
};

struct router {
    const struct config *config;    /* borrows */
    const struct router_conf *conf; /* borrows */
    struct host_table hosts;        /* exact names: split, rules and datacentre modes */
    struct host_table suffixes;     /* what stands behind "*." in rules */
    uint16_t *suffix_lengths;       /* owns: that they have, the longest first, each once */
    size_t suffix_length_count;
    struct candidates *candidates; /* owns; [0]: of a host that nobody knows */
    uint32_t candidates_count;
    struct group_route *groups;     /* owns: one for each of config.groups */
    struct test *dc_tests;          /* owns: one for each of multi_dc.primary_if */
    struct path_test *path_tests;   /* owns: of all rules, then of all of primary_if */
    struct field_test *field_tests; /* owns: the same */
    struct regex **patterns;        /* owns: all that tests borrow */
    size_t pattern_count;
    struct arena arena; /* what tests borrow besides */
    struct names cookies, params;
    uint32_t *sticky_bits;   /* owns: one for each of sticky.keys; 0: not a cookie */
    struct hash_key salt;    /* of the split */
    struct hash_key dc_salt; /* of the sampled move between datacentres */
};
