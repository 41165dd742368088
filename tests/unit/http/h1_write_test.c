/* Writing chunked bodies: what comes in one turn of the loop leaves as one chunk. */
#include "http/h1_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TEXT_MAX = 1 << 20 };

static char text[TEXT_MAX], body[TEXT_MAX], wanted[TEXT_MAX];
static size_t text_len, wanted_len;

/* The turn ends: up to `most` bytes leave. */
static void leave(struct bufq *out, size_t most)
{
    bufq_seal(out);
    while (!bufq_is_empty(out) && most > 0) {
        struct slice front = bufq_front(out);
        size_t n = MIN(front.len, most);
        assert_true(text_len + n <= TEXT_MAX);
        memcpy(text + text_len, front.ptr, n);
        text_len += n;
        most -= n;
        bufq_drop(out, n);
    }
}

/* How many chunks there are in `text`, whose bytes must be the wanted ones. */
static size_t count_chunks(void)
{
    const char *at = text, *end = text + text_len;
    size_t len = 0, count = 0;

    for (;; count++) {
        char *behind;
        size_t size = strtoul(at, &behind, 16);
        assert_true(behind > at && behind + 2 <= end && (*at == '0') == (size == 0));
        assert_memory_equal(behind, "\r\n", 2);
        at = behind + 2;
        if (size == 0)
            break;
        assert_true(at + size + 2 <= end);
        memcpy(body + len, at, size);
        len += size;
        at += size;
        assert_memory_equal(at, "\r\n", 2);
        at += 2;
    }
    assert_memory_equal(at, "\r\n", 2);
    assert_ptr_equal(at + 2, end);
    assert_int_equal(len, wanted_len);
    assert_memory_equal(body, wanted, len);
    return count;
}

static void add(struct bufq *out, struct buf *buf, const char *ptr, size_t len)
{
    assert_true(wanted_len + len <= TEXT_MAX);
    memcpy(wanted + wanted_len, ptr, len);
    wanted_len += len;
    h1_write_chunk(out, (struct slice){buf, ptr, len});
}

static void start(struct buf_pool *pool, struct bufq *out)
{
    buf_pool_init(pool);
    bufq_init(out, pool);
    text_len = wanted_len = 0;
}

static void finish(struct buf_pool *pool, struct bufq *out)
{
    h1_write_last_chunk(out, NULL, 0, NAME_CASE_PRESERVE);
    leave(out, SIZE_MAX);
    bufq_deinit(out);
    assert_int_equal(pool->in_use, 0);
    buf_pool_deinit(pool);
}

static void bytes_of_one_turn_leave_as_one_chunk(void **state UNUSED)
{
    struct buf_pool pool;
    struct bufq out;

    start(&pool, &out);
    bufq_copy(&out, "a head", 6);
    for (int i = 0; i < 5000; i++)
        add(&out, NULL, "x", 1);
    leave(&out, SIZE_MAX);
    assert_memory_equal(text, "a head1388\r\nxxx", 15);
    memmove(text, text + 6, text_len -= 6);
    for (int i = 0; i < 3; i++)
        add(&out, NULL, "yy", 2);
    finish(&pool, &out);
    assert_int_equal(count_chunks(), 2);
}

static void long_and_short_pieces_share_a_chunk(void **state UNUSED)
{
    struct buf_pool pool;
    struct bufq out;

    start(&pool, &out);
    struct buf *buf = buf_new_bulk(&pool);
    memset(buf->data, 'z', BUF_BULK_SIZE);
    add(&out, NULL, "x", 1);
    add(&out, buf, buf->data, 20000);
    add(&out, NULL, "y", 1);
    add(&out, buf, buf->data + 20000, 20000);
    add(&out, buf, buf->data + 40000, 100);
    add(&out, buf, buf->data + 40100, 20000);
    buf_unref(&buf);
    finish(&pool, &out);
    assert_int_equal(count_chunks(), 1);
}

/* Whatever the pieces, and wherever the writes stop, the bytes are the same. */
static void random_pieces_arrive_unchanged(void **state UNUSED)
{
    srand(1);
    for (int round = 0; round < 2000; round++) {
        struct buf_pool pool;
        struct bufq out;
        size_t turns = 0, chunks = 0;

        start(&pool, &out);
        struct buf *buf = buf_new_bulk(&pool);
        for (size_t i = 0; i < BUF_BULK_SIZE; i++)
            buf->data[i] = (char)('a' + rand() % 26);
        for (int piece = 0; piece < 40; piece++) {
            size_t len = 1 + (size_t)(rand() % (rand() % 3 == 0 ? 9000 : 20));
            size_t at = (size_t)rand() % (BUF_BULK_SIZE - len);
            add(&out, rand() % 2 == 0 ? buf : NULL, buf->data + at, len);
            if (rand() % 8 != 0)
                continue;
            leave(&out, (size_t)rand() % 30000);
            turns++;
        }
        buf_unref(&buf);
        finish(&pool, &out);
        chunks = count_chunks();
        assert_true(chunks >= 1 && chunks <= turns + 1 + wanted_len / 8000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_of_one_turn_leave_as_one_chunk),
        cmocka_unit_test(long_and_short_pieces_share_a_chunk),
        cmocka_unit_test(random_pieces_arrive_unchanged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
