/* Slabs with a free list, and queues of slices. The ring of a queue grows by doubling and is kept
 * until bufq_clear, so a busy connection allocates nothing. */
#include "base/buf.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

/* --- slabs ----------------------------------------------------------------------------------- */

void buf_pool_init(struct buf_pool *pool)
{
    *pool = (struct buf_pool){0};
}

static struct buf *shelf_pop(struct buf_shelf *shelf)
{
    struct buf *buf = shelf->free;

    if (buf == NULL)
        return NULL;
    shelf->free = buf->next_free;
    shelf->count--;
    return buf;
}

static void shelf_clear(struct buf_shelf *shelf)
{
    for (struct buf *buf; (buf = shelf_pop(shelf)) != NULL;)
        free(buf);
}

/* malloc may keep what it is given, so the pages go first. */
static void buf_drop(struct buf *buf)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)buf + page - 1) & ~(page - 1);
    uintptr_t to = (uintptr_t)(buf->data + buf->size) & ~(page - 1);

    if (from < to)
        madvise((void *)from, to - from, MADV_DONTNEED);
    free(buf);
}

static void shelf_trim(struct buf_shelf *shelf, unsigned least)
{
    unsigned spare = MIN(shelf->spare, shelf->count);

    for (; spare > 0 && shelf->count > least; spare--)
        buf_drop(shelf_pop(shelf));
    shelf->spare = shelf->count;
}

void buf_pool_trim(struct buf_pool *pool)
{
    shelf_trim(&pool->slabs, BUF_POOL_LEAST);
    shelf_trim(&pool->bulks, BUF_BULK_LEAST);
}

void buf_pool_deinit(struct buf_pool *pool)
{
    ASSERT(pool->in_use == 0);
    shelf_clear(&pool->slabs);
    shelf_clear(&pool->bulks);
}

/* Where free buffers of that size are kept; NULL: nowhere. */
static struct buf_shelf *shelf_of(struct buf_pool *pool, size_t size)
{
    if (LIKELY(size == BUF_SIZE))
        return &pool->slabs;
    return size == BUF_BULK_SIZE ? &pool->bulks : NULL;
}

static struct buf *buf_take(struct buf_pool *pool, size_t size)
{
    struct buf_shelf *shelf = shelf_of(pool, size);
    struct buf *buf = shelf != NULL ? shelf_pop(shelf) : NULL;

    if (buf == NULL)
        buf = mem_resize(NULL, sizeof(*buf) + size);
    if (shelf != NULL)
        shelf->spare = MIN(shelf->spare, shelf->count);
    *buf = (struct buf){.pool = pool, .refs = 1, .size = (uint32_t)size};
    pool->in_use++; // NOLINT(clang-analyzer-core.NullDereference): a shelf is part of a pool
    pool->bytes_in_use += size;
    return buf;
}

struct buf *buf_new(struct buf_pool *pool)
{
    return buf_take(pool, BUF_SIZE);
}

struct buf *buf_new_bulk(struct buf_pool *pool)
{
    return buf_take(pool, BUF_BULK_SIZE);
}

struct buf *buf_new_sized(struct buf_pool *pool, size_t size)
{
    return buf_take(pool, MAX(size, BUF_SIZE));
}

void buf_unref(struct buf **slot)
{
    struct buf *buf = *slot;

    *slot = NULL;
    if (buf == NULL || --buf->refs > 0)
        return;

    struct buf_pool *pool = buf->pool;
    struct buf_shelf *shelf = shelf_of(pool, buf->size);
    unsigned keep = shelf == &pool->bulks ? BUF_BULK_KEEP : BUF_POOL_KEEP;
    pool->in_use--;
    pool->bytes_in_use -= buf->size;
    if (shelf == NULL || shelf->count >= keep) {
        free(buf);
        return;
    }
    buf->next_free = shelf->free;
    shelf->free = buf;
    shelf->count++;
}

/* --- queues ---------------------------------------------------------------------------------- */

void bufq_init(struct bufq *q, struct buf_pool *pool)
{
    *q = (struct bufq){.pool = pool};
}

void bufq_deinit(struct bufq *q)
{
    bufq_clear(q);
}

static struct bufq_seg *seg_at(const struct bufq *q, uint32_t i)
{
    return &q->segs[(q->first + i) & (q->cap - 1)];
}

static struct bufq_seg *seg_last(const struct bufq *q)
{
    return q->count > 0 ? seg_at(q, q->count - 1) : NULL;
}

static void ring_grow(struct bufq *q)
{
    uint32_t cap = q->cap > 0 ? q->cap * 2 : 4;
    struct bufq_seg *segs = mem_resize(NULL, cap * sizeof(*segs));

    for (uint32_t i = 0; i < q->count; i++)
        segs[i] = *seg_at(q, i);
    free(q->segs);
    q->segs = segs;
    q->first = 0;
    q->cap = cap;
}

static struct bufq_seg *seg_push(struct bufq *q)
{
    if (q->count == q->cap)
        ring_grow(q);
    return seg_at(q, q->count++);
}

/* The end of our own slab when at least `len` bytes go there, else the front of a fresh one. It
 * stays ours when slices of other slabs follow: the heads between the payloads of h2 frames share
 * one slab. */
static struct buf *own_with_room(struct bufq *q, size_t len)
{
    if (q->own != NULL && buf_room(q->own) >= len)
        return q->own;
    buf_unref(&q->own);
    q->own = buf_new(q->pool);
    q->open = 0;
    return q->own;
}

char *bufq_reserve(struct bufq *q, size_t len)
{
    ASSERT(len <= BUF_SIZE);
    struct buf *own = own_with_room(q, len);
    return own->data + own->len;
}

/* Appends to the last segment if that ends where the new one begins. */
static void append(struct bufq *q, struct buf *buf, uint32_t off, uint32_t len)
{
    struct bufq_seg *last = seg_last(q);

    q->bytes += len;
    if (last != NULL && last->buf == buf && last->off + last->len == off) {
        last->len += len;
        return;
    }
    *seg_push(q) = (struct bufq_seg){.buf = buf_ref(buf), .off = off, .len = len};
}

void bufq_commit(struct bufq *q, size_t len)
{
    ASSERT(q->own != NULL && buf_room(q->own) >= len);
    if (len == 0)
        return;
    append(q, q->own, q->own->len, (uint32_t)len);
    q->own->len += (uint32_t)len;
}

char *bufq_open(struct bufq *q, size_t spare, size_t len)
{
    char *at = bufq_reserve(q, spare + len) + spare;

    q->own->len += (uint32_t)spare;
    q->open = q->own->len + 1;
    bufq_commit(q, len);
    return at;
}

char *bufq_open_grow(struct bufq *q)
{
    uint32_t i = q->count - 1;

    while (seg_at(q, i)->buf != q->own || seg_at(q, i)->off != q->open - 1) {
        ASSERT(i > 0);
        i--;
    }
    struct bufq_seg *seg = seg_at(q, i);
    seg->off--;
    seg->len++;
    q->bytes++;
    q->open--;
    return bufq_opened(q);
}

void bufq_cut(struct bufq *q, size_t len)
{
    struct bufq_seg *last = seg_last(q);

    ASSERT(last != NULL && last->buf == q->own && last->len >= len &&
           last->off + last->len == q->own->len);
    last->len -= (uint32_t)len;
    q->own->len -= (uint32_t)len;
    q->bytes -= len;
    if (last->len == 0) {
        buf_unref(&last->buf);
        q->count--;
    }
}

void bufq_copy(struct bufq *q, const void *ptr, size_t len)
{
    const char *from = ptr;

    while (len > 0) {
        struct buf *own = own_with_room(q, 1);
        size_t n = MIN(len, buf_room(own));
        memcpy(own->data + own->len, from, n);
        bufq_commit(q, n);
        from += n;
        len -= n;
    }
}

enum { KEEP_SHARE = 4 }; /* bufq_keep refers to no less than this part of a buffer */

void bufq_add(struct bufq *q, struct slice slice)
{
    if (slice.buf == NULL || slice.len <= BUFQ_COPY_MAX) {
        bufq_copy(q, slice.ptr, slice.len);
        return;
    }
    append(q, slice.buf, (uint32_t)(slice.ptr - slice.buf->data), (uint32_t)slice.len);
}

void bufq_keep(struct bufq *q, struct slice slice)
{
    const struct bufq_seg *last = seg_last(q);

    if (slice.buf == NULL || slice.len == 0)
        bufq_copy(q, slice.ptr, slice.len);
    else if (last != NULL && last->buf == slice.buf) /* kept anyway */
        append(q, slice.buf, (uint32_t)(slice.ptr - slice.buf->data), (uint32_t)slice.len);
    else if (slice.len < slice.buf->size / KEEP_SHARE)
        bufq_copy(q, slice.ptr, slice.len);
    else
        bufq_add(q, slice);
}

struct slice bufq_front(const struct bufq *q)
{
    for (uint32_t i = 0; i < q->count; i++) {
        const struct bufq_seg *seg = seg_at(q, i);
        if (seg->len > 0)
            return (struct slice){seg->buf, seg->buf->data + seg->off, seg->len};
    }
    return (struct slice){0};
}

void bufq_drop(struct bufq *q, size_t len)
{
    ASSERT(len <= q->bytes);
    q->bytes -= len;
    q->open = 0;
    while (q->count > 0) {
        struct bufq_seg *seg = seg_at(q, 0);
        size_t n = MIN(len, seg->len);
        seg->off += (uint32_t)n;
        seg->len -= (uint32_t)n;
        len -= n;
        if (seg->len > 0)
            return;
        buf_unref(&seg->buf);
        q->first = (q->first + 1) & (q->cap - 1);
        q->count--;
    }
    buf_unref(&q->own);
}

int bufq_iovec(const struct bufq *q, struct iovec *iov, int max)
{
    int n = 0;

    for (uint32_t i = 0; i < q->count && n < max; i++) {
        const struct bufq_seg *seg = seg_at(q, i);
        if (seg->len > 0)
            iov[n++] = (struct iovec){seg->buf->data + seg->off, seg->len};
    }
    return n;
}

int bufq_slices(const struct bufq *q, struct slice *slices, int max)
{
    int n = 0;

    for (uint32_t i = 0; i < q->count && n < max; i++) {
        const struct bufq_seg *seg = seg_at(q, i);
        slices[n++] = (struct slice){seg->buf, seg->buf->data + seg->off, seg->len};
    }
    return n;
}

void bufq_clear(struct bufq *q)
{
    for (uint32_t i = 0; i < q->count; i++)
        buf_unref(&seg_at(q, i)->buf);
    buf_unref(&q->own);
    free(q->segs);
    *q = (struct bufq){.pool = q->pool};
}
