/* Dialing: a connection to an endpoint with everything that comes before the first byte of a protocol:
 * TCP or a unix socket, the PROXY header, TLS. What is spoken on it afterwards is the caller's. */
#include "net/proxy_header.h"
#include "upstream/endpoint_impl.h"
#include "upstream/target_impl.h"

/* The name to ask for and to verify; an address is verified as such. */
static struct str tls_name(const struct endpoint *e, char *text)
{
    if (e->target->server_name[0] != '\0')
        return str_of(e->target->server_name);
    if (addr_is_unix(&e->addr))
        return STR("localhost");
    if (e->host[0] != '\0')
        return str_of(e->host);
    return str_make(text, addr_format_ip(&e->addr, text));
}

/* The first bytes name the client. */
static void send_proxy_header(struct conn *conn, const struct endpoint *e,
                              const struct upstream_client *client)
{
    char text[PROXY_HEADER_V1_MAX + 1];
    size_t len =
        proxy_header_write((int)e->target->send_proxy, &client->addr, &client->server, text);

    conn_send_first(conn, str_make(text, len));
}

struct conn *endpoint_dial(struct endpoint *e, const struct upstream_client *client,
                           const struct conn_handler *handler, void *arg)
{
    const struct upstream_timeouts_conf *timeouts = &e->target->group->conf->timeouts;
    const struct conn_limits limits = {
        .connect_ms = timeouts->connect_ms,
        .handshake_ms = timeouts->connect_ms,
        .write_ms = timeouts->idle_ms,
    };
    char text[ADDR_TEXT_MAX];
    struct conn *conn = conn_connect(e->loop, &e->addr, handler, arg, limits);

    if (e->target->client != NULL)
        tls_connect(conn, e->target->client, tls_name(e, text), &e->slot);
    if (client != NULL)
        send_proxy_header(conn, e, client);
    return conn;
}
