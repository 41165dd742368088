/* Letters from other threads to a loop. A sender embeds `struct letter` in a struct of its own and
 * puts it in; the loop's thread gets each letter once, in the order in which they were put in. No
 * sender waits, and neither does the loop.
 *
 * A letter's kind says what struct it is embedded in and how that is freed. The receiver registers
 * one function for each kind that it takes. */
#pragma once

#include "net/loop.h"

struct letter;

/* One kind of letter: a constant that sender and receiver share. Kinds differ by their address. */
struct letter_kind {
    const char *name;
    void (*free)(struct letter *letter); /* called on the thread of the mailbox */
};

struct letter {
    struct letter *next; /* internal to the mailbox */
    const struct letter_kind *kind;
};

struct mailbox;

/* A mailbox of `loop` (borrowed). On the loop's own thread, as is everything but mailbox_put. */
struct mailbox *mailbox_new(struct loop *loop);

/* Frees the letters that were not read. No thread may call mailbox_put any more. Clears the
 * pointer; NULL is allowed. */
void mailbox_free(struct mailbox **mailbox);

/* Calls `receive` for each letter of `kind`, which is freed afterwards. One receiver a kind.
 * Letters of a kind without a receiver are freed unread. */
void mailbox_receive(struct mailbox *mailbox, const struct letter_kind *kind,
                     void (*receive)(void *arg, const struct letter *letter), void *arg);

/* Any thread. The mailbox owns `letter` from now on; letter->kind must be set. */
void mailbox_put(struct mailbox *mailbox, struct letter *letter);
