/* What the two HTTP/1 codecs share: reading heads and chunked bodies, and writing both. */
#pragma once

#include "http/head.h"
#include "http/session.h"

/* --- reading heads --------------------------------------------------------------------------- */

enum h1_kind { H1_REQUEST, H1_RESPONSE, H1_TRAILERS };

/* What a connection keeps of the message that it reads. Zero it for a new connection. */
struct h1_input {
    struct h1_reader *partial; /* owns: a head that arrives in pieces; NULL most of the time */
    struct h1_body *body;      /* borrows from the message's arena: its chunked body */
};

/* Looks for a whole request head at the front of `data`, which begins where the head begins and
 * only grows from call to call. Each byte is parsed once, and once more if the head came in pieces.
 *
 * *head_len is the length of the head with its empty line, and *head, in `arena`, what it says.
 * Both are 0 while the head is incomplete. A head that can never become valid is refused before it
 * is whole. RFC 9112 sections 3 to 6 are enforced, and what RFC 9110 says of Host, Content-Length
 * and Expect; any doubt about framing is a reason. If the body is chunked, in->body is ready to
 * read it. */
enum reason h1_read_request(struct h1_input *in, struct str data,
                            const struct session_limits *limits, struct arena *arena,
                            struct head **head, size_t *head_len);

/* The same for a response to `method`. Every failure is UPSTREAM_PROTOCOL or
 * UPSTREAM_HEADERS_TOO_LARGE. */
enum reason h1_read_response(struct h1_input *in, struct str data, enum method method,
                             const struct session_limits *limits, struct arena *arena,
                             struct head **head, size_t *head_len);

/* Gives back what is kept of a head that will not be read to its end. */
void h1_input_clear(struct h1_input *in);

/* --- reading chunked bodies (RFC 9112 section 7.1) ------------------------------------------- */

enum h1_chunk_news {
    H1_CHUNK_MORE, /* everything given was used, nothing to hand on */
    H1_CHUNK_DATA, /* *payload holds body bytes */
    H1_CHUNK_LAST, /* the zero chunk's line is over; trailers (or the empty line) follow */
    H1_CHUNK_BAD,
    H1_CHUNK_LONG, /* more extensions than limits.max_chunk_extension_bytes */
};

/* Takes the next step through `data`; *used says how far. Extensions are checked and dropped. */
enum h1_chunk_news h1_body_next(struct h1_body *body, struct str data, size_t *used,
                                struct str *payload);

/* The same as reading a head, for the trailers behind the last chunk. Forbidden names (RFC 9110
 * section 6.5.1) are marked removed. */
enum reason h1_read_trailers(struct h1_body *body, struct str data, struct arena *arena,
                             struct head **trailers, size_t *len);

/* --- what a head means ----------------------------------------------------------------------- */

/* Applies the rules to a head whose version, method text (or status and phrase) and fields are
 * known, and whose `target` is still as it came. */
enum reason h1_rules_request(struct head *head, struct str target,
                             const struct session_limits *limits);
enum reason h1_rules_response(struct head *head, enum method method,
                              const struct session_limits *limits);
void h1_rules_trailers(struct head *trailers);

/* How the body of a head is framed (RFC 9112 section 6.3). */
enum h1_framing { H1_NO_BODY, H1_LENGTH, H1_CHUNKED, H1_UNTIL_CLOSE };
enum h1_framing h1_request_framing(const struct head *head);
enum h1_framing h1_response_framing(const struct head *head, enum method method);

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

/* `data` (not empty) as a chunk, or as more of the last one while that has not been written yet:
 * what comes in one turn of the loop leaves as one chunk. */
void h1_write_chunk(struct bufq *out, struct slice data);

/* The zero chunk, trailers, empty line. */
void h1_write_last_chunk(struct bufq *out, const struct field *trailers, size_t count,
                         enum name_case names);
