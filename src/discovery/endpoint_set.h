/* What a source of endpoints knows of one key (a DNS name; later a Kubernetes service): an
 * immutable list with an atomic reference count. Sources make sets on the control thread. Workers
 * get them as letters and read them. */
#pragma once

#include "base/addr.h"
#include "base/str.h"
#include "net/mailbox.h"

#include <stdatomic.h>

/* One endpoint as its source describes it. */
struct endpoint_entry {
    struct addr addr;    /* port 0: the configuration gives the port */
    struct str zone;     /* borrows from the set; "": not known */
    uint16_t weight;     /* relative to the other entries; 1 where the source has no weights */
    bool is_ready;       /* may get new requests */
    bool is_terminating; /* its process is about to end */
};

/* Sorted by address and port, without duplicates. No entry at all: the source has no endpoint. */
struct endpoint_set {
    atomic_uint refs;
    bool is_gone;   /* the key does not exist any more: these are the last endpoints it had */
    struct str key; /* embeds: behind the entries */
    size_t count;
    struct endpoint_entry entries[];
};

/* A set of copies of `entries`, with one reference. Of two entries with one address and port the
 * first is kept. */
struct endpoint_set *endpoint_set_new(struct str key, const struct endpoint_entry *entries,
                                      size_t count);

/* The same for plain addresses: ready, weight 1, no zone. */
struct endpoint_set *endpoint_set_of_addresses(struct str key, const struct addr *addrs,
                                               size_t count);
struct endpoint_set *endpoint_set_ref(struct endpoint_set *set);
void endpoint_set_unref(struct endpoint_set **set);
bool endpoint_set_eq(const struct endpoint_set *a, const struct endpoint_set *b);

/* --- sets on their way to a worker ----------------------------------------------------------- */

enum endpoint_news {
    ENDPOINTS_CHANGED,
    ENDPOINTS_FORGOTTEN, /* the configuration does not name set->key any more */
};

struct endpoint_letter {
    struct letter letter;     /* kind: endpoint_letter_kind */
    struct endpoint_set *set; /* shares */
    enum endpoint_news news;
};

extern const struct letter_kind endpoint_letter_kind;

/* Puts a letter about `set` into `mailbox`. */
void endpoint_letter_send(struct mailbox *mailbox, struct endpoint_set *set,
                          enum endpoint_news news);

/* --- the sets that a worker knows ------------------------------------------------------------ */

/* The last set of each key. Embedded; zeroed before first use; one thread. */
struct endpoint_sets {
    struct endpoint_set **items; /* owns the array, shares the sets */
    size_t count;
};

void endpoint_sets_deinit(struct endpoint_sets *sets);

/* The set of `key`, or NULL. Borrowed until the next letter is applied. */
const struct endpoint_set *endpoint_sets_find(const struct endpoint_sets *sets, struct str key);

/* Keeps or forgets what `letter` says. */
void endpoint_sets_apply(struct endpoint_sets *sets, const struct endpoint_letter *letter);
