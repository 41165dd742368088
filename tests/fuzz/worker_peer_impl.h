/* The peer of one of the worker's connections, client or upstream. It sends what the input
 * contains. The strict readers parse all bytes of both directions at once. */
#pragma once

#include "worker_h1_reader_impl.h"
#include "worker_h2_reader_impl.h"

struct bytes {
    uint8_t *ptr; /* owns */
    size_t len, cap, at;
};

enum speaks_to { SPEAKS_NOTHING, SPEAKS_ONE, SPEAKS_TWO };

struct peer {
    int fd; /* owns; -1: none, or closed */
    bool is_client, has_proxy_header, is_reading, has_shut, got_eof, was_cut;
    bool is_blind;   /* an upstream that answers what it has not read */
    bool is_spoiled; /* … that has said more than it was asked, and weir has read it */
    int index;
    struct bytes out;     /* to be sent */
    struct bytes opening; /* clients: what has been sent, until the protocol is clear */
    enum speaks_to speaks;
    struct h1_reader sent1, got1;
    struct h2_reader sent2, got2; /* sent2: clients only */
};

/* `fd` is the peer's from now on. */
void peer_init_client(struct peer *p, int fd, int index, bool has_proxy_header);
void peer_init_upstream(struct peer *p, int fd, int index);
void peer_deinit(struct peer *p);

/* Sends as much as the socket accepts now; nothing when the peer has closed or shut its side. */
void peer_say(struct peer *p, const void *data, size_t len);
void peer_say_text(struct peer *p, const char *text);
void peer_say_frame(struct peer *p, uint8_t type, uint8_t flags, uint32_t stream, const void *data,
                    size_t len);

/* Return whether bytes were moved. An upstream reads before it sends, so its bytes can depend on
 * what it has read. */
bool peer_send(struct peer *p);
bool peer_read(struct peer *p);

/* Shuts the sending side, or closes the connection. */
void peer_shut(struct peer *p);
void peer_close(struct peer *p);

/* Bytes that it has sent and weir has not read. */
size_t peer_unread_bytes(const struct peer *p);
