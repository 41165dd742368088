/* Endpoint sets: made and compared here, and carried from the control thread to the workers. */
#include "discovery/endpoint_set.h"

#include <stdlib.h>

/* --- a set ----------------------------------------------------------------------------------- */

static int compare_entries(const void *left, const void *right)
{
    const struct endpoint_entry *a = left, *b = right;
    uint8_t ip_a[16], ip_b[16];

    addr_ip_bytes(&a->addr, ip_a);
    addr_ip_bytes(&b->addr, ip_b);
    int by_ip = memcmp(ip_a, ip_b, sizeof(ip_a));
    return by_ip != 0 ? by_ip : (int)addr_port(&a->addr) - (int)addr_port(&b->addr);
}

/* The entries are sorted, so duplicates are neighbours. */
static size_t drop_duplicates(struct endpoint_entry *entries, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || compare_entries(&entries[kept - 1], &entries[i]) != 0)
            entries[kept++] = entries[i];
    }
    return kept;
}

static struct str put_text(char **at, struct str text)
{
    struct str copy = str_make(*at, text.len);

    if (text.len > 0)
        memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return copy;
}

struct endpoint_set *endpoint_set_new(struct str key, const struct endpoint_entry *entries,
                                      size_t count)
{
    size_t text_bytes = key.len;

    for (size_t i = 0; i < count; i++)
        text_bytes += entries[i].zone.len;
    struct endpoint_set *set = mem_new(sizeof(*set) + count * sizeof(*entries) + text_bytes);
    char *text = (char *)&set->entries[count];

    atomic_init(&set->refs, 1);
    set->key = put_text(&text, key);
    for (size_t i = 0; i < count; i++) {
        set->entries[i] = entries[i];
        set->entries[i].zone = put_text(&text, entries[i].zone);
    }
    if (count > 0) {
        qsort(set->entries, count, sizeof(*entries), compare_entries);
        set->count = drop_duplicates(set->entries, count);
    }
    return set;
}

struct endpoint_set *endpoint_set_of_addresses(struct str key, const struct addr *addrs,
                                               size_t count)
{
    struct endpoint_entry *entries = mem_new(MAX(count, 1u) * sizeof(*entries));

    for (size_t i = 0; i < count; i++)
        entries[i] = (struct endpoint_entry){
            .addr = addrs[i], .zone = STR(""), .weight = 1, .is_ready = true};
    struct endpoint_set *set = endpoint_set_new(key, entries, count);
    free(entries);
    return set;
}

struct endpoint_set *endpoint_set_ref(struct endpoint_set *set)
{
    atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    return set;
}

void endpoint_set_unref(struct endpoint_set **slot)
{
    struct endpoint_set *set = *slot;

    *slot = NULL;
    if (set != NULL && atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) == 1)
        free(set);
}

static bool entry_eq(const struct endpoint_entry *a, const struct endpoint_entry *b)
{
    return compare_entries(a, b) == 0 && a->weight == b->weight && a->is_ready == b->is_ready &&
           a->is_terminating == b->is_terminating && str_eq(a->zone, b->zone);
}

bool endpoint_set_eq(const struct endpoint_set *a, const struct endpoint_set *b)
{
    if (a->count != b->count || a->is_gone != b->is_gone)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (!entry_eq(&a->entries[i], &b->entries[i]))
            return false;
    }
    return true;
}

/* --- letters --------------------------------------------------------------------------------- */

static void letter_free(struct letter *letter)
{
    struct endpoint_letter *about = CONTAINER_OF(letter, struct endpoint_letter, letter);

    endpoint_set_unref(&about->set);
    free(about);
}

const struct letter_kind endpoint_letter_kind = {"endpoints", letter_free};

void endpoint_letter_send(struct mailbox *mailbox, struct endpoint_set *set,
                          enum endpoint_news news)
{
    struct endpoint_letter *about = mem_new(sizeof(*about));

    about->letter.kind = &endpoint_letter_kind;
    about->set = endpoint_set_ref(set);
    about->news = news;
    mailbox_put(mailbox, &about->letter);
}

/* --- what a worker knows --------------------------------------------------------------------- */

static size_t index_of(const struct endpoint_sets *sets, struct str key)
{
    size_t i = 0;

    while (i < sets->count && !str_eq(sets->items[i]->key, key))
        i++;
    return i;
}

void endpoint_sets_deinit(struct endpoint_sets *sets)
{
    for (size_t i = 0; i < sets->count; i++)
        endpoint_set_unref(&sets->items[i]);
    free(sets->items);
    *sets = (struct endpoint_sets){0};
}

const struct endpoint_set *endpoint_sets_find(const struct endpoint_sets *sets, struct str key)
{
    size_t i = index_of(sets, key);

    return i < sets->count ? sets->items[i] : NULL;
}

static void forget(struct endpoint_sets *sets, struct str key)
{
    size_t i = index_of(sets, key);

    if (i == sets->count)
        return;
    endpoint_set_unref(&sets->items[i]);
    sets->items[i] = sets->items[--sets->count];
}

static void keep(struct endpoint_sets *sets, struct endpoint_set *set)
{
    size_t i = index_of(sets, set->key);

    if (i == sets->count) {
        sets->items = mem_resize(sets->items, (i + 1) * sizeof(struct endpoint_set *));
        sets->count++;
    } else {
        endpoint_set_unref(&sets->items[i]);
    }
    sets->items[i] = endpoint_set_ref(set);
}

void endpoint_sets_apply(struct endpoint_sets *sets, const struct endpoint_letter *letter)
{
    switch (letter->news) {
    case ENDPOINTS_CHANGED:
        keep(sets, letter->set);
        return;
    case ENDPOINTS_FORGOTTEN:
        forget(sets, letter->set->key);
        return;
    }
}
