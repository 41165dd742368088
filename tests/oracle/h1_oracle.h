/* A second reader of HTTP/1, made without llhttp, for tests to compare with: weir's parser before
 * it used llhttp. It works line by line, and each byte is named by the grammar of RFC 9112 or
 * refused. What a head means (h1_rules.c) is shared with the product; lines, fields, framing and
 * chunks are not. */
#pragma once

#include "http/h1_impl.h"

/* Where the search for the empty line stands; zero it for every new head. */
struct oracle_scan {
    uint32_t looked;     /* bytes already searched for a line end */
    uint32_t line_start; /* where the current line begins */
    uint32_t lines;      /* complete lines before it */
};

/* Looks for the empty line that ends a head (or trailers) in `data`. *head_len: its length with the
 * empty line; 0 while there is none. Checks line ends and the limits. */
enum reason oracle_scan_head(struct oracle_scan *scan, struct str data, enum h1_kind kind,
                             const struct session_limits *limits, size_t *head_len);

/* A whole block, copied into head->arena. */
enum reason oracle_parse_request(struct head *head, struct str block,
                                 const struct session_limits *limits, bool *is_chunked);
enum reason oracle_parse_response(struct head *head, struct str block, enum method method,
                                  const struct session_limits *limits, bool *is_chunked);
enum reason oracle_parse_trailers(struct head *head, struct str block,
                                  const struct session_limits *limits);

/* Zero it but for the two at the end. */
struct oracle_chunks {
    uint64_t left;      /* payload bytes of the current chunk still to come */
    uint32_t extension; /* bytes of extensions seen in this body */
    uint8_t state;      /* private to h1_oracle_chunk.c */
    uint8_t digits;
    bool is_response;
    uint32_t extension_max;
};

/* Parses the next part of `data`; *used is its length. */
enum h1_chunk_news oracle_chunks_next(struct oracle_chunks *chunks, struct str data, size_t *used,
                                      struct str *payload);
