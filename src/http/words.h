/* The words of HTTP that weir knows: names of fields, methods, versions, statuses. They are
 * recognised once, while parsing, and carried as small integers, so that no code searches or
 * compares text later. */
#pragma once

#include "base/forwarding_fields.h"
#include "base/str.h"

/* --- names of fields ------------------------------------------------------------------------- */

/* Field names with an id, in lower case. FLAGS: H hop-by-hop (RFC 9110 7.6.1), P protected: must
 * not be named in Connection, T forbidden in trailers (RFC 9110 6.5.1), U not for the tables of
 * HPACK (RFC 7541 7.1.3): a secret, or a value that few requests share. */
#define HEADERS(X)                                                                                 \
    X(HOST, "host", P | T)                                                                         \
    X(CONNECTION, "connection", H | P | T)                                                         \
    X(CONTENT_LENGTH, "content-length", P | T)                                                     \
    X(TRANSFER_ENCODING, "transfer-encoding", H | P | T)                                           \
    X(TE, "te", H | T)                                                                             \
    X(TRAILER, "trailer", T)                                                                       \
    X(UPGRADE, "upgrade", H | T)                                                                   \
    X(KEEP_ALIVE, "keep-alive", H | T)                                                             \
    X(PROXY_CONNECTION, "proxy-connection", H | T)                                                 \
    X(PROXY_AUTHENTICATE, "proxy-authenticate", T)                                                 \
    X(PROXY_AUTHORIZATION, "proxy-authorization", T | U)                                           \
    X(HTTP2_SETTINGS, "http2-settings", H | T)                                                     \
    X(EXPECT, "expect", T)                                                                         \
    X(DATE, "date", T)                                                                             \
    X(SERVER, "server", 0)                                                                         \
    X(VIA, "via", P | T)                                                                           \
    X(COOKIE, "cookie", P | T | U)                                                                 \
    X(SET_COOKIE, "set-cookie", P | T | U)                                                         \
    X(AUTHORIZATION, "authorization", P | T | U)                                                   \
    X(CONTENT_TYPE, "content-type", T)                                                             \
    X(CONTENT_ENCODING, "content-encoding", T)                                                     \
    X(CONTENT_RANGE, "content-range", T | U)                                                       \
    X(CACHE_CONTROL, "cache-control", T)                                                           \
    X(MAX_FORWARDS, "max-forwards", T)                                                             \
    X(USER_AGENT, "user-agent", 0)                                                                 \
    X(ACCEPT, "accept", 0)                                                                         \
    X(ACCEPT_ENCODING, "accept-encoding", 0)                                                       \
    X(ACCEPT_LANGUAGE, "accept-language", 0)                                                       \
    X(REFERER, "referer", 0)                                                                       \
    X(LOCATION, "location", T | U)                                                                 \
    FORWARDING_FIELDS(X)                                                                           \
    X(X_CLIENT_CERT_VERIFIED, "x-client-cert-verified", P | T)                                     \
    X(X_CLIENT_CERT_SUBJECT, "x-client-cert-subject", P | T)                                       \
    X(X_CLIENT_CERT_SAN, "x-client-cert-san", P | T)                                               \
    X(X_CLIENT_CERT_FINGERPRINT, "x-client-cert-fingerprint", P | T)                               \
    X(SEC_WEBSOCKET_KEY, "sec-websocket-key", P | T)                                               \
    X(SEC_WEBSOCKET_VERSION, "sec-websocket-version", P | T)

enum header_id {
    HEADER_OTHER,
#define X(id, name, flags) HEADER_##id,
    HEADERS(X)
#undef X
        HEADER_COUNT
};

enum header_flag {
    HEADER_HOP_BY_HOP = 1,
    HEADER_PROTECTED = 2,
    HEADER_NO_TRAILER = 4,
    HEADER_UNIQUE = 8,
};

/* Id of a name in any case; HEADER_OTHER for all others. One probe, one comparison. */
enum header_id header_lookup(struct str name);

/* The name in lower case, and as "X-Request-Id"; "" for HEADER_OTHER. */
struct str header_name(enum header_id id);
struct str header_proper_name(enum header_id id);
unsigned header_flags(enum header_id id); /* enum header_flag, ored */

/* --- methods, versions, statuses ------------------------------------------------------------- */

enum method {
    METHOD_OTHER,
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_OPTIONS,
    METHOD_TRACE,
    METHOD_PATCH,
    METHOD_PURGE,
    METHOD_CONNECT,
};
enum method method_lookup(struct str name);
bool method_is_idempotent(enum method method); /* RFC 9110 section 9.2.2 */

enum http_version { HTTP_1_0, HTTP_1_1, HTTP_2 };
struct str http_version_word(enum http_version version); /* "HTTP/1.1", … */

struct str status_phrase(int status); /* "" when unknown */

/* May a response to `method` with `status` have a body? (RFC 9112 section 6.3) */
bool response_has_body(enum method method, int status);
