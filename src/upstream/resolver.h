/* DNS on the control thread (c-ares): resolves every host name of the configuration, again by TTL
 * (between 5 s and 5 min), keeps the last good answer when one fails, and hands results to all
 * workers. Workers get address sets as immutable counted objects through a mailbox that wakes their
 * loop. */
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

/* Names to keep resolved from now on: those of `config`. Names known before keep their answers. */
void resolver_watch(struct resolver *resolver, const struct config *config);

/* Has every name had its first answer (good or bad)? For /ready. */
bool resolver_is_settled(const struct resolver *resolver);

/* Failed look-ups so far. */
uint64_t resolver_failures(const struct resolver *resolver);
