/* Memory that goes together: an exchange's heads, paths and rewritten strings. Chunks come from a
 * worker's slab pool, so a request allocates nothing from the system. Nothing in it is freed
 * alone. */
#pragma once

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

struct arena {
    struct buf_pool *pool;      /* borrows; NULL: chunks come from malloc (configuration, tests) */
    struct arena_chunk *chunks; /* owns: newest first */
    char *next, *end;           /* free bytes of the newest chunk */
    size_t bytes;               /* memory taken by all chunks */
};

void arena_init(struct arena *arena, struct buf_pool *pool);

/* Frees everything; the arena can be used again. An arena without allocations owns nothing. */
void arena_reset(struct arena *arena);

void *arena_grow(struct arena *arena, size_t size, size_t align); /* slow path of arena_alloc */

/* `size` bytes, uninitialised, aligned to `align` (a power of two). Never NULL. */
static inline void *arena_alloc_aligned(struct arena *arena, size_t size, size_t align)
{
    uintptr_t at = ((uintptr_t)arena->next + align - 1) & ~(uintptr_t)(align - 1);

    if (LIKELY(arena->next != NULL && at + size <= (uintptr_t)arena->end)) {
        arena->next = (char *)at + size;
        return (char *)at;
    }
    return arena_grow(arena, size, align);
}

static inline void *arena_alloc(struct arena *arena, size_t size)
{
    return arena_alloc_aligned(arena, size, _Alignof(max_align_t));
}

/* Zeroed; for one `type` or an array of them. */
#define ARENA_NEW(arena, type) ((type *)arena_zero((arena), sizeof(type)))
#define ARENA_NEW_N(arena, type, n) ((type *)arena_zero((arena), sizeof(type) * (n)))
void *arena_zero(struct arena *arena, size_t size);

/* A copy of `s`, followed by a NUL that is not counted. */
struct str arena_str(struct arena *arena, struct str s);

/* The same in lower case (ASCII). */
struct str arena_str_lower(struct arena *arena, struct str s);

/* Two texts behind one another. */
struct str arena_join(struct arena *arena, struct str a, struct str b);

/* Formatted text; cold paths only. */
struct str arena_printf(struct arena *arena, const char *fmt, ...) PRINTF(2, 3);
