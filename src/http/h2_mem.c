/* The memory that nghttp2 takes: a dozen small blocks per request that live for microseconds. Each
 * thread keeps free blocks by size class, so that a busy worker asks the system for nothing. A
 * session stays on one thread, so blocks come back where they were taken. */
#include "http/h2_impl.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    CLASS_COUNT = 7,
    CLASS_MIN = 64, /* bytes of the smallest class, head included; each next is twice as large */
    CLASS_NONE = 255,
#ifdef __SANITIZE_ADDRESS__
    CLASS_KEEP = 0, /* let the sanitizer see every block come and go */
#else
    CLASS_KEEP = 512, /* free blocks kept per class and thread */
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
    bool has_exit; /* the key below knows of this thread */
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

static unsigned class_of(size_t total)
{
    if (total <= CLASS_MIN)
        return 0;
    return (unsigned)(64 - __builtin_clzll((unsigned long long)(total - 1))) - 6;
}

/* NULL when the system has no memory. */
static void *take(size_t size)
{
    size_t total = size + sizeof(struct block);
    unsigned class = class_of(total);
    struct block *block;

    if (total < size)
        return NULL;
    if (LIKELY(class < CLASS_COUNT)) {
        block = shelf.free[class];
        if (LIKELY(block != NULL)) {
            shelf.free[class] = block->next;
            shelf.count[class]--;
            return block + 1;
        }
        total = (size_t)CLASS_MIN << class;
    }
    if (total > UINT32_MAX)
        return NULL;
    block = malloc(total);
    if (block == NULL)
        return NULL;
    block->size = (uint32_t)(total - sizeof(*block));
    block->class = class < CLASS_COUNT ? (uint8_t) class : CLASS_NONE;
    return block + 1;
}

void h2_mem_give(void *memory)
{
    if (memory == NULL)
        return;

    struct block *block = (struct block *)memory - 1;
    unsigned class = block->class;

    if (class == CLASS_NONE || shelf.count[class] >= CLASS_KEEP) {
        free(block);
        return;
    }
    if (UNLIKELY(!shelf.has_exit))
        clear_at_thread_exit();
    block->next = shelf.free[class];
    shelf.free[class] = block;
    shelf.count[class]++;
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

    size_t have = ((struct block *)old - 1)->size;
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
