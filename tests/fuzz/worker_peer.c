/* Bytes go out and come in, and the readers see them pass. What weir has sent must be without fault
 * at once, and on a connection that was fit for it: nothing is left to be looked at later. */
#include "worker_peer_impl.h"

#include "worker_judge_impl.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024 };

/* --- what it has sent ------------------------------------------------------------------------ */

static void bytes_add(struct bytes *b, const void *data, size_t len)
{
    if (b->len + len > b->cap) {
        b->cap = (b->len + len) * 2;
        b->ptr = mem_resize(b->ptr, b->cap);
    }
    if (len > 0)
        memcpy(b->ptr + b->len, data, len);
    b->len += len;
}

static bool is_magic(const struct bytes *b)
{
    return memcmp(b->ptr, h2_magic, MIN(b->len, (size_t)H2_PREFACE_LEN)) == 0;
}

/* A PROXY header that is whole stands in front of everything; -1: not yet. */
static ptrdiff_t proxy_header_len(const struct peer *p)
{
    static const uint8_t sign[] = "\r\n\r\n\0\r\nQUIT\n";
    const struct bytes *b = &p->opening;
    const uint8_t *end = memchr(b->ptr, '\n', b->len);

    if (!p->has_proxy_header)
        return 0;
    if (memcmp(b->ptr, sign, MIN(b->len, sizeof(sign) - 1)) == 0) {
        if (b->len < 16)
            return -1;
        size_t len = 16 + ((size_t)b->ptr[14] << 8 | b->ptr[15]);
        return b->len < len ? -1 : (ptrdiff_t)len;
    }
    return end != NULL ? end - b->ptr + 1 : -1;
}

static void read_sent(struct peer *p, const uint8_t *data, size_t len)
{
    if (p->speaks == SPEAKS_TWO)
        h2_reader_read(&p->sent2, data, len);
    else if (p->speaks == SPEAKS_ONE)
        h1_reader_read(&p->sent1, data, len);
}

static void read_opening(struct peer *p)
{
    ptrdiff_t skip = proxy_header_len(p);

    if (skip < 0)
        return;
    struct bytes rest = {.ptr = p->opening.ptr + skip, .len = p->opening.len - (size_t)skip};
    if (rest.len == 0 || (is_magic(&rest) && rest.len < H2_PREFACE_LEN))
        return;
    p->speaks = is_magic(&rest) ? SPEAKS_TWO : SPEAKS_ONE;
    read_sent(p, rest.ptr, rest.len);
}

/* The bytes are on their way: what has the client asked for, what has the upstream answered? */
static void note_sent(struct peer *p, const uint8_t *data, size_t len)
{
    if (!p->is_client) {
        p->is_blind |= !p->is_reading || p->speaks == SPEAKS_NOTHING;
        if (p->speaks == SPEAKS_ONE)
            h1_reader_read(&p->sent1, data, len);
        return;
    }
    if (p->speaks != SPEAKS_NOTHING) {
        read_sent(p, data, len);
        return;
    }
    bytes_add(&p->opening, data, len);
    read_opening(p);
}

/* --- what it has got ------------------------------------------------------------------------- */

static void check_readers(const struct peer *p)
{
    const char *side = p->is_client ? "to a client" : "to an upstream";

    if (p->got1.wrong != NULL)
        fail(side, p->got1.wrong);
    if (p->got2.wrong != NULL)
        fail(side, p->got2.wrong);
}

static void read_got(struct peer *p, const uint8_t *data, size_t len)
{
    if (p->speaks == SPEAKS_NOTHING && !p->is_client) /* weir sends its preface in one piece */
        p->speaks = len >= H2_PREFACE_LEN && memcmp(data, h2_magic, H2_PREFACE_LEN) == 0
                        ? SPEAKS_TWO
                        : SPEAKS_ONE;
    size_t asked_before = p->got1.messages.count;
    if (p->speaks == SPEAKS_TWO)
        h2_reader_read(&p->got2, data, len);
    else
        h1_reader_read(&p->got1, data, len);
    check_readers(p);
    judge_reuse(p, asked_before);
}

/* A client that asked for an upgrade knows what its next bytes were once the answer is there. */
static void settle_upgrade(struct peer *p)
{
    const struct messages *asked = &p->sent1.messages, *got = &p->got1.messages;

    while (p->sent1.place == AT_ASKING && got->count >= asked->count) {
        const struct message *answer = &got->items[asked->count - 1];
        if (!answer->has_head)
            return;
        h1_reader_upgraded(&p->sent1, answer->status == 101);
    }
}

bool peer_read(struct peer *p)
{
    static uint8_t data[READ_SIZE];

    if (p->fd < 0 || !p->is_reading || p->got_eof)
        return false;
    ssize_t n = recv(p->fd, data, sizeof(data), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0) {
        p->got_eof = true;
        return true;
    }
    read_got(p, data, (size_t)n);
    if (p->is_client)
        settle_upgrade(p);
    return true;
}

bool peer_send(struct peer *p)
{
    if (p->fd < 0 || p->out.at == p->out.len || p->has_shut)
        return false;
    bool has_read = !p->is_client && peer_read(p);
    ssize_t n =
        send(p->fd, p->out.ptr + p->out.at, p->out.len - p->out.at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n <= 0) {
        if (errno != EAGAIN)
            p->out.at = p->out.len;
        return has_read;
    }
    note_sent(p, p->out.ptr + p->out.at, (size_t)n);
    p->out.at += (size_t)n;
    if (p->out.at == p->out.len)
        p->out.at = p->out.len = 0;
    return true;
}

/* --- what it says ---------------------------------------------------------------------------- */

void peer_say(struct peer *p, const void *data, size_t len)
{
    if (p->fd < 0 || p->has_shut)
        return;
    bytes_add(&p->out, data, len);
    peer_send(p);
}

void peer_say_text(struct peer *p, const char *text)
{
    peer_say(p, text, strlen(text));
}

void peer_say_frame(struct peer *p, uint8_t type, uint8_t flags, uint32_t stream, const void *data,
                    size_t len)
{
    uint8_t head[H2_FRAME_HEAD] = {(uint8_t)(len >> 16),
                                   (uint8_t)(len >> 8),
                                   (uint8_t)len,
                                   type,
                                   flags,
                                   (uint8_t)(stream >> 24),
                                   (uint8_t)(stream >> 16),
                                   (uint8_t)(stream >> 8),
                                   (uint8_t)stream};

    if (p->fd < 0 || p->has_shut)
        return;
    bytes_add(&p->out, head, sizeof(head));
    bytes_add(&p->out, data, len);
    peer_send(p);
}

/* --- how it begins and ends ------------------------------------------------------------------ */

static void peer_init(struct peer *p, int fd, int index)
{
    *p = (struct peer){.fd = fd, .index = index, .is_reading = true};
    p->got1.canonical = p->got2.canonical = true;
}

void peer_init_client(struct peer *p, int fd, int index, bool has_proxy_header)
{
    peer_init(p, fd, index);
    p->is_client = true;
    p->has_proxy_header = has_proxy_header;
    p->got1.is_response = p->got2.is_response = true;
    p->got1.asked = &p->sent1.messages;
    p->got2.asked = &p->sent2.messages;
}

void peer_init_upstream(struct peer *p, int fd, int index)
{
    peer_init(p, fd, index);
    p->sent1.is_response = true;
    p->sent1.asked = &p->got1.messages;
}

void peer_shut(struct peer *p)
{
    shutdown(p->fd, SHUT_WR);
    p->has_shut = true;
    p->out.at = p->out.len = 0; /* never to be sent */
}

void peer_close(struct peer *p)
{
    if (p->fd < 0)
        return;
    close(p->fd);
    p->fd = -1;
    p->was_cut = !p->got_eof;
}

void peer_deinit(struct peer *p)
{
    if (p->fd >= 0)
        close(p->fd);
    h1_reader_free(&p->sent1);
    h1_reader_free(&p->got1);
    h2_reader_free(&p->sent2);
    h2_reader_free(&p->got2);
    free(p->out.ptr);
    free(p->opening.ptr);
}

size_t peer_unread_bytes(const struct peer *p)
{
    int unread = 0;

    if (p->fd < 0 || ioctl(p->fd, SIOCOUTQ, &unread) < 0)
        return 0;
    return (size_t)unread + p->out.len - p->out.at;
}
