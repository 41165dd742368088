/* The control thread's parts: the order of operations, and what a part may leave out. */
#include "control/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char calls[256];

static void note(const struct control_part *part, const char *what)
{
    size_t len = strlen(calls);

    snprintf(calls + len, sizeof(calls) - len, "%s.%s ", part->ops->name, what);
}

static void init(struct control_part *part)
{
    note(part, "init");
}

static void adopt(struct control_part *part)
{
    assert_non_null(control_conf(part->control)->config);
    note(part, "adopt");
}

static void metrics(struct control_part *part, struct text *out)
{
    note(part, "metrics");
    control_add_number(out, METRIC_WORKERS, 7);
}

static void drain(struct control_part *part)
{
    note(part, "drain");
}

static void release(struct control_part *part)
{
    note(part, "free");
}

static void tick(struct control_part *part)
{
    note(part, "tick");
    loop_stop(control_loop(part->control));
}

static const struct control_part_ops first_ops = {.name = "first",
                                                  .init = init,
                                                  .adopt = adopt,
                                                  .metrics = metrics,
                                                  .drain = drain,
                                                  .free = release};
static const struct control_part_ops second_ops = {.name = "second", .free = release};
static const struct control_part_ops ticking_ops = {.name = "clock", .tick_ms = 1, .tick = tick};

static void parts_are_called_in_order_and_freed_in_reverse(void **state UNUSED)
{
    struct control *control = control_new();
    struct control_part first, second;
    struct config config = {0};
    struct text page = {0};

    calls[0] = '\0';
    control_add(control, &first, &first_ops);
    control_add(control, &second, &second_ops);
    control_adopt(control, &(struct control_conf){.config = &config});
    control_print_metrics(control, &page);
    control_drain(control);
    control_free(control);
    assert_string_equal(calls,
                        "first.init first.adopt first.metrics first.drain second.free first.free ");
    assert_non_null(memmem(page.ptr, page.len, "\nweir_workers 7\n", 16));
    text_free(&page);
}

struct waiting {
    struct deadline end;
    struct loop *loop;
};

static void on_end(struct deadline *deadline)
{
    loop_stop(CONTAINER_OF(deadline, struct waiting, end)->loop);
}

static void run_for(struct loop *loop, int64_t ms)
{
    struct waiting waiting = {.loop = loop};

    deadline_init(&waiting.end, on_end);
    deadline_set(loop, &waiting.end, ms);
    loop_run(loop);
    deadline_deinit(&waiting.end);
}

static void a_part_does_not_tick_before_a_configuration_is_in_force(void **state UNUSED)
{
    struct control *control = control_new();
    struct control_part part;
    struct config config = {0};

    calls[0] = '\0';
    control_add(control, &part, &ticking_ops);
    control_set_workers(control, &(struct control_workers){.count = 1});
    run_for(control_loop(control), 20);
    assert_string_equal(calls, "");
    control_adopt(control, &(struct control_conf){.config = &config});
    loop_run(control_loop(control));
    assert_string_equal(calls, "clock.tick ");
    control_free(control);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_called_in_order_and_freed_in_reverse),
        cmocka_unit_test(a_part_does_not_tick_before_a_configuration_is_in_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
