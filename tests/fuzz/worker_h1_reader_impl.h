/* HTTP/1 as the RFCs write it, read a second time: a small reader that shares nothing with weir's
 * codecs, so that a mistake in those is not repeated here. It reads three things: what a client has
 * sent (anything that RFC 9112 allows), and what weir sends to either side (only the one form that
 * weir is meant to write, `canonical`). It does not judge the content of responses. It only finds
 * where messages begin and end, their content, and whether an upstream's response is complete. */
#pragma once

#include "worker_message_impl.h"

enum h1_place {
    AT_START,
    AT_FIELDS,
    AT_LENGTH,
    AT_CHUNK_SIZE,
    AT_CHUNK,
    AT_CHUNK_END,
    AT_TRAILERS,
    AT_RAW,     /* until close, or after 101 */
    AT_ASKING,  /* a client asks for an upgrade: what follows depends on the answer */
    AT_NOTHING, /* nothing may come any more */
    AT_WRONG,
};

struct h1_reader {
    enum h1_place place;
    bool is_response, canonical;
    unsigned empty_lines; /* in front of the next start line */
    struct messages messages;
    const struct messages *asked; /* responses: the requests they answer */
    const char *wrong;            /* NULL: nothing is */
    uint8_t *bytes;               /* owns: not used yet */
    size_t len, cap;
    uint64_t left;
    unsigned hosts, lengths, codings;
    bool is_chunked, keeps_alive;
    unsigned interims;
};

/* Reads on; what was wrong is in `r->wrong`. */
void h1_reader_read(struct h1_reader *r, const uint8_t *data, size_t len);

/* The answer to the client's wish to upgrade is known now. */
void h1_reader_upgraded(struct h1_reader *r, bool is_granted);

void h1_reader_free(struct h1_reader *r);
