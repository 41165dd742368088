/* DNS as a source of endpoints, on the control thread. The resolver resolves every host name of the
 * configuration, again when the TTL ends. When a look-up fails it keeps the last good answer of
 * each address family. It sends results to the workers as endpoint sets; the key is the name. */
#pragma once

#include "config/config.h"
#include "net/loop.h"
#include "net/mailbox.h"

struct resolver;

/* On the control loop, which is borrowed. */
struct resolver *resolver_new(struct loop *control);
void resolver_free(struct resolver *resolver);

/* Sends all that is known to `mailbox` (borrowed until it is removed), and every change from now
 * on. */
void resolver_add_mailbox(struct resolver *resolver, struct mailbox *mailbox);
void resolver_remove_mailbox(struct resolver *resolver, struct mailbox *mailbox);

/* Names to keep resolved from now on: those of `config`, asked at its servers. Names known before
 * keep their answers until they have new ones; all are asked again. */
void resolver_watch(struct resolver *resolver, const struct config *config);

/* `on_answer` is called when a name has its first answer, good or bad, and each time that its
 * endpoints change. */
void resolver_on_answer(struct resolver *resolver, void (*on_answer)(void *arg), void *arg);

/* Has every name had its first answer (good or bad)? For /ready. */
bool resolver_is_settled(const struct resolver *resolver);

struct resolver_figures {
    uint64_t failures; /* look-ups so far that gave no answer */
    uint64_t dropped;  /* addresses above the bound, each time that an answer changed */
    size_t stale;      /* names now whose answer, or one family of it, could not be renewed */
    size_t gone;       /* names now that do not exist any more, or have no address */
};
struct resolver_figures resolver_figures(const struct resolver *resolver);
