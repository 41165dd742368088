/* Reading what was: a Lua table, taken line by line and never run, lists of database names, and the
 * table that says which hosts they are. */
#include "cli/import_impl.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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

void import_doubt(struct import *import, struct str text)
{
    import->doubts = grown(import->doubts, import->doubt_count, sizeof(*import->doubts));
    import->doubts[import->doubt_count++] = text;
}

static int slurp(struct import *import, const char *path, struct str *text, struct err *err)
{
    struct stat status;
    size_t len = 0;
    ssize_t got = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        if (fd >= 0)
            close(fd);
        return err_set_errno(err, "cannot read %s", path);
    }
    char *bytes = arena_alloc(&import->arena, (size_t)MIN(status.st_size, IMPORT_BYTES_MAX) + 1);
    while (got > 0 && len < (size_t)MIN(status.st_size, IMPORT_BYTES_MAX)) {
        got = read(fd, bytes + len, (size_t)MIN(status.st_size, IMPORT_BYTES_MAX) - len);
        len += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    *text = str_make(bytes, len);
    return got < 0 ? err_set_errno(err, "cannot read %s", path) : 0;
}

static struct str trimmed(struct str text)
{
    while (text.len > 0 && (unsigned char)text.ptr[0] <= ' ')
        text = str_skip(text, 1);
    while (text.len > 0 && (unsigned char)text.ptr[text.len - 1] <= ' ')
        text.len--;
    return text;
}

/* --- the table of wikis ---------------------------------------------------------------------- */

static struct str word_next(struct str *rest)
{
    size_t len = 0;

    *rest = trimmed(*rest);
    while (len < rest->len && (unsigned char)rest->ptr[len] > ' ')
        len++;
    struct str word = str_make(rest->ptr, len);
    *rest = str_skip(*rest, len);
    return word;
}

static int compare_wikis(const void *left, const void *right)
{
    const struct import_wiki *a = left, *b = right;

    return str_cmp(a->name, b->name);
}

int import_wikis(struct import *import, const char *path, struct err *err)
{
    struct str text, line;

    if (slurp(import, path, &text, err) < 0)
        return -1;
    while (str_next(&text, '\n', &line)) {
        struct str name = word_next(&line), host = word_next(&line), mobile = word_next(&line);
        if (name.len == 0 || name.ptr[0] == '#' || host.len == 0)
            continue;
        import->wikis = grown(import->wikis, import->wiki_count, sizeof(*import->wikis));
        import->wikis[import->wiki_count++] = (struct import_wiki){name, host, mobile};
    }
    if (import->wiki_count > 1)
        qsort(import->wikis, import->wiki_count, sizeof(*import->wikis), compare_wikis);
    return 0;
}

/* --- the Lua table --------------------------------------------------------------------------- */

struct lua {
    struct import *import;
    const char *path;
    struct str comment; /* the last one that stood alone */
    int line;
    bool is_block; /* inside --[[ ]] */
};

/* `["host"]`, `['host']` or a bare name at the start of `*rest`, which moves behind it. */
static bool take_key(struct str *rest, struct str *key)
{
    size_t len = 0;

    if (rest->len > 3 && rest->ptr[0] == '[' && (rest->ptr[1] == '"' || rest->ptr[1] == '\'')) {
        struct str inner = str_skip(*rest, 2);
        ptrdiff_t end = str_find_char(inner, rest->ptr[1]);
        if (end < 0)
            return false;
        *key = str_make(inner.ptr, (size_t)end);
        inner = trimmed(str_skip(inner, (size_t)end + 1));
        if (inner.len == 0 || inner.ptr[0] != ']')
            return false;
        *rest = str_skip(inner, 1);
        return true;
    }
    while (len < rest->len &&
           (ascii_is_digit(rest->ptr[len]) || rest->ptr[len] == '_' ||
            (ascii_lower(rest->ptr[len]) >= 'a' && ascii_lower(rest->ptr[len]) <= 'z')))
        len++;
    *key = str_make(rest->ptr, len);
    *rest = str_skip(*rest, len);
    return len > 0;
}

/* `key = value` up to a comma or the end. */
static bool take_entry(struct lua *lua, struct str *rest)
{
    struct import *import = lua->import;
    struct str key, value, after;

    if (!take_key(rest, &key))
        return false;
    *rest = trimmed(*rest);
    if (rest->len == 0 || rest->ptr[0] != '=')
        return false;
    if (!str_cut(str_skip(*rest, 1), ',', &value, &after))
        str_cut(str_skip(*rest, 1), ';', &value, &after);
    value = trimmed(value);
    if (value.len > 0 && value.ptr[value.len - 1] == '}')
        value = trimmed(str_make(value.ptr, value.len - 1));
    if (value.len == 0 || value.ptr[0] == '{')
        return false;
    import->entries = grown(import->entries, import->entry_count, sizeof(*import->entries));
    import->entries[import->entry_count++] = (struct import_entry){
        .host = key, .value = value, .comment = lua->comment, .path = lua->path, .line = lua->line};
    *rest = trimmed(after);
    return true;
}

/* What stands around the entries: "return {", "local t = {", "}", "return t". */
static bool is_frame(struct str line)
{
    return line.len == 0 || line.ptr[0] == '{' || line.ptr[0] == '}' ||
           str_starts(line, STR("return")) || str_starts(line, STR("local "));
}

static void read_code(struct lua *lua, struct str code)
{
    ptrdiff_t brace = str_find_char(code, '{');
    struct str rest = code;

    if (is_frame(code))
        rest = brace >= 0 ? trimmed(str_skip(code, (size_t)brace + 1)) : (struct str){"", 0};
    while (rest.len > 0 && rest.ptr[0] != '}') {
        if (take_entry(lua, &rest))
            continue;
        import_doubt(lua->import,
                     arena_printf(&lua->import->arena, "%s:%d: not understood, left out: %.*s",
                                  lua->path, lua->line, STR_FMT(code)));
        return;
    }
}

/* The code of a line without its comment; "--" inside of quotes is none. */
static struct str strip_comment(struct str line, struct str *comment)
{
    char quote = '\0';

    *comment = (struct str){"", 0};
    for (size_t i = 0; i + 1 < line.len; i++) {
        char c = line.ptr[i];
        if (quote != '\0')
            quote = c == quote ? '\0' : quote;
        else if (c == '"' || c == '\'')
            quote = c;
        else if (c == '-' && line.ptr[i + 1] == '-') {
            *comment = trimmed(str_skip(line, i + 2));
            return trimmed(str_make(line.ptr, i));
        }
    }
    return line;
}

static void read_lua_line(struct lua *lua, struct str line)
{
    struct str comment;

    line = trimmed(line);
    if (lua->is_block) {
        lua->is_block = str_find(line, STR("]]")) < 0;
        return;
    }
    struct str code = strip_comment(line, &comment);
    if (str_starts(comment, STR("[["))) {
        lua->is_block = str_find(comment, STR("]]")) < 0;
        comment = (struct str){"", 0};
    }
    if (code.len == 0 && comment.len > 0)
        lua->comment = comment;
    read_code(lua, code);
}

static void read_lua(struct import *import, const char *path, struct str text)
{
    struct lua lua = {.import = import, .path = path, .comment = {"", 0}};
    struct str line;

    while (str_next(&text, '\n', &line)) {
        lua.line++;
        read_lua_line(&lua, line);
    }
}

/* --- lists ----------------------------------------------------------------------------------- */

static void read_list(struct import *import, const char *path, const char *share, struct str text)
{
    import->lists = grown(import->lists, import->list_count, sizeof(*import->lists));
    import->lists[import->list_count++] = (struct import_list){path, share, text};
}

/* A table has braces or assignments; a list has words. */
static bool is_lua(struct str text)
{
    struct str line, comment;

    while (str_next(&text, '\n', &line)) {
        line = trimmed(line);
        if (line.len > 0 && line.ptr[0] == '#')
            continue;
        line = strip_comment(line, &comment);
        if (line.len > 0)
            return str_find_char(line, '{') >= 0 || str_find_char(line, '=') >= 0 ||
                   str_starts(line, STR("return"));
    }
    return false;
}

int import_file(struct import *import, const char *path, const char *share, struct err *err)
{
    struct str text;

    if (slurp(import, path, &text, err) < 0)
        return -1;
    if (is_lua(text))
        read_lua(import, path, text);
    else
        read_list(import, path, share, text);
    return 0;
}
