/* TLS towards clients: a listener in one worker, and the connections that it accepts. What it
 * serves stands in its plan; a client's hello chooses among the names (server_ctx.c). */
#include "tls/server_impl.h"

#include <stdlib.h>

struct tls_server *tls_server_new(struct tls_library *library, struct tls_tickets *tickets,
                                  struct tls_server_plan *plan)
{
    struct tls_server *server = mem_new(sizeof(*server));

    *server = (struct tls_server){
        .refs = 1,
        .library = library,
        .tickets = plan->tickets ? tickets : NULL,
        .plan = tls_server_plan_ref(plan),
        .identities = mem_new((plan->cert_count + 1) * sizeof(struct identity)),
        .sites = mem_new((plan->site_count + 1) * sizeof(struct site)),
        .stores = mem_new((plan->policy_count + 1) * sizeof(struct ca_store *)),
    };
    return server;
}

static void server_free(struct tls_server *server)
{
    sites_free(server);
    tls_server_plan_unref(&server->plan);
    free(server);
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
    if (server->plan->policy_count == 1)
        return tls_policy_same_auth(have, server->plan->policies[0]);
    return tls_policy_same_auth(have, policy_of_host(server, without_port(host)));
}

/* The usual case, which needs no look at the connection: one policy for all names. */
static bool have_one_policy(const struct tls_server *a, const struct tls_server *b)
{
    return a->plan->policy_count == 1 && b->plan->policy_count == 1 &&
           tls_policy_same_auth(a->plan->policies[0], b->plan->policies[0]);
}

bool tls_policy_stays(struct conn *conn, const struct tls_server *had,
                      const struct tls_server *next)
{
    if (had == NULL || next == NULL)
        return had == next;
    if (have_one_policy(had, next))
        return true;
    const struct tls_stream *s = conn_transport_state(conn);
    struct str name = str_of(SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name));
    return tls_policy_same_auth(tls_policy_of(s->ssl), policy_of_host(next, name));
}

void tls_accept(struct conn *conn, struct tls_server *server)
{
    struct err err;
    const struct site *site = site_get(server, 0, &err);

    if (site == NULL) /* it could be made when the plan was loaded */
        assert_failed("out of memory", __FILE__, __LINE__);
    SSL *ssl = SSL_new(site->ctx);
    struct tls_stream *s = tls_stream_new(conn, server->library, ssl);

    s->server = tls_server_ref(server);
    SSL_set_accept_state(ssl);
}
