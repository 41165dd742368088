/* Questions to name servers: c-ares in the control loop. One question is one name as it stands and
 * one address family; which names are asked for, and what an answer means, is name.c. */
#pragma once

#include "base/addr.h"
#include "net/loop.h"

enum {
    DNS_QUERY_MS = 2 * 1000, /* first wait for a server's answer; c-ares makes it longer */
    DNS_QUERY_TRIES = 3,
    DNS_DOMAINS_MAX = 6, /* of the search list: what the C library tells */
};

struct dns;

struct dns *dns_new(struct loop *loop);
void dns_free(struct dns *dns);

/* Asks `servers` ("ip[:port],…"; "": those of resolv.conf) from now on, and reads resolv.conf
 * again. Questions that are on their way end with DNS_CANCELLED, before this returns. */
void dns_open(struct dns *dns, const char *servers);

enum dns_status {
    DNS_ADDRESSES,
    DNS_NO_DATA, /* the name exists, but has no such address */
    DNS_NO_NAME, /* NXDOMAIN */
    DNS_FAILED,  /* refused, SERVFAIL, no answer */
    DNS_CANCELLED,
};

struct dns_answer {
    enum dns_status status;
    const struct addr *addrs; /* valid for the call; ports are 0 */
    size_t count;
    int64_t ttl_ms;    /* the shortest of the chain */
    const char *error; /* words for everything but DNS_ADDRESSES */
};

/* May be called before dns_ask returns. */
typedef void dns_answered(void *arg, const struct dns_answer *answer);
void dns_ask(struct dns *dns, const char *name, int family, dns_answered *answered, void *arg);

/* Looks into /etc/hosts at once; both families. */
void dns_look_in_hosts(struct dns *dns, const char *name, dns_answered *answered, void *arg);

/* resolv.conf: domains that a name is looked up in, and how many dots make it be tried as it stands
 * first. */
size_t dns_domain_count(const struct dns *dns);
const char *dns_domain(const struct dns *dns, size_t i);
int dns_ndots(const struct dns *dns);

/* This instead of resolv.conf: for tests. */
void dns_set_search(struct dns *dns, const char *const *domains, size_t count, int ndots);
