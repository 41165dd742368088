/* The message model: a request or response head as parsed parts, the same whichever codec it came
 * from and whichever it leaves by. Names that weir cares about are recognised while parsing and
 * carried as small integers, so that nobody searches or compares text later. */
#pragma once

#include "base/arena.h"
#include "base/reason.h"
#include "base/str.h"

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
    X(FORWARDED, "forwarded", P | T)                                                               \
    X(X_FORWARDED_FOR, "x-forwarded-for", P | T)                                                   \
    X(X_FORWARDED_PROTO, "x-forwarded-proto", P | T)                                               \
    X(X_FORWARDED_HOST, "x-forwarded-host", P | T)                                                 \
    X(X_FORWARDED_PORT, "x-forwarded-port", P | T)                                                 \
    X(X_REAL_IP, "x-real-ip", P | T)                                                               \
    X(X_CLIENT_IP, "x-client-ip", P | T)                                                           \
    X(X_CLIENT_PORT, "x-client-port", P | T | U)                                                   \
    X(X_REQUEST_ID, "x-request-id", P | T | U)                                                     \
    X(X_WIKIMEDIA_DEBUG, "x-wikimedia-debug", P | T)                                               \
    X(X_CONNECTION_PROPERTIES, "x-connection-properties", P | T)                                   \
    X(X_ANALYTICS_TLS, "x-analytics-tls", P | T)                                                   \
    X(X_WEIR_GROUP, "x-weir-group", P | T)                                                         \
    X(X_WEIR_REASON, "x-weir-reason", P | T)                                                       \
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

/* Id of a name in any case; HEADER_OTHER for all others. A perfect hash: one probe, one comparison.
 */
enum header_id header_lookup(struct str name);

/* The name in lower case; "" for HEADER_OTHER. */
struct str header_name(enum header_id id);
unsigned header_flags(enum header_id id); /* enum header_flag, ored */

struct field {
    struct str name;  /* as it came; lower case from h2 */
    struct str value; /* trimmed, no CR, LF or NUL */
    uint8_t id;       /* enum header_id */
    bool removed;     /* taken out by a rule: not sent on */
};

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

enum { CONTENT_LENGTH_NONE = -1 };

struct head {
    struct arena *arena; /* borrows: where fields and texts of this head live */
    enum http_version version;

    /* requests */
    enum method method;
    struct str method_text;
    struct str scheme;    /* of the target when it named one, else "" */
    struct str authority; /* of the target, else of Host; as received; "" when there was none */
    struct str path;      /* origin form with query; "*" for OPTIONS *; "" for CONNECT */
    struct str upgrade;   /* protocol asked for (or switched to, in a 101), else "" */
    bool expects_continue;

    /* responses */
    int status;
    struct str phrase; /* reason phrase as it came; h1 only */

    /* framing, already checked; fields that carry it (Content-Length, Transfer-Encoding,
     * Connection, Host, Expect, …) stay in fields[] with their ids but are written by the codec
     * alone */
    int64_t content_length; /* or CONTENT_LENGTH_NONE */
    bool has_body; /* body bytes or trailers may follow (requests: CL > 0 or chunked or h2 open) */
    bool is_last;  /* the sender wants this to be the connection's last message */
    bool close;    /* to a codec: this must be the connection's last message */

    struct field *fields;
    uint16_t field_count, field_cap;
    uint16_t first[HEADER_COUNT]; /* 1 + index of the first field with that id; 0: none */
};

void head_init(struct head *head, struct arena *arena);

/* Appends; name and value are borrowed and must live as long as the head. */
struct field *head_add(struct head *head, struct str name, struct str value);
struct field *head_add_id(struct head *head, enum header_id id, struct str value);

/* First field with that id that was not removed; NULL. Never HEADER_OTHER. */
struct field *head_find(const struct head *head, enum header_id id);

/* First field named `name` (any case), known or not; NULL. */
struct field *head_find_name(const struct head *head, struct str name);

/* How many fields with that id were not removed. */
unsigned head_count(const struct head *head, enum header_id id);

/* Value of the first field with that id, or "" (ptr NULL). */
struct str head_value(const struct head *head, enum header_id id);

/* All fields with that id as one value, `between` them; "" when there is none. Copied only where
 * there is more than one, and then once. */
struct str head_joined(const struct head *head, enum header_id id, struct str between);

/* Marks all fields with that id as removed. */
void head_remove(struct head *head, enum header_id id);

/* Replaces all fields with that id by one. */
void head_set(struct head *head, enum header_id id, struct str value);

/* Does the list-valued field `id` (all its lines) contain the token, in any case? */
bool head_has_token(const struct head *head, enum header_id id, struct str token);

/* A response head of our own: status and its standard phrase. */
void head_init_response(struct head *head, struct arena *arena, int status);
struct str status_phrase(int status); /* "" when unknown */

/* May a response to `method` with `status` have a body? (RFC 9112 section 6.3) */
bool response_has_body(enum method method, int status);

/* --- what is allowed on the wire (RFC 9110 section 5) ---------------------------------------- */
bool token_is_valid(struct str text);       /* 1*tchar */
bool field_value_is_valid(struct str text); /* no CTL but HTAB */

/* Checks of a finished request head that are the same for h1 and h2: authority syntax (host,
 * optional port; no userinfo, no empty host unless HTTP/1.0 without Host), path starts with "/" (or
 * "*" with OPTIONS), holds no CTL, SP, "#" or byte ≥ 0x80, escaped or not where it is a control,
 * does not climb above its root, and hides no "." or ".." from half of its readers ("..;", "..\",
 * "..%2f"). NONE when fine. */
enum reason head_check_request(const struct head *head);

/* Is it made of anything but letters, digits and "-"? Servers behind that turn names into variables
 * (CGI, FastCGI) take "X_Wikimedia_Debug" and "X.Wikimedia.Debug" for X-Wikimedia-Debug. */
bool field_name_is_odd(struct str name);

/* Marks all fields with such a name as removed; how many. */
unsigned head_remove_odd_names(struct head *head);

/* Removes the hop-by-hop fields and those named in Connection. BAD_CONNECTION when Connection names
 * a protected field (`Connection: X-Forwarded-For`, CVE-2022-31813). Upgrade is kept in
 * head->upgrade only. "TE: trailers" stays, as true of us as of whoever said it: h2 may send it on
 * (RFC 9113 section 8.2.2), and gRPC servers ask for it; h1 never does. */
enum reason head_strip_hop_by_hop(struct head *head);
