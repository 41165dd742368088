/* Reading lists of database names and the table that says which hosts they are; the Lua table is
 * read by import_lua.c. */
#include "cli/import/import_impl.h"

#include "config/text_file.h"
#include "config/wikis.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct import *import_new(void)
{
    struct import *import = mem_new(sizeof(*import));

    arena_init(&import->arena, NULL);
    return import;
}

void import_free(struct import *import)
{
    if (import == NULL)
        return;
    arena_reset(&import->arena);
    free(import->entries);
    free(import->lists);
    free(import->wikis);
    free(import->doubts);
    free(import);
}

/* Room for one more of `count` items of `size` bytes, which grow in powers of two. */
static void *grown(void *items, size_t count, size_t size)
{
    if ((count & (count + 1)) == 0 || count == 0)
        return mem_resize(items, (count + 1) * 2 * size);
    return items;
}

int import_fail(struct err *err, const struct place *place, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    err_set(err, "%s", text);
    place_err(err, place);
    return -1;
}

void import_add(struct import *import, struct import_entry entry)
{
    import->entries = grown(import->entries, import->entry_count, sizeof(*import->entries));
    import->entries[import->entry_count++] = entry;
}

void import_doubt(struct import *import, struct str text)
{
    import->doubts = grown(import->doubts, import->doubt_count, sizeof(*import->doubts));
    import->doubts[import->doubt_count++] = text;
}

/* A text that is not empty. */
static int slurp(struct import *import, const char *path, struct str *text, struct err *err)
{
    struct text_fault fault;

    if (text_file_read(path, &import->arena, text, err) < 0)
        return -1;
    if (text_check(text, &fault) < 0)
        return import_fail(err, &(struct place){path, fault.line, fault.column}, "%s", fault.what);
    if (str_trim(*text).len == 0)
        return import_fail(err, &(struct place){.file = path}, "the file is empty");
    return 0;
}

/* --- the table of wikis ---------------------------------------------------------------------- */

static int compare_wikis(const void *left, const void *right)
{
    const struct import_wiki *a = left, *b = right;

    return str_cmp(a->name, b->name);
}

static int add_wiki(struct import *import, struct place place, struct str text, struct err *err)
{
    struct wiki_line line;
    struct str culprit;
    const char *problem = wiki_line_parse(text, &line, &culprit);

    if (problem != NULL)
        return import_fail(err, &place, "%.*s%s%s", STR_FMT(culprit), culprit.len > 0 ? " " : "",
                           problem);
    import->wikis = grown(import->wikis, import->wiki_count, sizeof(*import->wikis));
    import->wikis[import->wiki_count++] = (struct import_wiki){line.name, line.host, line.mobile};
    return 0;
}

int import_wikis(struct import *import, const char *path, struct err *err)
{
    struct text_items lines = {.place.file = path};
    struct str line;

    if (slurp(import, path, &lines.rest, err) < 0)
        return -1;
    while (text_items_next(&lines, &line)) {
        if (add_wiki(import, lines.place, line, err) < 0)
            return -1;
    }
    if (import->wiki_count > 1)
        qsort(import->wikis, import->wiki_count, sizeof(*import->wikis), compare_wikis);
    return 0;
}

/* --- lists ----------------------------------------------------------------------------------- */

static void read_list(struct import *import, const char *path, const char *share, struct str text)
{
    import->lists = grown(import->lists, import->list_count, sizeof(*import->lists));
    import->lists[import->list_count++] = (struct import_list){path, share, text};
}

/* A table begins with a comment, "return", "local", an assignment or a brace; a list with a
 * name. */
static bool is_lua(struct str text)
{
    struct str line;

    while (text_line_next(&text, &line)) {
        line = str_trim(line);
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        return str_starts(line, STR("--")) || str_starts(line, STR("return")) ||
               str_starts(line, STR("local ")) || str_find_char(line, '{') >= 0 ||
               str_find_char(line, '=') >= 0;
    }
    return false;
}

int import_file(struct import *import, const char *path, const char *share, struct err *err)
{
    struct str text;

    if (slurp(import, path, &text, err) < 0)
        return -1;
    if (is_lua(text))
        return import_lua(import, path, text, err);
    read_list(import, path, share, text);
    return 0;
}
