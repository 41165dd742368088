/* Buffers: counted slabs that bytes are read into, and queues of slices of them that wait to be
 * written.
 *
 * A slab comes from its worker's pool and goes back there with the last reference; a body byte is
 * read once and then only pointed at. All of this belongs to one worker's thread. */
#pragma once

#include "base/base.h"
#include "base/list.h"
#include "base/str.h"

enum {
    BUF_SIZE = 16384 + 512, /* one TLS record's plaintext (16 KiB) and room for a head in front */
    BUF_BULK_SIZE = 4 * 16384, /* four records in a row: what a body that streams is read into */
    BUF_POOL_KEEP = 256,       /* free slabs a pool keeps; more are given back to the system */
    BUF_BULK_KEEP = 32,        /* the same of the large kind */
    BUF_POOL_LEAST = 16,       /* free slabs that buf_pool_trim leaves */
    BUF_BULK_LEAST = 2,        /* the same of the large kind */
    BUFQ_COPY_MAX = 2048, /* slices up to this size are copied into the tail slab, not referenced */
};

/* Free slabs of one size. */
struct buf_shelf {
    struct buf *free; /* owns: singly linked by buf.next_free */
    unsigned count;
    unsigned spare; /* the fewest there were since the last buf_pool_trim */
};

struct buf_pool {
    struct buf_shelf slabs, bulks;
    unsigned in_use;     /* slabs of this pool with references (for tests and metrics) */
    size_t bytes_in_use; /* their memory, oversize buffers included */
};

struct buf {
    struct buf_pool *pool; /* borrows */
    struct buf *next_free;
    uint32_t refs;
    uint32_t size;                     /* bytes at data[] */
    uint32_t len;                      /* bytes filled, from the start */
    _Alignas(max_align_t) char data[]; /* arenas build structs in it */
};

void buf_pool_init(struct buf_pool *pool);
void buf_pool_deinit(struct buf_pool *pool); /* every buffer must have come back */

/* Gives the system the memory of free buffers that were not needed since the last call. */
void buf_pool_trim(struct buf_pool *pool);

/* An empty buffer of BUF_SIZE bytes with one reference. */
struct buf *buf_new(struct buf_pool *pool);

/* An empty buffer of BUF_BULK_SIZE bytes. */
struct buf *buf_new_bulk(struct buf_pool *pool);

/* An empty buffer of at least `size` bytes, for the rare head that is larger than a slab. */
struct buf *buf_new_sized(struct buf_pool *pool, size_t size);

static inline struct buf *buf_ref(struct buf *buf)
{
    buf->refs++;
    return buf;
}

/* Gives the reference back and clears the pointer; NULL is fine. */
void buf_unref(struct buf **buf);

static inline size_t buf_room(const struct buf *buf)
{
    return buf->size - buf->len;
}

/* Bytes together with the buffer that keeps them alive; buf NULL means "copy if you keep it". */
struct slice {
    struct buf *buf; /* borrows */
    const char *ptr;
    size_t len;
};

/* A first-in first-out queue of bytes. */
struct bufq {
    struct buf_pool *pool; /* borrows */
    struct bufq_seg *segs; /* owns: ring of `cap` segments */
    struct buf *own;       /* shares: where copies go, one behind the other; NULL when empty */
    uint32_t first, count, cap;
    uint32_t open; /* where in `own` the open head begins, plus 1; 0: none is open */
    size_t bytes;  /* all bytes queued */
};

struct bufq_seg {
    struct buf *buf;   /* shares */
    uint32_t off, len; /* the bytes in it */
};

void bufq_init(struct bufq *q, struct buf_pool *pool);
void bufq_deinit(struct bufq *q);

/* Appends a copy. */
void bufq_copy(struct bufq *q, const void *ptr, size_t len);

/* Appends by reference where that pays (long slices with a buffer), else a copy. */
void bufq_add(struct bufq *q, struct slice slice);

/* The same for bytes that may wait for long: a copy, too, where they would keep a buffer from which
 * most has gone. */
void bufq_keep(struct bufq *q, struct slice slice);

/* `len` contiguous writable bytes (≤ BUF_SIZE) at the end; then bufq_commit says how many were
 * used. */
char *bufq_reserve(struct bufq *q, size_t len);
void bufq_commit(struct bufq *q, size_t len);

/* Appends a head that says how much stands behind it (of a chunk, of a frame): room for `len`
 * bytes, and in front of them for `spare` more. It is open, which means that it may still be
 * changed, until bytes of the queue leave, or until bufq_seal or the next bufq_open. */
char *bufq_open(struct bufq *q, size_t spare, size_t len);

/* The open head, or NULL. */
static inline char *bufq_opened(const struct bufq *q)
{
    return q->open > 0 ? q->own->data + q->open - 1 : NULL;
}

/* Takes one of the spare bytes in front of the open head; the head begins there now. */
char *bufq_open_grow(struct bufq *q);

static inline void bufq_seal(struct bufq *q)
{
    q->open = 0;
}

/* Takes back the last `len` bytes, which a bufq_copy has appended while a head was open. */
void bufq_cut(struct bufq *q, size_t len);

/* The first contiguous bytes, with their buffer; len 0 when empty. */
struct slice bufq_front(const struct bufq *q);

/* Forgets the first `len` bytes (≤ q->bytes). */
void bufq_drop(struct bufq *q, size_t len);

/* Fills `iov` (struct iovec) with up to `max` segments from the front; how many. */
struct iovec;
int bufq_iovec(const struct bufq *q, struct iovec *iov, int max);

/* The same with the buffers that keep them alive. */
int bufq_slices(const struct bufq *q, struct slice *slices, int max);

/* Drops all bytes and gives the ring back: an idle connection owns nothing. */
void bufq_clear(struct bufq *q);

static inline bool bufq_is_empty(const struct bufq *q)
{
    return q->bytes == 0;
}
