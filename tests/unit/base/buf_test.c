/* Slabs and queues of slices. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/uio.h>

static void slices_that_follow_one_another_become_one_segment(void **state UNUSED)
{
    struct buf_pool pool;
    struct bufq q;
    struct iovec iov[4];

    buf_pool_init(&pool);
    bufq_init(&q, &pool);
    struct buf *buf = buf_new_bulk(&pool);
    bufq_add(&q, (struct slice){buf, buf->data, 10000});
    bufq_add(&q, (struct slice){buf, buf->data + 10000, 5000});
    bufq_add(&q, (struct slice){buf, buf->data + 20000, 5000}); /* a gap in front */
    assert_int_equal(bufq_iovec(&q, iov, 4), 2);
    assert_int_equal(iov[0].iov_len, 15000);
    assert_int_equal(q.bytes, 20000);

    buf_unref(&buf);
    bufq_drop(&q, 15000);
    assert_int_equal(pool.in_use, 1);
    bufq_drop(&q, 5000);
    assert_int_equal(pool.in_use, 0);
    bufq_deinit(&q);
    buf_pool_deinit(&pool);
}

static void slabs_of_both_sizes_come_back_to_their_shelf(void **state UNUSED)
{
    struct buf_pool pool;

    buf_pool_init(&pool);
    struct buf *slab = buf_new(&pool), *bulk = buf_new_bulk(&pool), *odd;
    struct buf *first_slab = slab, *first_bulk = bulk;
    assert_int_equal(pool.bytes_in_use, BUF_SIZE + BUF_BULK_SIZE);
    buf_unref(&slab);
    buf_unref(&bulk);
    assert_int_equal(pool.slabs.count, 1);
    assert_int_equal(pool.bulks.count, 1);

    odd = buf_new_sized(&pool, BUF_SIZE + 1);
    slab = buf_new(&pool);
    bulk = buf_new_bulk(&pool);
    assert_ptr_equal(slab, first_slab);
    assert_ptr_equal(bulk, first_bulk);
    buf_unref(&odd);
    buf_unref(&slab);
    buf_unref(&bulk);
    assert_int_equal(pool.slabs.count + pool.bulks.count, 2);
    buf_pool_deinit(&pool);
}

static void take_and_return(struct buf_pool *pool, unsigned count)
{
    struct buf *taken[BUF_POOL_KEEP];

    for (unsigned i = 0; i < count; i++)
        taken[i] = buf_new(pool);
    for (unsigned i = 0; i < count; i++)
        buf_unref(&taken[i]);
}

static void a_pool_gives_back_what_was_not_needed_for_a_while(void **state UNUSED)
{
    struct buf_pool pool;

    buf_pool_init(&pool);
    take_and_return(&pool, 200);
    buf_pool_trim(&pool);
    assert_int_equal(pool.slabs.count, 200); /* all were in use a moment ago */
    take_and_return(&pool, 50);
    buf_pool_trim(&pool);
    assert_int_equal(pool.slabs.count, 50);
    take_and_return(&pool, 50);
    buf_pool_trim(&pool);
    assert_int_equal(pool.slabs.count, 50);
    buf_pool_trim(&pool);
    assert_int_equal(pool.slabs.count, BUF_POOL_LEAST);
    take_and_return(&pool, 200);
    buf_pool_deinit(&pool);
}

static void waiting_bytes_do_not_keep_a_mostly_unused_buffer(void **state UNUSED)
{
    struct buf_pool pool;
    struct bufq q;

    buf_pool_init(&pool);
    bufq_init(&q, &pool);
    for (int i = 0; i < 100; i++) {
        struct buf *buf = buf_new_bulk(&pool);
        memset(buf->data, 'a' + i % 26, BUF_BULK_SIZE);
        bufq_keep(&q, (struct slice){buf, buf->data + 100, 3000});
        buf_unref(&buf);
    }
    assert_int_equal(q.bytes, 300000);
    assert_true(pool.bytes_in_use < 20 * BUF_SIZE);
    bufq_drop(&q, 3000);
    assert_int_equal(bufq_front(&q).ptr[0], 'b');

    bufq_clear(&q);
    struct buf *buf = buf_new_bulk(&pool); /* what is kept anyway is not copied */
    bufq_keep(&q, (struct slice){buf, buf->data, 20000});
    bufq_keep(&q, (struct slice){buf, buf->data + 30000, 10});
    assert_int_equal(pool.in_use, 1);
    buf_unref(&buf);
    bufq_deinit(&q);
    assert_int_equal(pool.in_use, 0);
    buf_pool_deinit(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_that_follow_one_another_become_one_segment),
        cmocka_unit_test(slabs_of_both_sizes_come_back_to_their_shelf),
        cmocka_unit_test(a_pool_gives_back_what_was_not_needed_for_a_while),
        cmocka_unit_test(waiting_bytes_do_not_keep_a_mostly_unused_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
