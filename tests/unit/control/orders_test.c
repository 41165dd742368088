/* Orders to workers: answers come back, and a worker that does not answer is reported while the
 * control thread goes on. */
#include "control/orders.h"

#include "base/log.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { WORKERS = 2 };

/* A thread with a loop and a mailbox, and nothing else of a worker. */
struct fake_worker {
    pthread_t thread;
    struct loop *loop;
    struct mailbox *mailbox;
    unsigned carried_out;
};

struct world {
    struct control *control;
    struct orders orders;
    struct fake_worker workers[WORKERS];
    struct order_round round, end;
    bool is_done;
    pthread_mutex_t stall; /* a worker that is to stall waits for it */
    struct deadline look;
};

static void *run_worker(void *arg)
{
    loop_run(((struct fake_worker *)arg)->loop);
    return NULL;
}

static void count(struct order_round *round UNUSED, void *worker)
{
    ((struct fake_worker *)worker)->carried_out++;
}

/* Only the second worker stalls. */
static void stall(struct order_round *round, void *worker)
{
    struct world *world = CONTAINER_OF(round, struct world, round);

    if (worker == &world->workers[1]) {
        pthread_mutex_lock(&world->stall);
        pthread_mutex_unlock(&world->stall);
    }
    count(round, worker);
}

static void end_worker(struct order_round *round UNUSED, void *worker)
{
    loop_stop(((struct fake_worker *)worker)->loop);
}

static void on_done(struct order_round *round)
{
    struct world *world = CONTAINER_OF(round, struct world, round);

    world->is_done = true;
    loop_stop(control_loop(world->control));
}

static void give(struct world *world, struct order_round *round)
{
    for (size_t i = 0; i < WORKERS; i++)
        orders_give(&world->orders, round, i, world->workers[i].mailbox, &world->workers[i]);
}

static void world_init(struct world *world)
{
    *world = (struct world){.stall = PTHREAD_MUTEX_INITIALIZER};
    world->control = control_new();
    orders_add(&world->orders, world->control);
    control_set_workers(world->control, &(struct control_workers){.count = WORKERS});
    for (size_t i = 0; i < WORKERS; i++) {
        struct fake_worker *worker = &world->workers[i];
        worker->loop = loop_new();
        worker->mailbox = mailbox_new(worker->loop);
        orders_receive(worker->mailbox);
        assert_int_equal(pthread_create(&worker->thread, NULL, run_worker, worker), 0);
    }
}

static void world_deinit(struct world *world)
{
    world->end = (struct order_round){.name = "stop", .carry_out = end_worker};
    give(world, &world->end);
    for (size_t i = 0; i < WORKERS; i++) {
        pthread_join(world->workers[i].thread, NULL);
        mailbox_free(&world->workers[i].mailbox);
        loop_free(world->workers[i].loop);
    }
    control_free(world->control);
}

static void every_worker_carries_an_order_out_once(void **state UNUSED)
{
    struct world world;

    world_init(&world);
    world.round = (struct order_round){.name = "adopt", .carry_out = count, .done = on_done};
    give(&world, &world.round);
    loop_run(control_loop(world.control));
    assert_true(world.is_done);
    for (size_t i = 0; i < WORKERS; i++) {
        assert_int_equal(world.workers[i].carried_out, 1);
        assert_false(orders_is_stuck(&world.orders, i));
    }
    world_deinit(&world);
}

static char logged[4096];

static void keep_line(void *arg UNUSED, const char *line, size_t len)
{
    strncat(logged, line, MIN(len, sizeof(logged) - strlen(logged) - 1));
}

static void assert_reported(struct world *world, bool is_stuck)
{
    struct text page = {0};
    struct doc *status = orders_status(&world->orders);
    const struct doc *order = doc_item(status, 0);

    control_print_metrics(world->control, &page);
    const char *sample =
        is_stuck ? "weir_worker_stuck{worker=\"1\"} 1\n" : "weir_worker_stuck{worker=\"1\"} 0\n";
    assert_non_null(memmem(page.ptr, page.len, sample, strlen(sample)));
    assert_int_equal(doc_count(status), is_stuck);
    if (is_stuck) {
        assert_int_equal(doc_as_int(doc_get(order, STR("worker"))), 1);
        assert_true(str_eq(doc_as_text(doc_get(order, STR("order"))), STR("adopt")));
        assert_in_range(doc_as_int(doc_get(order, STR("waited_ms"))), 2000, 2999);
    }
    text_free(&page);
    doc_free(&status);
}

/* The control loop has gone on meanwhile, or this would not be called. */
static void on_look(struct deadline *deadline)
{
    struct world *world = CONTAINER_OF(deadline, struct world, look);

    assert_false(world->is_done);
    assert_false(orders_is_stuck(&world->orders, 0));
    assert_reported(world, true);
    assert_non_null(strstr(logged, "error worker_stuck worker=1 order=adopt waited_ms=2"));
    assert_null(strstr(logged, "worker=0"));
    pthread_mutex_unlock(&world->stall);
}

static void a_stuck_worker_is_reported_and_stops_nothing(void **state UNUSED)
{
    struct world world;

    world_init(&world);
    logged[0] = '\0';
    log_set_sink(keep_line, NULL);
    pthread_mutex_lock(&world.stall);
    world.round = (struct order_round){.name = "adopt", .carry_out = stall, .done = on_done};
    give(&world, &world.round);
    deadline_init(&world.look, on_look);
    deadline_set(control_loop(world.control), &world.look, ORDER_LATE_MS + 200);
    loop_run(control_loop(world.control));
    log_set_sink(NULL, NULL);
    assert_true(world.is_done);
    assert_int_equal(world.workers[1].carried_out, 1);
    assert_reported(&world, false);
    assert_non_null(strstr(logged, "warn worker_answered worker=1 order=adopt waited_ms=2"));
    deadline_deinit(&world.look);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_worker_carries_an_order_out_once),
        cmocka_unit_test(a_stuck_worker_is_reported_and_stops_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
