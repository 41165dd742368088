/* Prints what metrics_table.h lists, in Prometheus text format 0.0.4: the lines that introduce a
 * metric, and its samples with their labels. Which values there are is the callers' business. */
#include "observe/metrics_table.h"

#include "observe/metrics.h"

#include <stdio.h>

static const struct metric_info infos[METRIC_COUNT] = {
#define X(id, kind, name, unit, labels, help)                                                      \
    [METRIC_##id] = {METRIC_##kind, name, unit, labels, help},
    METRICS(X)
#undef X
};

const struct metric_info *metric_info(enum metric_id id)
{
    ASSERT(id < METRIC_COUNT);
    return &infos[id];
}

const char *metric_kind_word(enum metric_kind kind)
{
    switch (kind) {
    case METRIC_COUNTER:
        return "counter";
    case METRIC_GAUGE:
        return "gauge";
    case METRIC_HISTOGRAM:
        return "histogram";
    }
    UNREACHABLE("no such kind");
}

void text_add_metric(struct text *out, enum metric_id id)
{
    const struct metric_info *info = metric_info(id);

    text_add(out, "# HELP %s %s\n# TYPE %s %s\n", info->name, info->help, info->name,
             metric_kind_word(info->kind));
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

void text_add_labels(struct text *out, enum metric_id id, const struct str *labels, size_t count)
{
    struct str names = str_of(metric_info(id)->labels), name;

    for (size_t i = 0; i < count; i++) {
        bool has_name = str_next(&names, ',', &name);
        ASSERT(has_name);
        text_add(out, "%s%.*s=\"", i > 0 ? "," : "", STR_FMT(name));
        text_add_label(out, labels[i]);
        text_add_str(out, STR("\""));
    }
}

static size_t count_labels(const struct metric_info *info)
{
    struct str names = str_of(info->labels), name;
    size_t count = 0;

    while (names.len > 0 && str_next(&names, ',', &name))
        count++;
    return count;
}

void text_add_sample_text(struct text *out, enum metric_id id, const struct str *labels,
                          struct str value)
{
    const struct metric_info *info = metric_info(id);
    size_t count = count_labels(info);

    text_add_str(out, str_of(info->name));
    if (count > 0) {
        ASSERT(labels != NULL);
        text_add_str(out, STR("{"));
        text_add_labels(out, id, labels, count);
        text_add_str(out, STR("}"));
    }
    text_add(out, " %.*s\n", STR_FMT(value));
}

void text_add_sample(struct text *out, enum metric_id id, const struct str *labels, uint64_t value)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);

    text_add_sample_text(out, id, labels, str_make(digits, (size_t)len));
}
