/* What the files of this room share: small parsers and the compiled router. */
#pragma once

#include "base/regex.h"
#include "config/fold.h"
#include "route/route.h"

enum {
    HOST_BYTES_MAX = 256,
    PATH_BYTES_MAX = 16384,               /* longer paths are not routed, if they need decoding */
    PATH_TEXT_BYTES = 2 * PATH_BYTES_MAX, /* both readings of a path */
};

/* --- parsers (pure) -------------------------------------------------------------------------- */

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

/* What can be said about a request in three small numbers: its method, what it lacks, which of some
 * classes its path falls into. Most conditions reject most shapes; an index by shape leaves few. */
enum {
    SHAPE_METHODS = 16, /* the last one stands for all that weir does not know */
    SHAPE_METHOD_OTHER = SHAPE_METHODS - 1,
    SHAPE_PATHS = 32,
    SHAPE_PATH_ANY = SHAPE_PATHS, /* of a path with two readings: no condition is left out */

    LACKS_COOKIE = BIT(0),
    LACKS_QUERY = BIT(1),
    LACKS_DC_RULE = BIT(2), /* no rule of multi_dc names the host */
    SHAPE_LACKS = BIT(3),
};
struct shape {
    uint8_t method; /* below SHAPE_METHODS */
    uint8_t path;   /* at most SHAPE_PATH_ANY */
    uint8_t lacks;  /* below SHAPE_LACKS: a set of the above */
};
uint8_t method_shape(struct str method);
static inline uint8_t path_shape(uint64_t head)
{
    return (uint8_t)((head * 0x9e3779b97f4a7c15u) >> 59);
}

/* What conditions look at. Cookies and query are looked through at most once,
 * for all names at a time, and only when a condition asks. */
struct request {
    const struct facts *facts;
    const struct router *router;
    const struct weights *weights;
    struct str
        name; /* the host in canonical form, whatever `host` becomes; "" when there is none */
    struct str host;    /* canonical, once it is settled; until then as received */
    uint64_t host_hash; /* of it; 0 when there is none */
    struct str path;    /* decoded (path_decode) */
    struct str undone;  /* with hidden slashes undone (path_undo_slashes); ptr NULL: it has none */
    struct str query;
    uint64_t path_head; /* its first eight bytes, zeroes behind a shorter one */
    struct shape shape;
    bool cookies_seen, params_seen;
    int limits;                                     /* patterns that took too long */
    uint32_t cookies, params;                       /* bits of the names that are there */
    uint32_t cookies_repeated, params_repeated;     /* the same, more than once */
    uint8_t client[16];                             /* its address, as far as it counts */
    struct str cookie[NAMES_MAX], param[NAMES_MAX]; /* value of the first; set where the bit is */
};
/* The first line of a header field as conditions see it; empty when there is none. */
static inline struct str request_field(const struct request *request, struct str name)
{
    if (str_eq(name, STR("host")))
        return request->name;
    if (str_eq(name, STR("cookie")))
        return request->facts->cookie;
    return facts_field(request->facts, name);
}

void request_see_cookies(struct request *request);

/* Sets path, undone and query of `request` as conditions compare them; `out` has PATH_TEXT_BYTES.
 * -1 when the path does not fit. */
MUST_USE int target_read(struct str target, char *out, struct request *request);

/* A path condition: what the shape lets through is mostly settled by comparing eight bytes. */
struct path_test {
    uint64_t head, mask;                 /* the path's first bytes must be these */
    const struct path_match_conf *match; /* borrows */
    struct path_match_conf *undone; /* borrows from the router: `match`, hidden slashes undone */
    struct regex *regex;            /* borrows from the router: of PATH_REGEX; NULL */
};
uint64_t path_head(struct str path);

/* A condition on a field whose first value may have been found already. */
struct field_test {
    const struct field_match_conf *match; /* borrows */
    uint32_t bit;                         /* of its name; 0: it must be looked for */
};

/* A match_conf made ready. */
struct test {
    const struct match_conf *match; /* borrows */
    const struct path_test *paths;  /* borrows from the router */
    struct field_test *fields;      /* borrows from the router */
    uint32_t cookies, params;       /* bits of the names that must all be there */
    uint32_t rejects_paths;         /* bits of the path's shape; the others of all shapes: */
    uint16_t rejects_methods;
    uint8_t rejects_lacks; /* requests that lack any of these */
    uint16_t path_count;
    uint16_t index; /* of the rule */
    uint8_t checks; /* a bit for each kind of condition that no index settles */
    bool sees_cookies, sees_params;
    bool fails_closed;            /* a pattern that takes too long counts as met: the rule denies */
    bool reads_both;              /* met if either reading of the path meets it */
    struct regex **host_patterns; /* borrows: for each host, NULL for a name; NULL: no patterns */
};

/* Which of 64 tests a request can meet, by each part of its shape: bit i speaks of the i-th. Of
 * those that ask for query parameters, only the ones that ask for one that is there. */
enum { TESTS_PER_INDEX = 64 };
struct test_index {
    uint64_t by_method[SHAPE_METHODS], by_path[SHAPE_PATHS + 1], by_lacks[SHAPE_LACKS];
    uint64_t asks_params, by_param[NAMES_MAX];
};

/* What a router has to check of `match` for each request: a set of BIT(enum condition). */
uint8_t conditions_to_check(const struct match_conf *match);

/* Does any condition of the set look at the path or the query? */
bool conditions_need_path(uint8_t checks);

/* Tests in the order in which they are tried. */
struct test_set {
    struct test *tests;       /* owns */
    struct test_index *index; /* owns: one for every TESTS_PER_INDEX of them */
    uint32_t count;
    bool needs_path;
};

/* Of `count` tests, which it owns from now on. */
struct test_set test_set_make(struct test *tests, size_t count);

bool host_match(const struct host_match_conf *match, struct str host);
bool has_host_pattern(const struct match_conf *match);
bool path_match(const struct path_match_conf *match, struct str path);
bool field_match(const struct field_match_conf *match, const struct request *request);
bool hosts_match(const struct match_conf *match, struct str host);

/* The path condition of `match` that `path` meets; NULL when it has none, or none is met. */
const struct path_match_conf *paths_match_find(const struct match_conf *match, struct str path);

/* All of `match`, slowly, without what a router has prepared. */
bool match_holds(const struct match_conf *match, const struct request *request);

/* The position of the first test from `from` on that the request meets, -1 when there is none.
 * Hosts are left out: an index has settled them, unless they are patterns. */
int test_set_find(const struct test_set *set, uint32_t from, struct request *request);

/* --- compiled -------------------------------------------------------------------------------- */

/* What tells hosts apart: of its upper half a table makes a place, the lower half is compared
 * there, and all of it makes a host's draw of lots its own. A plain hash is enough: the names in a
 * table are the operator's, so no client can make two of them collide. Eight bytes at a time;
 * the last ones overlap instead of being counted out. */
static inline uint64_t host_hash(struct str host)
{
    uint64_t hash = host.len * 0x9e3779b97f4a7c15u, word = 0;

    for (size_t at = 0; at + 8 < host.len; at += 8) {
        memcpy(&word, host.ptr + at, 8);
        hash = (hash ^ word) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 32;
    }
    if (host.len >= 8)
        memcpy(&word, host.ptr + host.len - 8, 8);
    else if (host.len > 0)
        memcpy(&word, host.ptr, host.len);
    hash = (hash ^ word) * 0xc4ceb9fe1a85ec53u;
    return hash ^ hash >> 32;
}

/* A host that something knows about: one line of the processor's cache. */
enum { HOST_RECORD_BYTES = 64, HOST_NAME_INLINE = 36 };
struct host_record {
    uint32_t hash;               /* lower half of host_hash */
    int32_t split_host;          /* index in split.hosts; -1 */
    uint32_t entry;              /* its index in split.entries */
    int32_t candidates;          /* index in router.candidates; -1: not known yet */
    int32_t dc_host;             /* index in multi_dc.hosts; -1 */
    int32_t alias;               /* index in split.aliases, as the mobile host; -1 */
    bool is_dc_named;            /* some rule of multi_dc.primary_if names it */
    bool is_canonical;           /* as host_read would leave it */
    bool is_mobile;              /* it may have a label "m" */
    uint8_t len;                 /* 0: the place is free */
    char name[HOST_NAME_INLINE]; /* of a longer one: where it is, a const char * */
} __attribute__((aligned(HOST_RECORD_BYTES)));

/* The key is the host. A row has eight records, and a word with a tag for each of them: zero where
 * the place is free, else 128 and seven bits of the hash. */
enum { TABLE_ROW = 8 };
struct host_table {
    uint64_t *tags;              /* owns: one word for each row */
    struct host_record *records; /* owns */
    uint32_t rows;
    uint32_t count;
};

static inline uint32_t host_table_row(const struct host_table *table, uint64_t hash)
{
    return (uint32_t)((hash >> 32) * table->rows >> 32);
}
/* The first bit of each byte of `tags` that is the tag of `hash`, and perhaps of some behind it. */
static inline uint64_t host_tags_like(uint64_t tags, uint64_t hash)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t differs = tags ^ ((hash & 127) | 128) * ones;

    return (differs - ones) & ~differs & (ones * 128);
}

/* Asks the memory for the record that host_table_find will look at; large tables are not cached. */
static inline void host_table_expect(const struct host_table *table, uint64_t hash)
{
    if (table->count == 0)
        return;
    uint32_t row = host_table_row(table, hash);
    uint64_t like = host_tags_like(table->tags[row], hash);
    if (like != 0)
        __builtin_prefetch(&table->records[row * TABLE_ROW + (unsigned)__builtin_ctzll(like) / 8]);
}

/* The record of `host`, whose host_hash is `hash`; NULL. */
const struct host_record *host_table_find(const struct host_table *table, struct str host,
                                          uint64_t hash);

/* The record of `host` (long names are borrowed), made when there is none; valid until the next one
 * is. */
struct host_record *host_table_add(struct host_table *table, struct str host);
/* The records one by one, from `*at` = 0 on; NULL at the end. */
struct host_record *host_table_next(const struct host_table *table, uint32_t *at);
struct str host_record_name(const struct host_record *record);
void host_table_trim(struct host_table *table); /* nothing will be added any more */
void host_table_deinit(struct host_table *table);

/* Where a group's requests go. */
struct group_route {
    int16_t local, primary;       /* index of the target */
    int16_t debug;                /* of one that was asked for by name: `any` first */
    int16_t local_dc, primary_dc; /* index of the datacenter that this is; -1 */
};

struct router {
    const struct config *config;    /* borrows */
    const struct router_conf *conf; /* borrows */
    struct host_table hosts;        /* exact names: split, rules and datacenter modes */
    struct host_table suffixes;     /* what stands behind "*." in rules */
    uint16_t *suffix_lengths;       /* owns: that they have, the longest first, each once */
    size_t suffix_length_count;
    struct test_set *candidates; /* owns; [0]: of a host that no rule names */
    uint32_t candidates_count;
    struct group_route *groups;     /* owns: one for each of config.groups */
    struct test_set dc_tests;       /* one for each of multi_dc.primary_if */
    struct path_test *path_tests;   /* owns: of all rules, then of all of primary_if */
    struct field_test *field_tests; /* owns: the same */
    struct regex **patterns;        /* owns: all that tests borrow */
    size_t pattern_count;
    struct arena arena; /* what tests borrow besides */
    struct names cookies, params;
    uint32_t *sticky_bits;   /* owns: one for each of sticky.keys; 0: not a cookie */
    struct weights *weights; /* shares: those of the configuration */
    struct hash_key salt;    /* of the split */
    struct hash_key dc_salt; /* of the sampled move between datacenters */
};

/* Fills in the candidates of every host and suffix that a rule names; they are in the tables
 * already. `rules` are all rules of the router. */
void candidates_compile(struct router *router, const struct test *rules);

/* The longest suffix of `host` that a rule names; NULL. */
const struct host_record *suffix_find(const struct router *router, struct str host);
