/* How long a client may resume what it has proved once. Every resumption in TLS 1.3 makes a fresh
 * ticket, so a ticket's own age says nothing: each ticket carries along when the full handshake was
 * and until when the client's certificates are good. Past either, the client makes a full handshake
 * again. */
#include "tls/server_impl.h"

#include <time.h>

enum {
    PROOF_VERSION = 1,
    PROOF_BYTES = 1 + 2 * 8,
    SKEW_SECONDS = 300, /* between the clocks of hosts that share ticket keys */
};

struct proof {
    int64_t made_at_s;    /* the full handshake */
    int64_t good_until_s; /* the first end of a certificate in the client's chain */
};

/* --- as bytes in a ticket, which any host may read ------------------------------------------- */

static void put_i64(unsigned char *out, int64_t value)
{
    for (int i = 0; i < 8; i++)
        out[i] = (unsigned char)((uint64_t)value >> (56 - 8 * i));
}

static int64_t get_i64(const unsigned char *at)
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++)
        value = value << 8 | at[i];
    return (int64_t)value;
}

static bool proof_read(SSL_SESSION *session, struct proof *proof)
{
    void *data = NULL;
    size_t len = 0;

    if (SSL_SESSION_get0_ticket_appdata(session, &data, &len) != 1 || len != PROOF_BYTES)
        return false;
    const unsigned char *at = data;
    *proof = (struct proof){get_i64(at + 1), get_i64(at + 9)};
    return at[0] == PROOF_VERSION;
}

static bool proof_write(SSL_SESSION *session, const struct proof *proof)
{
    unsigned char bytes[PROOF_BYTES] = {PROOF_VERSION};

    put_i64(bytes + 1, proof->made_at_s);
    put_i64(bytes + 9, proof->good_until_s);
    return SSL_SESSION_set1_ticket_appdata(session, bytes, sizeof(bytes)) == 1;
}

/* --- what a handshake proves ----------------------------------------------------------------- */

static struct proof proof_of(const SSL *ssl)
{
    const STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    struct proof proof = {.made_at_s = (int64_t)time(NULL), .good_until_s = INT64_MAX};

    for (int i = 0; i < sk_X509_num(chain); i++) {
        int64_t end_s = certificate_seconds(X509_get0_notAfter(sk_X509_value(chain, i)));
        proof.good_until_s = MIN(proof.good_until_s, end_s);
    }
    return proof;
}

static int64_t proof_ends_at_s(const struct proof *proof)
{
    return MIN(proof->good_until_s, proof->made_at_s + SESSION_SECONDS);
}

/* A ticket is about to be made. After a resumption its session has the proof of the ticket before.
 * The lifetime in the ticket ends with the proof. */
static int on_ticket_made(SSL *ssl, void *arg UNUSED)
{
    SSL_SESSION *session = SSL_get_session(ssl);
    struct proof proof;

    if (!proof_read(session, &proof)) {
        proof = proof_of(ssl);
        if (!proof_write(session, &proof))
            return 0;
    }
    int64_t left_s = proof_ends_at_s(&proof) - (int64_t)time(NULL);
    SSL_SESSION_set_timeout(session, (long)MAX(left_s, 1));
    return 1;
}

static bool is_good(SSL_SESSION *session)
{
    struct proof proof;
    int64_t now_s = (int64_t)time(NULL);

    return proof_read(session, &proof) && now_s + SKEW_SECONDS >= proof.made_at_s &&
           now_s < proof_ends_at_s(&proof);
}

static SSL_TICKET_RETURN on_ticket_opened(SSL *ssl UNUSED, SSL_SESSION *session,
                                          const unsigned char *name UNUSED, size_t len UNUSED,
                                          SSL_TICKET_STATUS status, void *arg UNUSED)
{
    switch (status) {
    case SSL_TICKET_SUCCESS:
        return is_good(session) ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_IGNORE_RENEW;
    case SSL_TICKET_SUCCESS_RENEW:
        return is_good(session) ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_IGNORE_RENEW;
    default: /* none that is ours */
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    }
}

void resumption_set(SSL_CTX *ctx)
{
    SSL_CTX_set_session_ticket_cb(ctx, on_ticket_made, on_ticket_opened, NULL);
}
