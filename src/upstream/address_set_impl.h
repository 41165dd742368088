/* What a name resolved to: immutable, atomically counted, the one thing that travels from the
 * control thread to the workers; and the mailbox it travels by. */
#pragma once

#include "base/addr.h"
#include "net/loop.h"
#include "upstream/resolver.h"

#include <stdatomic.h>

/* Sorted, without duplicates; ports are 0. No address at all: the name could not be resolved. */
struct address_set {
    atomic_uint refs;
    bool is_gone;    /* the name does not exist any more: these are the last addresses it had */
    struct str name; /* embeds: behind the addresses */
    size_t count;
    struct addr addrs[];
};

/* A set of `count` addresses with one reference. */
struct address_set *address_set_new(struct str name, const struct addr *addrs, size_t count);
struct address_set *address_set_ref(struct address_set *set);
void address_set_unref(struct address_set **set);
bool address_set_eq(const struct address_set *a, const struct address_set *b);

/* One piece of news for a worker. */
struct letter {
    struct letter *next;
    struct address_set *set; /* shares */
    bool is_forgotten;       /* nobody watches set->name any more */
};

/* Any thread puts letters in, the worker takes all of them out; nobody waits. */
struct resolver_mailbox {
    _Atomic(struct letter *) newest; /* owns: a stack */
    struct wakeup *wakeup;           /* owns */
    struct list node;                /* the resolver's; control thread only */
};

struct resolver_mailbox *mailbox_new(struct loop *loop, void (*woken)(void *arg), void *arg);
void mailbox_free(struct resolver_mailbox *mailbox);

enum news { NEWS_ADDRESSES, NEWS_FORGOTTEN };
void mailbox_put(struct resolver_mailbox *mailbox, struct address_set *set, enum news news);

/* All letters, the oldest first; the caller frees each with letter_free. */
struct letter *mailbox_take(struct resolver_mailbox *mailbox);
void letter_free(struct letter *letter);
