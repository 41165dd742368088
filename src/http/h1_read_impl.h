/* How h1_read.c and h1_body.c use llhttp. The other files of this room do not see it. */
#pragma once

#include "http/h1_impl.h"

#include <llhttp.h>

/* Reads one block of lines: a head with its start line, or trailers. llhttp finds the elements and
 * its callbacks say where they lie. What llhttp lets pass and RFC 9112 does not is found by
 * comparing places: every element must begin right behind the CRLF that ends the line before it.
 * The places are in the present feed; they move with the block when the next feed has it
 * elsewhere. */
struct h1_reader {
    llhttp_t llhttp;
    const struct session_limits *limits;
    struct head *head; /* borrows: gets the fields; NULL where only the end is looked for */
    const char *base;  /* borrows: the block in the present feed; of all that follows, too */
    const char *line;  /* where the current line begins */
    const char *url, *url_end;
    const char *version;  /* where "1.1" begins; NULL: not seen */
    const char *name_end; /* of the current field; NULL: still in the start line */
    const char *value;    /* first byte of it, and behind the last; NULL: no byte seen */
    const char *value_end;
    int64_t line_max;
    int64_t bytes_left, fields_left; /* of the limits for all fields; below 0: too much */
    uint32_t fed;                    /* bytes taken so far */
    uint8_t kind;                    /* enum h1_kind */
    uint8_t start_line;              /* private to h1_read.c */
    uint8_t refusal;                 /* enum reason: why a callback stopped llhttp */
    bool has_length;
    uint64_t content_length; /* of an earlier Content-Length line, when has_length */
};

/* Goes on with all of `data` that is new. *len: length of the block when it is whole, else 0. */
enum reason h1_reader_feed(struct h1_reader *reader, struct str data, size_t *len);

/* Makes ready for the trailers, when llhttp stands behind the last chunk's line. */
void h1_reader_begin_trailers(struct h1_reader *reader);

/* Copies the block into `head->arena` and lets the fields point there; the copy. */
struct str h1_reader_keep(const struct h1_reader *reader, struct head *head, size_t len);

/* In h1_body.c: a body to be read behind the head that `reader` has finished. */
struct h1_body *h1_body_new(struct arena *arena, const struct h1_reader *reader);
