/* The certificate that a client has shown, in words that are safe in a header field: printable
 * ASCII, and no separator that was not ours. */
#include "tls/policy_impl.h"
#include "tls/tls_impl.h"

#include "base/addr.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SUBJECT_MAX = 1024, /* what would be longer is left out, not cut */
    NAMES_MAX = 4096,
};

struct tls_peer_text {
    struct tls_peer peer;
    char fingerprint[2 * SHA256_DIGEST_LENGTH];
    char subject[SUBJECT_MAX];
    char names[NAMES_MAX];
};

/* --- text that grows up to a limit ----------------------------------------------------------- */

struct words {
    char *ptr;
    size_t len, max;
    bool overflow;
};

static void words_add(struct words *words, const char *ptr, size_t len)
{
    if (words->overflow || len > words->max - words->len) {
        words->overflow = true;
        return;
    }
    memcpy(words->ptr + words->len, ptr, len);
    words->len += len;
}

static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~:/@*?=&+", c) != NULL);
}

/* Everything that is not plain as %XX: also our own separator, the comma. */
static void words_add_escaped(struct words *words, const unsigned char *ptr, size_t len)
{
    char hex[4];

    for (size_t i = 0; i < len; i++) {
        if (is_plain(ptr[i])) {
            words_add(words, (const char *)&ptr[i], 1);
            continue;
        }
        snprintf(hex, sizeof(hex), "%%%02X", ptr[i]);
        words_add(words, hex, 3);
    }
}

/* --- the parts ------------------------------------------------------------------------------- */

/* RFC 2253 with everything escaped that is not printable ASCII. */
static struct str subject_of(X509 *x509, char out[SUBJECT_MAX])
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long len = 0;

    if (bio != NULL &&
        X509_NAME_print_ex(bio, X509_get_subject_name(x509), 0, XN_FLAG_RFC2253) >= 0)
        len = BIO_get_mem_data(bio, &text);
    if (len < 0 || len > SUBJECT_MAX)
        len = 0;
    if (len > 0)
        memcpy(out, text, (size_t)len);
    BIO_free(bio);
    return str_make(out, (size_t)len);
}

static void add_text_name(struct words *words, const char *kind, const ASN1_STRING *text)
{
    words_add(words, kind, strlen(kind));
    words_add_escaped(words, ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
}

static void add_ip_name(struct words *words, const ASN1_OCTET_STRING *ip)
{
    struct addr addr = {.len = sizeof(addr.in6)};
    char text[ADDR_TEXT_MAX];

    if (ASN1_STRING_length(ip) == 4) {
        addr.in.sin_family = AF_INET;
        addr.len = sizeof(addr.in);
        memcpy(&addr.in.sin_addr, ASN1_STRING_get0_data(ip), 4);
    } else if (ASN1_STRING_length(ip) == 16) {
        addr.in6.sin6_family = AF_INET6;
        memcpy(&addr.in6.sin6_addr, ASN1_STRING_get0_data(ip), 16);
    } else {
        return;
    }
    size_t len = addr_format_ip(&addr, text);
    words_add(words, "IP:", 3);
    words_add(words, text, MIN(len, sizeof(text)));
}

static void add_name(struct words *words, const GENERAL_NAME *name)
{
    size_t before = words->len;

    if (before > 0)
        words_add(words, ",", 1);
    switch (name->type) {
    case GEN_DNS:
        add_text_name(words, "DNS:", name->d.dNSName);
        break;
    case GEN_URI:
        add_text_name(words, "URI:", name->d.uniformResourceIdentifier);
        break;
    case GEN_EMAIL:
        add_text_name(words, "EMAIL:", name->d.rfc822Name);
        break;
    case GEN_IPADD:
        add_ip_name(words, name->d.iPAddress);
        break;
    default: /* nothing that an application would know */
        words->len = before;
    }
}

static struct str names_of(X509 *x509, char out[NAMES_MAX])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
    struct words words = {.ptr = out, .max = NAMES_MAX};

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
        add_name(&words, sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(names);
    return words.overflow ? (struct str){0} : str_make(out, words.len);
}

static struct str fingerprint_of(struct tls_library *library, X509 *x509,
                                 char out[2 * SHA256_DIGEST_LENGTH])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_MD *sha256 = EVP_MD_fetch(library->ctx, "SHA256", NULL);
    bool ok = sha256 != NULL && X509_digest(x509, sha256, digest, &len) == 1 &&
              len == SHA256_DIGEST_LENGTH;

    EVP_MD_free(sha256);
    for (unsigned i = 0; ok && i < len; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    return str_make(out, ok ? 2 * SHA256_DIGEST_LENGTH : 0);
}

/* --- doors ----------------------------------------------------------------------------------- */

static struct tls_peer_text *peer_new(struct tls_stream *s, X509 *x509)
{
    struct tls_peer_text *text = mem_new(sizeof(*text));

    text->peer = (struct tls_peer){
        .is_verified = SSL_get_verify_result(s->ssl) == X509_V_OK,
        .subject = subject_of(x509, text->subject),
        .names = names_of(x509, text->names),
        .fingerprint = fingerprint_of(s->library, x509, text->fingerprint),
    };
    return text;
}

bool tls_asks_certificate(const struct conn *conn)
{
    const struct tls_stream *s = conn_transport_state(conn);

    return s != NULL && s->server != NULL && s->step == NULL &&
           tls_policy_of(s->ssl)->mode != CLIENT_AUTH_NONE;
}

const struct tls_peer *tls_peer(struct conn *conn)
{
    struct tls_stream *s = conn_transport_state(conn);

    if (!tls_asks_certificate(conn))
        return NULL;
    if (s->peer == NULL) {
        X509 *x509 = SSL_get0_peer_certificate(s->ssl); /* of a resumed session: the ticket's */
        if (x509 == NULL)
            return NULL;
        s->peer = peer_new(s, x509);
    }
    return &s->peer->peer;
}
