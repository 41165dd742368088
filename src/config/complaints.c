/* What loading found to say. Every text is copied here, so complaints outlive the configuration
 * that could not be built. */
#include "config/complaints_impl.h"

#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX = 1024 };

void complaints_init(struct complaints *complaints)
{
    *complaints = (struct complaints){0};
    arena_init(&complaints->arena, NULL);
}

void complaints_deinit(struct complaints *complaints)
{
    arena_reset(&complaints->arena);
    free(complaints->items);
    *complaints = (struct complaints){0};
}

/* Places of one file are common: they share the copy of its name. */
static const char *file_name(struct complaints *complaints, const char *file)
{
    if (file == NULL)
        return NULL;
    for (size_t i = complaints->count; i > 0; i--) {
        const char *known = complaints->items[i - 1].place.file;
        if (known != NULL && strcmp(known, file) == 0)
            return known;
    }
    return arena_str(&complaints->arena, str_of(file)).ptr;
}

/* A complaint is one line, whatever the file contains. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
    }
}

void complaints_add(struct complaints *complaints, enum severity severity, struct place place,
                    const char *fmt, va_list args)
{
    char text[TEXT_MAX];

    if (severity == SEVERITY_ERROR)
        complaints->error_count++;
    if (complaints->count == COMPLAINTS_MAX) {
        complaints->left_out++;
        return;
    }
    if (complaints->count == complaints->cap) {
        complaints->cap = complaints->cap > 0 ? complaints->cap * 2 : 16;
        complaints->items =
            mem_resize(complaints->items, complaints->cap * sizeof(*complaints->items));
    }
    vsnprintf(text, sizeof(text), fmt, args);
    make_printable(text);

    struct complaint added = {.severity = severity, .place = place};
    added.place.file = file_name(complaints, place.file);
    added.text = arena_str(&complaints->arena, str_of(text));
    complaints->items[complaints->count++] = added;
}

static int compare(const void *left, const void *right)
{
    const struct complaint *a = left, *b = right;

    if (a->severity != b->severity)
        return a->severity < b->severity ? -1 : 1;
    if (a->place.file != NULL && b->place.file != NULL) {
        int order = strcmp(a->place.file, b->place.file);
        if (order != 0)
            return order;
    }
    if (a->place.line != b->place.line)
        return a->place.line < b->place.line ? -1 : 1;
    if (a->place.column != b->place.column)
        return a->place.column < b->place.column ? -1 : 1;
    return str_cmp(a->text, b->text);
}

void complaints_sort(struct complaints *complaints)
{
    size_t kept = 0;

    if (complaints->count > 1)
        qsort(complaints->items, complaints->count, sizeof(*complaints->items), compare);
    for (size_t i = 0; i < complaints->count; i++) {
        if (kept == 0 || compare(&complaints->items[kept - 1], &complaints->items[i]) != 0)
            complaints->items[kept++] = complaints->items[i];
    }
    complaints->count = kept;
}

static const char *const severity_prefix[] = {
    [SEVERITY_ERROR] = "",
    [SEVERITY_WARNING] = "warning: ",
    [SEVERITY_NOTE] = "note: ",
};

const char *complaint_line(const struct complaint *complaint, char *out, size_t size)
{
    const struct place *place = &complaint->place;
    const char *kind = severity_prefix[complaint->severity];
    const char *file = place->file != NULL ? place->file : "";

    if (place->line > 0 && place->column > 0)
        snprintf(out, size, "%s:%d:%d: %s%.*s", file, place->line, place->column, kind,
                 STR_FMT(complaint->text));
    else if (place->line > 0)
        snprintf(out, size, "%s:%d: %s%.*s", file, place->line, kind, STR_FMT(complaint->text));
    else
        snprintf(out, size, "%s%s%s%.*s", file, file[0] != '\0' ? ": " : "", kind,
                 STR_FMT(complaint->text));
    return out;
}
