/* A snapshot is freed on the job thread, not on the thread that gives the last reference back. */
#include "server/disposal.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char text[] = "listeners:\n"
                           "- name: main\n"
                           "  bind: 127.0.0.1:0\n"
                           "  group: g\n"
                           "groups:\n"
                           "  g:\n"
                           "    endpoints: [\"127.0.0.1:1\"]\n";

struct world {
    struct control *control;
    struct disposal disposal;
    struct jobs *jobs;
    struct job after;
    bool has_run_after;
};

static struct config *load(void *arg UNUSED, struct complaints *complaints)
{
    return config_load_text(STR(text), "test.yaml", complaints);
}

static void report(void *arg UNUSED, bool is_error, const char *line)
{
    print_message("%s\n", line);
    assert_false(is_error);
}

static struct snapshot *new_snapshot(struct world *world)
{
    struct snapshot *snapshot = snapshot_load(load, NULL, NULL, report, NULL);

    assert_non_null(snapshot);
    disposal_expect(&world->disposal, snapshot);
    return snapshot;
}

static void *give_back(void *arg)
{
    struct snapshot *snapshot = arg;

    snapshot_unref(&snapshot);
    return NULL;
}

static void give_back_elsewhere(struct snapshot *snapshot)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, give_back, snapshot), 0);
    pthread_join(thread, NULL);
}

static void world_init(struct world *world)
{
    struct err err;

    *world = (struct world){0};
    world->control = control_new();
    disposal_add(&world->disposal, world->control);
    world->jobs = jobs_new(control_loop(world->control), &err);
    assert_non_null(world->jobs);
    world->disposal.jobs = world->jobs;
}

static void nothing(struct job *job UNUSED)
{
}

static void on_after(struct job *job)
{
    struct world *world = CONTAINER_OF(job, struct world, after);

    world->has_run_after = true;
    loop_stop(control_loop(world->control));
}

static void the_last_reference_does_not_free_on_its_own_thread(void **state UNUSED)
{
    struct world world;

    world_init(&world);
    struct snapshot *snapshot = new_snapshot(&world);
    snapshot_ref(snapshot);
    give_back_elsewhere(snapshot);
    give_back_elsewhere(snapshot);
    /* The control thread has not run, so the memory is still there. */
    assert_string_equal(snapshot_config(snapshot)->file.ptr, "test.yaml");

    loop_turn(control_loop(world.control));
    world.after = (struct job){.run = nothing, .done = on_after};
    jobs_submit(world.jobs, &world.after); /* runs after the job that frees */
    loop_run(control_loop(world.control));
    assert_true(world.has_run_after);
    jobs_free(world.jobs);
    control_free(world.control);
}

static void a_snapshot_that_is_given_back_at_the_end_is_freed(void **state UNUSED)
{
    struct world world;

    world_init(&world);
    struct snapshot *snapshot = new_snapshot(&world);
    jobs_free(world.jobs);
    world.disposal.jobs = NULL;
    snapshot_unref(&snapshot);
    control_free(world.control); /* the address sanitizer would report a leak */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_reference_does_not_free_on_its_own_thread),
        cmocka_unit_test(a_snapshot_that_is_given_back_at_the_end_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
