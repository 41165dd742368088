/* Counts and rates per peer, as several threads and too many peers see them. */
#include "base/meter.h"
#include "base/tally.h"

#include "base/hash.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint64_t key_of(uint64_t n)
{
    return hash_sip13((struct hash_key){1, 2}, &n, sizeof(n));
}

static void a_peer_gets_at_most_its_limit(void **state UNUSED)
{
    struct tally *tally = tally_new(100);

    for (int i = 0; i < 3; i++)
        assert_int_equal(tally_take(tally, key_of(1), 3), TALLY_TAKEN);
    assert_int_equal(tally_take(tally, key_of(1), 3), TALLY_REFUSED);
    assert_int_equal(tally_take(tally, key_of(2), 3), TALLY_TAKEN);
    tally_give(tally, key_of(1));
    assert_int_equal(tally_take(tally, key_of(1), 3), TALLY_TAKEN);
    assert_int_equal(tally_take(tally, key_of(1), 3), TALLY_REFUSED);
    tally_free(tally);
}

static void released_entries_make_room(void **state UNUSED)
{
    struct tally *tally = tally_new(4);
    uint64_t taken = 0;

    for (uint64_t round = 0; round < 1000; round++) {
        for (uint64_t n = 0; n < 4; n++) {
            assert_int_equal(tally_take(tally, key_of(round * 4 + n), 1), TALLY_TAKEN);
            taken++;
        }
        for (uint64_t n = 0; n < 4; n++)
            tally_give(tally, key_of(round * 4 + n));
    }
    for (uint64_t n = 0; n < 1000; n++)
        taken += tally_take(tally, key_of(n), 1) != TALLY_FULL;
    assert_true(taken < 4000 + 100); /* bounded */
    tally_free(tally);
}

struct crowd {
    struct tally *tally;
    int taken;
};

static void *crowd_run(void *arg)
{
    struct crowd *crowd = arg;

    for (int i = 0; i < 20000; i++) {
        if (tally_take(crowd->tally, key_of((uint64_t)i % 3), 1000000) == TALLY_TAKEN) {
            crowd->taken++;
            tally_give(crowd->tally, key_of((uint64_t)i % 3));
        }
    }
    return NULL;
}

static void nothing_is_lost_between_threads(void **state UNUSED)
{
    struct tally *tally = tally_new(8);
    struct crowd crowds[3] = {{tally, 0}, {tally, 0}, {tally, 0}};
    pthread_t threads[3];

    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_run, &crowds[i]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    for (uint64_t n = 0; n < 3; n++) {
        assert_int_equal(tally_take(tally, key_of(n), 1), TALLY_TAKEN);
        assert_int_equal(tally_take(tally, key_of(n), 1), TALLY_REFUSED);
    }
    tally_free(tally);
}

static void a_bucket_gives_its_burst_and_then_its_rate(void **state UNUSED)
{
    struct meter *meter = meter_new(100);
    const struct meter_rate rate = {.every_us = 1000, .burst = 5};
    int64_t now = 1000000000;

    for (int i = 0; i < 5; i++)
        assert_int_equal(meter_take(meter, key_of(1), rate, now), 0);
    assert_int_equal(meter_take(meter, key_of(1), rate, now), 1000);
    assert_int_equal(meter_take(meter, key_of(1), rate, now + 400), 600);
    assert_int_equal(meter_take(meter, key_of(1), rate, now + 1000), 0);
    assert_true(meter_take(meter, key_of(1), rate, now + 1000) > 0);
    assert_int_equal(meter_take(meter, key_of(2), rate, now), 0);

    int given = 0; /* over ten seconds, asked far too often */
    for (int64_t at = now + 10000000; at < now + 20000000; at += 100)
        given += meter_take(meter, key_of(1), rate, at) == 0;
    assert_in_range(given, 10000, 10005);
    meter_free(meter);
}

static void too_many_peers_push_out_the_one_with_least_to_lose(void **state UNUSED)
{
    struct meter *meter = meter_new(4); /* one bucket */
    const struct meter_rate slow = {.every_us = 1000000, .burst = 10},
                            quick = {.every_us = 1, .burst = 10};
    int64_t now = 1000000000;

    for (int i = 0; i < 10; i++)
        assert_int_equal(meter_take(meter, key_of(1), slow, now), 0);
    for (uint64_t n = 2; n < 1000; n++)
        assert_int_equal(meter_take(meter, key_of(n), quick, now), 0);
    assert_true(meter_take(meter, key_of(1), slow, now) > 0); /* still remembered */
    meter_free(meter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_gets_at_most_its_limit),
        cmocka_unit_test(released_entries_make_room),
        cmocka_unit_test(nothing_is_lost_between_threads),
        cmocka_unit_test(a_bucket_gives_its_burst_and_then_its_rate),
        cmocka_unit_test(too_many_peers_push_out_the_one_with_least_to_lose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
