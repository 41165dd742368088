/* Why an exchange or a connection ended otherwise than it should: one word for log, metric and
 * counter, one status for the client, one answer to "may it be tried again on another
 * endpoint?".
 *
 * RETRY_SAFE: the upstream cannot have processed the request. RETRY_IDEMPOTENT: it may have; only
 * methods that RFC 9110 section 9.2.2 calls idempotent, and only while nothing of a response
 * came. */
#pragma once

#include "base/base.h"

/*        name                      status  log word                    retry               */
#define REASONS(X)                                                                                 \
    X(NONE, 0, "-", RETRY_NEVER)                                                                   \
    /* what the client sent */                                                                     \
    X(BAD_REQUEST_LINE, 400, "bad_request_line", RETRY_NEVER)                                      \
    X(BAD_METHOD, 400, "bad_method", RETRY_NEVER)                                                  \
    X(BAD_TARGET, 400, "bad_target", RETRY_NEVER)                                                  \
    X(BAD_VERSION, 505, "bad_version", RETRY_NEVER)                                                \
    X(BAD_LINE_END, 400, "bad_line_end", RETRY_NEVER)                                              \
    X(BAD_FIELD, 400, "bad_field", RETRY_NEVER)                                                    \
    X(ODD_NAME, 400, "odd_name", RETRY_NEVER)                                                      \
    X(BAD_HOST, 400, "bad_host", RETRY_NEVER)                                                      \
    X(BAD_LENGTH, 400, "bad_content_length", RETRY_NEVER)                                          \
    X(BAD_FRAMING, 400, "bad_framing", RETRY_NEVER)                                                \
    X(BAD_CONNECTION, 400, "bad_connection", RETRY_NEVER)                                          \
    X(BAD_CHUNK, 400, "bad_chunk", RETRY_NEVER)                                                    \
    X(CHUNK_EXTENSION_TOO_LARGE, 400, "chunk_extension_too_large", RETRY_NEVER)                    \
    X(EMPTY_LINES, 400, "empty_lines", RETRY_NEVER)                                                \
    X(BAD_TRAILER, 400, "bad_trailer", RETRY_NEVER)                                                \
    X(UNKNOWN_CODING, 501, "unknown_coding", RETRY_NEVER)                                          \
    X(BAD_EXPECT, 417, "bad_expect", RETRY_NEVER)                                                  \
    X(METHOD_REFUSED, 405, "method_refused", RETRY_NEVER)                                          \
    X(URI_TOO_LONG, 414, "uri_too_long", RETRY_NEVER)                                              \
    X(LINE_TOO_LONG, 431, "line_too_long", RETRY_NEVER)                                            \
    X(HEADERS_TOO_LARGE, 431, "headers_too_large", RETRY_NEVER)                                    \
    X(HEADERS_HELD, 431, "headers_held", RETRY_NEVER)                                              \
    X(TOO_MANY_FIELDS, 431, "too_many_fields", RETRY_NEVER)                                        \
    X(TOO_MANY_OPTIONS, 431, "too_many_connection_options", RETRY_NEVER)                           \
    X(BODY_TOO_LARGE, 413, "body_too_large", RETRY_NEVER)                                          \
    X(H2_PROTOCOL, 400, "h2_protocol", RETRY_NEVER)                                                \
    X(H2_FLOOD, 429, "h2_flood", RETRY_NEVER)                                                      \
    /* what the client did, or did not do in time */                                               \
    X(HEADER_TIMEOUT, 408, "header_timeout", RETRY_NEVER)                                          \
    X(BODY_TIMEOUT, 408, "body_timeout", RETRY_NEVER)                                              \
    X(IDLE_TIMEOUT, 0, "idle_timeout", RETRY_NEVER)                                                \
    X(WRITE_TIMEOUT, 0, "write_timeout", RETRY_NEVER)                                              \
    X(HANDSHAKE_TIMEOUT, 0, "handshake_timeout", RETRY_NEVER)                                      \
    X(HANDSHAKE_FAILED, 0, "handshake_failed", RETRY_NEVER)                                        \
    X(HANDSHAKE_OVERFLOW, 0, "handshake_overflow", RETRY_NEVER)                                    \
    X(UNKNOWN_SNI, 0, "unknown_sni", RETRY_NEVER)                                                  \
    X(PLAIN_HTTP, 400, "plain_http", RETRY_NEVER)                                                  \
    X(HANDSHAKE_CAP, 0, "handshake_cap", RETRY_NEVER)                                              \
    X(CONNECTION_CAP, 0, "connection_cap", RETRY_NEVER)                                            \
    X(DESCRIPTORS, 0, "descriptors", RETRY_NEVER)                                                  \
    X(CLIENT_CONNECTIONS, 0, "client_connections", RETRY_NEVER)                                    \
    X(CLIENT_ARRIVALS, 0, "client_arrivals", RETRY_NEVER)                                          \
    X(PROXY_HEADER_BAD, 0, "proxy_header_bad", RETRY_NEVER)                                        \
    X(PROXY_HEADER_TIMEOUT, 0, "proxy_header_timeout", RETRY_NEVER)                                \
    X(PROXY_HEADER_FOREIGN, 0, "proxy_header_foreign", RETRY_NEVER)                                \
    X(RATE_LIMITED, 429, "rate_limited", RETRY_NEVER)                                              \
    X(BODY_TOO_SLOW, 408, "body_too_slow", RETRY_NEVER)                                            \
    X(TLS_FLOOD, 0, "tls_flood", RETRY_NEVER)                                                      \
    X(CLIENT_CLOSED, 499, "client_closed", RETRY_NEVER)                                            \
    X(CLIENT_RESET, 499, "client_reset", RETRY_NEVER)                                              \
    /* what routing decided */                                                                     \
    X(DEBUG_UNKNOWN, 400, "debug_unknown", RETRY_NEVER)                                            \
    X(DEBUG_REFUSED, 403, "debug_refused", RETRY_NEVER)                                            \
    X(NO_RULE, 404, "no_rule", RETRY_NEVER)                                                        \
    X(UNKNOWN_HOST, 404, "unknown_host", RETRY_NEVER)                                              \
    X(ROUTE_ANSWER, 0, "answer", RETRY_NEVER)                                                      \
    X(MAX_FORWARDS, 501, "max_forwards", RETRY_NEVER)                                              \
    X(REDIRECT_HTTPS, 308, "redirect_https", RETRY_NEVER)                                          \
    X(MISDIRECTED, 421, "misdirected", RETRY_NEVER)                                                \
    /* what the upstream did, or did not do in time */                                             \
    X(UPSTREAM_NO_ENDPOINT, 503, "upstream_no_endpoint", RETRY_NEVER)                              \
    X(UPSTREAM_OVERFLOW, 503, "upstream_overflow", RETRY_NEVER)                                    \
    X(UPSTREAM_CONNECT, 502, "upstream_connect", RETRY_SAFE)                                       \
    X(UPSTREAM_CONNECT_TIMEOUT, 504, "upstream_connect_timeout", RETRY_SAFE)                       \
    X(UPSTREAM_TLS, 502, "upstream_tls", RETRY_SAFE)                                               \
    X(UPSTREAM_TLS_VERIFY, 502, "upstream_tls_verify", RETRY_SAFE)                                 \
    X(UPSTREAM_REFUSED, 502, "upstream_refused", RETRY_SAFE)                                       \
    X(UPSTREAM_CLOSED, 502, "upstream_closed", RETRY_IDEMPOTENT)                                   \
    X(UPSTREAM_RESET, 502, "upstream_reset", RETRY_IDEMPOTENT)                                     \
    X(UPSTREAM_PROTOCOL, 502, "upstream_protocol", RETRY_NEVER)                                    \
    X(UPSTREAM_HEADERS_TOO_LARGE, 502, "upstream_headers_too_large", RETRY_NEVER)                  \
    X(UPSTREAM_HEADERS_HELD, 502, "upstream_headers_held", RETRY_NEVER)                            \
    X(UPSTREAM_TIMEOUT, 504, "upstream_timeout", RETRY_NEVER)                                      \
    X(UPSTREAM_IDLE_TIMEOUT, 504, "upstream_idle_timeout", RETRY_NEVER)                            \
    X(TOTAL_TIMEOUT, 504, "total_timeout", RETRY_NEVER)                                            \
    /* ourselves */                                                                                \
    X(DRAINING, 503, "draining", RETRY_SAFE)                                                       \
    X(OVERLOAD, 503, "overload", RETRY_NEVER)                                                      \
    X(INTERNAL, 500, "internal", RETRY_NEVER)

enum retry { RETRY_NEVER, RETRY_SAFE, RETRY_IDEMPOTENT };

enum reason {
#define X(name, status, word, retry) REASON_##name,
    REASONS(X)
#undef X
        REASON_COUNT
};

struct reason_info {
    const char *word; /* log value and metric label */
    uint16_t status;  /* of the local reply; 0: there is none */
    uint8_t retry;    /* enum retry */
};

extern const struct reason_info reason_table[REASON_COUNT];

static inline const char *reason_word(enum reason reason)
{
    return reason_table[reason].word;
}

static inline int reason_status(enum reason reason)
{
    return reason_table[reason].status;
}
