/* A TLS server or client made straight from its configuration, for tests. */
#pragma once

#include "tls/client.h"
#include "tls/server.h"

#include <stdio.h>

/* Keeps the first error. */
static inline void plans_complain(void *arg, const struct place *place, bool is_error,
                                  const char *text)
{
    struct err *err = arg;

    if (!is_error || err->text[0] != '\0')
        return;
    snprintf(err->text, sizeof(err->text), "%s", text);
    if (place != NULL)
        err->line = place->line;
}

static inline struct tls_server *server_from(struct tls_library *library,
                                             struct tls_tickets *tickets,
                                             const struct tls_server_conf *conf, struct err *err)
{
    *err = (struct err){0};
    struct tls_loader *loader = tls_loader_new(plans_complain, err);
    struct tls_server_plan *plan = tls_server_plan_load(loader, conf);
    struct tls_server *server = plan != NULL ? tls_server_new(library, tickets, plan) : NULL;

    tls_server_plan_unref(&plan);
    tls_loader_free(loader);
    return server;
}

static inline struct tls_client_plan *client_plan_from(const struct upstream_tls_conf *conf,
                                                       bool alpn_h2, struct err *err)
{
    const struct place place = {"test.yaml", 3, 5};

    *err = (struct err){0};
    struct tls_loader *loader = tls_loader_new(plans_complain, err);
    struct tls_client_plan *plan = tls_client_plan_load(loader, &place, conf, alpn_h2);
    tls_loader_free(loader);
    return plan;
}

static inline struct tls_client *client_from(struct tls_library *library,
                                             const struct upstream_tls_conf *conf, bool alpn_h2,
                                             struct err *err)
{
    struct tls_client_plan *plan = client_plan_from(conf, alpn_h2, err);
    struct tls_client *client = plan != NULL ? tls_client_new(library, plan) : NULL;

    tls_client_plan_unref(&plan);
    return client;
}
