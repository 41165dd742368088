/* A bump allocator over slabs. One slab (16 KiB) holds the heads of nearly every request; what is
 * larger gets a chunk of its own. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct arena_chunk {
    struct arena_chunk *older;
    struct buf *buf; /* shares; NULL when the chunk itself came from malloc */
};

void arena_init(struct arena *arena, struct buf_pool *pool)
{
    *arena = (struct arena){.pool = pool};
}

void arena_reset(struct arena *arena)
{
    struct arena_chunk *chunk = arena->chunks;

    while (chunk != NULL) {
        struct arena_chunk *older = chunk->older;
        struct buf *buf = chunk->buf;
        if (buf != NULL)
            buf_unref(&buf);
        else
            free(chunk);
        chunk = older;
    }
    *arena = (struct arena){.pool = arena->pool};
}

void *arena_grow(struct arena *arena, size_t size, size_t align)
{
    size_t need = sizeof(struct arena_chunk) + size + align;
    struct buf *buf = NULL;
    struct arena_chunk *chunk;
    size_t total;

    if (arena->pool != NULL) {
        buf = buf_new_sized(arena->pool, need);
        chunk = (struct arena_chunk *)(void *)buf->data;
        total = buf->size;
    } else {
        total = MAX(need, 4096);
        chunk = mem_resize(NULL, total);
    }
    *chunk = (struct arena_chunk){.older = arena->chunks, .buf = buf};
    arena->chunks = chunk;
    arena->next = (char *)(chunk + 1);
    arena->end = (char *)chunk + total;
    arena->bytes += total;
    return arena_alloc_aligned(arena, size, align);
}

void *arena_zero(struct arena *arena, size_t size)
{
    return memset(arena_alloc(arena, size), 0, size);
}

struct str arena_str(struct arena *arena, struct str s)
{
    return arena_join(arena, s, (struct str){0});
}

struct str arena_str_lower(struct arena *arena, struct str s)
{
    char *copy = arena_alloc_aligned(arena, s.len + 1, 1);

    for (size_t i = 0; i < s.len; i++)
        copy[i] = ascii_lower(s.ptr[i]);
    copy[s.len] = '\0';
    return str_make(copy, s.len);
}

struct str arena_join(struct arena *arena, struct str a, struct str b)
{
    char *copy = arena_alloc_aligned(arena, a.len + b.len + 1, 1);

    if (a.len > 0)
        memcpy(copy, a.ptr, a.len);
    if (b.len > 0)
        memcpy(copy + a.len, b.ptr, b.len);
    copy[a.len + b.len] = '\0';
    return str_make(copy, a.len + b.len);
}

struct str arena_printf(struct arena *arena, const char *fmt, ...)
{
    va_list args, again;

    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    ASSERT(len >= 0);

    char *text = arena_alloc_aligned(arena, (size_t)len + 1, 1);
    vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    return str_make(text, (size_t)len);
}
