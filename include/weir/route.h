/* libweir-route: the decision of weir, without I/O. With it, other programs (a plugin of a cache, a
 * test, a tool that replays logs) decide in the same way as the proxy.
 *
 *     struct weir_routing *routing = weir_routing_load("edge.yaml", complain, NULL);
 *     const struct weir_router *router = weir_router_find(routing, NULL);
 *     weir_decide(router, &request, &decision);
 *
 * Threads: load and free a routing on one thread at a time. A loaded routing is immutable, so any
 * number of threads can decide with it at the same time. A decision does not allocate, lock or make
 * system calls, and never fails.
 *
 * Ownership: a routing owns its routers and all texts that functions return; they are valid until it
 * is freed. Requests and their texts are borrowed for the call.
 *
 * Versions: the number of the shared library changes when programs must be compiled again. Structs
 * begin with their size, so members can be added at the end without that. */
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

/* Called for each error and then each note of a load. `line` and `column` count from 1; they are 0
 * when unknown. Texts are valid during the call. */
typedef void weir_complaint_fn(void *arg, const char *file, int line, int column, int is_note,
                               const char *text);

/* Loads a configuration from a file, or from a text. `name` is the name of the text in errors, and
 * its directory is that of includes. Certificates are not read. NULL after an error, which was
 * passed to `complain`; `complain` may be NULL. */
WEIR_API struct weir_routing *weir_routing_load(const char *path, weir_complaint_fn *complain,
                                                void *arg);
WEIR_API struct weir_routing *weir_routing_load_text(const char *text, size_t len, const char *name,
                                                     weir_complaint_fn *complain, void *arg);

/* `routing` may be NULL. */
WEIR_API void weir_routing_free(struct weir_routing *routing);

/* A hash of all files that were read, as 16 hexadecimal digits. Metrics show it as the version. */
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
    uint64_t random; /* used when the request has no sticky key */
};

enum weir_side { WEIR_SIDE_NONE, WEIR_SIDE_LEGACY, WEIR_SIDE_K8S };

enum { WEIR_SHARE_MAX = 100000 }; /* shares count in 0.001 % */

struct weir_decision {
    size_t size;  /* sizeof(struct weir_decision), set by the caller */
    int status;   /* of a response that weir sends itself; 0 when a group serves the request */
    int is_debug; /* a debug backend serves the request: do not cache the response */
    enum weir_side side;
    int has_share;   /* whether `share` and `bucket` are set */
    uint32_t share;  /* 0..WEIR_SHARE_MAX of the host's requests are on k8s */
    uint32_t bucket; /* of this request, in 0..2^32-1 */
    /* names; empty when there is none */
    struct weir_text service, group, target, datacenter, rule, why;
};

/* Header fields are not checked: a request that weir's parsers would refuse, for example because of
 * two values of Content-Length, is decided as if it were accepted. */
WEIR_API void weir_decide(const struct weir_router *router, const struct weir_request *request,
                          struct weir_decision *decision);

/* The target and the host that the upstream gets, written to `out` of `size` bytes. A text is empty
 * when it does not change. -1 when `out` is too small; 32 KiB are enough for all requests within
 * weir's default limits. */
WEIR_API int weir_rewrite(const struct weir_router *router, const struct weir_request *request,
                          char *out, size_t size, struct weir_text *target, struct weir_text *host);

/* Writes the decision as text, or as one JSON object, to `out` of `size` bytes, with a final NUL.
 * Returns the full length without the NUL, as snprintf does: at least `size` when it was cut. */
WEIR_API size_t weir_explain_text(const struct weir_router *router,
                                  const struct weir_request *request, char *out, size_t size);
WEIR_API size_t weir_explain_json(const struct weir_router *router,
                                  const struct weir_request *request, char *out, size_t size);

#ifdef __cplusplus
}
#endif
#endif
