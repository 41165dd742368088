/* A connection on a listener with proxy_protocol, before its PROXY header is whole. Only bytes of
 * the header are taken off the socket, so that TLS and HTTP behind it find theirs untouched. */
#include "proxy/proxy_impl.h"

#include "net/proxy_header.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct gate {
    struct list node;                        /* in proxy.gates */
    struct proxy *proxy;                     /* borrows */
    struct serving *serving;                 /* shares */
    const struct serving_listener *listener; /* borrows from serving */
    struct addr peer;
    int fd; /* owns */
    struct fd_watch *watch;
    struct deadline deadline;
    struct reap reap;
    size_t have; /* header bytes taken off the socket */
    char bytes[PROXY_HEADER_MAX];
};

static void on_reap(struct reap *reap)
{
    struct gate *gate = CONTAINER_OF(reap, struct gate, reap);

    serving_unref(&gate->serving);
    free(gate);
}

/* The descriptor is the caller's from here on. */
static void end(struct gate *gate)
{
    fd_watch_free(gate->watch);
    deadline_deinit(&gate->deadline);
    list_remove(&gate->node);
    gate->proxy->connection_count--;
    metric_sub(&gate->proxy->metrics->gauges[GAUGE_DOWN_CONNECTIONS_OPEN], 1);
    loop_reap(gate->proxy->loop, &gate->reap, on_reap);
}

static void refuse(struct gate *gate, enum reason reason)
{
    char text[ADDR_TEXT_MAX];
    size_t len = addr_format_ip(&gate->peer, text);

    proxy_count_reason(gate->proxy, reason);
    LOG_LIMITED_BY(log_cause(reason, gate->listener->conf->name.ptr), LOG_LEVEL_INFO,
                   "connection_refused", "client=%.*s listener=%.*s reason=%s", (int)len, text,
                   STR_FMT(gate->listener->conf->name), reason_word(reason));
    close(gate->fd);
    admit_release_listener(gate->proxy, gate->listener->key);
    end(gate);
}

/* The client is the one in the header, or the peer where the header names none. */
static void let_in(struct gate *gate, const struct proxy_header *header)
{
    const struct addr *client = header->has_addrs ? &header->client : &gate->peer;
    const struct addr *server = header->has_addrs ? &header->server : NULL;

    end(gate);
    downstream_new(gate->proxy, gate->serving, gate->listener, gate->fd, client, server);
}

/* Takes `count` bytes that were looked at off the socket. */
static bool take(struct gate *gate, size_t count)
{
    ssize_t n = recv(gate->fd, gate->bytes + gate->have, count, 0);

    if (n != (ssize_t)count)
        return false;
    gate->have += count;
    return true;
}

static void look(struct gate *gate, size_t seen)
{
    struct proxy_header header;
    struct str bytes = str_make(gate->bytes, gate->have + seen);

    switch (proxy_header_parse(bytes, &header)) {
    case PROXY_HEADER_MORE:
        if (!take(gate, seen))
            refuse(gate, REASON_PROXY_HEADER_BAD);
        return;
    case PROXY_HEADER_DONE:
        if (take(gate, header.len - gate->have))
            let_in(gate, &header);
        else
            refuse(gate, REASON_PROXY_HEADER_BAD);
        return;
    case PROXY_HEADER_NONE:
        if (gate->have == 0 && !gate->listener->conf->proxy_protocol.required)
            let_in(gate, &header);
        else
            refuse(gate, REASON_PROXY_HEADER_BAD);
        return;
    case PROXY_HEADER_BAD:
        refuse(gate, REASON_PROXY_HEADER_BAD);
        return;
    }
}

static void on_readable(void *arg, int fd, int events UNUSED)
{
    struct gate *gate = arg;
    ssize_t n = recv(fd, gate->bytes + gate->have, sizeof(gate->bytes) - gate->have, MSG_PEEK);

    if (n > 0)
        look(gate, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        refuse(gate, REASON_PROXY_HEADER_BAD);
}

static void on_deadline(struct deadline *deadline)
{
    refuse(CONTAINER_OF(deadline, struct gate, deadline), REASON_PROXY_HEADER_TIMEOUT);
}

/* May the peer say who the client is? */
static bool is_listed(const struct proxy_protocol_conf *conf, const struct addr *peer)
{
    uint8_t ip[16];

    if (addr_is_unix(peer))
        return true;
    addr_ip_bytes(peer, ip);
    return cidrs_contain(conf->from, conf->from_count, ip);
}

void gate_new(struct proxy *proxy, struct serving *serving, const struct serving_listener *listener,
              int fd, const struct addr *peer)
{
    const struct proxy_protocol_conf *conf = &listener->conf->proxy_protocol;

    if (!is_listed(conf, peer) && !conf->required) {
        /* A PROXY header is a bad request. */
        downstream_new(proxy, serving, listener, fd, peer, NULL);
        return;
    }
    struct gate *gate = mem_new(sizeof(*gate));
    gate->proxy = proxy;
    gate->serving = serving_ref(serving);
    gate->listener = listener;
    gate->peer = *peer;
    gate->fd = fd;
    list_push_back(&proxy->gates, &gate->node);
    proxy->connection_count++;
    metric_add(&proxy->metrics->gauges[GAUGE_DOWN_CONNECTIONS_OPEN], 1);
    gate->watch = fd_watch_new(proxy->loop, fd, FD_READABLE, on_readable, gate);
    deadline_init(&gate->deadline, on_deadline);
    deadline_set(proxy->loop, &gate->deadline, listener->conf->timeouts.header_ms);
    if (!is_listed(conf, peer))
        refuse(gate, REASON_PROXY_HEADER_FOREIGN);
}

void gates_abort(struct proxy *proxy)
{
    LIST_EACH(node, &proxy->gates)
    {
        struct gate *gate = CONTAINER_OF(node, struct gate, node);
        close(gate->fd);
        admit_release_listener(proxy, gate->listener->key);
        end(gate);
    }
}
