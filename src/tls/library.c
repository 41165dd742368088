/* A thread's OpenSSL: its own library context, so that fetches and locks are not shared. */
#include "tls/tls_impl.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <stdio.h>
#include <stdlib.h>

struct tls_library *tls_library_new(void)
{
    struct tls_library *library = mem_new(sizeof(*library));

    list_init(&library->ca_stores);
    list_init(&library->done);
    list_init(&library->waiting);
    library->ctx = OSSL_LIB_CTX_new();
    library->bio = tls_bio_method_new();
    library->aes128 = EVP_CIPHER_fetch(library->ctx, "AES-128-CBC", NULL);
    library->aes256 = EVP_CIPHER_fetch(library->ctx, "AES-256-CBC", NULL);
    if (library->ctx == NULL || library->bio == NULL || library->aes128 == NULL ||
        library->aes256 == NULL)
        assert_failed("OpenSSL cannot be set up", __FILE__, __LINE__);
    return library;
}

void tls_library_free(struct tls_library *library)
{
    if (library == NULL)
        return;
    tls_library_detach(library);
    ASSERT(list_is_empty(&library->ca_stores)); /* a tls_client outlives its library */
    EVP_CIPHER_free(library->aes128);
    EVP_CIPHER_free(library->aes256);
    BIO_meth_free(library->bio);
    OSSL_LIB_CTX_free(library->ctx);
    free(library);
}

void tls_ctx_common(SSL_CTX *ctx, enum tls_version min_version)
{
    /* RELEASE_BUFFERS: an idle connection owns no 16 KiB. read_ahead: header and record in one
     * recv. */
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_min_proto_version(ctx,
                                  min_version == TLS_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
}

const char *tls_error_text(char *out, size_t size)
{
    const char *data = NULL;
    int flags = 0;
    unsigned long code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags);
    const char *words = code != 0 ? ERR_reason_error_string(code) : NULL;
    bool has_data = code != 0 && (flags & ERR_TXT_STRING) && data != NULL && data[0] != '\0';

    snprintf(out, size, "%s%s%s", words != NULL ? words : "unknown TLS error", has_data ? ": " : "",
             has_data ? data : "");
    ERR_clear_error();
    return out;
}
