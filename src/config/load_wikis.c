/* `wikis: file`: the table that says which host a database name stands for, and list files in
 * general. Both are lines of words; "#" starts a comment.
 *
 *     # name     host               mobile host ("-" or nothing: none)
 *     enwiki     en.wikipedia.org   en.m.wikipedia.org
 */
#include "config/loader_impl.h"
#include "config/text_file.h"
#include "config/units.h"

#include <stdlib.h>

/* --- lines ----------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct str trim_blanks(struct str line)
{
    while (line.len > 0 && is_blank(line.ptr[0]))
        line = str_skip(line, 1);
    while (line.len > 0 && is_blank(line.ptr[line.len - 1]))
        line.len--;
    return line;
}

bool line_next(struct line_reader *lines, struct str *line)
{
    struct str raw;

    while (text_line_next(&lines->rest, &raw)) {
        struct str text, comment;
        lines->place.line++;
        str_cut(raw, '#', &text, &comment);
        *line = trim_blanks(text);
        lines->place.column = (int)(line->ptr - raw.ptr) + 1;
        if (line->len > 0)
            return true;
    }
    return false;
}

/* The next word of `*line`, which moves behind it; empty at the end. */
static struct str next_word(struct str *line)
{
    size_t len = 0;

    *line = trim_blanks(*line);
    while (len < line->len && !is_blank(line->ptr[len]))
        len++;
    struct str word = str_make(line->ptr, len);
    *line = str_skip(*line, len);
    return word;
}

/* --- the table ------------------------------------------------------------------------------- */

static int load_wiki_line(struct loader *loader, struct place place, struct str line,
                          struct wiki_conf *wiki)
{
    struct str name = next_word(&line), host = next_word(&line), mobile = next_word(&line);

    if (str_eq(mobile, STR("-")))
        mobile.len = 0;
    if (host.len == 0 || next_word(&line).len > 0)
        return complain_place(loader, place, "expected: name host mobile-host (or -)");
    if (!is_token(name) || str_find_char(name, '.') >= 0)
        return complain_place(loader, place, "\"%.*s\" cannot be the name of a database",
                              STR_FMT(name));
    if (!is_host_name(host))
        return complain_place(loader, place, "\"%.*s\" is not a host name", STR_FMT(host));
    if (mobile.len > 0 && !is_host_name(mobile))
        return complain_place(loader, place, "\"%.*s\" is not a host name", STR_FMT(mobile));
    *wiki = (struct wiki_conf){
        .place = place,
        .name = arena_str(loader->arena, name),
        .host = canonical_host(loader->arena, host),
        .mobile = canonical_host(loader->arena, mobile),
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
    struct line_reader lines = {.rest = text};
    struct str line;
    size_t count = 0;

    while (line_next(&lines, &line))
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

int load_wikis(struct loader *loader, const struct node *node)
{
    struct config *config = loader->config;
    struct line_reader lines = {0};
    struct str text, line;

    loader->has_wiki_table = loader->is_wiki_table_broken = true;
    if (!expect_scalar(loader, node, "the name of a file"))
        return -1;
    if (reader_slurp(loader->reader, node->text, &node->place, &text, &lines.place.file) < 0)
        return -1;
    loader->is_wiki_table_broken = false;
    lines.rest = text;
    config->wikis = ARENA_NEW_N(loader->arena, struct wiki_conf, MAX(count_lines(text), 1));
    while (line_next(&lines, &line)) {
        if (load_wiki_line(loader, lines.place, line, &config->wikis[config->wiki_count]) == 0)
            config->wiki_count++;
        else
            loader->is_wiki_table_broken = true;
    }
    if (config->wiki_count > 1)
        qsort(config->wikis, config->wiki_count, sizeof(*config->wikis), compare_wikis);
    check_wiki_names(loader);
    return 0;
}
