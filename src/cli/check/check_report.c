/* See check_report.h. */
#include "cli/check/check_report.h"

#include "cli/excerpt.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { REPORT_TEXT_MAX = 2048 };

static const char *const kind_word[REPORT_KIND_COUNT] = {
    [REPORT_ERROR] = "error", [REPORT_WARNING] = "warning",   [REPORT_NOTE] = "note",
    [REPORT_CASE] = "case",   [REPORT_COVERAGE] = "coverage",
};

void check_report_deinit(struct check_report *report)
{
    text_free(&report->items);
}

/* --- one report ------------------------------------------------------------------------------ */

static void add_json(struct check_report *report, enum report_kind kind, struct place place,
                     const char *text)
{
    struct text *items = &report->items;

    text_add(items, "%s{\"kind\":\"%s\",\"file\":", items->len > 0 ? "," : "", kind_word[kind]);
    if (place.file != NULL)
        text_add_json(items, str_of(place.file));
    else
        text_add(items, "null");
    text_add(items, ",\"line\":%d,\"column\":%d,\"text\":", place.line, place.column);
    text_add_json(items, str_of(text));
    text_add(items, "}");
}

static void print_line(enum report_kind kind, struct place place, const char *text)
{
    static const enum severity severities[REPORT_KIND_COUNT] = {
        [REPORT_WARNING] = SEVERITY_WARNING, [REPORT_NOTE] = SEVERITY_NOTE};
    char line[REPORT_TEXT_MAX + 512];
    const struct complaint complaint = {severities[kind], place, str_of(text)};

    fprintf(kind == REPORT_COVERAGE ? stdout : stderr, "%s\n",
            complaint_line(&complaint, line, sizeof(line)));
    if (kind != REPORT_COVERAGE)
        excerpt_print(stderr, place);
}

static void add(struct check_report *report, enum report_kind kind, struct place place,
                const char *text)
{
    bool is_minor = kind == REPORT_WARNING || kind == REPORT_NOTE;

    report->counts[kind]++;
    if (report->is_json)
        add_json(report, kind, place, text);
    else if (kind != REPORT_CASE && !(is_minor && report->is_quiet))
        print_line(kind, place, text);
}

void check_report_add(struct check_report *report, enum report_kind kind, struct place place,
                      const char *fmt, ...)
{
    char text[REPORT_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    add(report, kind, place, text);
}

void check_report_complaints(struct check_report *report, const struct complaints *complaints)
{
    static const enum report_kind kinds[] = {
        [SEVERITY_ERROR] = REPORT_ERROR,
        [SEVERITY_WARNING] = REPORT_WARNING,
        [SEVERITY_NOTE] = REPORT_NOTE,
    };

    for (size_t i = 0; i < complaints->count; i++) {
        const struct complaint *complaint = &complaints->items[i];
        check_report_add(report, kinds[complaint->severity], complaint->place, "%.*s",
                         STR_FMT(complaint->text));
    }
    if (complaints->left_out > 0)
        check_report_add(report, REPORT_NOTE, (struct place){.file = NULL},
                         "%zu more are not shown", complaints->left_out);
}

/* --- lines ----------------------------------------------------------------------------------- */

/* ":NUMBER" at the start of `*rest`, which moves behind it. */
static bool take_number(const char **rest, int *number)
{
    char *end;

    if ((*rest)[0] != ':' || !ascii_is_digit((*rest)[1]))
        return false;
    *number = (int)strtol(*rest + 1, &end, 10);
    *rest = end;
    return true;
}

/* The text behind "FILE:LINE:COLUMN: " or "FILE:LINE: ", whose place goes to `*place`; the file's
 * name is copied to `file`. The whole line when it has no place. */
static const char *take_place(const char *line, struct place *place, char *file, size_t size)
{
    for (const char *colon = strchr(line, ':'); colon != NULL; colon = strchr(colon + 1, ':')) {
        const char *rest = colon;
        if (!take_number(&rest, &place->line))
            continue;
        if (!take_number(&rest, &place->column))
            place->column = 0;
        if (strncmp(rest, ": ", 2) != 0)
            continue;
        snprintf(file, size, "%.*s", (int)(colon - line), line);
        place->file = file;
        return rest + 2;
    }
    *place = (struct place){.file = NULL};
    return line;
}

void check_report_line(struct check_report *report, bool is_error, const char *line)
{
    static const char prefix[] = "warning: ";
    char file[512];
    struct place place = {.file = NULL};
    const char *text = take_place(line, &place, file, sizeof(file));

    if (strncmp(text, prefix, sizeof(prefix) - 1) == 0)
        text += sizeof(prefix) - 1;
    add(report, is_error ? REPORT_ERROR : REPORT_WARNING, place, text);
}

/* --- the whole ------------------------------------------------------------------------------- */

void check_report_print(const struct check_report *report, const char *file, bool is_ok)
{
    struct text name = {0};

    if (!report->is_json)
        return;
    text_add_json(&name, str_of(file));
    printf("{\"config\":%.*s,\"ok\":%s,\"errors\":%zu,\"warnings\":%zu,\"failed_cases\":%zu,"
           "\"reports\":[%.*s]}\n",
           (int)name.len, name.ptr, is_ok ? "true" : "false", report->counts[REPORT_ERROR],
           report->counts[REPORT_WARNING], report->counts[REPORT_CASE], (int)report->items.len,
           report->items.ptr != NULL ? report->items.ptr : "");
    text_free(&name);
}
