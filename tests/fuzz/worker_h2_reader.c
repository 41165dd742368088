/* Parses bytes into frames, frames into heads, and heads into messages, in reverse order below. */
#include "worker_h2_reader_impl.h"

#include <stdlib.h>
#include <string.h>

enum { H2_FRAME_MAX = 16384, H2_BLOCK_MAX = 256 * 1024 };

const char h2_magic[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static bool h2_is_wrong(struct h2_reader *r, const char *why)
{
    if (r->wrong == NULL)
        r->wrong = why;
    return false;
}

/* A fault of weir's; a client's is left to weir. */
static bool h2_fault(struct h2_reader *r, const char *why)
{
    return r->canonical ? h2_is_wrong(r, why) : true;
}

static bool h2_has_body(const struct h2_reader *r, const struct message *m)
{
    const struct message *question =
        r->is_response ? messages_on_stream(r->asked, m->stream) : NULL;

    return m->status != 204 && m->status != 304 &&
           (question == NULL || strcmp(question->method, "HEAD") != 0);
}

static bool h2_message_over(struct h2_reader *r, struct message *m)
{
    bool fits =
        m->content_length < 0 || !h2_has_body(r, m) || (uint64_t)m->content_length == m->body_bytes;

    if (!m->has_head && !h2_fault(r, "an end before the head"))
        return false;
    m->is_whole = fits && m->has_head && !m->is_bad;
    m->is_bad |= !fits;
    return fits || h2_fault(r, "a body of another length than announced");
}

/* --- heads ----------------------------------------------------------------------------------- */

/* RFC 9113 8.2.2. Weir also drops what any connection keeps for itself; peers may send that. */
static bool h2_is_hop(const struct h2_reader *r, const char *name, size_t len)
{
    static const char *const names[] = {"connection", "upgrade", "transfer-encoding", "keep-alive",
                                        "proxy-connection"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strict_is_named(name, len, names[i]))
            return true;
    }
    return r->canonical && strict_is_hop(name, len);
}

static bool h2_malformed(struct h2_reader *r, struct message *m, const char *why)
{
    m->is_malformed = true;
    return h2_fault(r, why);
}

static bool h2_pseudo(struct h2_reader *r, struct message *m, const char *name, size_t name_len,
                      const char *value, size_t len)
{
    if (strict_is_named(name, name_len, ":status")) {
        if (!r->is_response || m->status != 0 || len != 3 || strict_number(value, 3) < 100)
            return h2_fault(r, "a :status that is none");
        m->status = (int)strict_number(value, 3);
        return true;
    }
    if (r->is_response)
        return h2_fault(r, "a pseudo-header field of a request in a response");
    if (strict_is_named(name, name_len, ":method"))
        message_method(m, value, len);
    else if (strict_is_named(name, name_len, ":path"))
        message_target(m, value, len);
    else if (!strict_is_named(name, name_len, ":scheme") &&
             !strict_is_named(name, name_len, ":authority"))
        return h2_fault(r, "an unknown pseudo-header field");
    return true;
}

static bool h2_field(struct h2_reader *r, struct message *m, const char *name, size_t name_len,
                     const char *value, size_t len, bool *is_past_pseudo)
{
    if (name_len > 0 && name[0] == ':') {
        if (*is_past_pseudo && !h2_malformed(r, m, "a pseudo-header field behind others"))
            return false;
        return h2_pseudo(r, m, name, name_len, value, len);
    }
    *is_past_pseudo = true;
    for (size_t i = 0; i < name_len; i++) {
        if (name[i] >= 'A' && name[i] <= 'Z' && !h2_malformed(r, m, "a field name in upper case"))
            return false;
    }
    if (!strict_is_token(name, name_len) || !strict_is_value(value, len))
        return h2_malformed(r, m, "a field that is none");
    if (h2_is_hop(r, name, name_len))
        return h2_malformed(r, m, "a field that must not be in HTTP/2");
    if (strict_is_named(name, name_len, "content-length")) {
        if (m->content_length >= 0 || strict_number(value, len) < 0)
            return h2_malformed(r, m, "a Content-Length that is none, or two");
        m->content_length = strict_number(value, len);
    }
    message_field(m, name, name_len, value, len);
    return true;
}

/* Decodes fields into `m`. The HPACK table must be updated even when the fields are not used. */
static bool h2_inflate(struct h2_reader *r, struct message *m)
{
    const uint8_t *in = r->block;
    size_t left = r->block_len;
    bool is_past_pseudo = false, is_good = true;

    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t n = nghttp2_hd_inflate_hd2(r->inflater, &nv, &flags, in, left, 1);
        if (n < 0)
            return h2_is_wrong(r, "a header block that is none");
        in += n;
        left -= (size_t)n;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) && is_good)
            is_good = h2_field(r, m, (char *)nv.name, nv.namelen, (char *)nv.value, nv.valuelen,
                               &is_past_pseudo);
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            break;
        if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && left == 0)
            break;
    }
    nghttp2_hd_inflate_end_headers(r->inflater);
    return is_good;
}

static bool h2_stream_is_due(struct h2_reader *r, struct message *m)
{
    if (r->is_response)
        return messages_on_stream(r->asked, m->stream) != NULL ||
               h2_fault(r, "a head on a stream that nobody opened");
    if (m->stream % 2 == 1 && m->stream > r->last_stream) {
        r->last_stream = m->stream;
        return true;
    }
    m->is_malformed = m->was_reset = true; /* weir may take it for one of long ago */
    return h2_fault(r, "a stream that is not the next");
}

static bool h2_begin_message(struct h2_reader *r, bool ends)
{
    struct message *m = messages_add(&r->messages);

    m->stream = r->block_stream;
    if (!h2_stream_is_due(r, m) || !h2_inflate(r, m))
        return false;
    if (r->is_response && m->status < 200) {
        r->messages.count--;
        return (!ends && m->status != 101) || h2_fault(r, "a 1xx that ends, or a 101");
    }
    m->has_head = true;
    return !ends || h2_message_over(r, m);
}

static bool h2_block_over(struct h2_reader *r)
{
    struct message *m = messages_on_stream(&r->messages, r->block_stream), trailers = {0};
    bool ends = r->block_flags & NGHTTP2_FLAG_END_STREAM;

    r->is_in_block = false;
    if (m == NULL)
        return h2_begin_message(r, ends);
    if (!h2_inflate(r, &trailers))
        return false;
    if (m->is_whole || m->is_bad || m->was_reset)
        return h2_fault(r, "trailers of a stream that has ended");
    if (!ends) {
        m->is_bad = true;
        return h2_fault(r, "trailers that do not end the stream");
    }
    return h2_message_over(r, m);
}

static bool h2_block(struct h2_reader *r, const uint8_t *data, size_t len, bool is_end)
{
    if (r->block_len + len > H2_BLOCK_MAX)
        return h2_is_wrong(r, "a header block without end");
    r->block = mem_resize(r->block, r->block_len + len + 1);
    if (len > 0)
        memcpy(r->block + r->block_len, data, len);
    r->block_len += len;
    r->is_in_block = !is_end;
    return !is_end || h2_block_over(r);
}

/* --- frames ---------------------------------------------------------------------------------- */

static bool h2_strip(struct h2_reader *r, uint8_t flags, size_t priority, const uint8_t **data,
                     size_t *len)
{
    size_t padding = 0;

    if (flags & NGHTTP2_FLAG_PADDED) {
        if (*len < 1)
            return h2_is_wrong(r, "a padded frame without padding");
        padding = (*data)[0];
        (*data)++;
        (*len)--;
    }
    if (*len < padding + priority)
        return h2_is_wrong(r, "a frame that is all padding and more");
    *data += priority;
    *len -= padding + priority;
    return true;
}

static bool h2_headers(struct h2_reader *r, uint32_t stream, uint8_t flags, const uint8_t *data,
                       size_t len)
{
    if (!h2_strip(r, flags, flags & NGHTTP2_FLAG_PRIORITY ? 5 : 0, &data, &len))
        return false;
    r->block_stream = stream;
    r->block_flags = flags;
    r->block_len = 0;
    return h2_block(r, data, len, flags & NGHTTP2_FLAG_END_HEADERS);
}

static bool h2_data(struct h2_reader *r, uint32_t stream, uint8_t flags, const uint8_t *data,
                    size_t len)
{
    struct message *m = messages_on_stream(&r->messages, stream);

    if (m == NULL || m->is_whole || m->is_bad || m->was_reset)
        return h2_fault(r, "DATA on a stream that is not open");
    if ((flags & NGHTTP2_FLAG_PADDED) && (len < 1 || data[0] >= len)) {
        m->is_bad = true; /* fatal, but on a stream that weir has reset already */
        return h2_fault(r, "a frame that is all padding and more");
    }
    if (!h2_strip(r, flags, 0, &data, &len))
        return false;
    message_body(m, data, len);
    if (m->body_bytes > 0 && !h2_has_body(r, m))
        return h2_fault(r, "a body where there is none");
    return !(flags & NGHTTP2_FLAG_END_STREAM) || h2_message_over(r, m);
}

static uint32_t h2_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static bool h2_small(struct h2_reader *r, uint8_t type, uint32_t stream, const uint8_t *data,
                     size_t len)
{
    struct message *m = messages_on_stream(&r->messages, stream);

    switch (type) {
    case NGHTTP2_RST_STREAM:
        if (m == NULL && r->is_response) { /* it may come in the middle of the request's head */
            m = messages_add(&r->messages);
            m->stream = stream;
        }
        if (m != NULL)
            m->was_reset = true;
        return len == 4 || h2_is_wrong(r, "a RST_STREAM of another size");
    case NGHTTP2_SETTINGS:
        r->has_settings = true;
        return (len % 6 == 0 && stream == 0) || h2_is_wrong(r, "SETTINGS of another size");
    case NGHTTP2_PUSH_PROMISE:
        return h2_fault(r, "a PUSH_PROMISE");
    case NGHTTP2_GOAWAY:
        if (len < 8)
            return h2_is_wrong(r, "a GOAWAY of another size");
        r->says_goaway = true;
        return true;
    case NGHTTP2_WINDOW_UPDATE:
        if (len != 4)
            return h2_is_wrong(r, "a WINDOW_UPDATE of another size");
        return (h2_u32(data) & INT32_MAX) > 0 || h2_fault(r, "a WINDOW_UPDATE of nothing");
    case NGHTTP2_PING:
        return len == 8 || h2_is_wrong(r, "a PING of another size");
    default:
        return true;
    }
}

static bool h2_frame(struct h2_reader *r, uint8_t type, uint8_t flags, uint32_t stream,
                     const uint8_t *data, size_t len)
{
    if (r->is_in_block != (type == NGHTTP2_CONTINUATION))
        return h2_is_wrong(r, "a header block that is interrupted");
    if (!r->has_settings && type != NGHTTP2_SETTINGS)
        return h2_is_wrong(r, "another frame before SETTINGS");
    switch (type) {
    case NGHTTP2_HEADERS:
        return stream > 0 ? h2_headers(r, stream, flags, data, len)
                          : h2_is_wrong(r, "HEADERS without a stream");
    case NGHTTP2_CONTINUATION:
        return stream == r->block_stream ? h2_block(r, data, len, flags & NGHTTP2_FLAG_END_HEADERS)
                                         : h2_is_wrong(r, "CONTINUATION of another stream");
    case NGHTTP2_DATA:
        return h2_data(r, stream, flags, data, len);
    default:
        return h2_small(r, type, stream, data, len);
    }
}

static size_t h2_step(struct h2_reader *r, const uint8_t *at, size_t len)
{
    if (!r->has_preface && !r->is_response) {
        if (len < H2_PREFACE_LEN)
            return 0;
        r->has_preface = true;
        if (memcmp(at, h2_magic, H2_PREFACE_LEN) != 0)
            h2_is_wrong(r, "no preface");
        return H2_PREFACE_LEN;
    }
    if (len < H2_FRAME_HEAD)
        return 0;
    size_t size = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
    if (size > H2_FRAME_MAX) {
        h2_is_wrong(r, "a frame that is too large");
        return 0;
    }
    if (len < H2_FRAME_HEAD + size)
        return 0;
    h2_frame(r, at[3], at[4], h2_u32(at + 5) & INT32_MAX, at + H2_FRAME_HEAD, size);
    return H2_FRAME_HEAD + size;
}

void h2_reader_read(struct h2_reader *r, const uint8_t *data, size_t len)
{
    size_t used = 0, n;

    if (r->inflater == NULL)
        ASSERT(nghttp2_hd_inflate_new(&r->inflater) == 0);
    if (r->len + len > r->cap) {
        r->cap = (r->len + len) * 2;
        r->bytes = mem_resize(r->bytes, r->cap);
    }
    if (len > 0)
        memcpy(r->bytes + r->len, data, len);
    r->len += len;
    while (r->wrong == NULL && (n = h2_step(r, r->bytes + used, r->len - used)) > 0)
        used += n;
    r->len -= used;
    if (used > 0)
        memmove(r->bytes, r->bytes + used, r->len);
}

void h2_reader_free(struct h2_reader *r)
{
    if (r->inflater != NULL)
        nghttp2_hd_inflate_del(r->inflater);
    free(r->bytes);
    free(r->block);
    messages_free(&r->messages);
}
