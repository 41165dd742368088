/* `listeners`: where clients come in, and what is promised to them. */
#include "base/forwarding_fields.h"
#include "config/loader_impl.h"
#include "config/units.h"

/* --- TLS ------------------------------------------------------------------------------------- */

static int load_certificate(struct loader *loader, const struct node *node,
                            struct certificate_conf *certificate)
{
    static const struct key keys[] = {
        {"chain", load_path, offsetof(struct certificate_conf, chain), false},
        {"key", load_path, offsetof(struct certificate_conf, key), false},
        {"chain_pem", load_text, offsetof(struct certificate_conf, chain_pem), false},
        {"key_pem", load_text, offsetof(struct certificate_conf, key_pem), false},
        {"ocsp", load_path, offsetof(struct certificate_conf, ocsp), false},
    };

    certificate->place = node->place;
    if (LOAD_KEYS(loader, node, keys, certificate) < 0)
        return -1;
    bool has_files = certificate->chain.len > 0 && certificate->key.len > 0;
    bool has_text = certificate->chain_pem.len > 0 && certificate->key_pem.len > 0;
    bool has_any_file = certificate->chain.len > 0 || certificate->key.len > 0;
    bool has_any_text = certificate->chain_pem.len > 0 || certificate->key_pem.len > 0;
    if (has_files == has_text || (has_any_file && has_any_text))
        return complain(loader, node, "a certificate needs \"chain\" and \"key\"");
    return 0;
}

static int load_certificates(struct loader *loader, const struct node *node, void *out)
{
    struct tls_server_conf *tls = out;
    size_t count;
    struct node *const *items = node_items(&node, &count);
    int result = 0;

    tls->certificates = ARENA_NEW_N(loader->arena, struct certificate_conf, count);
    for (size_t i = 0; i < count; i++) {
        if (load_certificate(loader, items[i], &tls->certificates[tls->certificate_count]) < 0)
            result = -1;
        else
            tls->certificate_count++;
    }
    if (count == 0)
        return complain(loader, node, "at least one certificate is needed");
    return result;
}

static int load_alpn(struct loader *loader, const struct node *node, void *out)
{
    static const char *const words[] = {"h2", "http/1.1"};
    struct tls_server_conf *tls = out;
    size_t count;
    struct node *const *items = node_items(&node, &count);

    tls->alpn_h2 = tls->alpn_h1 = false;
    for (size_t i = 0; i < count; i++) {
        int word = LOAD_WORD(loader, items[i], words);
        if (word < 0)
            return -1;
        *(word == 0 ? &tls->alpn_h2 : &tls->alpn_h1) = true;
    }
    if (count == 0)
        return complain(loader, node, "at least one protocol is needed");
    return 0;
}

static int load_client_auth(struct loader *loader, const struct node *node, void *out)
{
    static const char *const words[] = {"none", "optional", "required"};
    int word = LOAD_WORD(loader, node, words);

    if (word < 0)
        return -1;
    *(enum client_auth *)out = (enum client_auth)word;
    return 0;
}

static int load_client_names(struct loader *loader, const struct node *node, void *out)
{
    struct client_certificate_conf *conf = out;
    size_t count;
    struct node *const *items = node_items(&node, &count);
    int result = 0;

    conf->names = ARENA_NEW_N(loader->arena, struct str, count);
    for (size_t i = 0; i < count; i++) {
        if (load_str(loader, items[i], &conf->names[conf->name_count]) < 0)
            result = -1;
        else
            conf->name_count++;
    }
    if (count == 0)
        return complain(loader, node, "at least one name is needed");
    return result;
}

static int load_client_certificate(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"mode", load_client_auth, offsetof(struct client_certificate_conf, mode), false},
        {"ca", load_path, offsetof(struct client_certificate_conf, ca), false},
        {"crl", load_path, offsetof(struct client_certificate_conf, crl), false},
        {"names", load_client_names, 0, false},
    };
    struct client_certificate_conf *conf = out;

    *conf = (struct client_certificate_conf){.place = node->place, .mode = CLIENT_AUTH_REQUIRED};
    if (LOAD_KEYS(loader, node, keys, conf) < 0)
        return -1;
    if (conf->mode != CLIENT_AUTH_NONE && conf->ca.len == 0)
        return complain(loader, node, "client certificates need a \"ca\" that issues them");
    return 0;
}

static int load_sni_name(struct loader *loader, const struct node *node, void *out)
{
    struct str text, host;
    struct str *name = out;

    if (load_str(loader, node, &text) < 0)
        return -1;
    bool is_wild = str_starts(text, STR("*."));
    host = canonical_host(loader->arena, is_wild ? str_skip(text, 2) : text);
    if (host.len == 0 || host.len > 253 || !is_host_name(host))
        return complain(loader, node, "invalid value: \"%s\"; expected a host name or *.host",
                        node->text.ptr);
    *name = is_wild ? arena_join(loader->arena, STR("*."), host) : host;
    return 0;
}

/* After the listener's own values, which it starts from. */
static int load_tls_host(struct loader *loader, const struct node *node,
                         const struct tls_server_conf *tls, struct tls_host_conf *host)
{
    static const struct key keys[] = {
        {"name", load_sni_name, offsetof(struct tls_host_conf, name), true},
        {"min_version", load_tls_version, offsetof(struct tls_host_conf, min_version), false},
        {"client_certificate", load_client_certificate,
         offsetof(struct tls_host_conf, client_certificate), false},
    };

    *host = (struct tls_host_conf){.place = node->place,
                                   .min_version = tls->min_version,
                                   .client_certificate = tls->client_certificate};
    if (LOAD_KEYS(loader, node, keys, host) < 0)
        return -1;
    for (const struct tls_host_conf *other = tls->hosts; other < host; other++) {
        if (str_eq(other->name, host->name))
            return complain(loader, node, "a second host \"%.*s\", the first is at %s:%d",
                            STR_FMT(host->name), other->place.file, other->place.line);
    }
    return 0;
}

static int load_tls_hosts(struct loader *loader, const struct node *node,
                          struct tls_server_conf *tls)
{
    size_t count;
    struct node *const *items = node_items(&node, &count);
    int result = 0;

    tls->hosts = ARENA_NEW_N(loader->arena, struct tls_host_conf, count);
    for (size_t i = 0; i < count; i++) {
        if (load_tls_host(loader, items[i], tls, &tls->hosts[tls->host_count]) < 0)
            result = -1;
        else
            tls->host_count++;
    }
    return result;
}

static int load_unknown_sni(struct loader *loader, const struct node *node, void *out)
{
    static const char *const words[] = {"default", "reject"};
    int word = LOAD_WORD(loader, node, words);

    if (word < 0)
        return -1;
    *(enum unknown_sni *)out = (enum unknown_sni)word;
    return 0;
}

static int load_server_tls(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"certificates", load_certificates, 0, true},
        {"alpn", load_alpn, 0, false},
        {"min_version", load_tls_version, offsetof(struct tls_server_conf, min_version), false},
        {"ciphers", load_str, offsetof(struct tls_server_conf, ciphers), false},
        {"ciphersuites", load_str, offsetof(struct tls_server_conf, ciphersuites), false},
        {"curves", load_str, offsetof(struct tls_server_conf, curves), false},
        {"tickets", load_bool, offsetof(struct tls_server_conf, tickets), false},
        {"unknown_sni", load_unknown_sni, offsetof(struct tls_server_conf, unknown_sni), false},
        {"client_certificate", load_client_certificate,
         offsetof(struct tls_server_conf, client_certificate), false},
        {"hosts", load_ignored, 0, false},
    };
    struct tls_server_conf *tls = ARENA_NEW(loader->arena, struct tls_server_conf);

    tls->alpn_h1 = tls->alpn_h2 = true;
    tls->tickets = true;
    *(struct tls_server_conf **)out = tls;
    int result = LOAD_KEYS(loader, node, keys, tls);
    const struct node *hosts = node_find(node, "hosts");
    if (hosts != NULL && load_tls_hosts(loader, hosts, tls) < 0)
        result = -1;
    return result;
}

/* --- networks -------------------------------------------------------------------------------- */

static void warn_host_bits(struct loader *loader, const struct node *node, const struct cidr *cidr)
{
    char network[ADDR_TEXT_MAX];

    if (cidr_without_host_bits(cidr, network) > 0)
        warn_place(loader, node->place,
                   "network \"%s\" has bits set behind its prefix, so it means %s; did you mean "
                   "\"%.*s\"?",
                   node->text.ptr, network, (int)strcspn(node->text.ptr, "/"), node->text.ptr);
}

/* A list of networks into *cidrs and *cidr_count. */
static int load_cidrs(struct loader *loader, const struct node *node, struct cidr **cidrs,
                      size_t *cidr_count)
{
    size_t count;
    struct node *const *items = node_items(&node, &count);
    int result = 0;

    *cidrs = ARENA_NEW_N(loader->arena, struct cidr, count);
    *cidr_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (!expect_scalar(loader, items[i], "a network"))
            result = -1;
        else if (cidr_parse(items[i]->text, &(*cidrs)[*cidr_count]) == 0)
            warn_host_bits(loader, items[i], &(*cidrs)[(*cidr_count)++]);
        else
            result = complain(
                loader, items[i],
                "invalid value: \"%s\"; expected a network such as 10.0.0.0/8 or 2001:db8::/32",
                items[i]->text.ptr);
    }
    return result;
}

static int load_trusted_proxies(struct loader *loader, const struct node *node, void *out)
{
    struct listener_conf *listener = out;

    return load_cidrs(loader, node, &listener->trusted_proxies, &listener->trusted_proxy_count);
}

static int unknown_forwarding_field(struct loader *loader, const struct node *node)
{
    struct guess guess = guess_for(arena_str_lower(loader->arena, node->text));

#define X(id, text, flags) guess_try(&guess, STR(text));
    FORWARDING_FIELDS(X)
#undef X
    return complain(loader, node, "\"%s\" is not a forwarding field, so it is kept anyway%s",
                    node->text.ptr, guess_words(loader, &guess));
}

static int load_keep_untrusted(struct loader *loader, const struct node *node, void *out)
{
    struct listener_conf *listener = out;
    size_t count;
    struct node *const *items = node_items(&node, &count);
    int result = 0;

    listener->keep_untrusted = ARENA_NEW_N(loader->arena, struct str, MAX(count, 1));
    for (size_t i = 0; i < count; i++) {
        struct str *name = &listener->keep_untrusted[listener->keep_untrusted_count];
        if (load_field_name(loader, items[i], name) < 0)
            result = -1;
        else if (!forwarding_field_is_known(*name))
            result = unknown_forwarding_field(loader, items[i]);
        else
            listener->keep_untrusted_count++;
    }
    return result;
}

static int load_exempt(struct loader *loader, const struct node *node, void *out)
{
    struct per_client_conf *per_client = out;

    return load_cidrs(loader, node, &per_client->exempt, &per_client->exempt_count);
}

static int load_from(struct loader *loader, const struct node *node, void *out)
{
    struct proxy_protocol_conf *conf = out;

    return load_cidrs(loader, node, &conf->from, &conf->from_count);
}

/* --- the rest -------------------------------------------------------------------------------- */

static int load_client_ip(struct loader *loader, const struct node *node, void *out)
{
    static const char *const words[] = {"set", "append", "off"};
    int word = LOAD_WORD(loader, node, words);

    if (word < 0)
        return -1;
    *(enum client_ip_mode *)out = (enum client_ip_mode)word;
    return 0;
}

static int load_half_close(struct loader *loader, const struct node *node, void *out)
{
    static const char *const words[] = {"answer", "abort"};
    int word = LOAD_WORD(loader, node, words);

    if (word < 0)
        return -1;
    *(bool *)out = word == 1;
    return 0;
}

static int load_encoded_controls(struct loader *loader, const struct node *node, void *out)
{
    static const char *const words[] = {"pass", "reject"};
    int word = LOAD_WORD(loader, node, words);

    if (word < 0)
        return -1;
    *(enum encoded_controls *)out = (enum encoded_controls)word;
    return 0;
}

static int load_raw_utf8(struct loader *loader, const struct node *node, void *out)
{
    static const char *const words[] = {"encode", "reject"};
    int word = LOAD_WORD(loader, node, words);

    if (word < 0)
        return -1;
    *(enum raw_utf8 *)out = (enum raw_utf8)word;
    return 0;
}

static int load_odd_names(struct loader *loader, const struct node *node, void *out)
{
    static const char *const words[] = {"drop", "reject", "keep"};
    int word = LOAD_WORD(loader, node, words);

    if (word < 0)
        return -1;
    *(enum odd_names *)out = (enum odd_names)word;
    return 0;
}

static int load_ipv6_prefix(struct loader *loader, const struct node *node, void *out)
{
    uint32_t bits;

    if (load_count(loader, node, &bits) < 0)
        return -1;
    if (bits > 128)
        return complain(loader, node, "expected 1 to 128 bits, got %u", bits);
    *(uint32_t *)out = bits;
    return 0;
}

static int load_per_client(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"max_connections", load_count_or_none, offsetof(struct per_client_conf, max_connections),
         false},
        {"new_per_second", load_count_or_none, offsetof(struct per_client_conf, new_per_second),
         false},
        {"ipv6_prefix", load_ipv6_prefix, offsetof(struct per_client_conf, ipv6_prefix), false},
        {"exempt", load_exempt, 0, false},
    };

    return LOAD_KEYS(loader, node, keys, out);
}

static int load_proxy_protocol(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"from", load_from, 0, true},
        {"required", load_bool, offsetof(struct proxy_protocol_conf, required), false},
    };
    struct proxy_protocol_conf *conf = out;

    conf->enabled = conf->required = true;
    return LOAD_KEYS(loader, node, keys, conf);
}

/* Less than one stream may hold would stop every download again and again. */
static int load_held_bytes(struct loader *loader, const struct node *node, void *out)
{
    enum { LEAST = 64 * 1024 };
    uint32_t *bytes = out;

    if (load_bytes(loader, node, bytes) < 0)
        return -1;
    if (*bytes < LEAST)
        return complain(loader, node, "invalid value: \"%s\"; expected 64KiB to 1GiB",
                        node->text.ptr);
    return 0;
}

/* What every request may cost, so nothing large. */
static int load_small_count(struct loader *loader, const struct node *node, void *out)
{
    enum { MOST = 1000 };
    uint32_t *count = out;

    if (load_count(loader, node, count) < 0)
        return -1;
    if (*count > MOST)
        return complain(loader, node, "invalid value: \"%u\"; expected 1 to %d", *count, MOST);
    return 0;
}

static int load_limits(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"max_header_bytes", load_byte_bound, offsetof(struct limits_conf, max_header_bytes),
         false},
        {"max_header_count", load_bound, offsetof(struct limits_conf, max_header_count), false},
        {"max_line_bytes", load_byte_bound, offsetof(struct limits_conf, max_line_bytes), false},
        {"max_uri_bytes", load_byte_bound, offsetof(struct limits_conf, max_uri_bytes), false},
        {"max_chunk_extension_bytes", load_byte_bound,
         offsetof(struct limits_conf, max_chunk_extension_bytes), false},
        {"max_connection_options", load_small_count,
         offsetof(struct limits_conf, max_connection_options), false},
        {"max_empty_lines", load_small_count, offsetof(struct limits_conf, max_empty_lines), false},
        {"max_body_bytes", load_bytes64, offsetof(struct limits_conf, max_body_bytes), false},
        {"max_connections", load_peer_limit, offsetof(struct limits_conf, max_connections), false},
        {"min_body_rate", load_count_or_none, offsetof(struct limits_conf, min_body_rate), false},
        {"max_streams", load_bound, offsetof(struct limits_conf, max_streams), false},
        {"max_requests", load_count_or_none, offsetof(struct limits_conf, max_requests), false},
        {"max_held_header_bytes", load_byte_bound,
         offsetof(struct limits_conf, max_held_header_bytes), false},
        {"max_held_bytes", load_held_bytes, offsetof(struct limits_conf, max_held_bytes), false},
        {"max_unsent_bytes", load_byte_bound, offsetof(struct limits_conf, max_unsent_bytes),
         false},
    };

    return LOAD_KEYS(loader, node, keys, out);
}

static int load_timeouts(struct loader *loader, const struct node *node, void *out)
{
    static const struct key keys[] = {
        {"handshake", load_ms, offsetof(struct downstream_timeouts_conf, handshake_ms), false},
        {"header", load_ms, offsetof(struct downstream_timeouts_conf, header_ms), false},
        {"body", load_ms, offsetof(struct downstream_timeouts_conf, body_ms), false},
        {"body_grace", load_ms, offsetof(struct downstream_timeouts_conf, body_grace_ms), false},
        {"write", load_ms, offsetof(struct downstream_timeouts_conf, write_ms), false},
        {"idle", load_ms, offsetof(struct downstream_timeouts_conf, idle_ms), false},
    };

    return LOAD_KEYS(loader, node, keys, out);
}

static int load_via(struct loader *loader, const struct node *node, void *out)
{
    struct str via;

    if (load_str_or_empty(loader, node, &via) < 0)
        return -1;
    if (via.len > 0 && !is_token(via))
        return complain(loader, node, "\"%s\" cannot be a pseudonym in Via", via.ptr);
    *(struct str *)out = via;
    return 0;
}

static int load_router_name(struct loader *loader, const struct node *node, void *out)
{
    int index = find_router(loader, node);

    *(int *)out = index;
    return index < 0 ? -1 : 0;
}

static int load_group_name(struct loader *loader, const struct node *node, void *out)
{
    int index = find_group(loader, node);

    *(int *)out = index;
    return index < 0 ? -1 : 0;
}

static struct cidr loopback[2];

/* Runs before main: plain data for every listener that does not say otherwise. */
__attribute__((constructor)) static void make_loopback(void)
{
    if (cidr_parse(STR("127.0.0.0/8"), &loopback[0]) < 0 ||
        cidr_parse(STR("::1"), &loopback[1]) < 0)
        UNREACHABLE("literal networks");
}

static void listener_defaults(struct listener_conf *listener)
{
    listener->per_client = (struct per_client_conf){
        .max_connections = 10000,
        .new_per_second = 10000,
        .ipv6_prefix = 64,
        .exempt = loopback,
        .exempt_count = ARRAY_LEN(loopback),
    };
    listener->router = listener->group = -1;
    listener->redirect_port = 443;
    listener->trust_unix = true;
    listener->client_ip = CLIENT_IP_SET;
    listener->forwarded_for = true;
    listener->via = STR("weir");
    listener->websocket = true;
    listener->inbound = true;
    listener->limits = (struct limits_conf){
        .max_header_bytes = 64 << 10,
        .max_header_count = 128,
        .max_line_bytes = 16 << 10,
        .max_chunk_extension_bytes = 4 << 10,
        .max_connection_options = 64,
        .max_empty_lines = 4,
        .max_uri_bytes = 8 << 10,
        .max_connections = 50000,
        .min_body_rate = 240,
        .max_streams = 100,
        .max_requests = 10000,
        .max_held_header_bytes = 1 << 20,
        .max_held_bytes = 1 << 20,
        .max_unsent_bytes = 512 << 10,
    };
    listener->timeouts = (struct downstream_timeouts_conf){
        .handshake_ms = 10000,
        .header_ms = 15000,
        .body_ms = 30000,
        .body_grace_ms = 15000,
        .write_ms = 30000,
        .idle_ms = 120000,
    };
}

/* Where its requests go must be said once; redirect_to_https may stand alone, or beside it for what
 * a trusted proxy has received by https. */
static int check_purpose(struct loader *loader, const struct node *node,
                         const struct listener_conf *listener)
{
    const struct node *redirect = node_find(node, "redirect_to_https");
    bool redirects = redirect != NULL && str_eq(redirect->text, STR("true"));
    bool has_router = node_find(node, "router") != NULL,
         has_group = node_find(node, "group") != NULL;

    if (has_router && has_group)
        return complain(loader, node, "a listener needs one of \"router\" and \"group\", not both");
    if (has_router || has_group || node->is_partial)
        return 0;
    if (redirects && listener->trusted_proxy_count > 0)
        note_place(
            loader, node->place,
            "what trusted_proxies have received by https is answered with 404 here: there is "
            "no \"router\" or \"group\"");
    if (redirects)
        return 0;
    return complain(
        loader, node,
        "a listener needs one of \"router\", \"group\" and \"redirect_to_https: true\"");
}

static int load_listener(struct loader *loader, const struct node *node,
                         struct listener_conf *listener)
{
    static const struct key keys[] = {
        {"name", load_str, offsetof(struct listener_conf, name), true},
        {"bind", load_binds, offsetof(struct listener_conf, binds), true},
        {"tls", load_server_tls, offsetof(struct listener_conf, tls), false},
        {"router", load_router_name, offsetof(struct listener_conf, router), false},
        {"group", load_group_name, offsetof(struct listener_conf, group), false},
        {"redirect_to_https", load_bool, offsetof(struct listener_conf, redirect_to_https), false},
        {"redirect_port", load_port, offsetof(struct listener_conf, redirect_port), false},
        {"trusted_proxies", load_trusted_proxies, 0, false},
        {"keep_untrusted", load_keep_untrusted, 0, false},
        {"trust_unix", load_bool, offsetof(struct listener_conf, trust_unix), false},
        {"show_group", load_bool, offsetof(struct listener_conf, show_group), false},
        {"client_ip", load_client_ip, offsetof(struct listener_conf, client_ip), false},
        {"forwarded_for", load_bool, offsetof(struct listener_conf, forwarded_for), false},
        {"server_name", load_str_or_empty, offsetof(struct listener_conf, server_name), false},
        {"via", load_via, offsetof(struct listener_conf, via), false},
        {"websocket", load_bool, offsetof(struct listener_conf, websocket), false},
        {"half_close", load_half_close, offsetof(struct listener_conf, aborts_half_closed), false},
        {"inbound", load_bool, offsetof(struct listener_conf, inbound), false},
        {"odd_names", load_odd_names, offsetof(struct listener_conf, odd_names), false},
        {"encoded_controls", load_encoded_controls,
         offsetof(struct listener_conf, encoded_controls), false},
        {"raw_utf8", load_raw_utf8, offsetof(struct listener_conf, raw_utf8), false},
        {"header_case", load_header_case, offsetof(struct listener_conf, header_case), false},
        {"headers", load_header_rules, offsetof(struct listener_conf, headers), false},
        {"rate_limit", load_rate_limits, offsetof(struct listener_conf, rate_limits), false},
        {"per_client", load_per_client, offsetof(struct listener_conf, per_client), false},
        {"proxy_protocol", load_proxy_protocol, offsetof(struct listener_conf, proxy_protocol),
         false},
        {"limits", load_limits, offsetof(struct listener_conf, limits), false},
        {"timeouts", load_timeouts, offsetof(struct listener_conf, timeouts), false},
    };

    listener_defaults(listener);
    listener->place = node->place;
    int result = LOAD_KEYS(loader, node, keys, listener);
    if (node->kind == NODE_MAP && check_purpose(loader, node, listener) < 0)
        result = -1;
    return result;
}

/* --- all of them ----------------------------------------------------------------------------- */

static int check_name(struct loader *loader, size_t index)
{
    const struct listener_conf *listeners = loader->config->listeners;

    for (size_t i = 0; i < index; i++) {
        if (listeners[index].name.len > 0 && str_eq(listeners[i].name, listeners[index].name))
            return complain_place(
                loader, listeners[index].place, "a second listener \"%.*s\", the first is at %s:%d",
                STR_FMT(listeners[i].name), listeners[i].place.file, listeners[i].place.line);
    }
    return 0;
}

int load_listeners(struct loader *loader, const struct node *node)
{
    struct config *config = loader->config;
    size_t count;
    struct node *const *items = node_items(&node, &count);
    int result = 0;

    if (count == 0 && node->is_partial)
        return -1;
    if (count == 0)
        return complain(loader, node, "at least one listener is needed");
    config->listeners = ARENA_NEW_N(loader->arena, struct listener_conf, count);
    for (size_t i = 0; i < count; i++) {
        size_t index = config->listener_count++;
        if (load_listener(loader, items[i], &config->listeners[index]) < 0)
            result = -1;
        if (check_name(loader, index) < 0)
            result = -1;
    }
    return result;
}
