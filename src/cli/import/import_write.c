/* Telling it as weir's YAML. Whatever does not mean the same there as it did in Lua is a doubt,
 * said as a comment, with the place it came from. */
#include "cli/import/import_impl.h"

#include "config/fold.h"
#include "config/router_conf.h"
#include "config/text_file.h"
#include "config/units.h"

#include <math.h>
#include <stdlib.h>

static bool is_default(const struct import_entry *entry)
{
    return str_eq(entry->host, STR("default"));
}

/* --- values ---------------------------------------------------------------------------------- */

/* The share that the script took the value for. */
static void read_share(struct import *import, struct import_entry *entry)
{
    if (isnan(entry->number)) {
        entry->is_dropped = true;
        DOUBT(import, "%s:%d: %.*s = %.*s is not a share, left out", entry->path, entry->line,
              STR_FMT(entry->host), STR_FMT(entry->value));
        return;
    }
    double clamped = entry->number < 0 ? 0 : entry->number > 1 ? 1 : entry->number;
    entry->share = (uint32_t)(clamped * SHARE_MAX + 0.5);
    if (clamped != entry->number)
        DOUBT(import, "%s:%d: %.*s = %.*s is outside of 0..1: taken for %g%%", entry->path,
              entry->line, STR_FMT(entry->host), STR_FMT(entry->value), entry->share / 1000.0);
    else if (fabs(clamped * SHARE_MAX - entry->share) > 1e-6)
        DOUBT(import, "%s:%d: %.*s = %.*s is finer than 0.001%%: taken for %g%%", entry->path,
              entry->line, STR_FMT(entry->host), STR_FMT(entry->value), entry->share / 1000.0);
}

/* --- hosts ----------------------------------------------------------------------------------- */

static bool is_known_host(const struct import *import, struct str host)
{
    for (size_t i = 0; i < import->wiki_count; i++) {
        if (str_eq(import->wikis[i].host, host) || str_eq(import->wikis[i].mobile, host))
            return true;
    }
    return import->wiki_count == 0;
}

static bool has_upper_case(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != ascii_lower(text.ptr[i]))
            return true;
    }
    return false;
}

/* Why the script never found this entry, or weir cannot have it; NULL. */
static const char *why_dead(struct str host)
{
    if (has_upper_case(host))
        return "the script lower-cased hosts before it looked, so this was never found";
    if (str_find(host, STR(".m.")) >= 0)
        return "the script dropped the label \"m\" before it looked, so this was never found; "
               "here it would be";
    if (!is_host_name(host))
        return "not a host name (a port, perhaps, which is not part of it here)";
    return NULL;
}

static void look_at_host(struct import *import, struct import_entry *entry)
{
    const char *dead = why_dead(entry->host);

    if (dead != NULL) {
        entry->is_dropped = true;
        DOUBT(import, "%s:%d: %.*s = %.*s is left out: %s", entry->path, entry->line,
              STR_FMT(entry->host), STR_FMT(entry->value), dead);
    } else if (!is_known_host(import, entry->host)) {
        DOUBT(import, "%s:%d: %.*s is no wiki of the table", entry->path, entry->line,
              STR_FMT(entry->host));
    }
}

/* Of two entries the last one counted, silently. */
static void look_for_repetition(struct import *import, size_t index)
{
    struct import_entry *entry = &import->entries[index];

    for (size_t i = index + 1; i < import->entry_count && !entry->is_dropped; i++) {
        const struct import_entry *later = &import->entries[i];
        if (!str_eq(entry->host, later->host))
            continue;
        entry->is_dropped = true;
        DOUBT(import,
              "%.*s is given twice: %.*s (%s:%d) and %.*s (%s:%d); the script took the last, so "
              "does this",
              STR_FMT(entry->host), STR_FMT(entry->value), entry->path, entry->line,
              STR_FMT(later->value), later->path, later->line);
    }
}

static void look_at_entries(struct import *import)
{
    for (size_t i = 0; i < import->entry_count; i++) {
        struct import_entry *entry = &import->entries[i];
        if (!is_default(entry))
            look_at_host(import, entry);
        if (!entry->is_dropped)
            read_share(import, entry);
        look_for_repetition(import, i);
    }
}

/* --- lists ----------------------------------------------------------------------------------- */

static int compare_name(const void *key, const void *item)
{
    return str_cmp(*(const struct str *)key, ((const struct import_wiki *)item)->name);
}

static const struct import_wiki *wiki_find(const struct import *import, struct str name)
{
    if (import->wiki_count == 0)
        return NULL;
    return bsearch(&name, import->wikis, import->wiki_count, sizeof(*import->wikis), compare_name);
}

static void look_at_name(struct import *import, const struct import_list *list, int line,
                         struct str name)
{
    const struct import_wiki *wiki = wiki_find(import, name);
    uint32_t share;

    if (str_starts(name, STR("%%"))) {
        DOUBT(import, "%s:%d: a computed list; weir reads lists of names only", list->path, line);
        return;
    }
    if (wiki == NULL) {
        if (import->wiki_count > 0)
            DOUBT(import, "%s:%d: %.*s is no wiki of the table", list->path, line, STR_FMT(name));
        return;
    }
    if (list->share == NULL || share_parse(str_of(list->share), &share) < 0)
        return;
    for (size_t i = 0; i < import->entry_count; i++) {
        const struct import_entry *entry = &import->entries[i];
        if (!entry->is_dropped && str_eq(entry->host, wiki->host) && entry->share != share)
            DOUBT(import, "%s:%d: %.*s is %.*s of %s:%d, whose own share wins over the list's",
                  list->path, line, STR_FMT(name), STR_FMT(entry->host), entry->path, entry->line);
    }
}

static void look_at_list(struct import *import, const struct import_list *list)
{
    struct text_items lines = {.rest = list->text};
    struct str name;
    size_t count = 0;

    if (list->share == NULL)
        DOUBT(import, "%s: no share was given for it (%s=SHARE); 0%% changes nothing", list->path,
              list->path);
    if (import->wiki_count == 0)
        DOUBT(import, "%s: weir needs a table of wikis for database names (--wikis FILE)",
              list->path);
    for (; text_items_next(&lines, &name); count++)
        look_at_name(import, list, lines.place.line, name);
    if (count == 0)
        DOUBT(import, "%s: there is no name in it, which weir refuses", list->path);
}

static void look_at_lists(struct import *import)
{
    for (size_t i = 0; i < import->list_count; i++)
        look_at_list(import, &import->lists[i]);
}

/* --- YAML ------------------------------------------------------------------------------------ */

/* Foreign text, of which YAML takes no control characters. */
static void print_comment(FILE *out, const char *before, struct str text)
{
    fputs(before, out);
    for (size_t i = 0; i < text.len; i++)
        putc((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f ? '?' : text.ptr[i], out);
    putc('\n', out);
}

static void print_default(struct import *import, FILE *out)
{
    char share[SHARE_TEXT_MAX];

    for (size_t i = 0; i < import->entry_count; i++) {
        const struct import_entry *entry = &import->entries[i];
        if (!entry->is_dropped && is_default(entry)) {
            fprintf(out, "  default: %s\n", share_format(entry->share, share));
            return;
        }
    }
    fprintf(out, "  default: 0%%\n");
}

static bool has_default(const struct import *import)
{
    for (size_t i = 0; i < import->entry_count; i++) {
        if (is_default(&import->entries[i]) && !import->entries[i].is_dropped)
            return true;
    }
    return false;
}

/* Neighbours under one comment and with one share are one item. */
static void print_entries(struct import *import, FILE *out)
{
    const struct import_entry *before = NULL;
    char share[SHARE_TEXT_MAX];

    for (size_t i = 0; i < import->entry_count; i++) {
        const struct import_entry *entry = &import->entries[i];
        if (entry->is_dropped || is_default(entry))
            continue;
        bool is_same = before != NULL && before->share == entry->share &&
                       before->comment.ptr == entry->comment.ptr;
        if (!is_same) {
            if (entry->comment.len > 0)
                print_comment(out, "    # ", entry->comment);
            fprintf(out, "    - k8s: %s\n      hosts:\n", share_format(entry->share, share));
        }
        fprintf(out, "        - %.*s\n", STR_FMT(entry->host));
        before = entry;
    }
}

static bool has_items(const struct import *import)
{
    for (size_t i = 0; i < import->entry_count; i++) {
        if (!import->entries[i].is_dropped && !is_default(&import->entries[i]))
            return true;
    }
    return import->list_count > 0;
}

static void print_doubts(const struct import *import, FILE *out)
{
    for (size_t i = 0; i < import->doubt_count; i++)
        print_comment(out, "# DOUBT: ", import->doubts[i]);
}

static void print_list(const struct import_list *list, FILE *out)
{
    fputs("    - { list: \"", out);
    for (const char *c = list->path; *c != '\0'; c++)
        fprintf(out, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    fprintf(out, "\", k8s: %s }\n", list->share != NULL ? list->share : "0%");
}

size_t import_print(struct import *import, FILE *out)
{
    look_at_entries(import);
    look_at_lists(import);
    if (!has_default(import))
        DOUBT(import, "there is no default; the script left everything else on legacy");
    fprintf(out,
            "# Made by weir import: `split` of a router. To use it, read the doubts, save it as\n"
            "# split.yaml beside the configuration, write in the router, in place of its `split`,\n"
            "#     include: split.yaml\n"
            "# and run `weir check`. Lists are named relative to this file.\n");
    print_doubts(import, out);
    fprintf(out, "split:\n");
    print_default(import, out);
    if (has_items(import))
        fprintf(out, "  wikis:\n");
    print_entries(import, out);
    for (size_t i = 0; i < import->list_count; i++)
        print_list(&import->lists[i], out);
    return import->doubt_count;
}
