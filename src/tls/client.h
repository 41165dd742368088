/* TLS towards upstreams: verified by default (chain and name), SNI, session reuse. */
#pragma once

#include "base/err.h"
#include "config/config.h"
#include "net/conn.h"
#include "tls/server.h"

struct tls_client;

/* One per group, worker and snapshot. Its context is made with its first connection. */
struct tls_client *tls_client_new(struct tls_library *library, struct tls_client_plan *plan);
struct tls_client *tls_client_ref(struct tls_client *client);
void tls_client_unref(struct tls_client **client);

/* A remembered session of one endpoint, for resumption. Zero-initialised by its owner. */
struct tls_session_slot {
    void *session; /* owns: SSL_SESSION */
};
void tls_session_slot_clear(struct tls_session_slot *slot);

/* Makes `conn` (from conn_connect, before its first callback) a TLS client connection to `name`
 * (SNI and verified name; an IP address is verified as such and sent without SNI). `slot` may be
 * NULL; it must outlive the connection. A certificate that does not verify ends the connection with
 * reason UPSTREAM_TLS_VERIFY and OpenSSL's words; bytes that come before the handshake are an error
 * too. */
void tls_connect(struct conn *conn, struct tls_client *client, struct str name,
                 struct tls_session_slot *slot);
