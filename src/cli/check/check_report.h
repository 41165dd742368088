/* What weir check finds, as lines for a person or as one JSON object for a program. */
#pragma once

#include "config/config.h"
#include "observe/metrics.h"

/* What a report is about. */
enum report_kind {
    REPORT_ERROR,
    REPORT_WARNING,
    REPORT_NOTE,
    REPORT_CASE,     /* a case that does not hold */
    REPORT_COVERAGE, /* what no case reaches, and hosts that nothing names */
    REPORT_KIND_COUNT,
};

struct check_report {
    bool is_json, is_quiet;
    size_t counts[REPORT_KIND_COUNT];
    struct text items; /* owns: JSON objects, separated by commas */
};

void check_report_deinit(struct check_report *report);

/* The text has no place in it. Of cases, a person sees what their own printing says. */
void check_report_add(struct check_report *report, enum report_kind kind, struct place place,
                      const char *fmt, ...) PRINTF(4, 5);

void check_report_complaints(struct check_report *report, const struct complaints *complaints);

/* A line that begins with its place, as the parts below write them. */
void check_report_line(struct check_report *report, bool is_error, const char *line);

/* The JSON object; nothing for a person. */
void check_report_print(const struct check_report *report, const char *file, bool is_ok);
