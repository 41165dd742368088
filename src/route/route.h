/* The brain: which group, in which datacenter, serves a request, and why. Pure: no I/O, no clock,
 * no dice, no allocation; what it decides on is handed in as `struct facts`. The same function
 * answers the proxy, `weir route` and the tests. Any thread; a router is immutable after it is
 * built. What changes without a new configuration are the weights, which come beside it. */
#pragma once

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"
#include "config/config.h"

enum side { SIDE_NONE, SIDE_LEGACY, SIDE_K8S };

/* What decided. The word is what logs and `weir route` show. */
#define WHYS(X)                                                                                    \
    X(NONE, "-")                                                                                   \
    X(DEBUG, "debug")                 /* X-Wikimedia-Debug named a backend */                      \
    X(DEBUG_UNKNOWN, "debug_unknown") /* unknown backend: answered locally */                      \
    X(DEBUG_REFUSED, "debug_refused") /* this host may not use it: answered locally */             \
    X(PLAIN, "plain")                 /* the service has one group */                              \
    X(WEIGHTS, "weights")             /* fixed weights among groups */                             \
    X(SPLIT_HOST, "split_host")       /* the host's own percentage */                              \
    X(SPLIT_LIST, "split_list")       /* a list that the host's wiki is in */                      \
    X(SPLIT_DEFAULT, "split_default")                                                              \
    X(EMERGENCY, "emergency") /* the brake overrides every percentage */                           \
    X(NO_HOST, "no_host")     /* HTTP/1.0 without Host: legacy, primary */                         \
    X(BAD_HOST, "bad_host")   /* no valid authority: answered locally */                           \
    X(BAD_PATH,                                                                                    \
      "bad_path") /* a path that servers read differently, or too long: answered locally */        \
    X(ODD_NAME, "odd_name") /* of a header field: answered before any router is asked */           \
    X(BAD_CONNECTION, "bad_connection") /* names a protected field: as above */                    \
    X(ANSWER, "answer")                 /* the rule answers locally */                             \
    X(UNKNOWN_HOST, "unknown_host") /* in no table, and only those are served: answered locally */ \
    X(NO_RULE, "no_rule")           /* nothing matched: answered locally */

enum why {
#define X(name, word) WHY_##name,
    WHYS(X)
#undef X
        WHY_COUNT
};
/* Why a request stays in the local datacenter, or goes to the primary. */
#define DC_WHYS(X)                                                                                 \
    X(NONE, "-")          /* the service is always local, or there is no datacenter to choose */   \
    X(LOCAL, "local")     /* nothing sends it to the primary */                                    \
    X(MODE, "mode")       /* the host's mode is primary */                                         \
    X(METHOD, "method")   /* not a reading method, and there is no primary_if */                   \
    X(RULE, "primary_if") /* a rule of primary_if */                                               \
    X(SESSION, "session") /* a session's cookie, where the mode is local-anon */                   \
    X(SHARE, "share")     /* it could stay, but is not in the share that does */                   \
    X(NO_HOST, "no_host") /* HTTP/1.0 without Host */                                              \
    X(DEBUG, "debug")     /* where the debug backend is */

enum dc_why {
#define X(name, word) DC_WHY_##name,
    DC_WHYS(X)
#undef X
        DC_WHY_COUNT
};
const char *dc_why_word(enum dc_why why);

const char *why_word(enum why why);
const char *side_word(enum side side);

/* What a request looks like to the router. Text is borrowed for the call. */
struct facts {
    struct str method;
    struct str
        host; /* authority as received: any case, port, trailing dot; "" when there was none */
    struct str path;   /* request target in origin form, with query */
    struct str debug;  /* X-Wikimedia-Debug of a client that may use it */
    bool has_debug;    /* the field was present (it may be empty) */
    struct str cookie; /* Cookie, crumbs joined with "; " */
    /* Any other field by lower-case name: its first line at or behind index *from, which moves
     * behind it; ptr NULL: none. NULL: there are no other fields. */
    struct str (*field)(const void *arg, struct str name, unsigned *from);
    const void *field_arg;
    uint8_t client_ip[16]; /* IPv4 mapped */
    uint64_t random;       /* dice of this request, for decisions that are not sticky */
};

/* The first line of a field; ptr NULL: none. */
static inline struct str facts_field(const struct facts *facts, struct str name)
{
    unsigned from = 0;

    return facts->field != NULL ? facts->field(facts->field_arg, name, &from) : (struct str){0};
}

struct decision {
    int group;      /* index in config.groups; -1: `status` is answered locally */
    int target;     /* index in group_conf.targets; -1 with group -1 */
    int service;    /* index in router_conf.services; -1 */
    int rule;       /* index in router_conf.rules; -1 */
    int status;     /* of the local answer; 0 when there is a group */
    int datacenter; /* index in config.datacenters; -1 */
    enum side side;
    enum why why;
    enum dc_why dc_why;
    uint32_t share;  /* k8s share that was compared, 0..SHARE_MAX */
    uint32_t bucket; /* 0..2^32-1; on k8s when bucket < share * 2^32 / SHARE_MAX */
    int entry;       /* index in split.entries that gave the share; -1 */
    int host;        /* index in split.hosts when the host is listed; -1 */
    int dc_rule;     /* index in multi_dc.primary_if that sent it to the primary; -1 */
    int backend;     /* index in debug.backends when the debug header chose; -1 */
    int limits; /* patterns that took too long: of rules that deny they matched, of others not */
};

/* Was a share compared, and was a bucket drawn? */
static inline bool decision_has_share(const struct decision *decision)
{
    return decision->entry >= 0;
}

static inline bool decision_has_bucket(const struct decision *decision)
{
    return decision_has_share(decision) || decision->why == WHY_WEIGHTS;
}

/* Nothing chosen, nothing answered. */
extern const struct decision undecided;

struct router;

/* Compiles routers[index] of `config` (borrowed: must outlive the router). */
MUST_USE struct router *router_new(const struct config *config, size_t index, struct err *err);
void router_free(struct router *router);

/* The weights that the router's configuration asks for (route/weights.h); borrowed. */
struct weights;
struct weights *router_weights(const struct router *router);

/* Decides, with `weights` made for this router. Never fails: what cannot be routed is a decision
 * with a status. */
struct decision route_decide(const struct router *router, const struct weights *weights,
                             const struct facts *facts);

/* Whether all servers read the path of `target` alike (path_is_clear). The proxy's codecs refuse
 * other targets. Callers without a codec check here, and answer with route_refuse(WHY_BAD_PATH). */
bool route_target_is_clear(struct str target);

/* 400, before any rule is looked at. */
struct decision route_refuse(enum why why);

/* What the upstream gets where it differs from what the client sent. */
struct rewritten {
    struct str target; /* path and query; ptr NULL: as received */
    struct str host;   /* ptr NULL: as received */
};

enum { ROUTE_REWRITE_MAX = 32768 }; /* bytes that any request that fits the default limits takes */

/* Normalises and rewrites as the rule of `decision` says, into `out`; -1 when it does not fit. What
 * would not be a valid path or host stays as it was. */
MUST_USE int route_rewrite(const struct router *router, const struct facts *facts,
                           const struct decision *decision, char *out, size_t size,
                           struct rewritten *rewritten);
/* Whether the rule has anything to rewrite. */
bool route_rewrites(const struct router *router, const struct decision *decision);

/* What the debug header would say, out of the cookie that stands for it; false when there is none
 * or it does not fit. For clients that may use the header, if they sent none. */
bool route_debug_cookie(const struct debug_conf *debug, struct str cookies, char *out, size_t size,
                        struct str *value);

/* A template filled in by `variable`, into `out`; -1 when it does not fit. */
typedef struct str variable_fn(const void *arg, enum variable variable, struct str name);
MUST_USE int template_expand(const struct template_conf *template, variable_fn *variable,
                             const void *arg, char *out, size_t size, struct str *text);

/* Which key of router_conf.sticky the request shows, and so decides its bucket; -1: none, by
 * chance. */
int route_sticky_key(const struct router *router, const struct facts *facts);

/* The canonical form of a host for matching: lower case, no port, no trailing dot; into `out` of
 * `size` bytes (256 is enough for any valid one). -1 when it is not a valid authority (userinfo,
 * bad port, empty label, characters outside RFC 3986 reg-name that no host has); brackets of an
 * IPv6 literal stay. */
MUST_USE int host_canonical(struct str authority, char *out, size_t size, struct str *host);
