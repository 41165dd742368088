/* What the files of proxy/ share, and what owns what.
 *
 *   proxy ─owns─▶ serving (one per adopted configuration, counted)
 *         ─owns─▶ downstream (a client's connection and its session)
 *                    ─has─▶ exchange (a request with both its streams; lives in its stream's arena)
 *
 * A downstream and an exchange each hold a reference to the serving they run under. */
#pragma once

#include "base/list.h"
#include "base/log.h"
#include "http/session.h"
#include "proxy/attempt.h"
#include "proxy/client.h"
#include "proxy/proxy.h"
#include "proxy/retry.h"
#include "proxy/serving_impl.h"
#include "upstream/group.h"

struct exchange;

/* --- a worker's proxy ------------------------------------------------------------------------ */

struct proxy {
    struct loop *loop;           /* borrows */
    struct tls_library *library; /* borrows */
    struct tls_tickets *tickets; /* borrows */
    struct metrics *metrics;     /* borrows */
    struct access_ring *ring;    /* borrows; NULL: no access log */
    struct upstream *upstream;   /* owns */
    struct serving *serving;     /* shares: the one for new requests */
    struct list downstreams;     /* all open ones */
    struct list handshakes;      /* connections in a TLS handshake, oldest first */
    struct list gates;           /* connections whose PROXY header is awaited */
    struct quotas *quotas;       /* borrows; NULL: none */
    size_t handshake_count;
    size_t connection_count, exchange_count;
    size_t replay_memory; /* of bodies kept for a retry */
    uint64_t dice;        /* state of rand_next */
    int64_t date_second;  /* wall clock second that `date` shows */
    char date[32];
    bool draining;
};

/* The current Date field value (RFC 9110 section 5.6.7), formatted once a second. */
struct str proxy_date(struct proxy *proxy);

static inline void proxy_count(struct proxy *proxy, enum counter counter, uint64_t n)
{
    metric_add(&proxy->metrics->counters[counter], n);
}

/* --- a client's connection ------------------------------------------------------------------- */

struct downstream {
    struct list node;         /* in proxy.downstreams */
    struct list handshake;    /* in proxy.handshakes */
    struct client client;     /* embeds */
    struct serving *serving;  /* shares */
    struct conn *conn;        /* owns; NULL once closed */
    struct session *session;  /* owns; NULL before the protocol is known */
    struct deadline deadline; /* header or idle */
    struct deadline progress; /* h2: bytes are held, the client's windows must open */
    uint64_t moved_then;      /* session->moved_bytes when it was set */
    struct reap reap;
    unsigned exchanges; /* open ones: memory stays until they are gone */
    uint16_t wide;      /* how many of them have the large window */
    bool is_closed : 1, is_reaped : 1;
    bool rests_next : 1;     /* `deadline` is not yet the end */
    bool has_old_limits : 1; /* the session's are those of an earlier configuration */
};

/* Takes over `fd`, which admit_to_listener has let in; `peer` is the client as far as we know, and
 * `server` what it believes to be connected to; NULL: the socket's own address. */
void downstream_new(struct proxy *proxy, struct serving *serving,
                    const struct serving_listener *listener, int fd, const struct addr *peer,
                    const struct addr *server);

void downstream_drain(struct downstream *down);
void downstream_abort(struct downstream *down);

/* A configuration was adopted: idle connections move over now, busy ones with their next
 * request. */
void downstream_rebind(struct downstream *down);

/* An exchange of this connection has ended. */
void downstream_exchange_ended(struct downstream *down);

static inline void proxy_count_reason(struct proxy *proxy, enum reason reason)
{
    metric_add(&proxy->metrics->reasons[reason], 1);
}

/* --- who may come in (admit.c) --------------------------------------------------------------- */

/* False: the listener has all the connections it may have, and `fd` is closed. */
bool admit_to_listener(struct proxy *proxy, const struct serving_listener *listener, int fd);

/* May this client have one more connection, now? Counts it. NONE or the reason it may not. */
enum reason admit_client(struct client *client);

/* The connection has closed: gives back what it counts for. */
void admit_release(struct client *client);
void admit_release_listener(struct proxy *proxy, uint64_t listener_key);

/* A TLS handshake begins; when there are too many the oldest is given up. And it has ended. */
void admit_handshake(struct downstream *down);
void admit_handshake_over(struct downstream *down);

/* How short of everything we are. */
static inline enum overload_level proxy_overload(const struct proxy *proxy)
{
    if (proxy->quotas == NULL)
        return OVERLOAD_NONE;
    return (enum overload_level)atomic_load_explicit(&proxy->quotas->overload,
                                                     memory_order_relaxed);
}

/* May this request come through all of `limits`? Counts it in each. NONE, or RATE_LIMITED with
 * x->retry_after_s set. */
enum reason admit_request(struct exchange *x, const struct rate_limits_conf *limits);

/* --- connections whose PROXY header is awaited (gate.c) -------------------------------------- */

void gate_new(struct proxy *proxy, struct serving *serving, const struct serving_listener *listener,
              int fd, const struct addr *peer);
void gates_abort(struct proxy *proxy);

/* --- a request ------------------------------------------------------------------------------- */

enum exchange_state {
    EXCHANGE_CONNECTING, /* waiting for an upstream stream; entered again on retry */
    EXCHANGE_RELAYING,   /* bytes move both ways */
    EXCHANGE_REPLYING,   /* we answered ourselves */
    EXCHANGE_CLOSED,     /* logged; freed at the end of this loop turn */
};

/* What the exchange's one deadline stands for. */
enum exchange_wait {
    WAIT_NONE,
    WAIT_BODY,
    WAIT_BODY_RATE,
    WAIT_RESPONSE,
    WAIT_PROGRESS,
    WAIT_TOTAL
};

/* The body of a request, kept so that it can be sent again (replay.c). */
struct replay {
    char *front; /* in the exchange's arena */
    size_t front_len;
    struct bufq rest; /* embeds */
    size_t charged;   /* of proxy.replay_memory */
    bool is_lost;     /* bytes were sent that are not here */
};

/* Where a body is that consists of messages, each behind its length (grpc.c). */
struct grpc_messages {
    uint32_t left;   /* bytes of the message that is arriving */
    uint32_t length; /* as far as its prefix has come */
    uint8_t prefix_len;
};

struct exchange {
    enum exchange_state state;
    enum exchange_wait wait;
    struct proxy *proxy;           /* borrows */
    struct client *client;         /* borrows: the downstream's */
    struct downstream *downstream; /* borrows: outlives the exchange */
    struct serving *serving;       /* shares */
    const struct listener_conf *listener;
    const struct group_conf *group_conf; /* of its configuration; NULL when answered locally */
    const struct rule_conf *rule;        /* NULL when none matched, or there is no router */
    struct group *group;                 /* shares; NULL when answered locally */

    struct stream *down;    /* until stream_close */
    struct attempt attempt; /* the last one */
    struct head *request;   /* in down->arena: as it came, without what arrival removes */
    struct head *outgoing;  /* of the last attempt; before the first one `request` */
    struct decision decision;
    struct replay replay;   /* embeds: the request's body, as far as it is kept */
    struct field *trailers; /* of the request; in down->arena */
    size_t trailer_count;

    struct deadline deadline;
    struct task finish; /* ends it at the end of the turn */
    int64_t started_wall_us, started_us, total_at_ms;
    uint64_t bytes_in, bytes_out;
    int64_t body_since_ms, body_waited_ms; /* waiting for body bytes: since when; before that */
    uint64_t body_from;                    /* of which byte on that time counts */
    struct grpc_messages messages;         /* has_messages */
    struct str method, host, path, user_agent, request_id; /* for the log: as the client said */
    int64_t interim_until_us; /* max_interim_rate: when what came would be through */
    uint8_t client_ip[16];
    char client_text[47];
    uint8_t client_text_len;
    uint8_t retries;
    uint32_t retry_after_s; /* told with a local reply; 0: not */
    uint16_t status;        /* sent to the client; 0: nothing was */
    enum reason reason;
    bool is_https; /* between the client and the first proxy */
    bool request_has_body, wants_upgrade;
    bool is_grpc;      /* failures are reported as gRPC status */
    bool has_messages; /* the body's end may be as far away as the peers like */
    bool request_ended, response_started, response_ended, body_was_sent, is_tunnel;
    bool has_raced; /* one pooled connection was gone before it could read the request */
    bool down_paused, up_paused, down_is_gone;
    bool is_wide; /* counts in client->wide */
};

/* A request begins: makes its exchange in the stream's arena. */
void exchange_new(struct downstream *downstream, struct stream *down);

/* --- deciding (facts.c) ---------------------------------------------------------------------- */

/* The first line of a request field as conditions see it: as it came, before weir's own fields are
 * added. Host is canonical, and the same for HTTP/1.1 and HTTP/2; all lines of Cookie are one. */
struct str exchange_field(const struct exchange *x, struct str name);

/* The host that the request names, in canonical form; empty when there is none. */
struct str exchange_host(const struct exchange *x);

/* Fills `facts` with what the router may look at. */
void exchange_facts(const struct exchange *x, struct facts *facts);

/* Asks the router, or takes the listener's one group; the answer is in x->decision. */
void exchange_decide(struct exchange *x);

/* --- header rules (rewrite.c) ---------------------------------------------------------------- */

/* On arrival: removes what this client may not send and the hop-by-hop fields. NONE or the reason
 * to refuse. Sets x->client_ip, client_text, request_id and is_https. */
enum reason rewrite_arrival(struct exchange *x);

/* Adds what the upstream gets to know of the client and of the way here to `head`, a copy of the
 * request: X-Forwarded-For and the like. */
void rewrite_forwarding(const struct exchange *x, struct head *head);

/* The request's trailers: those that must not travel on are taken out; how many are left. */
size_t rewrite_trailers(struct exchange *x, struct field *fields, size_t count);

/* What goes to the client. NONE or UPSTREAM_PROTOCOL. */
enum reason rewrite_response(struct exchange *x, struct head *head);

static inline enum name_case name_case_of(enum header_case conf)
{
    _Static_assert((int)NAME_CASE_PRESERVE == (int)HEADER_CASE_PRESERVE &&
                       (int)NAME_CASE_PROPER == (int)HEADER_CASE_PROPER &&
                       (int)NAME_CASE_LOWER == (int)HEADER_CASE_LOWER,
                   "one is the other");
    return (enum name_case)conf;
}

/* --- forwarding fields of clients that are not trusted (untrusted.c) ------------------------- */

void untrusted_compile(const struct listener_conf *conf, bool removed[HEADER_COUNT]);
void untrusted_remove(struct exchange *x);

/* --- configured header rules (header_rules.c) ------------------------------------------------ */

/* Takes out what only a trusted peer may send; before the router sees the request. */
void header_rules_arrival(struct exchange *x);

/* Rewrites path and Host of `head` as the rule says. NONE, or URI_TOO_LONG when the path does not
 * fit. */
enum reason rewrite_target(struct exchange *x, struct head *head);

/* Applies the rules for requests to `head`; once the group is known. */
void header_rules_request(struct exchange *x, struct head *head);

/* Is the field of that name the business of a rule for requests? Then it is none of a trailer's,
 * which a server behind may merge into the header (RFC 9110 section 6.5.1). */
bool header_rules_name(const struct exchange *x, struct str name);

void header_rules_response(struct exchange *x, struct head *head);

/* For what we answer ourselves: the rules of `always` alone. */
void header_rules_reply(struct exchange *x, struct head *head);

/* The same where no request is known: its variables are empty. */
void header_rules_refusal(struct downstream *downstream, struct head *head);

/* --- local replies (reply.c) ----------------------------------------------------------------- */

/* Answers the client ourselves: status and short text of `reason`, with what is known of the
 * group. */
void reply_reason(struct exchange *x, enum reason reason, int status);

/* A debug field that names no backend: says which there are. */
void reply_debug_unknown(struct exchange *x, const struct debug_conf *debug, int status);

/* Max-Forwards ends here: OPTIONS learns what we take; TRACE that we do not reflect (what a proxy
 * in front has added would be in it). */
void reply_last_hop(struct exchange *x);

/* 308 to the same URL over https (RFC 9110 section 15.4.9). */
void reply_redirect_https(struct exchange *x);

/* What such answers say besides, for one that the codec gives before there is an exchange. */
void reply_refusal(struct downstream *downstream, struct head *head);

/* What a rule answers itself. */
void reply_answer(struct exchange *x, const struct answer_conf *answer);

/* --- the log entry (record.c) ---------------------------------------------------------------- */

/* Counts the finished exchange and pushes its access log entry. */
void record_exchange(struct exchange *x);

/* The same for a request that its codec refused, so that there never was an exchange. */
void record_refusal(struct downstream *down, enum reason reason);
