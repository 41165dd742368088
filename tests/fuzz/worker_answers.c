/* Valid responses of an upstream, so that the fuzzer reaches the code after them. X-Was names the
 * client and its request, so the judge can assign a response. */
#include "worker_answers_impl.h"

#include <stdio.h>
#include <string.h>

/* --- HTTP/1 ---------------------------------------------------------------------------------- */

/* X-Was stands between the two texts. */
static const struct answer_text {
    const char *start, *rest;
} answers_h1[] = {
    {"HTTP/1.1 200 OK\r\n", "Content-Length: 5\r\n\r\nhello"},
    {"HTTP/1.1 200 OK\r\n",
     "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"},
    {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 404 No\r\n",
     "Content-Length: 2\r\n\r\nno"},
    {"HTTP/1.1 204 No Content\r\n", "\r\n"},
    {"HTTP/1.1 304 Not Modified\r\n", "Content-Length: 9\r\n\r\n"},
    {"HTTP/1.1 100 Continue\r\n", "\r\n"},
    {"HTTP/1.1 101 Switching Protocols\r\n", "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
    {"HTTP/1.0 200 OK\r\n", "\r\nuntil the end"},
    {"HTTP/1.1 200 OK\r\n", "Connection: close\r\nContent-Length: 1\r\n\r\n1"},
    {"HTTP/1.1 500 Oops\r\n", "Content-Length: 200000\r\n\r\n"},
};
enum { ANSWER_CONTINUE = 5, ANSWER_BIG = 9, BIG = 200000 };

static int was_digit(const struct message *m)
{
    return '0' + (m->client >= 0 ? m->client : 9);
}

static void answer_h1(struct peer *p, unsigned kind, struct message *m)
{
    static char big[BIG];
    const struct answer_text *text = &answers_h1[kind % ARRAY_LEN(answers_h1)];
    bool is_big = text == &answers_h1[ANSWER_BIG], has_body = strcmp(m->method, "HEAD") != 0;
    const char *body = strstr(text->rest, "\r\n\r\n");
    char was[TAIL_MAX + 16];

    snprintf(was, sizeof(was), "X-Was: %c %s\r\n", was_digit(m), m->tail);
    peer_say_text(p, text->start);
    peer_say_text(p, was);
    if (has_body || body == NULL)
        peer_say_text(p, text->rest);
    else
        peer_say(p, text->rest, (size_t)(body - text->rest) + 4);
    if (is_big && has_body)
        peer_say(p, big, sizeof(big));
    m->is_answered = text != &answers_h1[ANSWER_CONTINUE];
}

/* --- HTTP/2 ---------------------------------------------------------------------------------- */

static size_t put_literal(uint8_t *out, const char *name, const char *value)
{
    size_t name_len = strlen(name), value_len = strlen(value), at = 0;

    out[at++] = 0x10; /* never indexed, new name (RFC 7541 section 6.2.3) */
    out[at++] = (uint8_t)name_len;
    memcpy(out + at, name, name_len);
    at += name_len;
    out[at++] = (uint8_t)value_len;
    memcpy(out + at, value, value_len);
    return at + value_len;
}

static void answer_h2(struct peer *p, unsigned kind, struct message *m)
{
    static const uint8_t ok = 0x88, not_modified = 0x8b;
    static char big[16000];
    uint8_t head[256], flags = NGHTTP2_FLAG_END_HEADERS, ends = flags | NGHTTP2_FLAG_END_STREAM;
    char was[TAIL_MAX + 8];
    size_t len = 0;

    snprintf(was, sizeof(was), "%c %s", was_digit(m), m->tail);
    head[len++] = ok;
    len += put_literal(head + len, "x-was", was);
    m->is_answered = true;
    if (strcmp(m->method, "HEAD") == 0)
        kind = 0;
    switch (kind % 8) {
    case 0:
        peer_say_frame(p, NGHTTP2_HEADERS, ends, m->stream, head, len);
        return;
    case 1:
        peer_say_frame(p, NGHTTP2_HEADERS, flags, m->stream, head, len);
        peer_say_frame(p, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, m->stream, "hello", 5);
        return;
    case 2:
        peer_say_frame(p, NGHTTP2_HEADERS, flags, m->stream, head, len);
        peer_say_frame(p, NGHTTP2_DATA, 0, m->stream, big, sizeof(big));
        len = put_literal(head, "x-sum", "1");
        peer_say_frame(p, NGHTTP2_HEADERS, ends, m->stream, head, len);
        return;
    case 3:
        peer_say_frame(p, NGHTTP2_RST_STREAM, 0, m->stream, "\0\0\0\7", 4);
        return;
    case 4:
        peer_say_frame(p, NGHTTP2_HEADERS, ends, m->stream, &not_modified, 1);
        return;
    case 5:
        m->is_answered = false;
        len = 2;
        memcpy(head, "\x08\x03", 2); /* :status, literal */
        memcpy(head + len, "103", 3);
        peer_say_frame(p, NGHTTP2_HEADERS, flags, m->stream, head, len + 3);
        return;
    case 6:
        peer_say_frame(p, NGHTTP2_HEADERS, flags, m->stream, head, len);
        for (int i = 0; i < 3; i++)
            peer_say_frame(p, NGHTTP2_DATA, 0, m->stream, big, sizeof(big));
        peer_say_frame(p, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, m->stream, "", 0);
        return;
    default:
        peer_say_frame(p, NGHTTP2_GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
        return;
    }
}

/* --- the oldest ------------------------------------------------------------------------------ */

static bool awaits_answer(const struct message *m)
{
    return m->has_head && !m->is_answered && !m->was_reset;
}

static void answer_oldest_h2(struct peer *p, unsigned kind)
{
    struct messages *asked = &p->got2.messages;

    for (size_t i = 0; i < asked->count; i++) {
        if (awaits_answer(&asked->items[i])) {
            answer_h2(p, kind, &asked->items[i]);
            return;
        }
    }
}

void answer_oldest(struct peer *p, unsigned kind)
{
    struct messages *asked = &p->got1.messages;

    if (p->speaks == SPEAKS_TWO)
        answer_oldest_h2(p, kind);
    else if (asked->count > 0 && awaits_answer(messages_last(asked)))
        answer_h1(p, kind, messages_last(asked));
}
