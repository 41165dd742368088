/* What the two HTTP/1 codecs share: finding and parsing heads, chunked bodies, and writing heads.
 */
#pragma once

#include "http/head.h"
#include "http/session.h"

/* --- finding the end of a head --------------------------------------------------------------- */

/* Where the search for the empty line stands; zero it for every new head. Each byte is looked at
 * once, however the head is cut into packets. */
struct h1_scan {
    uint32_t looked;     /* bytes already searched for a line end */
    uint32_t line_start; /* where the current line begins */
    uint32_t lines;      /* complete lines before it */
};

enum h1_kind { H1_REQUEST, H1_RESPONSE, H1_TRAILERS };

/* Looks for the empty line that ends a head (or trailers) in `data`, which begins where the head
 * begins and only ever grows. *head_len: its length with the empty line; 0 while there is none.
 * Checks line ends (RFC 9112 section 2.2: CRLF, we accept nothing else) and the limits, so that a
 * head that can never be good is refused before it is whole. */
enum reason h1_scan_head(struct h1_scan *scan, struct str data, enum h1_kind kind,
                         const struct session_limits *limits, size_t *head_len);

/* --- parsing --------------------------------------------------------------------------------- */

/* Parses a whole request head, `block` being copied into head->arena first. Checks RFC 9112
 * sections 3 to 6 and what RFC 9110 says of Host, Content-Length and Expect; any doubt about
 * framing is a reason. */
enum reason h1_parse_request(struct head *head, struct str block,
                             const struct session_limits *limits);

/* The same for a response to `method`. Every failure is UPSTREAM_PROTOCOL or
 * UPSTREAM_HEADERS_TOO_LARGE. After it h1_response_framing says how the body is framed. */
enum reason h1_parse_response(struct head *head, struct str block, enum method method,
                              const struct session_limits *limits);

/* Trailer fields only; forbidden names (RFC 9110 section 6.5.1) are marked removed. */
enum reason h1_parse_trailers(struct head *head, struct str block,
                              const struct session_limits *limits);

/* How the body of a parsed head is framed (RFC 9112 section 6.3). */
enum h1_framing { H1_NO_BODY, H1_LENGTH, H1_CHUNKED, H1_UNTIL_CLOSE };
enum h1_framing h1_request_framing(const struct head *head);
enum h1_framing h1_response_framing(const struct head *head, enum method method);

/* --- chunked bodies (RFC 9112 section 7.1) --------------------------------------------------- */

struct h1_chunks {
    uint64_t left;      /* payload bytes of the current chunk still to come */
    uint32_t extension; /* bytes of extensions seen in this body */
    uint8_t state;      /* private to h1_chunk.c */
    uint8_t digits;
};

enum { H1_CHUNK_EXTENSION_MAX = 4096 }; /* all extensions of one body together; nobody uses them */

enum h1_chunk_news {
    H1_CHUNK_MORE, /* everything given was used, nothing to hand on */
    H1_CHUNK_DATA, /* *payload holds body bytes */
    H1_CHUNK_LAST, /* the zero chunk's line is over; trailers (or the empty line) follow */
    H1_CHUNK_BAD,
};

/* Takes the next step through `data`; *used says how far. Extensions are checked and swallowed. */
enum h1_chunk_news h1_chunks_next(struct h1_chunks *chunks, struct str data, size_t *used,
                                  struct str *payload);

/* --- writing --------------------------------------------------------------------------------- */

/* What a codec adds to the fields of a head: the framing is ours alone. */
struct h1_frame {
    enum h1_framing framing;
    int64_t content_length; /* with H1_LENGTH, and shown with H1_NO_BODY when ≥ 0 */
    struct str connection;  /* value of Connection, or "" */
    struct str upgrade;     /* value of Upgrade, or "" */
    bool expect_continue;
};

/* "GET /path HTTP/1.1", Host, fields, framing, empty line. Also status lines. */
void h1_write_request(struct bufq *out, const struct head *head, const struct h1_frame *frame);
void h1_write_response(struct bufq *out, const struct head *head, const struct h1_frame *frame);

/* One chunk around `data` (not empty). */
void h1_write_chunk(struct bufq *out, struct slice data);

/* The zero chunk, trailers, empty line. */
void h1_write_last_chunk(struct bufq *out, const struct field *trailers, size_t count);
