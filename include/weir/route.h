/* libweir-route: the decision of weir, without any I/O. Other programs (a cache's plugin, a test, a
 * replayer of logs) ask with it exactly the question that the proxy asks.
 *
 *     struct weir_routing *routing = weir_routing_load("edge.yaml", complain, NULL);
 *     const struct weir_router *router = weir_router_find(routing, NULL);
 *     weir_decide(router, &request, &decision);
 *
 * Threads: loading and freeing belong to one thread at a time; what was loaded never changes, so
 * any number of threads may decide on it at once. Deciding allocates nothing, locks nothing, makes
 * no system call and never fails. Ownership: a routing owns everything that is handed out of it;
 * texts and routers live as long as it does. Requests and their texts are borrowed for the call.
 *
 * Versions: the shared library's number changes when programs must be compiled again. Structs begin
 * with their size, so that members can be added behind without that. */
#ifndef WEIR_ROUTE_H
#define WEIR_ROUTE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_ROUTE_VERSION 1

#ifndef WEIR_API
#define WEIR_API __attribute__((visibility("default")))
#endif

/* The version of the library at run time: WEIR_ROUTE_VERSION of its header. */
WEIR_API int weir_route_version(void);

/* Bytes with a length; not ended by a NUL. `ptr` may be NULL when `len` is 0. */
struct weir_text {
    const char *ptr;
    size_t len;
};

/* --- configurations -------------------------------------------------------------------------- */

/* A configuration, loaded, checked and compiled. */
struct weir_routing;

/* One router of it. */
struct weir_router;

/* What loading has to say, one line at a time, errors before notes. `line` and `column` count from
 * 1; 0 when unknown. Texts live for the call. */
typedef void weir_complaint_fn(void *arg, const char *file, int line, int column, int is_note,
                               const char *text);

/* Loads weir.yaml from a file (and what it includes), or from text, where `name` stands for the
 * file in complaints and for the directory of what is included. NULL when there was an error, which
 * `complain` has heard; it may be NULL. Certificates are not looked at. */
WEIR_API struct weir_routing *weir_routing_load(const char *path, weir_complaint_fn *complain,
                                                void *arg);
WEIR_API struct weir_routing *weir_routing_load_text(const char *text, size_t len, const char *name,
                                                     weir_complaint_fn *complain, void *arg);

/* NULL is fine. */
WEIR_API void weir_routing_free(struct weir_routing *routing);

/* A hash over all files that were read, as 16 hexadecimal digits: the version that metrics show. */
WEIR_API const char *weir_routing_version(const struct weir_routing *routing);

/* The router of that name, or the first one when `name` is NULL; NULL when there is none. */
WEIR_API const struct weir_router *weir_router_find(const struct weir_routing *routing,
                                                    const char *name);

/* --- deciding -------------------------------------------------------------------------------- */

struct weir_field {
    struct weir_text name; /* any case */
    struct weir_text value;
};

struct weir_request {
    size_t size;                     /* sizeof(struct weir_request) */
    struct weir_text method;         /* "GET" */
    struct weir_text host;           /* authority as received; empty: HTTP/1.0 without Host */
    struct weir_text target;         /* path and query as received: "/wiki/Earth?action=raw" */
    const struct weir_field *fields; /* all header fields but Host */
    size_t field_count;
    uint8_t client_ip[16]; /* network order, IPv4 as ::ffff:a.b.c.d; all zero: unknown */
    int is_trusted;  /* one of trusted_proxies: its debug header and forwarding fields count */
    uint64_t random; /* dice, for decisions that nothing about the request settles */
};

enum weir_side { WEIR_SIDE_NONE, WEIR_SIDE_LEGACY, WEIR_SIDE_K8S };

enum { WEIR_SHARE_MAX = 100000 }; /* shares count in 0.001 % */

struct weir_decision {
    size_t size;  /* sizeof(struct weir_decision), set by the caller */
    int status;   /* of the answer that weir gives itself; 0 when a group serves the request */
    int is_debug; /* a debug backend was asked for and serves it: nothing of it is to be cached */
    enum weir_side side;
    int has_share;   /* whether `share` and `bucket` say something */
    uint32_t share;  /* 0..WEIR_SHARE_MAX of this wiki's requests are on k8s */
    uint32_t bucket; /* where this request lies in 0..2^32-1 */
    /* names; empty when there is none */
    struct weir_text service, group, target, datacenter, rule, why;
};

/* Header fields are not checked: a request that weir's parsers refuse for one (two values of
 * Content-Length, say) is decided as if it were accepted. */
WEIR_API void weir_decide(const struct weir_router *router, const struct weir_request *request,
                          struct weir_decision *decision);

/* What the upstream gets where it differs from what the client sent, into `out` of `size` bytes:
 * empty texts where nothing changes. -1 when it does not fit (32 KiB are always enough for requests
 * within weir's default limits). */
WEIR_API int weir_rewrite(const struct weir_router *router, const struct weir_request *request,
                          char *out, size_t size, struct weir_text *target, struct weir_text *host);

/* The decision in words, or as one JSON object, into `out` of `size` bytes, always ended by a NUL.
 * How long it is (without the NUL), as snprintf: at least `size` when it was cut. */
WEIR_API size_t weir_explain_text(const struct weir_router *router,
                                  const struct weir_request *request, char *out, size_t size);
WEIR_API size_t weir_explain_json(const struct weir_router *router,
                                  const struct weir_request *request, char *out, size_t size);

#ifdef __cplusplus
}
#endif
#endif
