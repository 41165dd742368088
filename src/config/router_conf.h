/* The routing part of a configuration, as plain data; see config.h for what that means.
 *
 * A request meets, in this order: the rules (which service?), the debug header (which backend, if
 * the client asks for one), the datacenter (primary or local), the split (legacy or k8s). */
#pragma once

#include "base/base.h"
#include "base/str.h"
#include "config/place.h"
#include "config/rewrite_conf.h"

enum { SHARE_MAX = 100000 }; /* shares count in 0.001 % */

/* --- what a request asks for ----------------------------------------------------------------- */

struct weight_conf {
    struct place place;
    int group;      /* index in config.groups */
    uint32_t share; /* of the choice; all shares of a choice add up to SHARE_MAX */
};

/* One group, or several with fixed shares. */
struct choice_conf {
    struct place place;
    struct weight_conf *weights;
    size_t count; /* at least 1 */
};

struct service_conf {
    struct place place;
    struct str name;
    bool is_split;          /* has a side legacy and a side k8s; the split chooses */
    struct choice_conf all; /* without split: count 0 when is_split */
    struct choice_conf legacy, k8s;
    bool debug;    /* honours the debug header; default: when is_split */
    bool multi_dc; /* the multi_dc rules apply; default: when is_split. Else always local */
};

/* --- conditions ------------------------------------------------------------------------------ */

struct host_match_conf {
    struct place place;
    struct str name; /* canonical; of "*.example.org" the part behind the "*." */
    bool is_suffix;  /* any host below `name`, not `name` itself */
    bool is_regex;   /* `name` is a regular expression for the whole host; rules only */
};

enum path_match {
    PATH_TREE,  /* "/w/rest.php": itself and everything below, whole segments */
    PATH_BELOW, /* "/api/rest_v1/" and a star: everything below */
    PATH_EXACT, /* "=/w/api.php": only itself */
    PATH_REGEX, /* "~/w/(api|rest)[.]php": a regular expression for the whole path; rules only */
};

struct path_match_conf {
    struct place place;
    enum path_match kind;
    struct str path; /* decoded, without "=", without a trailing slash or star; "" of "/" */
};

enum field_place {
    FIELD_HEADER,
    FIELD_HOST,    /* the header Host, which HTTP/2 has as :authority: compared in canonical form */
    FIELD_COOKIES, /* the header Cookie, whose lines are one */
    FIELD_COOKIE,
    FIELD_QUERY,
};
enum text_match { TEXT_ANY, TEXT_EQUAL, TEXT_PREFIX, TEXT_EQUAL_NOCASE_PREFIX };

/* A header field, cookie or query parameter. It must be there and, unless `kind` is TEXT_ANY, one
 * of its values must match; of a parameter that is repeated any occurrence counts. */
struct field_match_conf {
    struct place place;
    enum field_place where;
    struct str name;     /* header names in lower case, those of parameters decoded */
    bool is_name_suffix; /* cookies only: "*Session" */
    bool is_negated;     /* "unless_…": must not match */
    enum text_match kind;
    struct str *values; /* any of them */
    size_t value_count;
};

/* The kinds of condition. Each has a row in config/conditions.c (how it is loaded, and which of two
 * is wider) and one in route/conditions.c (when it holds). */
enum condition {
    CONDITION_HOST,
    CONDITION_PATH,
    CONDITION_METHOD,
    CONDITION_FIELD, /* header, cookie, query and their "unless_" forms */
    CONDITION_COUNT
};

/* All conditions that are given must hold; of a list one entry must. */
struct match_conf {
    struct host_match_conf *hosts;
    size_t host_count;
    struct path_match_conf *paths;
    size_t path_count;
    struct str *methods; /* case matters, as in HTTP */
    size_t method_count;
    struct field_match_conf *fields;
    size_t field_count;
};

/* --- rules ----------------------------------------------------------------------------------- */

struct answer_conf {
    uint16_t status;               /* 200..599 */
    struct template_conf body;     /* default: none */
    struct str type;               /* Content-Type, default "text/plain; charset=utf-8" */
    struct template_conf location; /* of a redirect; default: none */
};

/* Whose requests count together. Those without the header or cookie count by client address. */
enum rate_key { RATE_CLIENT_IP, RATE_HEADER, RATE_COOKIE };

/* A token bucket for each client or value: `burst` at once, then one every `every_us`. */
struct rate_limit_conf {
    struct place place;
    uint64_t every_us;                /* 1 to 3,600,000,000 */
    uint32_t burst;                   /* default: a second's worth, at least 1 */
    enum rate_key key;                /* default client-ip */
    struct str name;                  /* of the header, in lower case, or of the cookie */
    uint8_t ipv4_prefix, ipv6_prefix; /* bits that make one client; default 32 and 64 */
};

struct rate_limits_conf {
    struct rate_limit_conf *items; /* all of them must agree */
    size_t count;
};

/* What a rule says of request bodies in place of the listener. */
struct rule_body_conf {
    uint32_t timeout_ms, grace_ms; /* 0: the listener's */
    uint32_t min_rate;             /* bytes per second; 0: any */
    uint64_t max_bytes;            /* 0: no limit */
    bool has_min_rate, has_max_bytes;
};

/* First match wins. */
struct rule_conf {
    struct place place;
    struct str name; /* default "#1", "#2", … */
    struct match_conf match;
    int service;                      /* index in services; -1 when the rule answers itself */
    struct answer_conf *answer;       /* or NULL */
    struct normalize_conf *normalize; /* before the rewrites; NULL: none */
    struct rewrite_conf *rewrites;    /* the first that applies */
    size_t rewrite_count;
    struct headers_conf *headers; /* NULL: none */
    struct rate_limits_conf rate_limits;
    struct rule_body_conf body;
};

/* --- debug ----------------------------------------------------------------------------------- */

struct debug_backend_conf {
    struct place place;
    struct str name;               /* as in the header; case matters */
    int group;                     /* index in config.groups */
    int datacenter;                /* index in config.datacenters; -1: the group's usual choice */
    struct host_match_conf *hosts; /* that may use it; none: all */
    size_t host_count;
    uint16_t refused_status; /* for the others; default 403 */
};

struct debug_conf {
    bool enabled;
    struct str header; /* default X-Wikimedia-Debug */
    struct str cookie; /* where the header may come as well, percent-encoded; "" = nowhere */
    struct debug_backend_conf *backends;
    size_t backend_count;
    uint16_t unknown_status;      /* default 400 */
    struct headers_conf *headers; /* of requests that a backend of these serves; NULL: none */
};

/* --- split ----------------------------------------------------------------------------------- */

/* How much of something is on k8s. */
struct share_conf {
    struct place place;
    uint32_t share;             /* 0..SHARE_MAX */
    const uint32_t *by_service; /* NULL, or one share for each service */
};

static inline uint32_t share_of_service(const struct share_conf *share, size_t service)
{
    return share->by_service != NULL ? share->by_service[service] : share->share;
}

enum split_level { SPLIT_DEFAULT, SPLIT_LIST, SPLIT_HOST };

/* One item of `split.wikis`; entry 0 is the default. */
struct split_entry_conf {
    struct place place;
    enum split_level level;
    struct str name;     /* the list file as written, or "hosts", or "default" */
    uint32_t name_count; /* in the list */
    struct share_conf k8s;
};

/* A host and the entry that won (host > list > default). Sorted by host, each host once. */
struct split_host_conf {
    struct str host;    /* canonical, not folded */
    struct place place; /* where it is listed, list files included */
    uint32_t entry;     /* index in split_conf.entries */
};

/* A mobile host that does not fold by dropping its label "m". */
struct mobile_alias_conf {
    struct place place;
    struct str mobile, host;
};

enum emergency { EMERGENCY_NONE, EMERGENCY_ALL_LEGACY, EMERGENCY_ALL_K8S };

struct split_conf {
    struct split_entry_conf *entries;
    size_t entry_count; /* at least 1 */
    struct split_host_conf *hosts;
    size_t host_count;
    struct mobile_alias_conf
        *aliases; /* default m.mediawiki.org, m.wikidata.org, m.wikifunctions.org */
    size_t alias_count;
    enum emergency emergency; /* overrides every share */
};

/* --- stickiness ------------------------------------------------------------------------------ */

enum sticky { STICKY_COOKIE, STICKY_HEADER, STICKY_CLIENT_IP, STICKY_NONE };

struct sticky_key_conf {
    struct place place;
    enum sticky kind;
    struct str name;              /* of the cookie, or of the header in lower case */
    uint8_t ipv4_bits, ipv6_bits; /* of an address: how much of it counts; default all */
};

/* The first key that the request has decides; without any it is the dice. */
struct sticky_conf {
    struct sticky_key_conf *keys; /* default: client-ip */
    size_t count;
    struct str salt; /* default: the router's name */
};

/* --- datacenters ----------------------------------------------------------------------------- */

enum dc_mode { DC_PRIMARY, DC_LOCAL, DC_LOCAL_ANON };

/* What of a request that may stay local must go to the primary all the same. */
struct dc_rule_conf {
    struct place place;
    struct str name;
    struct match_conf match;
};

struct dc_host_conf {
    struct place place;
    struct str host; /* canonical; compared with the folded host */
    enum dc_mode mode;
    uint32_t share; /* how many of the requests that may stay local do; default SHARE_MAX */
};

struct multi_dc_conf {
    struct place place;
    enum dc_mode mode;          /* default primary */
    uint32_t share;             /* default SHARE_MAX */
    struct dc_host_conf *hosts; /* sorted by host */
    size_t host_count;
    struct dc_rule_conf *primary_if; /* default: every method but GET, HEAD, OPTIONS and TRACE */
    size_t primary_if_count;
    struct field_match_conf *sessions; /* cookies of a user who is logged in, for local-anon */
    size_t session_count;
    bool writes_to_primary; /* no primary_if given: the default above */
};

/* --- the whole ------------------------------------------------------------------------------- */

struct router_conf {
    struct place place;
    struct str name;
    struct service_conf *services;
    size_t service_count;
    struct rule_conf *rules;
    size_t rule_count;
    struct debug_conf debug;
    struct split_conf split;
    struct sticky_conf sticky;
    struct multi_dc_conf multi_dc;
    struct headers_conf *headers; /* NULL: none */
    uint16_t unknown_host_status; /* for hosts that are named nowhere; default 0: served */
    bool forwards_normalized;     /* normalize_path: forward; default: paths are sent as received */
};
