/* What becomes of a request on its way, as plain data: templates, path and host rewrites, rules for
 * header fields. All of it is executed by the rooms above; here it is only described. */
#pragma once

#include "base/base.h"
#include "base/str.h"
#include "config/place.h"

/* --- templates: text with ${variables} ------------------------------------------------------- */

/* What a request, its connection and its decision can be asked for. Those of TLS are "-" on a plain
 * connection. */
#define VARIABLES(X)                                                                               \
    X(METHOD, "method")                                                                            \
    X(HOST, "host")                     /* canonical: lower case, no port */                       \
    X(PATH, "path")                     /* as received, without query */                           \
    X(PATH_AND_QUERY, "path_and_query") /* the same with its "?" and query, if there is one */     \
    X(REST, "rest")                     /* of the path, behind the rule's path and a slash */      \
    X(SCHEME, "scheme")                                                                            \
    X(HTTP_VERSION, "http_version")   /* HTTP/1.1 */                                               \
    X(HTTP_PROTOCOL, "http_protocol") /* h1, h2 */                                                 \
    X(IS_H2, "is_h2")                 /* 0, 1 */                                                   \
    X(CLIENT_IP, "client_ip")                                                                      \
    X(CLIENT_PORT, "client_port") /* of the connection */                                          \
    X(REQUEST_ID, "request_id")                                                                    \
    X(TLS_VERSION, "tls_version") /* TLSv1.3 */                                                    \
    X(TLS_CIPHER, "tls_cipher")                                                                    \
    X(TLS_CIPHER_SHORT, "tls_cipher_short") /* without key exchange and authentication */          \
    X(TLS_CURVE, "tls_curve")                                                                      \
    X(TLS_AUTH, "tls_auth")       /* RSA, ECDSA */                                                 \
    X(TLS_RESUMED, "tls_resumed") /* 0, 1 */                                                       \
    X(TLS_SESSION, "tls_session") /* new, reused */                                                \
    X(GROUP, "group")                                                                              \
    X(SIDE, "side")                                                                                \
    X(SERVICE, "service")                                                                          \
    X(DATACENTER, "datacenter")                                                                    \
    X(WHY, "why")                                                                                  \
    X(BUCKET, "bucket")                                                                            \
    X(SHARE, "share")             /* in 0.001 % */                                                 \
    X(UPSTREAM_MS, "upstream_ms") /* from the request sent to the response head; "-": none */      \
    X(HEADER, "header")           /* ${header:name}: of the request; empty when there is none */

enum variable {
    VARIABLE_TEXT, /* none: the text itself */
#define X(id, name) VARIABLE_##id,
    VARIABLES(X)
#undef X
        VARIABLE_COUNT
};

/* What "name" or "header:name" between the braces means in any place; VARIABLE_TEXT: no
 * variable. */
enum variable variable_lookup(struct str inside);

struct part_conf {
    enum variable variable;
    struct str text; /* of VARIABLE_TEXT; the name of VARIABLE_HEADER, in lower case */
};

struct template_conf {
    struct place place;
    struct part_conf *parts;
    size_t count; /* 0: not given */
};

/* --- rewrites -------------------------------------------------------------------------------- */

/* Percent-encoding made uniform, for what is compared byte by byte further in (PURGE). */
struct normalize_conf {
    struct place place;
    struct str *methods; /* none: all */
    size_t method_count;
    bool decode[256]; /* these bytes stand as they are; other triplets are in upper case */
    bool encode[256]; /* and these are encoded where they stand as they are */
};

struct match_conf;

/* The first of a rule's rewrites whose conditions hold is done. */
struct rewrite_conf {
    struct place place;
    struct match_conf *when;   /* NULL: always */
    struct template_conf path; /* the new path; the query stays. count 0: unchanged */
    struct template_conf host; /* the new Host. count 0: unchanged */
};

/* --- header fields --------------------------------------------------------------------------- */

enum header_op {
    HEADER_OP_SET, /* one field with this value, whatever was there */
    HEADER_OP_SET_IF_ABSENT,
    HEADER_OP_SET_FOR_TRUSTED, /* set for clients that we trust, removed for the others */
    HEADER_OP_ADD,             /* one more field */
    HEADER_OP_APPEND,          /* behind the values that are there, after a comma */
    HEADER_OP_REMOVE,
    HEADER_OP_REMOVE_UNTRUSTED,    /* requests: unless the client is trusted; before routing */
    HEADER_OP_REMOVE_UNLESS_DEBUG, /* responses: unless the request was one for debugging */
    HEADER_OP_VARY,                /* responses 301 and 302: named in Vary */
};

struct header_rule_conf {
    struct place place;
    enum header_op op;
    struct str name;
    struct template_conf value;
};

/* In the order in which they are done. */
struct header_rules_conf {
    struct header_rule_conf *rules;
    size_t count;
};

struct headers_conf {
    struct header_rules_conf request, response;
    struct header_rules_conf always; /* responses, and what we answer ourselves */
};
