/* The list of parts, and the operations that go through it. A part knows the control thread and
 * what lies below; it does not know other parts, unless its owner passes them to it. */
#include "control/control.h"

#include "observe/totals.h"

#include <stdio.h>
#include <stdlib.h>

struct control {
    struct loop *loop; /* owns */
    struct control_part *first, *last;
    struct control_conf conf;
    struct control_workers workers;
};

struct control *control_new(void)
{
    struct control *control = mem_new(sizeof(*control));

    control->loop = loop_new();
    return control;
}

static void on_tick(void *arg)
{
    struct control_part *part = arg;

    if (part->control->conf.config != NULL && part->control->workers.count > 0)
        part->ops->tick(part);
}

void control_add(struct control *control, struct control_part *part,
                 const struct control_part_ops *ops)
{
    *part = (struct control_part){.ops = ops, .control = control};
    if (control->last == NULL)
        control->first = part;
    else
        control->last->next = part;
    control->last = part;
    if (ops->init != NULL)
        ops->init(part);
    if (ops->tick != NULL)
        part->ticker = ticker_new(control->loop, ops->tick_ms, on_tick, part);
}

/* The list is short, and singly linked: recursion reaches its end first. */
static void free_from(struct control_part *part)
{
    if (part == NULL)
        return;
    free_from(part->next);
    ticker_free(part->ticker);
    if (part->ops->free != NULL)
        part->ops->free(part);
}

void control_free(struct control *control)
{
    if (control == NULL)
        return;
    free_from(control->first);
    loop_free(control->loop);
    free(control);
}

void control_set_workers(struct control *control, const struct control_workers *workers)
{
    control->workers = *workers;
}

void control_adopt(struct control *control, const struct control_conf *conf)
{
    control->conf = *conf;
    for (struct control_part *part = control->first; part != NULL; part = part->next) {
        if (part->ops->adopt != NULL)
            part->ops->adopt(part);
    }
}

void control_print_metrics(struct control *control, struct text *out)
{
    for (struct control_part *part = control->first; part != NULL; part = part->next) {
        if (part->ops->metrics != NULL)
            part->ops->metrics(part, out);
    }
}

void control_drain(struct control *control)
{
    for (struct control_part *part = control->first; part != NULL; part = part->next) {
        if (part->ops->drain != NULL)
            part->ops->drain(part);
    }
}

/* --- for parts ------------------------------------------------------------------------------- */

struct loop *control_loop(struct control *control)
{
    return control->loop;
}

const struct control_conf *control_conf(const struct control *control)
{
    return &control->conf;
}

const struct control_workers *control_workers(const struct control *control)
{
    return &control->workers;
}

uint64_t control_gauge(const struct control *control, enum gauge gauge)
{
    return totals_gauge(control->workers.metrics, control->workers.count, gauge);
}

uint64_t control_counter(const struct control *control, enum counter counter)
{
    return totals_counter(control->workers.metrics, control->workers.count, counter);
}

void control_add_number(struct text *out, enum metric_id id, uint64_t value)
{
    text_add_metric(out, id);
    text_add_sample(out, id, NULL, value);
}

void control_add_seconds(struct text *out, enum metric_id id, int64_t ms)
{
    char digits[40];
    int len =
        snprintf(digits, sizeof(digits), "%lld.%03lld", (long long)ms / 1000, (long long)ms % 1000);

    text_add_metric(out, id);
    text_add_sample_text(out, id, NULL, str_make(digits, (size_t)len));
}
