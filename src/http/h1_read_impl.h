/* How h1_read.c and h1_body.c use llhttp. The other files of this room do not see it. */
#pragma once

#include "http/h1_impl.h"

#include <llhttp.h>

/* Reads one block of lines: a head with its start line, or trailers. llhttp finds the elements and
 * its callbacks say where they lie. What llhttp lets pass and RFC 9112 does not is found by
 * comparing positions: every element must begin right behind the CRLF that ends the line before it.
 * Positions count from the block's first byte, because the bytes may move between two feeds. */
struct h1_reader {
    llhttp_t llhttp;
    const struct session_limits *limits;
    struct head *head; /* borrows: gets the fields; NULL where only the end is looked for */
    const char *base;  /* borrows: the block in the present feed */
    uint32_t fed;      /* bytes taken so far */
    uint32_t line;     /* where the current line begins */
    uint32_t url, url_end;
    uint32_t version;          /* where "1.1" begins; 0: not seen */
    uint32_t name_end;         /* of the current field; 0: still in the start line */
    uint32_t value, value_end; /* 0: no byte of it seen */
    uint32_t field_bytes;      /* of all fields so far, as max_header_bytes counts */
    uint32_t field_count;
    uint64_t content_length; /* of an earlier Content-Length line, when has_length */
    uint8_t kind;            /* enum h1_kind */
    uint8_t refusal;         /* enum reason: why a callback stopped llhttp */
    uint8_t start_line;      /* private to h1_read.c */
    bool has_length;
};

/* Goes on with all of `data` that is new. *len: length of the block when it is whole, else 0. */
enum reason h1_reader_feed(struct h1_reader *reader, struct str data, size_t *len);

/* Makes ready for the trailers, when llhttp stands behind the last chunk's line. */
void h1_reader_begin_trailers(struct h1_reader *reader);

/* Copies the block into `head->arena` and lets the fields point there; the copy. */
struct str h1_reader_keep(const struct h1_reader *reader, struct head *head, size_t len);

/* In h1_body.c: a body to be read behind the head that `reader` has finished. */
struct h1_body *h1_body_new(struct arena *arena, const struct h1_reader *reader);
