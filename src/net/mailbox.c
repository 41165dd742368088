/* A mailbox is a stack that senders push to with one compare-and-swap, and that the loop's thread
 * empties with one exchange. The thread turns the stack around, so that the oldest letter is read
 * first. */
#include "net/mailbox.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { KINDS_MAX = 8 };

struct receiver {
    const struct letter_kind *kind;
    void (*receive)(void *arg, const struct letter *letter);
    void *arg;
};

struct mailbox {
    _Atomic(struct letter *) newest; /* owns: the stack */
    struct wakeup *wakeup;           /* owns */
    struct receiver receivers[KINDS_MAX];
    size_t receiver_count;
};

/* Empties the stack: all letters, the oldest first. */
static struct letter *take_all(struct mailbox *mailbox)
{
    struct letter *newest = atomic_exchange_explicit(&mailbox->newest, NULL, memory_order_acquire);
    struct letter *oldest = NULL;

    while (newest != NULL) {
        struct letter *letter = newest;
        newest = letter->next;
        letter->next = oldest;
        oldest = letter;
    }
    return oldest;
}

static const struct receiver *find_receiver(const struct mailbox *mailbox,
                                            const struct letter_kind *kind)
{
    for (size_t i = 0; i < mailbox->receiver_count; i++) {
        if (mailbox->receivers[i].kind == kind)
            return &mailbox->receivers[i];
    }
    return NULL;
}

static void on_wakeup(void *arg)
{
    struct mailbox *mailbox = arg;
    struct letter *next;

    for (struct letter *letter = take_all(mailbox); letter != NULL; letter = next) {
        const struct receiver *receiver = find_receiver(mailbox, letter->kind);
        next = letter->next;
        if (receiver != NULL)
            receiver->receive(receiver->arg, letter);
        letter->kind->free(letter);
    }
}

struct mailbox *mailbox_new(struct loop *loop)
{
    struct mailbox *mailbox = mem_new(sizeof(*mailbox));

    atomic_init(&mailbox->newest, NULL);
    mailbox->wakeup = wakeup_new(loop, on_wakeup, mailbox);
    return mailbox;
}

void mailbox_free(struct mailbox **slot)
{
    struct mailbox *mailbox = *slot;
    struct letter *next;

    *slot = NULL;
    if (mailbox == NULL)
        return;
    for (struct letter *letter = take_all(mailbox); letter != NULL; letter = next) {
        next = letter->next;
        letter->kind->free(letter);
    }
    wakeup_free(mailbox->wakeup);
    free(mailbox);
}

void mailbox_receive(struct mailbox *mailbox, const struct letter_kind *kind,
                     void (*receive)(void *arg, const struct letter *letter), void *arg)
{
    ASSERT(mailbox->receiver_count < KINDS_MAX && find_receiver(mailbox, kind) == NULL);
    mailbox->receivers[mailbox->receiver_count++] = (struct receiver){kind, receive, arg};
}

void mailbox_put(struct mailbox *mailbox, struct letter *letter)
{
    letter->next = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&mailbox->newest, &letter->next, letter,
                                                  memory_order_release, memory_order_relaxed))
        continue;
    wakeup_send(mailbox->wakeup);
}
