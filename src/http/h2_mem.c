/* The memory that nghttp2 takes: a dozen small blocks per request that live for microseconds. Each
 * thread keeps free blocks by size class, so that a busy worker asks the system for nothing. A
 * session stays on one thread, so blocks come back where they were taken.
 *
 * What a session keeps as long as it lives and could do without while it is idle has pages of its
 * own: h2_slot.c. */
#include "http/h2_impl.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    CLASS_COUNT = 15,
    CLASS_MIN = 32, /* bytes of the smallest class; then 48, 64, 96, 128, … 4096 */
    CLASS_NONE = 255,
    CLASS_LEAST = 8, /* free blocks that h2_memory_trim leaves */
#ifdef __SANITIZE_ADDRESS__
    CLASS_KEEP = 0, /* let the sanitizer see every block come and go */
    CLASS_KEEP_BYTES = 0,
#else
    CLASS_KEEP = 512,              /* free blocks kept per class and thread */
    CLASS_KEEP_BYTES = 256 * 1024, /* their bytes */
#endif
};

/* In front of each block; as large as the alignment that malloc promises. */
struct block {
    _Alignas(max_align_t) struct block *next; /* while free */
    uint32_t size;                            /* usable bytes */
    uint8_t class;
};

struct shelf {
    struct block *free[CLASS_COUNT];
    int count[CLASS_COUNT];
    int spare[CLASS_COUNT];  /* the fewest there were since the last h2_memory_trim */
    struct h2_slot *opening; /* borrows: between h2_mem_session_begin and _end */
    bool has_exit;           /* the key below knows of this thread */
};

static _Thread_local struct shelf shelf;
static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;

static void shelf_clear(void *arg)
{
    struct shelf *mine = arg;

    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        while (mine->free[i] != NULL) {
            struct block *block = mine->free[i];
            mine->free[i] = block->next;
            free(block);
        }
        mine->count[i] = 0;
    }
    h2_slots_unmap(); /* no session outlives its thread */
    mine->has_exit = false;
}

static void make_exit_key(void)
{
    ASSERT(pthread_key_create(&exit_key, shelf_clear) == 0);
}

static void clear_at_thread_exit(void)
{
    pthread_once(&exit_once, make_exit_key);
    shelf.has_exit = pthread_setspecific(exit_key, &shelf) == 0;
}

static bool is_in_slot(const void *memory)
{
    return (uintptr_t)memory % H2_SLOT_ALIGN == 0;
}

/* Two classes for each power of two: 2^k + 2^(k-1), and 2^(k+1). */
static unsigned class_of(size_t size)
{
    if (size <= CLASS_MIN)
        return 0;
    unsigned k = 63 - (unsigned)__builtin_clzll((unsigned long long)(size - 1));
    return (k - 5) * 2 + 1 + (size > (size_t)3 << (k - 1));
}

static size_t class_bytes(unsigned class)
{
    if (class == 0)
        return CLASS_MIN;
    unsigned k = (class - 1) / 2 + 5;
    return class % 2 == 1 ? (size_t)3 << (k - 1) : (size_t)2 << k;
}

/* Never on a page boundary, which is where the parts of slots are. NULL when the system has no
 * memory. */
static struct block *block_alloc(size_t bytes)
{
    struct block *block = malloc(bytes);

    if (block == NULL || LIKELY(!is_in_slot(block + 1)))
        return block;
    struct block *other = block_alloc(bytes); /* while we hold this one it is another */
    free(block);
    return other;
}

/* NULL when the system has no memory. */
static struct block *block_new(size_t size, unsigned class)
{
    struct block *block = size <= UINT32_MAX ? block_alloc(sizeof(*block) + size) : NULL;

    if (block == NULL)
        return NULL;
    block->size = (uint32_t)size;
    block->class = (uint8_t) class;
    return block;
}

/* NULL when the system has no memory. */
static void *take(size_t size)
{
    unsigned class = class_of(size);
    struct block *block;

    if (UNLIKELY(shelf.opening != NULL)) {
        void *part = h2_slot_take(shelf.opening, size);
        if (part != NULL)
            return part;
    }
    if (LIKELY(class < CLASS_COUNT)) {
        block = shelf.free[class];
        if (LIKELY(block != NULL)) {
            shelf.free[class] = block->next;
            shelf.count[class]--;
            shelf.spare[class] = MIN(shelf.spare[class], shelf.count[class]);
            return block + 1;
        }
        block = block_new(class_bytes(class), class);
    } else {
        block = block_new(size, CLASS_NONE);
    }
    return block != NULL ? block + 1 : NULL;
}

void h2_mem_session_begin(void)
{
    if (UNLIKELY(!shelf.has_exit))
        clear_at_thread_exit();
    shelf.opening = h2_slot_open();
}

struct h2_slot *h2_mem_session_end(void)
{
    struct h2_slot *slot = shelf.opening;

    shelf.opening = NULL;
    return slot != NULL ? h2_slot_settle(slot) : NULL;
}

static bool is_kept(unsigned class)
{
    int count = shelf.count[class];
    size_t bytes = ((size_t)count + 1) * class_bytes(class);

    return count < CLASS_KEEP && bytes <= CLASS_KEEP_BYTES;
}

void h2_mem_give(void *memory)
{
    if (memory == NULL)
        return;
    if (UNLIKELY(is_in_slot(memory))) {
        h2_slot_give(memory);
        return;
    }

    struct block *block = (struct block *)memory - 1;
    unsigned class = block->class;

    if (class == CLASS_NONE || !is_kept(class)) {
        free(block);
        return;
    }
    if (UNLIKELY(!shelf.has_exit))
        clear_at_thread_exit();
    block->next = shelf.free[class];
    shelf.free[class] = block;
    shelf.count[class]++;
}

void h2_memory_trim(void)
{
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        for (int spare = shelf.spare[i]; spare > 0 && shelf.count[i] > CLASS_LEAST; spare--) {
            struct block *block = shelf.free[i];
            shelf.free[i] = block->next;
            shelf.count[i]--;
            free(block);
        }
        shelf.spare[i] = shelf.count[i];
    }
}

void *h2_mem_take(size_t size)
{
    void *memory = take(size);

    ASSERT(memory != NULL);
    return memory;
}

static void *mem_malloc(size_t size, void *arg UNUSED)
{
    return take(size);
}

static void mem_free(void *memory, void *arg UNUSED)
{
    h2_mem_give(memory);
}

static void *mem_calloc(size_t count, size_t size, void *arg UNUSED)
{
    size_t total;

    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    void *memory = take(total);
    return memory != NULL ? memset(memory, 0, total) : NULL;
}

static void *mem_realloc(void *old, size_t size, void *arg UNUSED)
{
    if (old == NULL)
        return take(size);

    size_t have = is_in_slot(old) ? h2_slot_bytes(old) : ((struct block *)old - 1)->size;
    if (have >= size)
        return old;
    void *memory = take(size);
    if (memory == NULL)
        return NULL;
    memcpy(memory, old, have);
    h2_mem_give(old);
    return memory;
}

nghttp2_mem h2_mem = {NULL, mem_malloc, mem_free, mem_calloc, mem_realloc};
