/* TLS towards clients: a listener's certificates, policies and names, and the connections that it
 * accepts. For every name that the certificates cover there is one site (sites.c), and a client's
 * hello chooses among them (server_ctx.c). */
#include "tls/server_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- building -------------------------------------------------------------------------------- */

static void add_protocol(struct tls_server *server, const char *name)
{
    size_t len = strlen(name);

    server->alpn[server->alpn_len++] = (unsigned char)len;
    memcpy(server->alpn + server->alpn_len, name, len);
    server->alpn_len += (unsigned)len;
}

static int add_policy(struct tls_server *server, const struct tls_server_conf *conf,
                      enum tls_version min_version, const struct client_certificate_conf *client,
                      struct err *err)
{
    struct tls_policy *policy = tls_policy_new(server->library, conf, min_version, client, err);

    if (policy == NULL) {
        place_err(err, &client->place);
        return -1;
    }
    server->policies[server->policy_count++] = policy;
    return 0;
}

static int compile_policies(struct tls_server *server, const struct tls_server_conf *conf,
                            struct err *err)
{
    server->policies = mem_new((conf->host_count + 1) * sizeof(struct tls_policy *));
    if (add_policy(server, conf, conf->min_version, &conf->client_certificate, err) < 0)
        return -1;
    for (size_t i = 0; i < conf->host_count; i++) {
        const struct tls_host_conf *host = &conf->hosts[i];
        if (add_policy(server, conf, host->min_version, &host->client_certificate, err) < 0)
            return -1;
    }
    return 0;
}

static void server_free(struct tls_server *server)
{
    sites_free(server);
    for (size_t i = 0; i < server->policy_count; i++)
        tls_policy_free(server->policies[i]);
    free(server->policies);
    free(server);
}

/* How many of the certificates loaded: all of them, or up to the first mistake, which is in `err`.
 */
static size_t load_certificates(struct certificate *certs, struct tls_library *library,
                                const struct tls_server_conf *conf, struct err *err)
{
    size_t loaded = 0;

    for (size_t i = 0; i < conf->certificate_count; i++) {
        const struct certificate_conf *item = &conf->certificates[i];
        if (certificate_load(&certs[loaded], library, item, err) < 0) {
            place_err(err, &item->place);
            break;
        }
        loaded++;
    }
    return loaded;
}

static void certificates_free(struct certificate *certs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        certificate_deinit(&certs[i]);
    free(certs);
}

struct tls_server *tls_server_new(struct tls_library *library, struct tls_tickets *tickets,
                                  const struct tls_server_conf *conf, struct err *err)
{
    if (conf->certificate_count == 0) {
        err_set(err, "a TLS listener needs at least one certificate");
        return NULL;
    }
    struct tls_server *server = mem_new(sizeof(*server));
    struct certificate *certs = mem_new(conf->certificate_count * sizeof(*certs));

    server->refs = 1;
    server->library = library;
    server->tickets = conf->tickets ? tickets : NULL;
    server->sni_key = hash_key_random();
    if (conf->alpn_h2)
        add_protocol(server, "h2");
    if (conf->alpn_h1)
        add_protocol(server, "http/1.1");

    size_t loaded = load_certificates(certs, library, conf, err);
    bool ok = loaded == conf->certificate_count && compile_policies(server, conf, err) == 0;
    if (ok && sites_compile(server, conf, certs, loaded, err) < 0) {
        place_err(err, &conf->certificates[0].place);
        ok = false;
    }
    certificates_free(certs, loaded);
    if (ok)
        return server;
    server_free(server);
    return NULL;
}

struct tls_server *tls_server_ref(struct tls_server *server)
{
    server->refs++;
    return server;
}

void tls_server_unref(struct tls_server **slot)
{
    struct tls_server *server = *slot;

    *slot = NULL;
    if (server != NULL && --server->refs == 0)
        server_free(server);
}

/* One certificate alone: its errors and its warning. */
static int check_one(struct tls_library *library, const struct certificate_conf *conf,
                     tls_complain *complain, void *arg)
{
    struct certificate cert;
    struct err err = {0};
    char text[ERR_TEXT_MAX];

    if (certificate_load(&cert, library, conf, &err) < 0) {
        complain(arg, &conf->place, true, err.text);
        return 1;
    }
    if (certificate_warning(&cert, text, sizeof(text))[0] != '\0')
        complain(arg, &conf->place, false, text);
    certificate_deinit(&cert);
    return 0;
}

int tls_server_check(const struct tls_server_conf *conf, tls_complain *complain, void *arg)
{
    struct tls_library *library = tls_library_new();
    const struct place nowhere = {0};
    int errors = 0;

    for (size_t i = 0; i < conf->certificate_count; i++)
        errors += check_one(library, &conf->certificates[i], complain, arg);
    if (errors == 0) {
        struct err err = {0};
        struct tls_server *server = tls_server_new(library, NULL, conf, &err);
        if (server == NULL) {
            struct place place = {err.file, err.line, err.column};
            complain(arg, err.line > 0 ? &place : &nowhere, true, err.text);
            errors++;
        }
        tls_server_unref(&server);
    }
    tls_library_free(library);
    return errors;
}

/* The name in "name:port", "[::1]:port" or either alone. */
static struct str without_port(struct str authority)
{
    if (authority.len > 0 && authority.ptr[0] == '[')
        return authority;
    ptrdiff_t colon = str_find_char(authority, ':');
    return colon >= 0 ? str_make(authority.ptr, (size_t)colon) : authority;
}

bool tls_host_fits(struct conn *conn, const struct tls_server *server, struct str host)
{
    const struct tls_stream *s = conn_transport_state(conn);

    if (s == NULL || s->server == NULL)
        return true;
    const struct tls_policy *have = tls_policy_of(s->ssl);
    if (server->policy_count == 1)
        return tls_policy_same_auth(have, server->policies[0]);
    return tls_policy_same_auth(have, site_of(server, without_port(host))->policy);
}

void tls_accept(struct conn *conn, struct tls_server *server)
{
    SSL *ssl = SSL_new(server->sites[0]->ctx);
    struct tls_stream *s = tls_stream_new(conn, server->library, ssl);

    s->server = tls_server_ref(server);
    SSL_set_accept_state(ssl);
}
