/* Ticket keys of the process. The control thread rotates, workers read, nobody waits: a rotation
 * fills the next of a few slots and then publishes it. A slot is filled again only after
 * TICKET_SLOTS rotations (days), so a reader's pointer stays good for as long as a handshake can
 * take. */
#include "tls/tls_impl.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { TICKET_SLOTS = 8 };

struct tls_tickets {
    atomic_uint current; /* index of the published slot */
    struct ticket_keys slots[TICKET_SLOTS];
};

static void key_make(struct ticket_key *key)
{
    if (RAND_bytes(key->name, sizeof(key->name)) != 1 ||
        RAND_priv_bytes(key->hmac, sizeof(key->hmac)) != 1 ||
        RAND_priv_bytes(key->aes, sizeof(key->aes)) != 1)
        assert_failed("no randomness for ticket keys", __FILE__, __LINE__);
}

struct tls_tickets *tls_tickets_new(void)
{
    struct tls_tickets *tickets = mem_new(sizeof(*tickets));

    tickets->slots[0].count = 1;
    key_make(&tickets->slots[0].keys[0]);
    return tickets;
}

void tls_tickets_free(struct tls_tickets *tickets)
{
    if (tickets == NULL)
        return;
    OPENSSL_cleanse(tickets->slots, sizeof(tickets->slots));
    free(tickets);
}

void tls_tickets_rotate(struct tls_tickets *tickets)
{
    unsigned now = atomic_load_explicit(&tickets->current, memory_order_relaxed);
    unsigned next = (now + 1) % TICKET_SLOTS;
    const struct ticket_keys *old = &tickets->slots[now];
    struct ticket_keys *fresh = &tickets->slots[next];

    key_make(&fresh->keys[0]);
    fresh->count = MIN(old->count + 1, TICKET_KEYS);
    memcpy(&fresh->keys[1], &old->keys[0], (fresh->count - 1) * sizeof(fresh->keys[0]));
    atomic_store_explicit(&tickets->current, next, memory_order_release);
}

const struct ticket_keys *tls_tickets_keys(const struct tls_tickets *tickets)
{
    return &tickets->slots[atomic_load_explicit(&tickets->current, memory_order_acquire)];
}
