/* Tokens, lists and messages of both versions. The two readers split bytes into messages. */
#include "worker_message_impl.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HASH_START 0xcbf29ce484222325u

/* --- the words of both versions -------------------------------------------------------------- */

static bool is_token_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

bool strict_is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!is_token_byte((uint8_t)text[i]))
            return false;
    }
    return len > 0;
}

bool strict_is_value(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool strict_is_named(const char *text, size_t len, const char *name)
{
    return len == strlen(name) && strncasecmp(text, name, len) == 0;
}

int64_t strict_number(const char *text, size_t len)
{
    int64_t value = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || value > (INT64_MAX - 9) / 10)
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return len > 0 ? value : -1;
}

bool strict_is_hop(const char *name, size_t len)
{
    static const char *const names[] = {"keep-alive", "proxy-connection", "te", "http2-settings",
                                        "proxy-authenticate-info"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strict_is_named(name, len, names[i]))
            return true;
    }
    return false;
}

/* --- lists ----------------------------------------------------------------------------------- */

struct message *messages_add(struct messages *list)
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

struct message *messages_last(const struct messages *list)
{
    return &list->items[list->count - 1];
}

struct message *messages_on_stream(const struct messages *list, uint32_t stream)
{
    for (size_t i = list->count; i > 0; i--) {
        if (list->items[i - 1].stream == stream)
            return &list->items[i - 1];
    }
    return NULL;
}

size_t messages_whole(const struct messages *list)
{
    size_t count = 0;

    for (size_t i = 0; i < list->count; i++)
        count += list->items[i].is_whole;
    return count;
}

void messages_free(struct messages *list)
{
    free(list->items);
}

/* --- one message ----------------------------------------------------------------------------- */

static void message_hash(struct message *m, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        m->body_hash = (m->body_hash ^ data[i]) * 0x100000001b3u;
    m->body_bytes += len;
}

void message_body(struct message *m, const uint8_t *data, size_t len)
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

static void keep_tail(char *out, const char *text, size_t len)
{
    size_t skip = len > TAIL_MAX ? len - TAIL_MAX : 0;

    memcpy(out, text + skip, len - skip);
    out[len - skip] = '\0';
}

static void keep_start(char *out, size_t size, const char *text, size_t len)
{
    len = MIN(len, size - 1);
    memcpy(out, text, len);
    out[len] = '\0';
}

void message_target(struct message *m, const char *text, size_t len)
{
    const char *end = text + len, *at = text;

    if (len > 0 && text[0] != '/' && text[0] != '*') {
        const char *slashes = memmem(text, len, "://", 3);
        for (at = slashes != NULL ? slashes + 3 : end; at < end && *at != '/' && *at != '?'; at++)
            ;
    }
    keep_tail(m->tail, at, (size_t)(end - at));
}

void message_method(struct message *m, const char *text, size_t len)
{
    keep_start(m->method, sizeof(m->method), text, len);
}

/* Our upstream's clients are 192.0.2.1 and following; the last entry of the list is weir's. */
static int client_of(const char *text, size_t len)
{
    static const char net[] = "192.0.2.";
    size_t at = len;

    while (at > 0 && text[at - 1] != ' ' && text[at - 1] != ',')
        at--;
    if (len - at != sizeof(net) || memcmp(text + at, net, sizeof(net) - 1) != 0)
        return NO_CLIENT;
    return text[len - 1] - '1';
}

void message_field(struct message *m, const char *name, size_t name_len, const char *value,
                   size_t len)
{
    if (strict_is_named(name, name_len, "x-request-id")) {
        m->id_count++;
        keep_start(m->id, sizeof(m->id), value, len);
    } else if (strict_is_named(name, name_len, "x-forwarded-for")) {
        m->client = client_of(value, len);
    } else if (strict_is_named(name, name_len, "x-was") && len >= 2) {
        m->was_client = value[0] - '0';
        keep_tail(m->was, value + 2, len - 2);
    }
}
