/* Decisions about datacenters, by what the configuration calls their causes. A worker adds a
 * counter when it needs a cause for the first time. Counters are not removed; there are as many as
 * there have been names of routers and rules. */
#include "observe/metrics.h"

#include <stdio.h>
#include <stdlib.h>

static void copy(char out[LABEL_MAX], struct str text)
{
    size_t len = MIN(text.len, (size_t)LABEL_MAX - 1);

    if (len > 0)
        memcpy(out, text.ptr, len);
}

static bool is_same(const struct datacenter_metric *a, const struct datacenter_metric *b)
{
    return strcmp(a->router, b->router) == 0 && strcmp(a->why, b->why) == 0 &&
           strcmp(a->rule, b->rule) == 0;
}

metric *metrics_datacenter(struct metrics *metrics, struct str router, struct str why,
                           struct str rule)
{
    struct datacenter_metric *first =
        atomic_load_explicit(&metrics->datacenters, memory_order_relaxed);
    struct datacenter_metric *made = mem_new(sizeof(*made));

    copy(made->router, router);
    copy(made->why, why);
    copy(made->rule, rule);
    for (struct datacenter_metric *m = first; m != NULL; m = m->next) {
        if (is_same(m, made)) {
            free(made);
            return &m->count;
        }
    }
    made->next = first;
    atomic_store_explicit(&metrics->datacenters, made, memory_order_release);
    return &made->count;
}

void metrics_free_datacenters(struct metrics *metrics)
{
    struct datacenter_metric *next, *m = atomic_load(&metrics->datacenters);

    for (; m != NULL; m = next) {
        next = m->next;
        free(m);
    }
}

static struct datacenter_metric *first_of(struct metrics *worker)
{
    return atomic_load_explicit(&worker->datacenters, memory_order_acquire);
}

/* Was it printed already, for one of the workers before `w`? */
static bool is_printed(struct metrics *const *workers, size_t w, const struct datacenter_metric *m)
{
    for (size_t i = 0; i < w; i++) {
        for (struct datacenter_metric *other = first_of(workers[i]); other != NULL;
             other = other->next) {
            if (is_same(other, m))
                return true;
        }
    }
    return false;
}

static uint64_t sum_of(struct metrics *const *workers, size_t count,
                       const struct datacenter_metric *m)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        for (struct datacenter_metric *other = first_of(workers[i]); other != NULL;
             other = other->next) {
            if (is_same(other, m))
                sum += metric_get(&other->count);
        }
    }
    return sum;
}

void metrics_print_datacenters(struct metrics *const *workers, size_t count, struct text *out)
{
    text_add_metric(out, METRIC_DATACENTER_DECISIONS);
    for (size_t w = 0; w < count; w++) {
        for (struct datacenter_metric *m = first_of(workers[w]); m != NULL; m = m->next) {
            if (is_printed(workers, w, m))
                continue;
            const struct str labels[] = {str_of(m->router), str_of(m->why), str_of(m->rule)};
            text_add_sample(out, METRIC_DATACENTER_DECISIONS, labels, sum_of(workers, count, m));
        }
    }
}
