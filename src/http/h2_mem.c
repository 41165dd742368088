/* The memory that nghttp2 takes: a dozen small blocks per request that live for microseconds. Each
 * thread keeps free blocks by size class, so that a busy worker asks the system for nothing. A
 * session stays on one thread, so blocks come back where they were taken.
 *
 * Each session also keeps a buffer of 16 KiB as long as it lives, to pack frames in, and most
 * frames need its first hundred bytes. These buffers start on a page of their own in fresh memory,
 * so that an idle connection has one page of it and not four. */
#include "http/h2_impl.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    CLASS_COUNT = 15,
    CLASS_MIN = 32, /* bytes of the smallest class; then 48, 64, 96, 128, … 4096 */
    CLASS_NONE = 255,
    CLASS_FRAMES = 254,
    FRAMES_MIN = 16384,      /* a session's frame buffer is larger than this, and nothing else is */
    FRAMES_BYTES = 5 * 4096, /* … and has room in so many pages */
    FRAMES_PAGE = 4096,      /* in front of a region's buffers */
    FRAMES_REGION = 64,      /* so many at a time */
#ifdef __SANITIZE_ADDRESS__
    CLASS_KEEP = 0, /* let the sanitizer see every block come and go */
    CLASS_KEEP_BYTES = 0,
#else
    CLASS_KEEP = 512,              /* free blocks kept per class and thread, … */
    CLASS_KEEP_BYTES = 256 * 1024, /* … and their bytes */
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
    struct block *frames;   /* free frame buffers */
    struct region *regions; /* owns: where they come from, newest first */
    unsigned fresh_frames;  /* of the newest region, never used yet */
    bool is_opening;        /* between h2_mem_session_begin and _end */
    bool has_exit;          /* the key below knows of this thread */
};

struct region {
    struct region *older;
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
    while (mine->regions != NULL) { /* no session outlives its thread */
        struct region *region = mine->regions;
        mine->regions = region->older;
        munmap(region, FRAMES_PAGE + (size_t)FRAMES_REGION * FRAMES_BYTES);
    }
    mine->frames = NULL;
    mine->fresh_frames = 0;
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

/* NULL when the system has no memory. */
static struct block *block_new(size_t size, unsigned class)
{
    struct block *block = size <= UINT32_MAX ? malloc(sizeof(*block) + size) : NULL;

    if (block == NULL)
        return NULL;
    block->size = (uint32_t)size;
    block->class = (uint8_t) class;
    return block;
}

static bool region_new(void)
{
    size_t bytes = FRAMES_PAGE + (size_t)FRAMES_REGION * FRAMES_BYTES;
    struct region *region =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (region == MAP_FAILED)
        return false;
    if (UNLIKELY(!shelf.has_exit))
        clear_at_thread_exit();
    region->older = shelf.regions;
    shelf.regions = region;
    shelf.fresh_frames = FRAMES_REGION;
    return true;
}

/* NULL when the system has no memory. */
static struct block *frames_new(void)
{
    struct block *block = shelf.frames;

    if (block != NULL) {
        shelf.frames = block->next;
        return block;
    }
    if (shelf.fresh_frames == 0 && !region_new())
        return NULL;
    shelf.fresh_frames--;
    block =
        (void *)((char *)shelf.regions + FRAMES_PAGE + (size_t)shelf.fresh_frames * FRAMES_BYTES);
    block->size = FRAMES_BYTES - sizeof(*block);
    block->class = CLASS_FRAMES;
    return block;
}

/* NULL when the system has no memory. */
static void *take(size_t size)
{
    unsigned class = class_of(size);
    struct block *block;

    if (LIKELY(class < CLASS_COUNT)) {
        block = shelf.free[class];
        if (LIKELY(block != NULL)) {
            shelf.free[class] = block->next;
            shelf.count[class]--;
            return block + 1;
        }
        block = block_new(class_bytes(class), class);
    } else {
        bool is_frames =
            shelf.is_opening && size > FRAMES_MIN && size <= FRAMES_BYTES - sizeof(*block);
        block = is_frames ? frames_new() : block_new(size, CLASS_NONE);
    }
    return block != NULL ? block + 1 : NULL;
}

void h2_mem_session_begin(void)
{
    shelf.is_opening = true;
}

void h2_mem_session_end(void)
{
    shelf.is_opening = false;
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

    struct block *block = (struct block *)memory - 1;
    unsigned class = block->class;

    if (class == CLASS_FRAMES) {
        block->next = shelf.frames;
        shelf.frames = block;
        return;
    }
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
