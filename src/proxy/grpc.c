/* What weir knows of gRPC: which requests are gRPC's, where the messages in their bodies end, and
 * how a failure is reported (gRPC over HTTP/2, https://github.com/grpc/grpc/blob/master/doc/). */
#include "proxy/exchange_impl.h"

enum { PREFIX_BYTES = 5 }; /* a flag and the length, in front of each message */

/* "application/grpc", "application/grpc+proto", "application/grpc-web-text; charset=x". */
static struct str media_type(const struct exchange *x)
{
    struct str type, rest;

    (void)str_cut(head_value(x->request, HEADER_CONTENT_TYPE), ';', &type, &rest);
    return str_trim(type);
}

static bool has_type(struct str type, struct str prefix)
{
    return type.len >= prefix.len && str_eq_nocase(str_make(type.ptr, prefix.len), prefix);
}

void grpc_begin(struct exchange *x)
{
    if (LIKELY(x->request->first[HEADER_CONTENT_TYPE] == 0))
        return;
    struct str type = media_type(x);

    x->is_grpc = has_type(type, STR("application/grpc"));
    /* The Connect protocol's streams have messages of the same form. */
    x->has_messages = x->request->version == HTTP_2 && x->request_has_body &&
                      ((x->is_grpc && !has_type(type, STR("application/grpc-web-text"))) ||
                       has_type(type, STR("application/connect+")));
}

/* --- messages -------------------------------------------------------------------------------- */

void grpc_read(struct exchange *x, struct str data)
{
    struct grpc_messages *m = &x->messages;

    while (data.len > 0) {
        if (m->left > 0) {
            size_t n = MIN(data.len, m->left);
            m->left -= (uint32_t)n;
            data = str_skip(data, n);
            continue;
        }
        m->length = m->prefix_len > 0 ? m->length << 8 | (unsigned char)data.ptr[0] : 0;
        data = str_skip(data, 1);
        if (++m->prefix_len == PREFIX_BYTES) {
            m->left = m->length;
            m->prefix_len = 0;
        }
    }
}

/* --- failures -------------------------------------------------------------------------------- */

/* statuscodes.md */
enum grpc_status {
    GRPC_UNKNOWN = 2,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16,
};

/* http-grpc-status-mapping.md: what a client would make of the status itself, except that one of
 * our own deadlines is reported as such. */
int grpc_status_of(enum reason reason, int status)
{
    if (reason == REASON_UPSTREAM_TIMEOUT || reason == REASON_UPSTREAM_IDLE_TIMEOUT ||
        reason == REASON_TOTAL_TIMEOUT)
        return GRPC_DEADLINE_EXCEEDED;
    switch (status) {
    case 400:
    case 431:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

/* Percent-encoded as the protocol says: all but printable ASCII, and the percent sign. */
static struct str encode(struct arena *arena, struct str text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = arena_alloc_aligned(arena, 3 * text.len + 1, 1), *at = out;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x20 && c <= 0x7e && c != '%') {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    return str_make(out, (size_t)(at - out));
}

void grpc_tell_failure(struct exchange *x, struct head *head, enum reason reason, struct str text)
{
    struct arena *arena = head->arena;
    int code = grpc_status_of(reason, head->status);

    head->status = 200;
    head->phrase = status_phrase(200);
    head_add_id(head, HEADER_CONTENT_TYPE, media_type(x));
    head_add(head, STR("grpc-status"), arena_printf(arena, "%d", code));
    head_add(head, STR("grpc-message"), encode(arena, text));
}
