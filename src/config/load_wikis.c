/* `wikis: file`: the table that says which host a database name stands for, and list files in
 * general. Both are lines of words; "#" starts a comment.
 *
 *     # name     host               mobile host ("-" or nothing: none)
 *     enwiki     en.wikipedia.org   en.m.wikipedia.org
 */
#include "config/loader_impl.h"
#include "config/text_file.h"
#include "config/units.h"
#include "config/wikis.h"

#include <stdlib.h>

/* --- the table ------------------------------------------------------------------------------- */

const char *wiki_line_parse(struct str text, struct wiki_line *line, struct str *culprit)
{
    *line = (struct wiki_line){.name = text_word_next(&text)};
    line->host = text_word_next(&text);
    line->mobile = text_word_next(&text);
    *culprit = line->name;
    if (line->host.len == 0 || text_word_next(&text).len > 0) {
        culprit->len = 0;
        return "expected: name host mobile-host (or -)";
    }
    if (str_eq(line->mobile, STR("-")))
        line->mobile.len = 0;
    if (!is_token(line->name) || str_find_char(line->name, '.') >= 0)
        return "cannot be the name of a database";
    *culprit = is_host_name(line->host) ? line->mobile : line->host;
    return culprit->len > 0 && !is_host_name(*culprit) ? "is not a host name" : NULL;
}

static int load_wiki_line(struct loader *loader, struct place place, struct str text,
                          struct wiki_conf *wiki)
{
    struct wiki_line line;
    struct str culprit;
    const char *problem = wiki_line_parse(text, &line, &culprit);

    if (problem != NULL && culprit.len == 0)
        return complain_place(loader, place, "%s", problem);
    if (problem != NULL)
        return complain_place(loader, place, "\"%.*s\" %s", STR_FMT(culprit), problem);
    *wiki = (struct wiki_conf){
        .place = place,
        .name = arena_str(loader->arena, line.name),
        .host = canonical_host(loader->arena, line.host),
        .mobile = canonical_host(loader->arena, line.mobile),
    };
    return 0;
}

static int compare_wikis(const void *left, const void *right)
{
    const struct wiki_conf *a = left, *b = right;
    int order = str_cmp(a->name, b->name);

    return order != 0 ? order : (a->place.line > b->place.line) - (a->place.line < b->place.line);
}

static size_t count_lines(struct str text)
{
    struct text_items lines = {.rest = text};
    struct str line;
    size_t count = 0;

    while (text_items_next(&lines, &line))
        count++;
    return count;
}

static void check_wiki_names(struct loader *loader)
{
    const struct wiki_conf *wikis = loader->config->wikis;

    for (size_t i = 1; i < loader->config->wiki_count; i++) {
        if (str_eq(wikis[i].name, wikis[i - 1].name))
            complain_place(loader, wikis[i].place, "\"%s\" is given twice, first at %s:%d",
                           wikis[i].name.ptr, wikis[i - 1].place.file, wikis[i - 1].place.line);
    }
}

int load_empty(struct loader *loader, const struct node *node, void *out UNUSED)
{
    static const char *const words[] = {"allowed"};

    return LOAD_WORD(loader, node, words) < 0 ? -1 : 0;
}

/* A file that is cut off while it is written would take all of its names away. */
int complain_empty(struct loader *loader, const struct node *node, const char *file)
{
    return complain(loader, node,
                    "\"%s\" has no names; if that is right, write \"empty: allowed\" beside it",
                    file);
}

/* The name of the file of `FILE` or `{ file: FILE, empty: allowed }`; NULL after a complaint. */
static const struct node *table_file(struct loader *loader, const struct node *node)
{
    static const struct key keys[] = {
        {"file", load_ignored, 0, true},
        {"empty", load_empty, 0, false},
    };

    if (node->kind == NODE_MAP && LOAD_KEYS(loader, node, keys, NULL) < 0)
        return NULL;
    const struct node *file = node->kind == NODE_MAP ? node_find(node, "file") : node;
    return expect_scalar(loader, file, "the name of a file") ? file : NULL;
}

int load_wikis(struct loader *loader, const struct node *node)
{
    struct config *config = loader->config;
    struct text_items lines = {0};
    struct str text, line;

    loader->has_wiki_table = loader->is_wiki_table_broken = true;
    const struct node *file = table_file(loader, node);
    if (file == NULL)
        return -1;
    config->wiki_place = file->place;
    if (reader_slurp(loader->reader, file->text, &file->place, &text, &lines.place.file) < 0)
        return -1;
    loader->is_wiki_table_broken = false;
    lines.rest = text;
    config->wikis = ARENA_NEW_N(loader->arena, struct wiki_conf, MAX(count_lines(text), 1));
    while (text_items_next(&lines, &line)) {
        if (load_wiki_line(loader, lines.place, line, &config->wikis[config->wiki_count]) == 0)
            config->wiki_count++;
        else
            loader->is_wiki_table_broken = true;
    }
    if (config->wiki_count > 1)
        qsort(config->wikis, config->wiki_count, sizeof(*config->wikis), compare_wikis);
    check_wiki_names(loader);
    if (config->wiki_count == 0 && !loader->is_wiki_table_broken &&
        node_find(node, "empty") == NULL)
        return complain_empty(loader, file, lines.place.file);
    return 0;
}
