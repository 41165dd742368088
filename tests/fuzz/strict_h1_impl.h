/* HTTP/1 as the RFCs write it, read a second time: a small reader that shares nothing with weir's
 * codecs, so that a mistake in those is not repeated here. It reads three things: what a client has
 * sent (anything that RFC 9112 allows), and what weir sends to either side (only the one form that
 * weir is meant to write, `canonical`). It never says what weir should answer; only where messages
 * begin and end, and what is in them; and of an upstream's answers, whether they were whole. */
#pragma once

#include "base/base.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TAIL_MAX = 48, NO_CLIENT = -1 };

/* A message as far as it has been read, of HTTP/1 or HTTP/2. */
struct message {
    uint32_t stream; /* HTTP/2 */
    int status;      /* 0: a request */
    char method[24];
    char tail[TAIL_MAX + 1]; /* the end of the target */
    char id[64];             /* X-Request-Id */
    char was[TAIL_MAX + 1];  /* X-Was: the target's tail, echoed by our upstream */
    int client, was_client;  /* by X-Forwarded-For; by X-Was */
    unsigned id_count;
    int64_t content_length; /* -1: none */
    uint64_t body_bytes, body_hash;
    uint64_t length_hash; /* of the first content_length bytes, when they are there */
    unsigned interims;    /* 1xx before it */
    bool has_head, is_whole, is_bad, was_reset;
    bool is_malformed; /* HTTP/2: nobody may act on it */
    bool asks_upgrade, says_close, is_http10;
    bool is_matched, is_answered;
};

#define HASH_START 0xcbf29ce484222325u

struct messages {
    struct message *items; /* owns */
    size_t count, cap;
};

static inline struct message *messages_add(struct messages *list)
{
    if (list->count == list->cap) {
        list->cap = list->cap * 2 + 4;
        list->items = mem_resize(list->items, list->cap * sizeof(*list->items));
    }
    struct message *m = &list->items[list->count++];
    *m = (struct message){.content_length = -1,
                          .client = NO_CLIENT,
                          .was_client = NO_CLIENT,
                          .body_hash = HASH_START,
                          .length_hash = HASH_START};
    return m;
}

static inline void message_hash(struct message *m, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        m->body_hash = (m->body_hash ^ data[i]) * 0x100000001b3u;
    m->body_bytes += len;
}

static inline void message_body(struct message *m, const uint8_t *data, size_t len)
{
    uint64_t length = m->content_length > 0 ? (uint64_t)m->content_length : 0;

    if (m->body_bytes < length && m->body_bytes + len >= length) {
        size_t n = (size_t)(length - m->body_bytes);
        message_hash(m, data, n);
        m->length_hash = m->body_hash;
        data += n;
        len -= n;
    }
    message_hash(m, data, len);
}

static inline void keep_tail(char *out, const char *text, size_t len)
{
    size_t skip = len > TAIL_MAX ? len - TAIL_MAX : 0;

    memcpy(out, text + skip, len - skip);
    out[len - skip] = '\0';
}

static inline void keep_start(char *out, size_t size, const char *text, size_t len)
{
    len = MIN(len, size - 1);
    memcpy(out, text, len);
    out[len] = '\0';
}

/* Without scheme and authority, which weir takes off; "" where nothing else is there. */
static inline void message_target(struct message *m, const char *text, size_t len)
{
    const char *end = text + len, *at = text;

    if (len > 0 && text[0] != '/' && text[0] != '*') {
        const char *slashes = memmem(text, len, "://", 3);
        for (at = slashes != NULL ? slashes + 3 : end; at < end && *at != '/' && *at != '?'; at++)
            ;
    }
    keep_tail(m->tail, at, (size_t)(end - at));
}

static inline bool is_token_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static inline bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!is_token_byte((uint8_t)text[i]))
            return false;
    }
    return len > 0;
}

/* No control characters, but for the tab (RFC 9110 section 5.5). */
static inline bool is_value(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static inline bool is_named(const char *text, size_t len, const char *name)
{
    return len == strlen(name) && strncasecmp(text, name, len) == 0;
}

/* Our upstream's clients are 192.0.2.1 and following; the last entry of the list is weir's. */
static inline int client_of(const char *text, size_t len)
{
    static const char net[] = "192.0.2.";
    size_t at = len;

    while (at > 0 && text[at - 1] != ' ' && text[at - 1] != ',')
        at--;
    if (len - at != sizeof(net) || memcmp(text + at, net, sizeof(net) - 1) != 0)
        return NO_CLIENT;
    return text[len - 1] - '1';
}

/* What both versions want to know of a field; its name in any case. */
static inline void message_field(struct message *m, const char *name, size_t name_len,
                                 const char *value, size_t len)
{
    if (is_named(name, name_len, "x-request-id")) {
        m->id_count++;
        keep_start(m->id, sizeof(m->id), value, len);
    } else if (is_named(name, name_len, "x-forwarded-for")) {
        m->client = client_of(value, len);
    } else if (is_named(name, name_len, "x-was") && len >= 2) {
        m->was_client = value[0] - '0';
        keep_tail(m->was, value + 2, len - 2);
    }
}

/* Decimal digits only; -1 where it is no such number. */
static inline int64_t digits_value(const char *text, size_t len)
{
    int64_t value = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || value > (INT64_MAX - 9) / 10)
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return len > 0 ? value : -1;
}

/* --- the reader ------------------------------------------------------------------------------ */

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
    bool is_response, canonical, skipped_line;
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

static inline struct message *h1_last(struct h1_reader *r)
{
    return &r->messages.items[r->messages.count - 1];
}

static inline bool h1_is_wrong(struct h1_reader *r, const char *why)
{
    r->wrong = why;
    r->place = AT_WRONG;
    return false;
}

static inline const struct message *h1_question(const struct h1_reader *r)
{
    size_t index = r->messages.count - 1;

    return r->asked != NULL && index < r->asked->count ? &r->asked->items[index] : NULL;
}

static inline bool h1_message_over(struct h1_reader *r)
{
    struct message *m = h1_last(r);

    m->is_whole = true;
    if (r->is_response && m->says_close)
        r->place = AT_NOTHING;
    else if (!r->is_response && m->asks_upgrade)
        r->place = r->canonical ? AT_RAW : AT_ASKING;
    else
        r->place = AT_START;
    r->skipped_line = false;
    return true;
}

static inline bool h1_request_line(struct h1_reader *r, const char *line, size_t len)
{
    const char *space = memchr(line, ' ', len);
    size_t method_len = space != NULL ? (size_t)(space - line) : 0;

    if (!is_token(line, method_len) || len < method_len + 11)
        return h1_is_wrong(r, "a request line without a method, a target and a version");
    const char *target = space + 1, *version = line + len - 9;
    if (memcmp(version, " HTTP/1.", 8) != 0 || (version[8] != '1' && version[8] != '0') ||
        (r->canonical && version[8] != '1'))
        return h1_is_wrong(r, "a request line without HTTP/1.1");
    size_t target_len = (size_t)(version - target);
    for (size_t i = 0; i < target_len; i++) {
        if ((uint8_t)target[i] <= ' ' || target[i] == 0x7f)
            return h1_is_wrong(r, "a request target with a space or control character");
    }
    if (r->canonical && target[0] != '/' && !(target[0] == '*' && target_len == 1))
        return h1_is_wrong(r, "a request target that is neither a path nor *");
    struct message *m = messages_add(&r->messages);
    keep_start(m->method, sizeof(m->method), line, method_len);
    message_target(m, target, target_len);
    m->is_http10 = version[8] == '0';
    return true;
}

static inline bool h1_status_line(struct h1_reader *r, const char *line, size_t len)
{
    bool is_http10 = !r->canonical && len > 8 && line[7] == '0';
    bool ends = !r->canonical && len == 12;

    if (len < 12 || memcmp(line, is_http10 ? "HTTP/1.0 " : "HTTP/1.1 ", 9) != 0 ||
        digits_value(line + 9, 3) < 100 ||
        !(ends || (len > 12 && line[12] == ' ' && is_value(line + 13, len - 13))))
        return h1_is_wrong(r, "a status line that is none");
    struct message *m = messages_add(&r->messages);
    m->status = (int)digits_value(line + 9, 3);
    m->is_http10 = is_http10;
    return true;
}

static inline bool h1_start(struct h1_reader *r, const char *line, size_t len)
{
    if (len == 0 && !r->canonical && !r->skipped_line) {
        r->skipped_line = true;
        return true;
    }
    if (!(r->is_response ? h1_status_line(r, line, len) : h1_request_line(r, line, len)))
        return false;
    h1_last(r)->interims = r->interims;
    r->hosts = r->lengths = r->codings = 0;
    r->is_chunked = r->keeps_alive = false;
    r->place = AT_FIELDS;
    return true;
}

static inline bool h1_is_in_list(const char *list, size_t len, const char *word)
{
    size_t from = 0;

    for (size_t at = 0; at <= len; at++) {
        if (at < len && list[at] != ',')
            continue;
        size_t end = at;
        while (from < end && (list[from] == ' ' || list[from] == '\t'))
            from++;
        while (end > from && (list[end - 1] == ' ' || list[end - 1] == '\t'))
            end--;
        if (is_named(list + from, end - from, word))
            return true;
        from = at + 1;
    }
    return false;
}

/* What belongs to one connection only, and what weir says of it in its own words. */
static inline bool h1_is_hop(const char *name, size_t len)
{
    static const char *const names[] = {"keep-alive", "proxy-connection", "te", "http2-settings",
                                        "proxy-authenticate-info"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (is_named(name, len, names[i]))
            return true;
    }
    return false;
}

static inline bool h1_is_framing(const char *name, size_t len)
{
    return is_named(name, len, "content-length") || is_named(name, len, "transfer-encoding") ||
           is_named(name, len, "host") || is_named(name, len, "connection");
}

static inline bool h1_framing_field(struct h1_reader *r, const char *name, size_t name_len,
                                    const char *value, size_t len)
{
    struct message *m = h1_last(r);

    if (is_named(name, name_len, "content-length")) {
        m->content_length = digits_value(value, len);
        if (m->content_length < 0 || ++r->lengths > 1)
            return h1_is_wrong(r, "a Content-Length that is none, or two");
    } else if (is_named(name, name_len, "transfer-encoding")) {
        if (!is_named(value, len, "chunked") || ++r->codings > 1 || m->is_http10)
            return h1_is_wrong(r, "a Transfer-Encoding other than chunked");
        r->is_chunked = true;
    } else if (is_named(name, name_len, "host")) {
        r->hosts++;
    } else if (is_named(name, name_len, "upgrade")) {
        m->asks_upgrade = true;
    } else if (is_named(name, name_len, "connection")) {
        m->says_close |= h1_is_in_list(value, len, "close");
        r->keeps_alive |= h1_is_in_list(value, len, "keep-alive");
    }
    return true;
}

static inline bool h1_field(struct h1_reader *r, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    size_t name_len = colon != NULL ? (size_t)(colon - line) : 0;

    if (!is_token(line, name_len))
        return h1_is_wrong(r, "a field line without a name");
    const char *value = colon + 1, *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (!is_value(value, (size_t)(end - value)))
        return h1_is_wrong(r, "a field value with a control character");
    if (r->canonical && h1_is_hop(line, name_len))
        return h1_is_wrong(r, "a field that must not be forwarded");
    if (r->place == AT_TRAILERS)
        return !r->canonical || !h1_is_framing(line, name_len) ||
               h1_is_wrong(r, "a trailer that frames a message");
    message_field(h1_last(r), line, name_len, value, (size_t)(end - value));
    return h1_framing_field(r, line, name_len, value, (size_t)(end - value));
}

static inline bool h1_begin_length(struct h1_reader *r, uint64_t length)
{
    r->left = length;
    r->place = AT_LENGTH;
    return length > 0 || h1_message_over(r);
}

static inline bool h1_request_body(struct h1_reader *r)
{
    struct message *m = h1_last(r);

    if (r->hosts > 1 || (r->hosts == 0 && !m->is_http10))
        return h1_is_wrong(r, "a request without exactly one Host");
    if (r->lengths > 0 && r->codings > 0)
        return h1_is_wrong(r, "a request with Content-Length and Transfer-Encoding");
    m->has_head = true;
    if (r->is_chunked) {
        r->place = AT_CHUNK_SIZE;
        return true;
    }
    return h1_begin_length(r, r->lengths > 0 ? (uint64_t)m->content_length : 0);
}

static inline bool h1_interim(struct h1_reader *r)
{
    const struct message *question = h1_question(r);

    if (r->canonical && (question == NULL || question->is_http10))
        return h1_is_wrong(r, "a 1xx that nobody can take");
    r->messages.count--;
    r->interims++;
    r->place = AT_START;
    return true;
}

static inline bool h1_response_body(struct h1_reader *r)
{
    struct message *m = h1_last(r);
    const struct message *question = h1_question(r);
    bool to_head = question != NULL && strcmp(question->method, "HEAD") == 0;

    if (r->lengths > 0 && r->codings > 0)
        return h1_is_wrong(r, "a response with Content-Length and Transfer-Encoding");
    if (r->canonical && (m->status < 200 || m->status == 204) && (r->lengths > 0 || r->codings > 0))
        return h1_is_wrong(r, "a length where there is no body");
    if (r->canonical && r->is_chunked && (question == NULL || question->is_http10))
        return h1_is_wrong(r, "chunks that nobody can take");
    m->has_head = true;
    m->says_close |= m->is_http10 && !r->keeps_alive;
    r->interims = 0;
    if (m->status == 101) {
        if (r->canonical && (question == NULL || !question->asks_upgrade))
            return h1_is_wrong(r, "a 101 that nobody asked for");
        m->is_whole = true;
        r->place = AT_RAW;
        return true;
    }
    if (to_head || m->status == 204 || m->status == 304)
        return h1_begin_length(r, 0);
    if (r->is_chunked) {
        r->place = AT_CHUNK_SIZE;
        return true;
    }
    if (r->lengths > 0)
        return h1_begin_length(r, (uint64_t)m->content_length);
    if (r->canonical && !m->says_close)
        return h1_is_wrong(r, "a body until close without Connection: close");
    r->place = AT_RAW;
    return true;
}

static inline bool h1_head_over(struct h1_reader *r)
{
    int status = h1_last(r)->status;

    if (!r->is_response)
        return h1_request_body(r);
    return status < 200 && status != 101 ? h1_interim(r) : h1_response_body(r);
}

static inline bool h1_chunk_size(struct h1_reader *r, const char *line, size_t len)
{
    size_t digits = 0;

    for (r->left = 0; digits < len && digits < 16; digits++) {
        const char *hex = "0123456789abcdefABCDEF", *at = strchr(hex, line[digits]);
        if (line[digits] == '\0' || at == NULL)
            break;
        int value = (int)(at - hex);
        r->left = r->left << 4 | (unsigned)(value > 15 ? value - 6 : value);
    }
    if (digits == 0 || digits > 15 || (digits < len && line[digits] != ';') ||
        (r->canonical && (digits < len || (line[0] == '0' && digits > 1))))
        return h1_is_wrong(r, "a chunk size that is none");
    if (!is_value(line, len))
        return h1_is_wrong(r, "a chunk extension with a control character");
    r->place = r->left > 0 ? AT_CHUNK : AT_TRAILERS;
    return true;
}

static inline bool h1_line(struct h1_reader *r, const char *line, size_t len)
{
    switch (r->place) {
    case AT_START:
        return h1_start(r, line, len);
    case AT_FIELDS:
        return len > 0 ? h1_field(r, line, len) : h1_head_over(r);
    case AT_CHUNK_SIZE:
        return h1_chunk_size(r, line, len);
    case AT_CHUNK_END:
        r->place = AT_CHUNK_SIZE;
        return len == 0 || h1_is_wrong(r, "a chunk longer than it said");
    case AT_TRAILERS:
        return len > 0 ? h1_field(r, line, len) : h1_message_over(r);
    default:
        UNREACHABLE("no lines there");
    }
}

/* How many bytes were used; 0: more are needed, or nothing more is wanted. */
static inline size_t h1_step(struct h1_reader *r, const uint8_t *data, size_t len)
{
    const uint8_t *newline;
    size_t n;

    switch (r->place) {
    case AT_LENGTH:
    case AT_CHUNK:
        n = r->left < len ? (size_t)r->left : len;
        message_body(h1_last(r), data, n);
        r->left -= n;
        if (r->left == 0 && r->place == AT_LENGTH)
            h1_message_over(r);
        else if (r->left == 0)
            r->place = AT_CHUNK_END;
        return n;
    case AT_RAW:
        message_body(h1_last(r), data, len);
        return len;
    case AT_ASKING:
    case AT_WRONG:
        return 0;
    case AT_NOTHING:
        h1_is_wrong(r, "bytes behind the last response");
        return 0;
    default:
        newline = memchr(data, '\n', len);
        if (newline == NULL)
            return 0;
        if (newline == data || newline[-1] != '\r') {
            h1_is_wrong(r, "a bare line feed");
            return 0;
        }
        n = (size_t)(newline - data);
        h1_line(r, (const char *)data, n - 1);
        return n + 1;
    }
}

static inline void h1_read(struct h1_reader *r, const uint8_t *data, size_t len)
{
    size_t used = 0;

    if (r->len + len > r->cap) {
        r->cap = (r->len + len) * 2;
        r->bytes = mem_resize(r->bytes, r->cap);
    }
    if (len > 0)
        memcpy(r->bytes + r->len, data, len);
    r->len += len;
    while (used < r->len) {
        size_t n = h1_step(r, r->bytes + used, r->len - used);
        used += n;
        if (n == 0)
            break;
    }
    r->len -= used;
    if (used > 0)
        memmove(r->bytes, r->bytes + used, r->len);
}

/* The answer to the client's wish to upgrade is known now. */
static inline void h1_upgraded(struct h1_reader *r, bool is_granted)
{
    if (r->place != AT_ASKING)
        return;
    r->place = is_granted ? AT_RAW : AT_START;
    h1_read(r, NULL, 0);
}

static inline void h1_reader_free(struct h1_reader *r)
{
    free(r->bytes);
    free(r->messages.items);
}
