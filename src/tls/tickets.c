/* Ticket keys of the process: self-made and rotated, or read from files. The control thread changes
 * them, workers read, no thread waits: a change fills the next of a few slots and then publishes
 * it. A slot is filled again only after TICKET_SLOTS changes, so a reader's pointer stays good for
 * as long as a ticket takes to seal or open. */
#include "tls/tls_impl.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { TICKET_SLOTS = 8, FILE_SHORT = 48, FILE_LONG = 80 };

struct tls_tickets {
    atomic_uint current; /* index of the published slot */
    bool from_files;     /* control thread */
    struct ticket_keys slots[TICKET_SLOTS];
};

/* --- keys ------------------------------------------------------------------------------------ */

static void key_make(struct ticket_key *key)
{
    *key = (struct ticket_key){.secret_len = 32};
    if (RAND_bytes(key->name, sizeof(key->name)) != 1 ||
        RAND_priv_bytes(key->hmac, sizeof(key->hmac)) != 1 ||
        RAND_priv_bytes(key->aes, sizeof(key->aes)) != 1)
        assert_failed("no randomness for ticket keys", __FILE__, __LINE__);
}

/* The two forms that nginx and HAProxy read too: 16 bytes of name, then AES-128 and HMAC keys of 16
 * bytes each, or HMAC and AES-256 keys of 32. */
static void key_from(struct ticket_key *key, const unsigned char *bytes, size_t len)
{
    *key = (struct ticket_key){.secret_len = len == FILE_SHORT ? 16 : 32};
    memcpy(key->name, bytes, sizeof(key->name));
    bytes += sizeof(key->name);
    memcpy(len == FILE_SHORT ? key->aes : key->hmac, bytes, key->secret_len);
    memcpy(len == FILE_SHORT ? key->hmac : key->aes, bytes + key->secret_len, key->secret_len);
}

static int key_read(struct ticket_key *key, struct str path, struct err *err)
{
    unsigned char bytes[FILE_LONG + 1];
    char name[PATH_MAX];

    snprintf(name, sizeof(name), "%.*s", STR_FMT(path));
    FILE *in = fopen(name, "rbe");
    if (in == NULL)
        return err_set_errno(err, "ticket_keys: cannot read %s", name);
    setvbuf(in, NULL, _IONBF, 0); /* no copy in a buffer that is not wiped */
    size_t len = fread(bytes, 1, sizeof(bytes), in);
    fclose(in);
    if (len == FILE_SHORT || len == FILE_LONG)
        key_from(key, bytes, len);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    if (len == FILE_SHORT || len == FILE_LONG)
        return 0;
    return err_set(err, "ticket_keys: %s must have 48 or 80 bytes (\"openssl rand 80\")", name);
}

/* They lie apart from the heap: out of core dumps and, where we may, out of swap. */
static void *locked_new(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        assert_failed("out of memory", __FILE__, __LINE__);
    madvise(memory, size, MADV_DONTDUMP);
    mlock(memory, size);
    return memory;
}

static void locked_free(void *memory, size_t size)
{
    OPENSSL_cleanse(memory, size);
    munmap(memory, size);
}

struct tls_ticket_files {
    struct ticket_keys keys;
};

struct tls_ticket_files *tls_ticket_files_read(const struct str *paths, size_t count,
                                               struct err *err)
{
    struct tls_ticket_files *files = locked_new(sizeof(*files));

    ASSERT(count <= TICKET_KEYS);
    for (size_t i = 0; i < count; i++) {
        if (key_read(&files->keys.keys[i], paths[i], err) < 0) {
            tls_ticket_files_free(files);
            return NULL;
        }
        files->keys.count++;
    }
    return files;
}

void tls_ticket_files_free(struct tls_ticket_files *files)
{
    if (files != NULL)
        locked_free(files, sizeof(*files));
}

/* --- slots ----------------------------------------------------------------------------------- */

static struct ticket_keys *slot_next(struct tls_tickets *tickets)
{
    unsigned now = atomic_load_explicit(&tickets->current, memory_order_relaxed);

    return &tickets->slots[(now + 1) % TICKET_SLOTS];
}

static void slot_publish(struct tls_tickets *tickets, const struct ticket_keys *keys)
{
    atomic_store_explicit(&tickets->current, (unsigned)(keys - tickets->slots),
                          memory_order_release);
}

static void make_first(struct tls_tickets *tickets)
{
    struct ticket_keys *keys = slot_next(tickets);

    keys->count = 1;
    key_make(&keys->keys[0]);
    slot_publish(tickets, keys);
}

/* --- doors ----------------------------------------------------------------------------------- */

struct tls_tickets *tls_tickets_new(void)
{
    struct tls_tickets *tickets = locked_new(sizeof(*tickets));

    make_first(tickets);
    return tickets;
}

void tls_tickets_free(struct tls_tickets *tickets)
{
    if (tickets == NULL)
        return;
    locked_free(tickets, sizeof(*tickets));
}

void tls_tickets_rotate(struct tls_tickets *tickets)
{
    const struct ticket_keys *old = tls_tickets_keys(tickets);
    struct ticket_keys *fresh = slot_next(tickets);

    if (tickets->from_files)
        return;
    key_make(&fresh->keys[0]);
    fresh->count = MIN(old->count + 1, (unsigned)TICKET_KEPT);
    memcpy(&fresh->keys[1], &old->keys[0], (fresh->count - 1) * sizeof(fresh->keys[0]));
    slot_publish(tickets, fresh);
}

static bool same_keys(const struct ticket_keys *a, const struct ticket_keys *b)
{
    return a->count == b->count && memcmp(a->keys, b->keys, a->count * sizeof(a->keys[0])) == 0;
}

void tls_tickets_use(struct tls_tickets *tickets, const struct tls_ticket_files *files)
{
    bool had_files = tickets->from_files;

    tickets->from_files = files->keys.count > 0;
    if (!tickets->from_files) {
        if (had_files)
            make_first(tickets);
        return;
    }
    if (had_files && same_keys(&files->keys, tls_tickets_keys(tickets)))
        return;
    struct ticket_keys *fresh = slot_next(tickets);
    *fresh = files->keys;
    slot_publish(tickets, fresh);
}

const struct ticket_keys *tls_tickets_keys(const struct tls_tickets *tickets)
{
    return &tickets->slots[atomic_load_explicit(&tickets->current, memory_order_acquire)];
}

/* --- tickets --------------------------------------------------------------------------------- */

static int mac_init(EVP_MAC_CTX *mac, const struct ticket_key *key)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->hmac,
                                          key->secret_len),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1 ? 1 : -1;
}

static const EVP_CIPHER *ticket_cipher(const struct tls_library *library,
                                       const struct ticket_key *key)
{
    return key->secret_len == 16 ? library->aes128 : library->aes256;
}

int tls_ticket_seal(const struct tls_library *library, const struct ticket_keys *keys,
                    unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                    EVP_MAC_CTX *mac)
{
    const struct ticket_key *key = &keys->keys[0];

    memcpy(name, key->name, sizeof(key->name));
    if (RAND_bytes_ex(library->ctx, iv, 16, 0) != 1)
        return -1;
    if (EVP_EncryptInit_ex2(cipher, ticket_cipher(library, key), key->aes, iv, NULL) != 1)
        return -1;
    return mac_init(mac, key);
}

int tls_ticket_open(const struct tls_library *library, const struct ticket_keys *keys, int version,
                    const unsigned char *name, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
                    EVP_MAC_CTX *mac)
{
    for (unsigned i = 0; i < keys->count; i++) {
        const struct ticket_key *key = &keys->keys[i];
        if (memcmp(key->name, name, sizeof(key->name)) != 0)
            continue;
        if (EVP_DecryptInit_ex2(cipher, ticket_cipher(library, key), key->aes, iv, NULL) != 1 ||
            mac_init(mac, key) != 1)
            return -1;
        /* 2: good, but give the client a fresh one; TLS 1.3 clients use each only once (RFC 8446
         * appendix C.4). */
        return i == 0 && version < TLS1_3_VERSION ? 1 : 2;
    }
    return 0; /* unknown or too old: a full handshake */
}
