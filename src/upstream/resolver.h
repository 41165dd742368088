/* DNS on the control thread: resolves every host name of the configuration, again by TTL, keeps the
 * last good answer of each address family when a look-up fails, and hands results to all workers.
 * Workers get address sets as immutable counted objects through a mailbox that wakes their loop. */
#pragma once

#include "config/config.h"
#include "net/loop.h"
#include "upstream/upstream.h"

struct resolver;

/* On the control loop. `workers` mailboxes are made by upstream_mailbox. */
struct resolver *resolver_new(struct loop *control);
void resolver_free(struct resolver *resolver);

/* A worker's mailbox: made by the worker (it owns the wake-up), known to the resolver until
 * removed. */
struct resolver_mailbox;
struct resolver_mailbox *
upstream_mailbox(struct upstream *upstream); /* worker: made once, owned by it */
void resolver_add_mailbox(struct resolver *resolver, struct resolver_mailbox *mailbox);
void resolver_remove_mailbox(struct resolver *resolver, struct resolver_mailbox *mailbox);

/* Names to keep resolved from now on: those of `config`, asked at its servers. Names known before
 * keep their answers until they have new ones; all are asked again. */
void resolver_watch(struct resolver *resolver, const struct config *config);

/* Has every name had its first answer (good or bad)? For /ready. */
bool resolver_is_settled(const struct resolver *resolver);

struct resolver_figures {
    uint64_t failures; /* look-ups so far that gave no answer */
    uint64_t dropped;  /* addresses above the bound, each time that an answer changed */
    size_t stale;      /* names now whose answer, or one family of it, could not be renewed */
    size_t gone;       /* names now that do not exist any more, or have no address */
};
struct resolver_figures resolver_figures(const struct resolver *resolver);
