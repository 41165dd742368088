/* Parses a message: its framing, its first line, its fields, its body. */
#include "worker_h1_reader_impl.h"

#include <stdlib.h>
#include <string.h>

static struct message *h1_last(struct h1_reader *r)
{
    return messages_last(&r->messages);
}

static bool h1_is_wrong(struct h1_reader *r, const char *why)
{
    r->wrong = why;
    r->place = AT_WRONG;
    return false;
}

static const struct message *h1_question(const struct h1_reader *r)
{
    size_t index = r->messages.count - 1;

    return r->asked != NULL && index < r->asked->count ? &r->asked->items[index] : NULL;
}

static bool h1_message_over(struct h1_reader *r)
{
    struct message *m = h1_last(r);

    m->is_whole = true;
    if (r->is_response && m->says_close)
        r->place = AT_NOTHING;
    else if (!r->is_response && m->asks_upgrade)
        r->place = r->canonical ? AT_RAW : AT_ASKING;
    else
        r->place = AT_START;
    r->empty_lines = 0;
    return true;
}

static bool h1_request_line(struct h1_reader *r, const char *line, size_t len)
{
    const char *space = memchr(line, ' ', len);
    size_t method_len = space != NULL ? (size_t)(space - line) : 0;

    if (!strict_is_token(line, method_len) || len < method_len + 11)
        return h1_is_wrong(r, "a request line without a method, a target and a version");
    const char *target = space + 1, *version = line + len - 9;
    if (memcmp(version, " HTTP/1.", 8) != 0 || version[8] < '0' || version[8] > '9' ||
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
    message_method(m, line, method_len);
    message_target(m, target, target_len);
    m->is_http10 = version[8] == '0';
    return true;
}

static bool h1_status_line(struct h1_reader *r, const char *line, size_t len)
{
    bool is_http10 = !r->canonical && len > 8 && line[7] == '0';
    bool ends = !r->canonical && len == 12;

    if (len < 12 || memcmp(line, "HTTP/1.", 7) != 0 || line[7] < '0' || line[7] > '9' ||
        (r->canonical && line[7] != '1') || line[8] != ' ' || strict_number(line + 9, 3) < 100 ||
        !(ends || (len > 12 && line[12] == ' ' && strict_is_value(line + 13, len - 13))))
        return h1_is_wrong(r, "a status line that is none");
    struct message *m = messages_add(&r->messages);
    m->status = (int)strict_number(line + 9, 3);
    m->is_http10 = is_http10;
    return true;
}

static bool h1_start(struct h1_reader *r, const char *line, size_t len)
{
    if (len == 0 && !r->canonical && r->empty_lines < (r->is_response ? 1u : 4u)) {
        r->empty_lines++;
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

static bool h1_is_in_list(const char *list, size_t len, const char *word)
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
        if (strict_is_named(list + from, end - from, word))
            return true;
        from = at + 1;
    }
    return false;
}

static bool h1_is_framing(const char *name, size_t len)
{
    return strict_is_named(name, len, "content-length") ||
           strict_is_named(name, len, "transfer-encoding") || strict_is_named(name, len, "host") ||
           strict_is_named(name, len, "connection");
}

static bool h1_framing_field(struct h1_reader *r, const char *name, size_t name_len,
                             const char *value, size_t len)
{
    struct message *m = h1_last(r);

    if (strict_is_named(name, name_len, "content-length")) {
        int64_t before = m->content_length;
        m->content_length = strict_number(value, len);
        bool may_repeat = r->is_response && !r->canonical && before == m->content_length;
        if (m->content_length < 0 || (++r->lengths > 1 && !may_repeat))
            return h1_is_wrong(r, "a Content-Length that is none, or two");
    } else if (strict_is_named(name, name_len, "transfer-encoding")) {
        if (!strict_is_named(value, len, "chunked") || ++r->codings > 1 || m->is_http10)
            return h1_is_wrong(r, "a Transfer-Encoding other than chunked");
        r->is_chunked = true;
    } else if (strict_is_named(name, name_len, "host")) {
        r->hosts++;
    } else if (strict_is_named(name, name_len, "upgrade")) {
        m->asks_upgrade = true;
    } else if (strict_is_named(name, name_len, "connection")) {
        m->says_close |= h1_is_in_list(value, len, "close");
        r->keeps_alive |= h1_is_in_list(value, len, "keep-alive");
    }
    return true;
}

static bool h1_field(struct h1_reader *r, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    size_t name_len = colon != NULL ? (size_t)(colon - line) : 0;

    if (!strict_is_token(line, name_len))
        return h1_is_wrong(r, "a field line without a name");
    const char *value = colon + 1, *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (!strict_is_value(value, (size_t)(end - value)))
        return h1_is_wrong(r, "a field value with a control character");
    if (r->canonical && strict_is_hop(line, name_len))
        return h1_is_wrong(r, "a field that must not be forwarded");
    if (r->place == AT_TRAILERS)
        return !r->canonical || !h1_is_framing(line, name_len) ||
               h1_is_wrong(r, "a trailer that frames a message");
    message_field(h1_last(r), line, name_len, value, (size_t)(end - value));
    return h1_framing_field(r, line, name_len, value, (size_t)(end - value));
}

static bool h1_begin_length(struct h1_reader *r, uint64_t length)
{
    r->left = length;
    r->place = AT_LENGTH;
    return length > 0 || h1_message_over(r);
}

static bool h1_request_body(struct h1_reader *r)
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

static bool h1_interim(struct h1_reader *r)
{
    const struct message *question = h1_question(r);

    if (r->canonical && (question == NULL || question->is_http10))
        return h1_is_wrong(r, "a 1xx that nobody can take");
    r->messages.count--;
    r->interims++;
    r->place = AT_START;
    return true;
}

static bool h1_response_body(struct h1_reader *r)
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

static bool h1_head_over(struct h1_reader *r)
{
    int status = h1_last(r)->status;

    if (!r->is_response)
        return h1_request_body(r);
    return status < 200 && status != 101 ? h1_interim(r) : h1_response_body(r);
}

static bool h1_chunk_size(struct h1_reader *r, const char *line, size_t len)
{
    size_t digits = 0;

    for (r->left = 0; digits < len && digits < 16; digits++) {
        const char *hex = "0123456789abcdefABCDEF", *at = strchr(hex, line[digits]);
        if (line[digits] == '\0' || at == NULL)
            break;
        int value = (int)(at - hex);
        r->left = r->left << 4 | (unsigned)(value > 15 ? value - 6 : value);
    }
    if (digits == 0 || digits > 15 ||
        (digits < len && line[digits] != ';' && line[digits] != ' ' && line[digits] != '\t') ||
        (r->canonical && (digits < len || (line[0] == '0' && digits > 1))))
        return h1_is_wrong(r, "a chunk size that is none");
    if (!strict_is_value(line, len))
        return h1_is_wrong(r, "a chunk extension with a control character");
    r->place = r->left > 0 ? AT_CHUNK : AT_TRAILERS;
    return true;
}

static bool h1_line(struct h1_reader *r, const char *line, size_t len)
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
static size_t h1_step(struct h1_reader *r, const uint8_t *data, size_t len)
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

void h1_reader_read(struct h1_reader *r, const uint8_t *data, size_t len)
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

void h1_reader_upgraded(struct h1_reader *r, bool is_granted)
{
    if (r->place != AT_ASKING)
        return;
    r->place = is_granted ? AT_RAW : AT_START;
    h1_reader_read(r, NULL, 0);
}

void h1_reader_free(struct h1_reader *r)
{
    free(r->bytes);
    messages_free(&r->messages);
}
