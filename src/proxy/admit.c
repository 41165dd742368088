/* Who may come in: caps on connections of a listener, of a client address, and on unfinished
 * handshakes. The cap of the process is the worker's, which also sees what is accepted. */
#include "proxy/proxy_impl.h"

#include <stdlib.h>
#include <unistd.h>

enum { LISTENERS_TALLIED = 1024 }; /* of all configurations that still have connections */

/* --- what workers share ---------------------------------------------------------------------- */

struct quotas *quotas_new(const struct config *config, unsigned worker_count)
{
    struct quotas *quotas = mem_new(sizeof(*quotas));

    quotas->secret = hash_key_random();
    quotas->connections = tally_new(config->max_connections);
    quotas->listeners = tally_new(LISTENERS_TALLIED);
    quotas->meters = meter_new(QUOTA_METERS);
    quotas->worker_count = worker_count;
    return quotas;
}

void quotas_free(struct quotas *quotas)
{
    if (quotas == NULL)
        return;
    tally_free(quotas->connections);
    tally_free(quotas->listeners);
    meter_free(quotas->meters);
    free(quotas);
}

uint64_t quotas_key(const struct quotas *quotas, const void *data, size_t len, uint64_t scope)
{
    struct hash_key key = {quotas->secret.k0 ^ scope, quotas->secret.k1};

    return hash_sip13(key, data, len);
}

/* --- listeners ------------------------------------------------------------------------------- */

bool admit_to_listener(struct proxy *proxy, const struct serving_listener *listener, int fd)
{
    if (proxy->quotas == NULL || tally_take(proxy->quotas->listeners, listener->key,
                                            listener->conf->limits.max_connections) == TALLY_TAKEN)
        return true;
    proxy_count(proxy, COUNTER_CONNECTIONS_REFUSED, 1);
    proxy_count_reason(proxy, REASON_CONNECTION_CAP);
    LOG_LIMITED_BY(log_cause(0, listener->conf->name.ptr), LOG_LEVEL_WARN, "connection_refused",
                   "listener=%.*s reason=%s max_connections=%u", STR_FMT(listener->conf->name),
                   reason_word(REASON_CONNECTION_CAP), listener->conf->limits.max_connections);
    close(fd);
    return false;
}

void admit_release_listener(struct proxy *proxy, uint64_t listener_key)
{
    if (proxy->quotas != NULL)
        tally_give(proxy->quotas->listeners, listener_key);
}

/* --- clients --------------------------------------------------------------------------------- */

static bool is_exempt(const struct client *client)
{
    const struct per_client_conf *conf = &client->listener->conf->per_client;

    return client->is_trusted || client->is_unix ||
           cidrs_contain(conf->exempt, conf->exempt_count, client->ip);
}

/* The key of the network that counts as one client. */
static uint64_t address_key(const struct quotas *quotas, const uint8_t address[16],
                            unsigned ipv4_bits, unsigned ipv6_bits, uint64_t scope)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool is_ip4 = memcmp(address, mapped, sizeof(mapped)) == 0;
    unsigned bits = is_ip4 ? 96 + ipv4_bits : ipv6_bits;
    uint8_t ip[16];

    memcpy(ip, address, sizeof(ip));
    for (unsigned i = bits / 8; i < sizeof(ip); i++)
        ip[i] &= i * 8 >= bits ? 0 : (uint8_t)(0xff << (8 - bits % 8));
    return quotas_key(quotas, ip, sizeof(ip), scope);
}

enum reason admit_client(struct client *client)
{
    const struct per_client_conf *conf = &client->listener->conf->per_client;
    struct quotas *quotas = client->proxy->quotas;

    if (UNLIKELY(proxy_overload(client->proxy) >= OVERLOAD_REFUSE_NEW)) {
        if (client->listener->tls != NULL)
            return REASON_OVERLOAD;
        client->is_unwelcome = true;
    }
    if (quotas == NULL || is_exempt(client))
        return REASON_NONE;
    uint64_t key = client->key =
        address_key(quotas, client->ip, 32, conf->ipv6_prefix, client->listener_key);
    if (conf->new_per_second > 0) {
        const struct meter_rate rate = {.every_us = MAX(1000000 / conf->new_per_second, 1),
                                        .burst = conf->new_per_second};
        if (meter_take(quotas->meters, key, rate, loop_now_us(client->proxy->loop)) > 0)
            return REASON_CLIENT_ARRIVALS;
    }
    if (conf->max_connections == 0)
        return REASON_NONE;
    switch (tally_take(quotas->connections, key, conf->max_connections)) {
    case TALLY_TAKEN:
        client->is_tallied = true;
        return REASON_NONE;
    case TALLY_REFUSED:
        return REASON_CLIENT_CONNECTIONS;
    case TALLY_FULL:
        return REASON_NONE; /* the caps of the listener and the process still hold */
    }
    UNREACHABLE("every answer is above");
}

void admit_release(struct client *client)
{
    if (client->is_tallied)
        tally_give(client->proxy->quotas->connections, client->key);
    client->is_tallied = false;
    admit_release_listener(client->proxy, client->listener_key);
}

/* --- requests -------------------------------------------------------------------------------- */

/* The first cookie of that name in any Cookie line (RFC 6265 section 4.2.1). */
static struct str cookie_value(const struct head *head, struct str wanted)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct field *field = &head->fields[i];
        struct str rest = field->value, pair, name, value;
        if (field->id != HEADER_COOKIE || field->removed)
            continue;
        while (str_next(&rest, ';', &pair)) {
            if (str_cut(str_trim(pair), '=', &name, &value) && str_eq(name, wanted))
                return value;
        }
    }
    return (struct str){0};
}

static struct str limited_value(const struct exchange *x, const struct rate_limit_conf *limit)
{
    switch (limit->key) {
    case RATE_CLIENT_IP:
        return (struct str){0};
    case RATE_HEADER:
        return exchange_field(x, limit->name);
    case RATE_COOKIE:
        return cookie_value(x->request, limit->name);
    }
    UNREACHABLE("every key is above");
}

/* A limit is the place it stands at: it keeps its buckets over a reload that does not move it. */
static uint64_t request_key(const struct exchange *x, const struct rate_limit_conf *limit)
{
    const struct quotas *quotas = x->proxy->quotas;
    struct {
        int32_t line, column;
    } at = {limit->place.line, limit->place.column};
    uint64_t scope = quotas_key(quotas, &at, sizeof(at), x->client->listener_key);
    struct str value = limited_value(x, limit);

    if (value.len > 0)
        return quotas_key(quotas, value.ptr, value.len, scope);
    return address_key(quotas, x->client_ip, limit->ipv4_prefix, limit->ipv6_prefix, ~scope);
}

enum reason admit_request(struct exchange *x, const struct rate_limits_conf *limits)
{
    if (LIKELY(limits->count == 0) || x->proxy->quotas == NULL)
        return REASON_NONE;
    for (size_t i = 0; i < limits->count; i++) {
        const struct rate_limit_conf *limit = &limits->items[i];
        const struct meter_rate rate = {(uint32_t)limit->every_us, limit->burst};
        int64_t wait_us = meter_take(x->proxy->quotas->meters, request_key(x, limit), rate,
                                     loop_now_us(x->proxy->loop));
        if (wait_us > 0) {
            x->retry_after_s = (uint32_t)((wait_us + 999999) / 1000000);
            return REASON_RATE_LIMITED;
        }
    }
    return REASON_NONE;
}

/* --- handshakes ------------------------------------------------------------------------------ */

void admit_handshake(struct downstream *down)
{
    struct proxy *proxy = down->client.proxy;
    unsigned workers = proxy->quotas != NULL ? proxy->quotas->worker_count : 1;
    uint32_t share = (proxy->serving->config->max_handshakes + workers - 1) / workers;

    list_push_back(&proxy->handshakes, &down->handshake);
    if (++proxy->handshake_count <= share)
        return;
    struct downstream *oldest = CONTAINER_OF(proxy->handshakes.next, struct downstream, handshake);
    proxy_count_reason(proxy, REASON_HANDSHAKE_CAP);
    LOG_LIMITED(LOG_LEVEL_WARN, "handshake_cap_reached", "unfinished=%u client=%.*s", share,
                STR_FMT(client_text(&oldest->client)));
    downstream_abort(oldest);
}

void admit_handshake_over(struct downstream *down)
{
    if (!list_is_linked(&down->handshake))
        return;
    list_remove(&down->handshake);
    down->client.proxy->handshake_count--;
}
