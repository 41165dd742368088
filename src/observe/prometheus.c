/* The metrics page, Prometheus text format 0.0.4: what all workers counted, added up. Labels are
 * bounded by the configuration and by weir's own tables; nothing a peer sends becomes one. */
#include "observe/group_metrics_impl.h"
#include "observe/totals.h"

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

/* --- counters and gauges of the workers ------------------------------------------------------ */

static void print_counters(struct metrics *const *workers, size_t count, struct text *out)
{
    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        text_add_metric(out, (enum metric_id)id);
        text_add_sample(out, (enum metric_id)id, NULL,
                        totals_counter(workers, count, (enum counter)id));
    }
}

static void print_gauges(struct metrics *const *workers, size_t count, struct text *out)
{
    for (unsigned gauge = 0; gauge < GAUGE_COUNT; gauge++) {
        enum metric_id id = METRIC_FIRST_GAUGE + gauge;
        text_add_metric(out, id);
        text_add_sample(out, id, NULL, totals_gauge(workers, count, (enum gauge)gauge));
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

/* A group's labels, as the metrics of GROUP_FIGURES begin with them. */
enum { GROUP_LABELS = 2, GROUP_LABELS_MAX = 3 };

static void group_labels(const struct totals *group, struct str labels[GROUP_LABELS_MAX])
{
    labels[0] = str_of(group->name);
    labels[1] = str_of(group->side);
}

static void print_number(const struct totals *group, enum metric_id id, size_t offset,
                         struct text *out)
{
    struct str labels[GROUP_LABELS_MAX];
    uint64_t value;

    memcpy(&value, (const char *)group + offset, sizeof(value));
    group_labels(group, labels);
    text_add_sample(out, id, labels, value);
}

static void print_group_responses(const struct totals *group, enum metric_id id,
                                  size_t offset UNUSED, struct text *out)
{
    static const char *const class_word[STATUS_CLASSES] = {"1xx", "2xx", "3xx", "4xx", "5xx"};
    struct str labels[GROUP_LABELS_MAX];

    group_labels(group, labels);
    for (unsigned c = 0; c < STATUS_CLASSES; c++) {
        labels[GROUP_LABELS] = str_of(class_word[c]);
        text_add_sample(out, id, labels, group->responses[c]);
    }
}

static void print_group_failures(const struct totals *group, enum metric_id id,
                                 size_t offset UNUSED, struct text *out)
{
    struct str labels[GROUP_LABELS_MAX];

    group_labels(group, labels);
    for (unsigned r = REASON_NONE + 1; r < REASON_COUNT; r++) {
        labels[GROUP_LABELS] = str_of(reason_word(r));
        if (group->failures[r] > 0)
            text_add_sample(out, id, labels, group->failures[r]);
    }
}

static void print_group_histogram(const struct totals *group, enum metric_id id, size_t offset,
                                  struct text *out)
{
    struct str labels[GROUP_LABELS_MAX];
    struct text prefix = {0};

    group_labels(group, labels);
    text_add_labels(&prefix, id, labels, GROUP_LABELS);
    text_add_str(&prefix, STR(","));
    print_histogram(out, id, prefix.ptr, (const void *)((const char *)group + offset));
    text_free(&prefix);
}

static const struct {
    enum metric_id id;
    void (*print)(const struct totals *group, enum metric_id id, size_t offset, struct text *out);
    size_t offset; /* in struct totals; 0 where `print` needs none */
} group_figures[] = {
    {METRIC_GROUP_REQUESTS, print_number, offsetof(struct totals, requests)},
    {METRIC_GROUP_RETRIES, print_number, offsetof(struct totals, retries)},
    {METRIC_GROUP_RETRIES_DENIED, print_number, offsetof(struct totals, retries_denied)},
    {METRIC_GROUP_CONNECTS, print_number, offsetof(struct totals, connects)},
    {METRIC_GROUP_CONNECT_FAILURES, print_number, offsetof(struct totals, connect_failures)},
    {METRIC_GROUP_ACTIVE, print_number, offsetof(struct totals, active)},
    {METRIC_GROUP_RESPONSES, print_group_responses, 0},
    {METRIC_GROUP_FAILURES, print_group_failures, 0},
    {METRIC_GROUP_DURATION, print_group_histogram, offsetof(struct totals, duration)},
    {METRIC_GROUP_CONNECT_TIME, print_group_histogram, offsetof(struct totals, connect_time)},
};

/* --- the page in pieces ---------------------------------------------------------------------- */

/* A piece has at most this many groups of one metric, some 60 KiB of text. */
enum { PIECE_GROUPS = 32 };

void metrics_page_init(struct metrics_page *page)
{
    *page = (struct metrics_page){.groups = mem_new(sizeof(*page->groups))};
}

void metrics_page_deinit(struct metrics_page *page)
{
    if (page->groups != NULL)
        totals_table_deinit(page->groups);
    free(page->groups);
    page->groups = NULL;
}

void metrics_page_begin(struct metrics_page *page, struct metrics *const *workers, size_t count,
                        struct text *out)
{
    print_counters(workers, count, out);
    print_gauges(workers, count, out);
    print_responses(workers, count, out);
    print_reasons(workers, count, out);
    print_duration(workers, count, out);
    metrics_print_datacenters(workers, count, out);
    totals_collect(page->groups, workers, count);
    metrics_note_shown(workers, count);
}

bool metrics_page_next(struct metrics_page *page, struct text *out)
{
    if (page->figure == ARRAY_LEN(group_figures))
        return false;
    enum metric_id id = group_figures[page->figure].id;
    size_t until = MIN(page->group + PIECE_GROUPS, page->groups->count);

    if (page->group == 0)
        text_add_metric(out, id);
    for (; page->group < until; page->group++)
        group_figures[page->figure].print(&page->groups->items[page->group], id,
                                          group_figures[page->figure].offset, out);
    if (page->group == page->groups->count) {
        page->group = 0;
        page->figure++;
    }
    return true;
}

void metrics_print(struct metrics *const *workers, size_t count, struct text *out)
{
    struct metrics_page page;

    metrics_page_init(&page);
    metrics_page_begin(&page, workers, count, out);
    while (metrics_page_next(&page, out))
        ;
    metrics_page_deinit(&page);
}
