/* Who may come in: caps on connections of a listener, of a client address, and on unfinished
 * handshakes. The cap of the process is the worker's, which also sees what is accepted. */
#include "proxy/proxy_impl.h"

#include <stdlib.h>
#include <unistd.h>

/* --- what workers share
 * ----------------------------------------------------------------------------------- */

struct quotas *quotas_new(const struct config *config, unsigned worker_count)
{
    struct quotas *quotas = mem_new(sizeof(*quotas));

    quotas->secret = hash_key_random();
    quotas->connections = tally_new(config->max_connections + config->listener_count);
    quotas->meters = meter_new(QUOTA_METERS);
    quotas->worker_count = worker_count;
    return quotas;
}

void quotas_free(struct quotas *quotas)
{
    if (quotas == NULL)
        return;
    tally_free(quotas->connections);
    meter_free(quotas->meters);
    free(quotas);
}

uint64_t quotas_key(const struct quotas *quotas, const void *data, size_t len, uint64_t scope)
{
    struct hash_key key = {quotas->secret.k0 ^ scope, quotas->secret.k1};

    return hash_sip13(key, data, len);
}

/* --- listeners
 * -------------------------------------------------------------------------------------------- */

bool admit_to_listener(struct proxy *proxy, const struct serving_listener *listener, int fd)
{
    if (proxy->quotas == NULL || tally_take(proxy->quotas->connections, listener->key,
                                            listener->conf->limits.max_connections) == TALLY_TAKEN)
        return true;
    proxy_count(proxy, COUNTER_CONNECTIONS_REFUSED, 1);
    proxy_count_reason(proxy, REASON_CONNECTION_CAP);
    LOG_LIMITED(LOG_LEVEL_WARN, "connection_refused", "listener=%.*s reason=%s max_connections=%u",
                STR_FMT(listener->conf->name), reason_word(REASON_CONNECTION_CAP),
                listener->conf->limits.max_connections);
    close(fd);
    return false;
}

void admit_release_listener(struct proxy *proxy, uint64_t listener_key)
{
    if (proxy->quotas != NULL)
        tally_give(proxy->quotas->connections, listener_key);
}

/* --- clients
 * ---------------------------------------------------------------------------------------------- */

static bool is_exempt(const struct downstream *down)
{
    const struct per_client_conf *conf = &down->listener->conf->per_client;

    if (down->trusted || down->peer_is_unix)
        return true;
    for (size_t i = 0; i < conf->exempt_count; i++) {
        if (cidr_contains(&conf->exempt[i], down->peer_ip))
            return true;
    }
    return false;
}

/* IPv4 whole; of IPv6 the prefix that one client has for itself. */
static uint64_t client_key(const struct downstream *down)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    unsigned bits = down->listener->conf->per_client.ipv6_prefix;
    uint8_t ip[16];

    memcpy(ip, down->peer_ip, sizeof(ip));
    if (memcmp(ip, mapped, sizeof(mapped)) != 0) {
        for (unsigned i = 0; i < sizeof(ip); i++) {
            if (i * 8 + 8 > bits)
                ip[i] &= i * 8 >= bits ? 0 : (uint8_t)(0xff << (8 - bits % 8));
        }
    }
    return quotas_key(down->proxy->quotas, ip, sizeof(ip), down->listener_key);
}

enum reason admit_client(struct downstream *down)
{
    const struct per_client_conf *conf = &down->listener->conf->per_client;
    struct quotas *quotas = down->proxy->quotas;

    if (quotas == NULL || is_exempt(down))
        return REASON_NONE;
    uint64_t key = down->client_key = client_key(down);
    if (conf->new_per_second > 0) {
        const struct meter_rate rate = {.every_us = MAX(1000000 / conf->new_per_second, 1),
                                        .burst = conf->new_per_second};
        if (meter_take(quotas->meters, key, rate, loop_now_us(down->proxy->loop)) > 0)
            return REASON_CLIENT_ARRIVALS;
    }
    if (conf->max_connections == 0)
        return REASON_NONE;
    switch (tally_take(quotas->connections, key, conf->max_connections)) {
    case TALLY_TAKEN:
        down->is_tallied = true;
        return REASON_NONE;
    case TALLY_REFUSED:
        return REASON_CLIENT_CONNECTIONS;
    case TALLY_FULL:
        return REASON_NONE; /* the caps of the listener and the process still hold */
    }
    UNREACHABLE("every answer is above");
}

void admit_release(struct downstream *down)
{
    if (down->is_tallied)
        tally_give(down->proxy->quotas->connections, down->client_key);
    down->is_tallied = false;
    admit_release_listener(down->proxy, down->listener_key);
}

/* --- handshakes
 * ------------------------------------------------------------------------------------------- */

void admit_handshake(struct downstream *down)
{
    struct proxy *proxy = down->proxy;
    unsigned workers = proxy->quotas != NULL ? proxy->quotas->worker_count : 1;
    uint32_t share = (proxy->serving->config->max_handshakes + workers - 1) / workers;

    list_push_back(&proxy->handshakes, &down->handshake);
    if (++proxy->handshake_count <= share)
        return;
    struct downstream *oldest = CONTAINER_OF(proxy->handshakes.next, struct downstream, handshake);
    proxy_count_reason(proxy, REASON_HANDSHAKE_CAP);
    LOG_LIMITED(LOG_LEVEL_WARN, "handshake_cap_reached", "unfinished=%u client=%.*s", share,
                STR_FMT(downstream_peer_text(oldest)));
    downstream_abort(oldest);
}

void admit_handshake_over(struct downstream *down)
{
    if (!list_is_linked(&down->handshake))
        return;
    list_remove(&down->handshake);
    down->proxy->handshake_count--;
}
