/* The names, the issuer and the dates of a certificate as text for messages. */
#include "tls/plan_impl.h"

#include <openssl/bio.h>

#include <stdio.h>
#include <time.h>

enum { EXPIRES_SOON_DAYS = 14 };

const char *certificate_subject(const X509 *x509, char *out, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int n = 0;

    if (bio != NULL && X509_NAME_print_ex(bio, X509_get_subject_name(x509), 0,
                                          XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0)
        n = BIO_read(bio, out, (int)size - 1);
    out[MAX(n, 0)] = '\0';
    BIO_free(bio);
    return out;
}

const char *certificate_date(const ASN1_TIME *when, char *out, size_t size)
{
    struct tm tm = {0};

    ASN1_TIME_to_tm(when, &tm);
    strftime(out, size, "%Y-%m-%d %H:%M:%S UTC", &tm);
    return out;
}

int64_t certificate_seconds(const ASN1_TIME *when)
{
    struct tm tm = {0};

    return when != NULL && ASN1_TIME_to_tm(when, &tm) == 1 ? (int64_t)timegm(&tm) : INT64_MAX;
}

void certificate_warn_of_dates(struct tls_loader *loader, const struct place *place,
                               const char *what, const X509 *x509)
{
    const ASN1_TIME *from = X509_get0_notBefore(x509), *to = X509_get0_notAfter(x509);
    int64_t now_s = (int64_t)time(NULL), until_s = certificate_seconds(to);
    char date[64];

    if (until_s < now_s)
        loader_warn(loader, place, "%s expired on %s", what,
                    certificate_date(to, date, sizeof(date)));
    else if (certificate_seconds(from) > now_s)
        loader_warn(loader, place, "%s is not valid before %s", what,
                    certificate_date(from, date, sizeof(date)));
    else if (until_s < now_s + EXPIRES_SOON_DAYS * 86400)
        loader_warn(loader, place, "%s expires soon, on %s", what,
                    certificate_date(to, date, sizeof(date)));
}
