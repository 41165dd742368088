/* One host name of the configuration, kept resolved. A round looks it up, as it stands and in the
 * domains of the search list, one candidate after the other; the first that has addresses is the
 * answer. Both families of a candidate are asked at the same time, and each is used as soon as it
 * comes. A name that cannot be resolved keeps its last good answer. A name that does not exist any
 * more keeps it too, and its set is marked as gone. */
#pragma once

#include "discovery/dns_impl.h"
#include "discovery/endpoint_set.h"

enum { NAME_IPV4, NAME_IPV6, NAME_FAMILIES };

/* Of one family, from one candidate. */
struct name_answer {
    struct addr *addrs; /* owns */
    size_t count;
    bool is_stale; /* the last look-up failed: it is older than it should be */
};

enum name_slot {
    SLOT_UNWANTED,
    SLOT_ASKED,
    SLOT_ADDRESSES,
    SLOT_NO_DATA,
    SLOT_NO_NAME,
    SLOT_FAILED,
};

struct name_times {
    int64_t min_ms, max_ms; /* bounds of a TTL */
    int64_t retry_ms;       /* after a failure */
    int64_t candidate_ms;   /* the next candidate is asked when there is no answer after that */
    int64_t patience_ms;    /* the same, once one family has answered that it has no address */
};

/* What all names of a resolver have in common. */
struct name_world {
    struct loop *loop;
    struct dns *dns;
    struct name_times times;
    size_t max_addresses; /* of one name; further ones are dropped */
    uint64_t failures, dropped;
    void (*publish)(void *arg, struct endpoint_set *set);
    void *arg;
};

struct name {
    struct list node;
    struct name_world *world; /* borrows */
    char *text;               /* owns; with a final dot when it is absolute */
    bool is_wanted;
    bool wants[NAME_FAMILIES];

    struct endpoint_set *set; /* shares: sent to workers last; NULL before the first answer */
    struct name_answer known[NAME_FAMILIES];
    int winner; /* the candidate that `known` is of */
    bool is_gone;

    /* this round */
    unsigned round;
    int at; /* the candidate that is asked */
    bool is_open, has_failed;
    enum name_slot slots[NAME_FAMILIES];
    struct name_answer fresh[NAME_FAMILIES];
    int64_t ttl_ms;
    const char *error; /* of the last question that failed; literal */

    struct deadline again;    /* the next round */
    struct deadline too_long; /* the candidate did not answer in time */
    struct task decide;
};

struct name *name_new(struct name_world *world, struct str text);

/* Only while no question is on its way: after dns_open or dns_free. */
void name_free(struct name *name);

/* Begins a round `after_ms` from now and cancels the current one. */
void name_look_up(struct name *name, int64_t after_ms);

bool name_is_stale(const struct name *name);
