/* A ring of packed records with one writer (a worker) and one reader (the log thread). Each side
 * writes one cursor and caches the other's, on a cache line of its own. It reads the other's
 * cursor only when the cached copy says that the ring is full or empty. Records are contiguous:
 * one that does not fit before the end of the memory begins at its start, and a filler takes the
 * rest. */
#include "observe/access_ring_impl.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { CACHE_LINE = 64, RING_MIN = 16 * 1024, RECORD_ALIGN = 8 };

struct record_head {
    uint32_t bytes; /* the whole record with this head, a multiple of RECORD_ALIGN */
    uint32_t kind;  /* enum access_record_kind */
    uint32_t len;   /* bytes of content in use */
    uint32_t unused;
};

struct access_ring {
    /* read by both sides; not written after the start */
    char *memory; /* owns */
    uint64_t size, mask;
    void (*wake)(void *arg);
    void *wake_arg;

    /* the writer's line */
    _Alignas(CACHE_LINE) _Atomic uint64_t head;
    uint64_t tail_seen;
    bool is_woken; /* the reader was woken because the ring was half full, and is still behind */

    /* the reader's line */
    _Alignas(CACHE_LINE) _Atomic uint64_t tail;
    uint64_t head_seen;

    /* Written twice per sleep of the reader, read with each record: on a line of its own. */
    _Alignas(CACHE_LINE) atomic_bool is_reader_asleep;
};

struct access_ring *access_ring_new(uint32_t bytes)
{
    uint64_t size = RING_MIN;

    while (size < bytes)
        size *= 2;
    struct access_ring *ring = aligned_alloc(CACHE_LINE, sizeof(*ring));
    ASSERT(ring != NULL);
    memset(ring, 0, sizeof(*ring));
    ring->memory = mem_new(size);
    ring->size = size;
    ring->mask = size - 1;
    return ring;
}

void access_ring_free(struct access_ring *ring)
{
    if (ring == NULL)
        return;
    free(ring->memory);
    free(ring);
}

void access_ring_on_wake(struct access_ring *ring, void (*wake)(void *arg), void *arg)
{
    ring->wake = wake;
    ring->wake_arg = arg;
}

/* --- writer ---------------------------------------------------------------------------------- */

static bool has_room(struct access_ring *ring, uint64_t head, uint64_t bytes)
{
    if (ring->size - (head - ring->tail_seen) >= bytes)
        return true;
    ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return ring->size - (head - ring->tail_seen) >= bytes;
}

/* Wakes a reader that sleeps, at most once per sleep. */
static void wake_sleeper(struct access_ring *ring)
{
    if (LIKELY(!atomic_load_explicit(&ring->is_reader_asleep, memory_order_seq_cst)))
        return;
    if (atomic_exchange_explicit(&ring->is_reader_asleep, false, memory_order_relaxed) &&
        ring->wake != NULL)
        ring->wake(ring->wake_arg);
}

static void wake_when_half_full(struct access_ring *ring, uint64_t head)
{
    if (head - ring->tail_seen <= ring->size / 2) {
        ring->is_woken = false;
        return;
    }
    if (ring->is_woken || ring->wake == NULL)
        return;
    ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
    if (head - ring->tail_seen <= ring->size / 2)
        return;
    ring->is_woken = true;
    ring->wake(ring->wake_arg);
}

char *access_ring_reserve(struct access_ring *ring, enum access_record_kind kind, size_t len)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint64_t bytes =
        (sizeof(struct record_head) + len + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1);
    uint64_t to_end = ring->size - (head & ring->mask);
    uint64_t filler = to_end < bytes ? to_end : 0;

    if (bytes > ring->size / 2 || !has_room(ring, head, filler + bytes)) {
        wake_when_half_full(ring, head);
        return NULL;
    }
    if (filler > 0) {
        /* At least RECORD_ALIGN bytes: enough for the first half of a record's head. */
        struct record_head skip = {.bytes = (uint32_t)filler, .kind = ACCESS_RECORD_FILLER};
        memcpy(ring->memory + (head & ring->mask), &skip, MIN(filler, sizeof(skip)));
        atomic_store_explicit(&ring->head, head + filler, memory_order_release);
        head += filler;
    }
    struct record_head record = {.bytes = (uint32_t)bytes, .kind = kind, .len = (uint32_t)len};
    char *at = ring->memory + (head & ring->mask);
    memcpy(at, &record, sizeof(record));
    return at + sizeof(record);
}

void access_ring_commit(struct access_ring *ring)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint32_t bytes;

    memcpy(&bytes, ring->memory + (head & ring->mask), sizeof(bytes));
    head += bytes;
    /* Ordered with the load in wake_sleeper: either the reader sees this record before it sleeps,
     * or we see that it sleeps. */
    atomic_store_explicit(&ring->head, head, memory_order_seq_cst);
    wake_sleeper(ring);
    wake_when_half_full(ring, head);
}

/* --- reader ---------------------------------------------------------------------------------- */

bool access_ring_peek(struct access_ring *ring, enum access_record_kind *kind, struct str *content)
{
    for (;;) {
        uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
        struct record_head record = {0};

        if (tail == ring->head_seen)
            ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (tail == ring->head_seen)
            return false;
        uint64_t at = tail & ring->mask;
        memcpy(&record, ring->memory + at, MIN(sizeof(record), ring->size - at));
        if (record.kind != ACCESS_RECORD_FILLER) {
            *kind = record.kind;
            *content = str_make(ring->memory + at + sizeof(record), record.len);
            return true;
        }
        atomic_store_explicit(&ring->tail, tail + record.bytes, memory_order_release);
    }
}

void access_ring_pop(struct access_ring *ring)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint32_t bytes;

    memcpy(&bytes, ring->memory + (tail & ring->mask), sizeof(bytes));
    atomic_store_explicit(&ring->tail, tail + bytes, memory_order_release);
}

bool access_ring_sleep(struct access_ring *ring)
{
    atomic_store_explicit(&ring->is_reader_asleep, true, memory_order_seq_cst);
    if (atomic_load_explicit(&ring->head, memory_order_seq_cst) ==
        atomic_load_explicit(&ring->tail, memory_order_relaxed))
        return true;
    access_ring_stay_awake(ring);
    return false;
}

void access_ring_stay_awake(struct access_ring *ring)
{
    atomic_store_explicit(&ring->is_reader_asleep, false, memory_order_relaxed);
}

/* --- what is put into it --------------------------------------------------------------------- */

/* An entry in the ring: the struct as it is, its texts' lengths, then their bytes. The pointers in
 * the copied struct are not valid until access_entry_unpack sets them. */
#define TEXTS(X)                                                                                   \
    X(method)                                                                                      \
    X(host)                                                                                        \
    X(path)                                                                                        \
    X(service)                                                                                     \
    X(side)                                                                                        \
    X(group)                                                                                       \
    X(endpoint)                                                                                    \
    X(why)                                                                                         \
    X(request_id)                                                                                  \
    X(tls)                                                                                         \
    X(user_agent) X(datacenter) X(listener) X(rule) X(dc_why) X(primary_if) X(error) X(config)

bool access_ring_push(struct access_ring *ring, const struct access_entry *entry)
{
    struct access_entry packed = *entry;
    size_t bytes = sizeof(packed);

#define X(name)                                                                                    \
    packed.name.len = MIN(packed.name.len, (size_t)ACCESS_TEXT_MAX);                               \
    bytes += packed.name.len;
    TEXTS(X)
#undef X
    char *at = access_ring_reserve(ring, ACCESS_RECORD_ENTRY, bytes);
    if (at == NULL)
        return false;
    memcpy(at, &packed, sizeof(packed));
    at += sizeof(packed);
#define X(name)                                                                                    \
    if (packed.name.len > 0)                                                                       \
        memcpy(at, packed.name.ptr, packed.name.len);                                              \
    at += packed.name.len;
    TEXTS(X)
#undef X
    access_ring_commit(ring);
    return true;
}

void access_entry_unpack(struct str content, struct access_entry *entry)
{
    ASSERT(content.len >= sizeof(*entry));
    memcpy(entry, content.ptr, sizeof(*entry));
    const char *at = content.ptr + sizeof(*entry);
#define X(name)                                                                                    \
    entry->name.ptr = at;                                                                          \
    at += entry->name.len;
    TEXTS(X)
#undef X
    ASSERT(at == content.ptr + content.len);
}

bool access_ring_push_line(struct access_ring *ring, const char *line, size_t len)
{
    char *at = access_ring_reserve(ring, ACCESS_RECORD_LINE, MIN(len, (size_t)ACCESS_TEXT_MAX));

    if (at == NULL)
        return false;
    memcpy(at, line, MIN(len, (size_t)ACCESS_TEXT_MAX));
    access_ring_commit(ring);
    return true;
}
