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

void text_add_metric(struct text *out, const char *name, const char *type, const char *help)
{
    text_add(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void text_add_label(struct text *out, struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '\\' || c == '"')
            text_add(out, "\\%c", c);
        else if (c == '\n')
            text_add_str(out, STR("\\n"));
        else
            text_add_str(out, str_make(&c, 1));
    }
}

/* --- counters and gauges of the workers ------------------------------------------------------ */

static const struct {
    const char *name, *help;
} counter_info[COUNTER_COUNT] = {
#define X(id, name, help) [COUNTER_##id] = {name, help},
    COUNTERS(X)
#undef X
};

static const struct {
    const char *name, *help;
} gauge_info[GAUGE_COUNT] = {
#define X(id, name, help) [GAUGE_##id] = {name, help},
    GAUGES(X)
#undef X
};

static void print_counters(struct metrics *const *workers, size_t count, struct text *out)
{
    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        uint64_t sum = 0;
        for (size_t w = 0; w < count; w++)
            sum += metric_get(&workers[w]->counters[id]);
        text_add_metric(out, counter_info[id].name, "counter", counter_info[id].help);
        text_add(out, "%s %llu\n", counter_info[id].name, (unsigned long long)sum);
    }
}

static void print_gauges(struct metrics *const *workers, size_t count, struct text *out)
{
    for (unsigned id = 0; id < GAUGE_COUNT; id++) {
        uint64_t sum = 0;
        for (size_t w = 0; w < count; w++)
            sum += metric_get(&workers[w]->gauges[id]);
        /* One worker may be read before, another after a moment: a sum below zero is noise. */
        if ((int64_t)sum < 0)
            sum = 0;
        text_add_metric(out, gauge_info[id].name, "gauge", gauge_info[id].help);
        text_add(out, "%s %llu\n", gauge_info[id].name, (unsigned long long)sum);
    }
}

static void print_responses(struct metrics *const *workers, size_t count, struct text *out)
{
    text_add_metric(out, "weir_responses_total", "counter", "Responses to clients by status");
    for (unsigned status = 0; status < ARRAY_LEN(workers[0]->responses); status++) {
        uint64_t sum = 0;
        for (size_t w = 0; w < count; w++)
            sum += metric_get(&workers[w]->responses[status]);
        if (sum > 0)
            text_add(out, "weir_responses_total{status=\"%u\"} %llu\n", status,
                     (unsigned long long)sum);
    }
}

static void print_reasons(struct metrics *const *workers, size_t count, struct text *out)
{
    text_add_metric(out, "weir_reasons_total", "counter",
                    "Exchanges and connections that ended otherwise than they should, by reason");
    for (unsigned reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
        uint64_t sum = 0;
        for (size_t w = 0; w < count; w++)
            sum += metric_get(&workers[w]->reasons[reason]);
        if (sum > 0)
            text_add(out, "weir_reasons_total{reason=\"%s\"} %llu\n", reason_word(reason),
                     (unsigned long long)sum);
    }
}

/* `labels` is "" or ends in a comma. */
static void print_histogram(struct text *out, const char *name, const char *labels,
                            const struct histogram_sum *sum)
{
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
    text_add_metric(out, "weir_request_duration_seconds", "histogram",
                    "Whole exchanges, from the first byte of the head to the last of the response");
    print_histogram(out, "weir_request_duration_seconds", "", &sum);
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

/* group="mw-web",side="k8s", */
static void group_labels(const struct group_sum *sum, struct text *labels)
{
    labels->len = 0;
    text_add_str(labels, STR("group=\""));
    text_add_label(labels, str_of(sum->name));
    text_add_str(labels, STR("\",side=\""));
    text_add_label(labels, str_of(sum->side));
    text_add_str(labels, STR("\","));
}

/* The figures that are one number for each group. */
static const struct {
    const char *name, *type, *help;
    size_t offset;
} group_figures[] = {
    {"weir_group_requests_total", "counter", "Requests sent to the group",
     offsetof(struct group_sum, requests)},
    {"weir_group_retries_total", "counter", "Attempts after the first",
     offsetof(struct group_sum, retries)},
    {"weir_group_retries_denied_total", "counter",
     "Retries not made because the group's budget was empty",
     offsetof(struct group_sum, retries_denied)},
    {"weir_group_connects_total", "counter", "Connections opened to the group",
     offsetof(struct group_sum, connects)},
    {"weir_group_connect_failures_total", "counter", "Connections that could not be opened",
     offsetof(struct group_sum, connect_failures)},
    {"weir_group_active", "gauge", "Requests in flight to the group now",
     offsetof(struct group_sum, active)},
};

static void print_group_figures(const struct group_sums *sums, struct text *labels,
                                struct text *out)
{
    for (size_t f = 0; f < ARRAY_LEN(group_figures); f++) {
        text_add_metric(out, group_figures[f].name, group_figures[f].type, group_figures[f].help);
        for (size_t i = 0; i < sums->count; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&sums->items[i] + group_figures[f].offset, sizeof(value));
            if ((int64_t)value < 0)
                value = 0;
            group_labels(&sums->items[i], labels);
            text_add(out, "%s{%.*s} %llu\n", group_figures[f].name, (int)labels->len - 1,
                     labels->ptr, (unsigned long long)value);
        }
    }
}

static void print_group_responses(const struct group_sums *sums, struct text *labels,
                                  struct text *out)
{
    static const char *const class_word[STATUS_CLASSES] = {"1xx", "2xx", "3xx", "4xx", "5xx"};

    text_add_metric(out, "weir_group_responses_total", "counter",
                    "Responses of the group as clients saw them, by class");
    for (size_t i = 0; i < sums->count; i++) {
        group_labels(&sums->items[i], labels);
        for (unsigned c = 0; c < STATUS_CLASSES; c++)
            text_add(out, "weir_group_responses_total{%sclass=\"%s\"} %llu\n", labels->ptr,
                     class_word[c], (unsigned long long)sums->items[i].responses[c]);
    }
}

static void print_group_failures(const struct group_sums *sums, struct text *labels,
                                 struct text *out)
{
    text_add_metric(out, "weir_group_failures_total", "counter",
                    "Exchanges with the group that failed, by reason");
    for (size_t i = 0; i < sums->count; i++) {
        group_labels(&sums->items[i], labels);
        for (unsigned r = REASON_NONE + 1; r < REASON_COUNT; r++) {
            if (sums->items[i].failures[r] > 0)
                text_add(out, "weir_group_failures_total{%sreason=\"%s\"} %llu\n", labels->ptr,
                         reason_word(r), (unsigned long long)sums->items[i].failures[r]);
        }
    }
}

static void print_group_histograms(const struct group_sums *sums, struct text *labels,
                                   struct text *out)
{
    text_add_metric(out, "weir_group_duration_seconds", "histogram",
                    "Exchanges with the group, from the head to the end of the response");
    for (size_t i = 0; i < sums->count; i++) {
        group_labels(&sums->items[i], labels);
        print_histogram(out, "weir_group_duration_seconds", labels->ptr, &sums->items[i].duration);
    }
    text_add_metric(out, "weir_group_connect_seconds", "histogram",
                    "Opening a connection to the group, TLS included");
    for (size_t i = 0; i < sums->count; i++) {
        group_labels(&sums->items[i], labels);
        print_histogram(out, "weir_group_connect_seconds", labels->ptr,
                        &sums->items[i].connect_time);
    }
}

void metrics_print(struct metrics *const *workers, size_t count, struct text *out)
{
    struct group_sums sums = {0};
    struct text labels = {0};

    print_counters(workers, count, out);
    print_gauges(workers, count, out);
    print_responses(workers, count, out);
    print_reasons(workers, count, out);
    print_duration(workers, count, out);
    metrics_print_datacenters(workers, count, out);

    for (size_t w = 0; w < count; w++)
        pthread_mutex_lock(&workers[w]->lock);
    group_sums_collect(&sums, workers, count);
    print_group_figures(&sums, &labels, out);
    print_group_responses(&sums, &labels, out);
    print_group_failures(&sums, &labels, out);
    print_group_histograms(&sums, &labels, out);
    for (size_t w = 0; w < count; w++)
        pthread_mutex_unlock(&workers[w]->lock);
    text_free(&labels);
    free(sums.items);
}
