/* Address sets and mailboxes: everything that crosses from the control thread to a worker. A
 * mailbox is a stack that the sender pushes to with one compare-and-swap and the worker empties
 * with one exchange. */
#include "upstream/address_set_impl.h"

#include <stdlib.h>

static int compare_addrs(const void *left, const void *right)
{
    const struct addr *a = left, *b = right;
    uint8_t ip_a[16], ip_b[16];

    addr_ip_bytes(a, ip_a);
    addr_ip_bytes(b, ip_b);
    return memcmp(ip_a, ip_b, sizeof(ip_a));
}

static size_t drop_duplicates(struct addr *addrs, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || compare_addrs(&addrs[kept - 1], &addrs[i]) != 0)
            addrs[kept++] = addrs[i];
    }
    return kept;
}

struct address_set *address_set_new(struct str name, const struct addr *addrs, size_t count)
{
    struct address_set *set = mem_new(sizeof(*set) + count * sizeof(*addrs) + name.len);
    char *text = (char *)&set->addrs[count];

    atomic_init(&set->refs, 1);
    memcpy(text, name.ptr, name.len);
    set->name = str_make(text, name.len);
    if (count > 0) {
        memcpy(set->addrs, addrs, count * sizeof(*addrs));
        qsort(set->addrs, count, sizeof(*addrs), compare_addrs);
        set->count = drop_duplicates(set->addrs, count);
    }
    return set;
}

struct address_set *address_set_ref(struct address_set *set)
{
    atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    return set;
}

void address_set_unref(struct address_set **set)
{
    struct address_set *old = *set;

    *set = NULL;
    if (old != NULL && atomic_fetch_sub_explicit(&old->refs, 1, memory_order_acq_rel) == 1)
        free(old);
}

bool address_set_eq(const struct address_set *a, const struct address_set *b)
{
    if (a->count != b->count || a->is_gone != b->is_gone)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (compare_addrs(&a->addrs[i], &b->addrs[i]) != 0)
            return false;
    }
    return true;
}

struct resolver_mailbox *mailbox_new(struct loop *loop, void (*woken)(void *arg), void *arg)
{
    struct resolver_mailbox *mailbox = mem_new(sizeof(*mailbox));

    atomic_init(&mailbox->newest, NULL);
    mailbox->wakeup = wakeup_new(loop, woken, arg);
    list_init(&mailbox->node);
    return mailbox;
}

void mailbox_free(struct resolver_mailbox *mailbox)
{
    struct letter *next;

    for (struct letter *letter = mailbox_take(mailbox); letter != NULL; letter = next) {
        next = letter->next;
        letter_free(letter);
    }
    wakeup_free(mailbox->wakeup);
    free(mailbox);
}

void mailbox_put(struct resolver_mailbox *mailbox, struct address_set *set, enum news news)
{
    struct letter *letter = mem_new(sizeof(*letter));

    letter->set = address_set_ref(set);
    letter->is_forgotten = news == NEWS_FORGOTTEN;
    letter->next = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&mailbox->newest, &letter->next, letter,
                                                  memory_order_release, memory_order_relaxed))
        continue;
    wakeup_send(mailbox->wakeup);
}

struct letter *mailbox_take(struct resolver_mailbox *mailbox)
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

void letter_free(struct letter *letter)
{
    address_set_unref(&letter->set);
    free(letter);
}
