/* The metrics page, Prometheus text format 0.0.4: what all workers counted, added up. Labels are
 * bounded by the configuration and by weir's own tables; nothing a peer sends becomes one. */
#include "observe/group_metrics_impl.h"
#include "observe/histogram_impl.h"

#include <stdio.h>
#include <stdlib.h>

/* Upper bounds of the printed buckets: 5 ms to 60 s. */
static const struct {
    uint64_t us;
    const char *seconds;
} bounds[] = {
    {5000, "0.005"},  {10000, "0.01"},  {25000, "0.025"}, {50000, "0.05"},  {100000, "0.1"},
    {250000, "0.25"}, {500000, "0.5"},  {1000000, "1"},   {2500000, "2.5"}, {5000000, "5"},
    {10000000, "10"}, {30000000, "30"}, {60000000, "60"},
};

/* The workers are read one after the other, so the sum of a gauge can be below zero for a moment. */
static uint64_t not_negative(uint64_t sum)
{
    return (int64_t)sum < 0 ? 0 : sum;
}

/* --- counters and gauges of the workers ------------------------------------------------------ */

static void print_counters(struct metrics *const *workers, size_t count, struct text *out)
{
    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        uint64_t sum = 0;
        for (size_t w = 0; w < count; w++)
            sum += metric_get(&workers[w]->counters[id]);
        text_add_metric(out, (enum metric_id)id);
        text_add_sample(out, (enum metric_id)id, NULL, sum);
    }
}

static void print_gauges(struct metrics *const *workers, size_t count, struct text *out)
{
    for (unsigned gauge = 0; gauge < GAUGE_COUNT; gauge++) {
        enum metric_id id = METRIC_FIRST_GAUGE + gauge;
        uint64_t sum = 0;
        for (size_t w = 0; w < count; w++)
            sum += metric_get(&workers[w]->gauges[gauge]);
        text_add_metric(out, id);
        text_add_sample(out, id, NULL, not_negative(sum));
    }
}

static void print_responses(struct metrics *const *workers, size_t count, struct text *out)
{
    text_add_metric(out, METRIC_RESPONSES);
    for (unsigned status = 0; status < ARRAY_LEN(workers[0]->responses); status++) {
        uint64_t sum = 0;
        for (size_t w = 0; w < count; w++)
            sum += metric_get(&workers[w]->responses[status]);
        if (sum > 0) {
            char digits[12];
            snprintf(digits, sizeof(digits), "%u", status);
            text_add_sample(out, METRIC_RESPONSES, &(struct str){digits, strlen(digits)}, sum);
        }
    }
}

static void print_reasons(struct metrics *const *workers, size_t count, struct text *out)
{
    text_add_metric(out, METRIC_REASONS);
    for (unsigned reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
        uint64_t sum = 0;
        for (size_t w = 0; w < count; w++)
            sum += metric_get(&workers[w]->reasons[reason]);
        if (sum > 0) {
            struct str word = str_of(reason_word(reason));
            text_add_sample(out, METRIC_REASONS, &word, sum);
        }
    }
}

/* `labels` is "" or ends in a comma. */
static void print_histogram(struct text *out, enum metric_id id, const char *labels,
                            const struct histogram_sum *sum)
{
    const char *name = metric_info(id)->name;

    /* The total comes from the buckets and not from a counter beside them: a scrape between two
     * stores of a worker must not show +Inf below the bucket in front of it. */
    uint64_t total = histogram_sum_up_to(sum, UINT64_MAX);

    for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
        text_add(out, "%s_bucket{%sle=\"%s\"} %llu\n", name, labels, bounds[i].seconds,
                 (unsigned long long)histogram_sum_up_to(sum, bounds[i].us));
    text_add(out, "%s_bucket{%sle=\"+Inf\"} %llu\n", name, labels, (unsigned long long)total);

    int labels_len = (int)strlen(labels) - (labels[0] != '\0'); /* without the comma */
    const char *open = labels_len > 0 ? "{" : "", *close = labels_len > 0 ? "}" : "";
    text_add(out, "%s_sum%s%.*s%s %llu.%06llu\n", name, open, labels_len, labels, close,
             (unsigned long long)(sum->sum_us / 1000000),
             (unsigned long long)(sum->sum_us % 1000000));
    text_add(out, "%s_count%s%.*s%s %llu\n", name, open, labels_len, labels, close,
             (unsigned long long)total);
}

static void print_duration(struct metrics *const *workers, size_t count, struct text *out)
{
    struct histogram_sum sum = {0};

    for (size_t w = 0; w < count; w++)
        histogram_sum(&sum, &workers[w]->duration);
    text_add_metric(out, METRIC_REQUEST_DURATION);
    print_histogram(out, METRIC_REQUEST_DURATION, "", &sum);
}

/* --- groups ---------------------------------------------------------------------------------- */

/* One group's figures of all workers. */
struct group_sum {
    const char *name, *side; /* labels; borrow from the figures of the first worker */
    uint64_t requests, responses[STATUS_CLASSES], failures[REASON_COUNT];
    uint64_t retries, retries_denied, connects, connect_failures, active;
    struct histogram_sum duration, connect_time;
};

struct group_sums {
    struct group_sum *items; /* owns */
    size_t count, cap;
};

static struct group_sum *group_sums_get(struct group_sums *sums, const struct group_metrics *group)
{
    for (size_t i = 0; i < sums->count; i++) {
        if (strcmp(sums->items[i].name, group->name) == 0)
            return &sums->items[i];
    }
    if (sums->count == sums->cap) {
        sums->cap = MAX(sums->cap * 2, (size_t)16);
        sums->items = mem_resize(sums->items, sums->cap * sizeof(sums->items[0]));
    }
    struct group_sum *sum = &sums->items[sums->count++];
    memset(sum, 0, sizeof(*sum));
    sum->name = group->name;
    sum->side = atomic_load_explicit(&group->side, memory_order_relaxed);
    return sum;
}

static void group_sum_add(struct group_sum *sum, const struct group_metrics *group)
{
    sum->requests += metric_get(&group->requests);
    sum->retries += metric_get(&group->retries);
    sum->retries_denied += metric_get(&group->retries_denied);
    sum->connects += metric_get(&group->connects);
    sum->connect_failures += metric_get(&group->connect_failures);
    sum->active += metric_get(&group->active);
    for (unsigned i = 0; i < STATUS_CLASSES; i++)
        sum->responses[i] += metric_get(&group->responses[i]);
    for (unsigned i = 0; i < REASON_COUNT; i++)
        sum->failures[i] += metric_get(&group->failures[i]);
    histogram_sum(&sum->duration, &group->duration);
    histogram_sum(&sum->connect_time, &group->connect_time);
}

static int by_name(const void *left, const void *right)
{
    const struct group_sum *a = left, *b = right;

    return strcmp(a->name, b->name);
}

static void group_sums_collect(struct group_sums *sums, struct metrics *const *workers,
                               size_t count)
{
    for (size_t w = 0; w < count; w++) {
        const struct group_metrics *group =
            atomic_load_explicit(&workers[w]->groups, memory_order_acquire);
        for (; group != NULL; group = group->next) {
            if (!group_metrics_is_shown(group))
                continue;
            group->fate->is_shown = true;
            group_sum_add(group_sums_get(sums, group), group);
        }
    }
    if (sums->count > 1)
        qsort(sums->items, sums->count, sizeof(sums->items[0]), by_name);
}

/* A group's labels, as the metrics of GROUP_FIGURES begin with them. */
enum { GROUP_LABELS = 2, GROUP_LABELS_MAX = 3 };

static void group_labels(const struct group_sum *sum, struct str labels[GROUP_LABELS_MAX])
{
    labels[0] = str_of(sum->name);
    labels[1] = str_of(sum->side);
}

/* The figures that are one number for each group. */
static const struct {
    enum metric_id id;
    size_t offset;
} group_figures[] = {
    {METRIC_GROUP_REQUESTS, offsetof(struct group_sum, requests)},
    {METRIC_GROUP_RETRIES, offsetof(struct group_sum, retries)},
    {METRIC_GROUP_RETRIES_DENIED, offsetof(struct group_sum, retries_denied)},
    {METRIC_GROUP_CONNECTS, offsetof(struct group_sum, connects)},
    {METRIC_GROUP_CONNECT_FAILURES, offsetof(struct group_sum, connect_failures)},
    {METRIC_GROUP_ACTIVE, offsetof(struct group_sum, active)},
};

static void print_group_figures(const struct group_sums *sums, struct text *out)
{
    struct str labels[GROUP_LABELS_MAX];

    for (size_t f = 0; f < ARRAY_LEN(group_figures); f++) {
        text_add_metric(out, group_figures[f].id);
        for (size_t i = 0; i < sums->count; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&sums->items[i] + group_figures[f].offset, sizeof(value));
            group_labels(&sums->items[i], labels);
            text_add_sample(out, group_figures[f].id, labels, not_negative(value));
        }
    }
}

static void print_group_responses(const struct group_sums *sums, struct text *out)
{
    static const char *const class_word[STATUS_CLASSES] = {"1xx", "2xx", "3xx", "4xx", "5xx"};
    struct str labels[GROUP_LABELS_MAX];

    text_add_metric(out, METRIC_GROUP_RESPONSES);
    for (size_t i = 0; i < sums->count; i++) {
        group_labels(&sums->items[i], labels);
        for (unsigned c = 0; c < STATUS_CLASSES; c++) {
            labels[GROUP_LABELS] = str_of(class_word[c]);
            text_add_sample(out, METRIC_GROUP_RESPONSES, labels, sums->items[i].responses[c]);
        }
    }
}

static void print_group_failures(const struct group_sums *sums, struct text *out)
{
    struct str labels[GROUP_LABELS_MAX];

    text_add_metric(out, METRIC_GROUP_FAILURES);
    for (size_t i = 0; i < sums->count; i++) {
        group_labels(&sums->items[i], labels);
        for (unsigned r = REASON_NONE + 1; r < REASON_COUNT; r++) {
            labels[GROUP_LABELS] = str_of(reason_word(r));
            if (sums->items[i].failures[r] > 0)
                text_add_sample(out, METRIC_GROUP_FAILURES, labels, sums->items[i].failures[r]);
        }
    }
}

static void print_group_histogram(const struct group_sums *sums, enum metric_id id, size_t offset,
                                  struct text *out)
{
    struct str labels[GROUP_LABELS_MAX];
    struct text prefix = {0};

    text_add_metric(out, id);
    for (size_t i = 0; i < sums->count; i++) {
        prefix.len = 0;
        group_labels(&sums->items[i], labels);
        text_add_labels(&prefix, id, labels, GROUP_LABELS);
        text_add_str(&prefix, STR(","));
        print_histogram(out, id, prefix.ptr,
                        (const void *)((const char *)&sums->items[i] + offset));
    }
    text_free(&prefix);
}

void metrics_print(struct metrics *const *workers, size_t count, struct text *out)
{
    struct group_sums sums = {0};

    print_counters(workers, count, out);
    print_gauges(workers, count, out);
    print_responses(workers, count, out);
    print_reasons(workers, count, out);
    print_duration(workers, count, out);
    metrics_print_datacenters(workers, count, out);

    for (size_t w = 0; w < count; w++)
        pthread_mutex_lock(&workers[w]->lock);
    group_sums_collect(&sums, workers, count);
    print_group_figures(&sums, out);
    print_group_responses(&sums, out);
    print_group_failures(&sums, out);
    print_group_histogram(&sums, METRIC_GROUP_DURATION, offsetof(struct group_sum, duration), out);
    print_group_histogram(&sums, METRIC_GROUP_CONNECT_TIME,
                          offsetof(struct group_sum, connect_time), out);
    for (size_t w = 0; w < count; w++)
        pthread_mutex_unlock(&workers[w]->lock);
    free(sums.items);
}
