/* See client.h. */
#include "proxy/client.h"

#include "proxy/serving_impl.h"

#include <stdlib.h>
#include <string.h>

static bool is_trusted(const struct listener_conf *conf, bool is_unix, const uint8_t ip[16])
{
    if (is_unix)
        return conf->trust_unix;
    return cidrs_contain(conf->trusted_proxies, conf->trusted_proxy_count, ip);
}

static void make_identity(struct client *client, const struct addr *peer, const struct addr *server)
{
    client->identity = mem_new(sizeof(*client->identity));
    upstream_client_init(client->identity);
    client->identity->addr = *peer;
    client->identity->server = *server;
}

void client_init(struct client *client, struct proxy *proxy,
                 const struct serving_listener *listener, const struct addr *peer,
                 const struct addr *server)
{
    char text[ADDR_TEXT_MAX];
    size_t len = addr_format_ip(peer, text);

    client->proxy = proxy;
    client->listener_key = listener->key;
    client->port = addr_port(peer);
    client->is_unix = addr_is_unix(peer);
    addr_ip_bytes(peer, client->ip);
    client->text_len = (uint8_t)MIN(len, sizeof(client->text));
    memcpy(client->text, text, client->text_len);
    client_follow(client, listener);
    if (server != NULL)
        make_identity(client, peer, server);
}

void client_follow(struct client *client, const struct serving_listener *listener)
{
    client->listener = listener;
    client->is_trusted = is_trusted(listener->conf, client->is_unix, client->ip);
}

void client_end(struct client *client)
{
    if (client->identity != NULL)
        upstream_client_deinit(client->identity);
}

void client_deinit(struct client *client)
{
    free(client->identity);
    client->identity = NULL;
}

struct upstream_client *client_identity(struct client *client, int fd)
{
    struct addr peer = {0}, server = {.len = sizeof(struct sockaddr_un)};

    if (client->identity != NULL)
        return client->identity;
    bool is_ip = !client->is_unix && addr_parse_ip(client_text(client), client->port, &peer) == 0;
    if (!is_ip || fd < 0 || getsockname(fd, &server.sa, &server.len) < 0)
        peer = server = (struct addr){0};
    make_identity(client, &peer, &server);
    return client->identity;
}
