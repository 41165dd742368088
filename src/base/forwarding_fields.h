/* Request fields by which one proxy tells the next, or the application, who the client is, which
 * URL and scheme it used, and what is known of it. Whoever believes them must know that no client
 * has sent them: weir takes them from trusted peers only. */
#pragma once

#include "base/str.h"

/* Each with an id of its own, so that it is recognised while it is parsed. FLAGS as in
 * http/words.h. */
#define FORWARDING_FIELDS(X)                                                                       \
    X(FORWARDED, "forwarded", P | T)                                                               \
    X(FORWARDED_FOR, "forwarded-for", P | T)                                                       \
    X(X_FORWARDED, "x-forwarded", P | T)                                                           \
    X(X_FORWARDED_FOR, "x-forwarded-for", P | T)                                                   \
    X(X_FORWARDED_PROTO, "x-forwarded-proto", P | T)                                               \
    X(X_FORWARDED_HOST, "x-forwarded-host", P | T)                                                 \
    X(X_FORWARDED_PORT, "x-forwarded-port", P | T)                                                 \
    X(X_FORWARD_FOR, "x-forward-for", P | T)                                                       \
    X(X_FORWARD_PROTO, "x-forward-proto", P | T)                                                   \
    X(Z_FORWARDED_FOR, "z-forwarded-for", P | T)                                                   \
    X(X_ORIGINATING_IP, "x-originating-ip", P | T)                                                 \
    X(X_REAL_IP, "x-real-ip", P | T)                                                               \
    X(X_CLIENT_IP, "x-client-ip", P | T)                                                           \
    X(X_CLIENT_PORT, "x-client-port", P | T | U)                                                   \
    X(X_CLUSTER_CLIENT_IP, "x-cluster-client-ip", P | T)                                           \
    X(X_REMOTE_ADDR, "x-remote-addr", P | T)                                                       \
    X(X_REMOTE_IP, "x-remote-ip", P | T)                                                           \
    X(X_PROXYUSER_IP, "x-proxyuser-ip", P | T)                                                     \
    X(X_APPENGINE_USER_IP, "x-appengine-user-ip", P | T)                                           \
    X(X_AZURE_CLIENTIP, "x-azure-clientip", P | T)                                                 \
    X(X_AZURE_SOCKETIP, "x-azure-socketip", P | T)                                                 \
    X(X_MS_FORWARDED_CLIENT_IP, "x-ms-forwarded-client-ip", P | T)                                 \
    X(CLIENT_IP, "client-ip", P | T)                                                               \
    X(REMOTE_ADDR, "remote-addr", P | T)                                                           \
    X(TRUE_CLIENT_IP, "true-client-ip", P | T)                                                     \
    X(CF_CONNECTING_IP, "cf-connecting-ip", P | T)                                                 \
    X(CF_CONNECTING_IPV6, "cf-connecting-ipv6", P | T)                                             \
    X(CF_PSEUDO_IPV4, "cf-pseudo-ipv4", P | T)                                                     \
    X(CF_VISITOR, "cf-visitor", P | T)                                                             \
    X(CLOUDFRONT_FORWARDED_PROTO, "cloudfront-forwarded-proto", P | T)                             \
    X(CLOUDFRONT_VIEWER_ADDRESS, "cloudfront-viewer-address", P | T)                               \
    X(FASTLY_CLIENT_IP, "fastly-client-ip", P | T)                                                 \
    X(FASTLY_SSL, "fastly-ssl", P | T)                                                             \
    X(FLY_CLIENT_IP, "fly-client-ip", P | T)                                                       \
    X(PROXY_CLIENT_IP, "proxy-client-ip", P | T)                                                   \
    X(WL_PROXY_CLIENT_IP, "wl-proxy-client-ip", P | T)                                             \
    X(WL_PROXY_SSL, "wl-proxy-ssl", P | T)                                                         \
    X(FRONT_END_HTTPS, "front-end-https", P | T)                                                   \
    X(X_ARR_SSL, "x-arr-ssl", P | T)                                                               \
    X(CLIENT_CERT, "client-cert", P | T)                                                           \
    X(CLIENT_CERT_CHAIN, "client-cert-chain", P | T)                                               \
    X(X_CLIENT_CERT, "x-client-cert", P | T)                                                       \
    X(X_SCHEME, "x-scheme", P | T)                                                                 \
    X(X_URL_SCHEME, "x-url-scheme", P | T)                                                         \
    X(X_HOST, "x-host", P | T)                                                                     \
    X(X_HTTP_HOST_OVERRIDE, "x-http-host-override", P | T)                                         \
    X(X_REWRITE_URL, "x-rewrite-url", P | T)                                                       \
    X(REMOTE_USER, "remote-user", P | T)                                                           \
    X(X_REMOTE_USER, "x-remote-user", P | T)                                                       \
    X(X_REMOTE_GROUP, "x-remote-group", P | T)                                                     \
    X(X_WEBAUTH_USER, "x-webauth-user", P | T)                                                     \
    X(PROXY, "proxy", P | T) /* HTTP_PROXY in CGI */                                               \
    X(X_REQUEST_ID, "x-request-id", P | T | U)                                                     \
    X(X_WIKIMEDIA_DEBUG, "x-wikimedia-debug", P | T)                                               \
    X(X_CONNECTION_PROPERTIES, "x-connection-properties", P | T)                                   \
    X(X_ANALYTICS_TLS, "x-analytics-tls", P | T)                                                   \
    X(X_WEIR_GROUP, "x-weir-group", P | T)                                                         \
    X(X_WEIR_REASON, "x-weir-reason", P | T)

/* Names that begin so, in any case, are forwarding fields, too. */
#define FORWARDING_FAMILIES(X)                                                                     \
    X("x-forwarded-")                                                                              \
    X("x-original-")                                                                               \
    X("x-envoy-")                                                                                  \
    X("x-ssl-")                                                                                    \
    X("x-amzn-mtls-")                                                                              \
    X("ssl-client-")

bool forwarding_family_search(struct str name);

/* The first three bytes tell for most names. */
static inline bool forwarding_family_has(struct str name)
{
    if (name.len < 3)
        return false;
    char third = name.ptr[2] | 0x20;
    bool may_be_x = (name.ptr[0] | 0x20) == 'x' && name.ptr[1] == '-' &&
                    (third == 'f' || third == 'o' || third == 'e' || third == 's' || third == 'a');
    bool may_be_s = (name.ptr[0] | 0x20) == 's' && (name.ptr[1] | 0x20) == 's' && third == 'l';
    return UNLIKELY(may_be_x || may_be_s) && forwarding_family_search(name);
}

/* Is it one of the names above, or of a family? Compares with all of them: not for each request. */
bool forwarding_field_is_known(struct str name);
