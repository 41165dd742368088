/* What the files of this room share: small parsers and the compiled router. */
#pragma once

#include "config/fold.h"
#include "route/route.h"

enum {
    HOST_BYTES_MAX = 256,
    PATH_BYTES_MAX = 16384, /* longer paths are not routed, if they need normalising */
};

/* --- parsers (pure) ----------------------------------------------------------------------------
 */

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

/* Whether `raw`, decoded as a form parameter ("+", "%41"), is `text`, or begins with it. */
bool query_text_eq(struct str raw, struct str text);
bool query_text_starts(struct str raw, struct str text);

/* --- conditions --------------------------------------------------------------------------------
 */

/* What conditions look at; `path` is normalised. */
struct request {
    const struct facts *facts;
    struct str host; /* canonical */
    struct str path;
    struct str query;
};

bool host_match(const struct host_match_conf *match, struct str host);
bool path_match(const struct path_match_conf *match, struct str path);
bool field_match(const struct field_match_conf *match, const struct request *request);

/* All of them; the host only if `hosts` is asked for (an index may have settled it already). */
bool conditions_match(const struct match_conf *match, const struct request *request);
bool hosts_match(const struct match_conf *match, struct str host);

/* --- compiled ----------------------------------------------------------------------------------
 */

/* The rules that a host can meet, in order; ends after one that takes everything. */
struct candidates {
    const uint16_t *rules; /* owns */
    uint32_t count;
    bool needs_path;
};

/* A host that something knows about. */
struct host_record {
    struct str name;    /* borrows from the configuration */
    int32_t split_host; /* index in split.hosts; -1 */
    int32_t candidates; /* index in router.candidates; -1: as any host */
    int32_t dc_host;    /* index in multi_dc.hosts; -1 */
};

/* Open addressing, at most half full; the key is the host. */
struct host_table {
    uint32_t *slots; /* owns: index + 1 of the record, 0 = free */
    uint32_t mask;
    struct host_record *records; /* owns */
    uint32_t count, cap;
};

const struct host_record *host_table_find(const struct host_table *table, struct str host);

/* The record of `host`, made when there is none. */
struct host_record *host_table_add(struct host_table *table, struct str host);
void host_table_deinit(struct host_table *table);

/* Where a group's requests go. */
struct group_route {
    int16_t local, primary; /* index of the target */
    int16_t debug;          /* of one that was asked for by name: `any` first */
};

/* A rule of multi_dc.primary_if with what a request must have to be worth looking at. */
enum { NEEDS_COOKIE = BIT(0), NEEDS_QUERY = BIT(1) };
struct dc_rule {
    const struct match_conf *match; /* borrows */
    unsigned needs;
};

struct router {
    const struct config *config;    /* borrows */
    const struct router_conf *conf; /* borrows */
    struct host_table hosts;        /* exact names: split, rules and datacentre modes */
    struct host_table suffixes;     /* what stands behind "*." in rules */
    uint64_t suffix_lengths;        /* bit n: some suffix has n (mod 64) bytes; spares look-ups */
    struct candidates *candidates;  /* owns; [0]: of a host that nobody knows */
    uint32_t candidates_count;
    struct group_route *groups; /* owns: one for each of config.groups */
    struct dc_rule *dc_rules;   /* owns: one for each of multi_dc.primary_if */
    struct hash_key salt;       /* of the split */
    struct hash_key dc_salt;    /* of the sampled move between datacentres */
};
