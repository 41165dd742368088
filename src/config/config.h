/* A configuration as frozen plain data: what a weir.yaml says, checked, defaults filled in, every
 * item remembering the place it came from. No pointers to live things; names are resolved to
 * indices.
 *
 * Reading one is `config_load`; nothing else in weir looks at YAML. Immutable after loading, so any
 * number of threads may read it; it lives as long as the snapshot that was built from it. */
#pragma once

#include "base/addr.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "config/place.h"
#include "config/router_conf.h"

/* --- listeners ------------------------------------------------------------------------------- */

struct certificate_conf {
    struct place place;
    struct str chain,
        key; /* paths of PEM files, leaf first; relative to the file that names them */
    struct str chain_pem, key_pem; /* or, when chain is empty, the PEM text itself (weir demo) */
    struct str ocsp;               /* path of a DER response to staple; "" = none */
};

enum tls_version { TLS_VERSION_1_2, TLS_VERSION_1_3 };

enum client_auth { CLIENT_AUTH_NONE, CLIENT_AUTH_OPTIONAL, CLIENT_AUTH_REQUIRED };

/* Whether clients show a certificate. One that is shown must always verify. */
struct client_certificate_conf {
    struct place place;
    enum client_auth mode; /* default none; with a `ca`: required */
    struct str ca;         /* PEM bundle of the authorities that may issue it */
    struct str crl;        /* PEM file of what they have revoked; "" = none beside those in ca */
    struct str *names;     /* subject alternative names let in, "*.x" for one label; none: all */
    size_t name_count;
};

/* What clients that ask for `name` (SNI) get instead of the listener's own. */
struct tls_host_conf {
    struct place place;
    struct str name; /* lower case; may be "*.x" */
    enum tls_version min_version;
    struct client_certificate_conf client_certificate;
};

/* What a client gets that asks for a name of no certificate and no host. */
enum unknown_sni { UNKNOWN_SNI_DEFAULT, UNKNOWN_SNI_REJECT };

struct tls_server_conf {
    struct certificate_conf
        *certificates; /* chosen by SNI and by the client's signature algorithms */
    size_t certificate_count;
    bool alpn_h2, alpn_h1;        /* default both */
    enum tls_version min_version; /* default 1.2 */
    struct str ciphers;           /* TLS 1.2 cipher list, "" = weir's default */
    struct str ciphersuites;      /* TLS 1.3 suites, "" = weir's default */
    struct str curves;            /* "" = weir's default */
    bool tickets;                 /* session resumption by ticket, default true */
    enum unknown_sni unknown_sni; /* default: the first certificate */
    struct client_certificate_conf client_certificate;
    struct tls_host_conf *hosts;
    size_t host_count;
};

enum { WORKERS_MAX = 256, GROUP_NAME_MAX = 63 /* bytes */ };

/* How the client's address reaches the application in X-Client-IP. */
enum client_ip_mode { CLIENT_IP_SET, CLIENT_IP_APPEND, CLIENT_IP_OFF };

/* What becomes of request fields whose names have other characters than letters, digits and "-"
 * (X_Wikimedia_Debug): many servers take them for the name with dashes. */
/* What becomes of "%0A" and other encoded control characters in a path. "%00" is always refused. */
enum encoded_controls { ENCODED_CONTROLS_PASS, ENCODED_CONTROLS_REJECT };

/* What becomes of bytes from 0x80 in a request target that are UTF-8. Others are refused. */
enum raw_utf8 { RAW_UTF8_ENCODE, RAW_UTF8_REJECT };

enum odd_names { ODD_NAMES_DROP, ODD_NAMES_REJECT, ODD_NAMES_KEEP };

/* How names of fields are spelled in HTTP/1.1, towards the clients of a listener or the servers of
 * a group. */
enum header_case {
    HEADER_CASE_PRESERVE, /* as they came over HTTP/1; others as with PROPER */
    HEADER_CASE_PROPER,   /* X-Request-Id */
    HEADER_CASE_LOWER,
};

/* What one client address may have of a listener. */
struct per_client_conf {
    uint32_t max_connections; /* at the same time; default 10000; 0: no limit */
    uint32_t new_per_second;  /* as many at once; default 10000; 0: no limit */
    uint32_t ipv6_prefix;     /* bits that make one client of IPv6 addresses; default 64 */
    struct cidr *exempt;      /* default loopback; trusted_proxies are always exempt */
    size_t exempt_count;
};

/* The PROXY protocol, versions 1 and 2, in front of everything else on a connection: whose word on
 * the client's address is taken. From others the connection is closed. */
struct proxy_protocol_conf {
    bool enabled;
    bool required; /* no header: the connection is closed; default true */
    struct cidr *from;
    size_t from_count;
};

/* A limit that is switched off, which is written 0. */
#define LIMIT_OFF UINT32_MAX

struct limits_conf {
    uint32_t max_header_bytes;          /* all fields, name + value + 32 each; default 64 KiB */
    uint32_t max_header_count;          /* default 128 */
    uint32_t max_line_bytes;            /* one field line; default 16 KiB */
    uint32_t max_uri_bytes;             /* request target; default 8 KiB */
    uint32_t max_chunk_extension_bytes; /* h1: of one body; default 4 KiB */
    uint32_t max_connection_options;    /* h1: named in Connection; default 64 */
    uint32_t max_empty_lines;           /* h1: in front of a request line; default 4 */
    uint64_t max_body_bytes;            /* default 0 = no limit */
    uint32_t max_connections;           /* of this listener, all workers together; default 50000 */
    uint32_t min_body_rate; /* bytes per second that a request body must come with, on average
                             * and after timeouts.body_grace; default 240; 0: any */
    uint32_t max_streams;   /* concurrent h2 streams of one connection; default 100 */
    uint32_t max_requests;  /* per connection, then it is closed; default 10000 */
    uint32_t max_held_header_bytes; /* fields of all open streams of an h2 connection, counted as
                                     * for max_header_bytes; default 1 MiB */
    uint32_t max_held_bytes;   /* body bytes of all streams of an h2 connection, in each direction,
                                * that wait to be read; default 1 MiB */
    uint32_t max_unsent_bytes; /* that the kernel takes and cannot send yet; default 512 KiB */
};

struct downstream_timeouts_conf {
    uint32_t handshake_ms;  /* TLS handshake; default 10 s */
    uint32_t header_ms;     /* from a request's first byte to the end of its head; default 15 s */
    uint32_t body_ms;       /* longest gap between two body bytes; default 30 s */
    uint32_t body_grace_ms; /* before limits.min_body_rate counts; default 15 s */
    uint32_t write_ms; /* longest time without progress while we have bytes to send; default 30 s */
    uint32_t idle_ms;  /* keep-alive without a request; default 120 s */
};

/* An address to listen on. */
struct bind_conf {
    struct place place;
    struct addr addr;
    bool may_be_missing;     /* half of ":443": fine on a machine without its family */
    int mode;                /* of a unix socket's file; -1: as the umask has it */
    struct str owner, group; /* of it, names or numbers; "": the process's */
};

struct binds_conf {
    struct bind_conf *items;
    size_t count;
};

struct listener_conf {
    struct place place;
    struct str name;
    struct binds_conf binds;
    struct tls_server_conf *tls;  /* NULL: plain */
    int router;                   /* index in config.routers; -1 */
    int group;                    /* index in config.groups when everything goes to one group; -1 */
    bool redirect_to_https;       /* requests that did not come by https are answered with 308 */
    uint16_t redirect_port;       /* default 443 */
    struct cidr *trusted_proxies; /* whose forwarding and debug fields are believed; default none */
    size_t trusted_proxy_count;
    struct str *keep_untrusted; /* forwarding fields that every client may send; default none */
    size_t keep_untrusted_count;
    bool trust_unix;               /* peers on a unix socket count as trusted; default true */
    bool show_group;               /* X-Weir-Group in responses, default false */
    enum client_ip_mode client_ip; /* default set */
    bool forwarded_for; /* X-Forwarded-For kept from trusted peers and appended to; default true */
    struct str server_name;  /* Server field when the upstream sent none; "" = none is added */
    struct str via;          /* pseudonym in Via; "" = no Via. default "weir" */
    bool websocket;          /* Upgrade: websocket is allowed; default true */
    bool aborts_half_closed; /* an HTTP/1 client that ends its side gets no answer; default false */
    bool inbound; /* closed on drain; egress listeners of a sidecar say false. default true */
    enum odd_names odd_names;               /* default drop */
    enum encoded_controls encoded_controls; /* default pass */
    enum raw_utf8 raw_utf8;                 /* default encode */
    enum header_case header_case;           /* default preserve */
    struct headers_conf *headers; /* done before those of the router and of the rule; NULL: none */
    struct per_client_conf per_client;
    struct rate_limits_conf rate_limits; /* of requests; looked at before routing */
    struct proxy_protocol_conf proxy_protocol;
    struct limits_conf limits;
    struct downstream_timeouts_conf timeouts;
};

/* --- groups ---------------------------------------------------------------------------------- */

struct upstream_tls_conf {
    bool verify;            /* chain and name; default true */
    struct str ca;          /* PEM bundle; "" = the system's */
    struct str ca_pem;      /* or its text (weir demo) */
    struct str crl;         /* PEM file of revoked certificates; "" = none beside those in ca */
    struct str server_name; /* SNI and the name verified; "" = the endpoint's host name */
    enum tls_version min_version;
    struct str ciphers;
};

/* One name or address of a target: what gets resolved, or is already an address. */
struct host_conf {
    struct place place;
    struct str name;   /* host name, or the text of the address */
    struct str lookup; /* what is looked up: the name, with a final dot where it has one */
    uint16_t port;
    struct addr addr; /* addr.len 0: `name` must be resolved */
};

/* Which requests a target is for. */
enum target_use {
    TARGET_ANY,        /* all of them, wherever they are sent */
    TARGET_DATACENTER, /* those sent to `datacenter` */
    TARGET_RO,         /* those that may stay local: the -ro discovery name */
    TARGET_RW,         /* those that go to the primary: the -rw name */
};

/* A group in one datacenter (or everywhere): what requests are balanced over. */
struct target_conf {
    struct place place;
    struct str name; /* "mw-web.svc.eqiad.wmnet:4450", for logs and `weir route` */
    int datacenter;  /* index in config.datacenters; -1: in every one */
    enum target_use use;
    struct host_conf *hosts;
    size_t host_count;
};

enum balance { BALANCE_ROUND_ROBIN, BALANCE_LEAST_REQUEST };
enum upstream_protocol { PROTOCOL_H1, PROTOCOL_H2, PROTOCOL_AUTO };

/* The version of the PROXY header that new connections begin with. */
enum send_proxy { SEND_PROXY_OFF = 0, SEND_PROXY_V1 = 1, SEND_PROXY_V2 = 2 };

struct upstream_timeouts_conf {
    uint32_t connect_ms;   /* TCP and TLS; default 3 s */
    uint32_t response_ms;  /* from the whole request sent to the response head; default 180 s */
    uint32_t idle_ms;      /* longest silence inside a running exchange; default 300 s */
    uint32_t total_ms;     /* whole exchange; default 0 = none */
    uint32_t pool_idle_ms; /* unused pooled connection; default 4.5 s */
};

enum { RETRIES_MAX = 100, RETRY_BODY_BYTES_MAX = 1 << 20 };

/* How many retries all requests together may cause, per worker. */
struct retry_budget_conf {
    uint32_t share;   /* of a retry that each request pays for, in 0.001 %; default 20 % */
    uint32_t floor;   /* retries in 10 s that need not be paid for; default 10 */
    uint32_t ceiling; /* retries that can be saved up, at least floor; default 100 */
};

/* Which addresses of a name are used. */
enum address_family { FAMILY_BOTH, FAMILY_IPV4, FAMILY_IPV6 };

/* What becomes of the last addresses of a name that does not exist any more. */
enum on_nxdomain { NXDOMAIN_KEEP, NXDOMAIN_DROP };

struct group_conf {
    struct place place;
    struct str name;
    struct target_conf *targets;
    size_t target_count;
    struct upstream_tls_conf *tls;   /* NULL: plain */
    enum upstream_protocol protocol; /* default h1 */
    enum send_proxy send_proxy; /* default off; else protocol is h1 and no connection is shared */
    enum balance balance;       /* default least_request */
    struct upstream_timeouts_conf timeouts;
    uint32_t max_connections; /* per worker and endpoint; default 1024 */
    uint32_t max_pending;     /* requests waiting for a connection, per worker and target; 1024 */
    uint32_t max_idle;        /* idle connections kept per worker and endpoint; default: any number,
                               * each for pool_idle */
    uint32_t max_requests;    /* per connection; default 1000; 0 = no limit */
    uint32_t max_cancels;     /* of requests on one h2 connection, less one a second; default 32;
                               * 0 = no limit */
    uint32_t max_interim_rate; /* 1xx responses of a request in a second; default 100; 0: any */
    uint32_t max_response_header_bytes; /* default 64 KiB */
    uint32_t max_held_header_bytes;     /* fields of all responses that are open on an h2
                                         * connection; default 4 MiB */
    uint32_t retries; /* of one request, after failures that allow it; default 1, at most 100 */
    struct retry_budget_conf retry_budget;
    uint32_t max_retry_body_bytes; /* of a request body kept until the response; default 64 KiB */
    enum address_family family;    /* default both */
    enum on_nxdomain on_nxdomain;  /* default keep */
    enum header_case header_case;  /* default preserve */
    bool host_is_target;           /* Host names the endpoint; default false: unchanged */
};

/* --- the whole ------------------------------------------------------------------------------- */

struct access_log_conf {
    bool enabled;        /* default true */
    struct str path;     /* "-" standard output (default), or a file, reopened on SIGHUP */
    uint16_t min_status; /* responses below are not logged; default 0 */
    uint32_t
        ring_bytes; /* per worker; default 1 MiB; entries that do not fit are dropped and counted */
};

struct admin_conf {
    bool enabled;
    struct binds_conf binds; /* default 127.0.0.1:9901 */
    struct str *hosts; /* canonical; in Host besides localhost and IP addresses; default none */
    size_t host_count;
    uint32_t keep_series_ms; /* metrics of groups that have gone; default 30 s */
};

/* A row of the table of wikis: what a database name stands for. */
struct wiki_conf {
    struct place place;
    struct str name;   /* database name */
    struct str host;   /* canonical */
    struct str mobile; /* canonical; "" = none */
};

struct datacenters_conf {
    struct str *names;
    size_t count;
    int local, primary; /* indices; -1 when no datacenters are configured */
};

/* What is done when memory, descriptors or connections run short, or the loops lag behind. */
struct overload_conf {
    uint64_t memory_bytes; /* what there is; default 0: the cgroup's limit, if it has one */
    uint32_t keepalive_at; /* share from which connections end after their request; default 90 % */
    uint32_t refuse_at;    /* share from which requests get 503; default 95 % */
    uint32_t keepalive_lag_ms, refuse_lag_ms; /* of a worker's loop; default 1 s and 5 s */
};

/* What the process gives up once its sockets are open. */
struct privileges_conf {
    struct str user, group; /* names or numbers; "" = stay who we are; group: the user's */
    bool core_dumps;        /* and other looks into our memory; default false */
    bool seccomp;           /* only the system calls that we make; default false */
};

struct dns_conf {
    struct str servers;     /* "ip[:port],…" for c-ares; "" = resolv.conf */
    uint32_t min_ttl_ms;    /* however short the TTL; default 5 s */
    uint32_t max_ttl_ms;    /* however long; default 5 min */
    uint32_t max_addresses; /* of one name; default 256 */
};

enum { HANDSHAKE_THREADS_AUTO = UINT16_MAX };

struct config {
    struct arena arena; /* owns all of the below */
    struct str file;    /* as given on the command line */
    char version[17];   /* hash of the text of all files read, hexadecimal */

    struct listener_conf *listeners;
    size_t listener_count;
    struct group_conf *groups;
    size_t group_count;
    struct router_conf *routers;
    size_t router_count;
    struct datacenters_conf datacenters;
    struct wiki_conf *wikis; /* the file `wikis`, sorted by name; may be empty */
    size_t wiki_count;
    struct place wiki_place;      /* of the table's name */
    uint32_t list_shrink_warning; /* how much of a list may be lost in a reload; default 20 % */
    struct admin_conf admin;
    struct access_log_conf access_log;

    uint32_t workers; /* default 0: the cgroup's CPU quota rounded up, at most one per core */
    uint32_t drain_timeout_ms; /* SIGTERM to the end at the latest; default 30 s */
    uint32_t drain_grace_ms;   /* keep accepting after SIGTERM while /ready says no; default 0 */
    uint32_t max_connections;  /* downstream, whole process; default 50000 */
    struct overload_conf overload;
    struct privileges_conf privileges;
    uint32_t max_retry_memory; /* of all bodies kept for a retry, per worker; default 16 MiB */
    uint32_t max_handshakes;   /* unfinished ones, whole process; default 8192; oldest go first */
    struct dns_conf dns;

    /* threads that sign with RSA keys, so that workers need not; 0: workers do. Default
     * HANDSHAKE_THREADS_AUTO: one for two workers */
    uint32_t handshake_threads;
    /* files of 48 or 80 bytes: the first seals, all open; none: self-made */
    struct str *ticket_keys;
    size_t ticket_key_count;
    uint32_t handshake_queue; /* full handshakes that may wait for them; default 512 */
};

/* What `config_load` found to say: errors first, then warnings, then notes, each one line, in file
 * order, each once. */
struct complaints {
    struct arena arena;
    struct complaint *items;
    size_t count, cap;
    size_t error_count;
    size_t left_out; /* there were more than are kept */
};

/* Only errors keep a configuration from being used. A warning says that something will probably not
 * do what was meant; a note says what is worth knowing. */
enum severity { SEVERITY_ERROR, SEVERITY_WARNING, SEVERITY_NOTE };

struct complaint {
    enum severity severity;
    struct place place;
    struct str text;
};

void complaints_init(struct complaints *complaints);
void complaints_deinit(struct complaints *complaints);

/* Loads and checks `path` and what it includes; NULL when there was an error (at least one
 * complaint). Does not open certificates; `weir check` and the snapshot do. */
struct config *config_load(const char *path, struct complaints *complaints);

/* The same from text; `name` stands for the file in messages. For tests, fuzzing and weir demo. */
struct config *config_load_text(struct str text, const char *name, struct complaints *complaints);

void config_free(struct config *config);

/* "file:line:column: text" of one complaint into `out`. */
const char *complaint_line(const struct complaint *complaint, char *out, size_t size);
