/* HTTP/2 frames read a second time, beside worker_h1_reader and with the same messages. Framing is
 * read here; only HPACK is nghttp2's inflater, which is not what weir gets its events from. What a
 * client has sent is read as far as it can be (weir may answer most mistakes by ending a stream);
 * what weir sends must be without fault, `canonical`. */
#pragma once

#include "worker_message_impl.h"

#include <nghttp2/nghttp2.h>

enum { H2_FRAME_HEAD = 9, H2_PREFACE_LEN = 24 };

extern const char h2_magic[]; /* [H2_PREFACE_LEN]: the client's preface (RFC 9113 section 3.4) */

struct h2_reader {
    bool is_response, canonical;
    bool has_preface, has_settings, is_in_block, says_goaway;
    struct messages messages;     /* by stream, in the order of their heads */
    const struct messages *asked; /* responses: the requests they answer */
    const char *wrong;
    uint8_t *bytes; /* owns: not used yet */
    size_t len, cap;
    nghttp2_hd_inflater *inflater; /* owns */
    uint8_t *block;                /* owns: of a head that is arriving */
    size_t block_len;
    uint32_t block_stream, last_stream;
    uint8_t block_flags;
};

/* Reads on; what was wrong is in `r->wrong`. */
void h2_reader_read(struct h2_reader *r, const uint8_t *data, size_t len);

void h2_reader_free(struct h2_reader *r);
