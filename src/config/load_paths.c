/* Path conditions. Requests are matched on decoded paths, so the paths of rules are decoded here,
 * once and in the same way; a path that no request has after that is an error. */
#include "config/loader_impl.h"

#include "base/path.h"
#include "base/regex.h"

enum { PATTERN_BYTES_MAX = 1024, RULE_PATH_MAX = 1024 };

/* --- patterns -------------------------------------------------------------------------------- */

/* The pattern must compile; it is compiled again where it is used. */
int load_pattern(struct loader *loader, const struct node *node, struct str pattern,
                 struct str *out)
{
    struct err err;

    if (pattern.len == 0 || pattern.len > PATTERN_BYTES_MAX)
        return complain(loader, node, "a pattern has 1 to %d bytes", PATTERN_BYTES_MAX);
    struct regex *regex = regex_new(pattern, &err);
    if (regex == NULL)
        return complain(loader, node, "pattern \"%s\": %s", node->text.ptr, err.text);
    regex_free(regex);
    *out = arena_str(loader->arena, pattern);
    return 0;
}

/* Patterns read bytes, and a character beyond ASCII is several: "[ä]" and "ä?" are not what they
 * look like. */
static const char *beyond_ascii_problem(struct str pattern)
{
    bool is_class = false;

    for (size_t i = 0; i < pattern.len; i++) {
        char c = pattern.ptr[i], next = i + 1 < pattern.len ? pattern.ptr[i + 1] : '\0';
        bool is_beyond = (unsigned char)c >= 0x80;
        if (is_beyond && is_class)
            return "has a character beyond ASCII in brackets: write (a|b) with parentheses";
        if (is_beyond && (next == '*' || next == '+' || next == '?' || next == '{'))
            return "repeats a character beyond ASCII: write it in parentheses";
        if (c == '\\')
            i++;
        else if (c == '[' && !is_class)
            is_class = true;
        else if (c == ']')
            is_class = false;
    }
    return NULL;
}

static int load_path_pattern(struct loader *loader, const struct node *node, struct str pattern,
                             struct str *out)
{
    const char *problem = beyond_ascii_problem(pattern);

    if (problem != NULL)
        return complain(loader, node, "pattern \"%s\" %s", node->text.ptr, problem);
    if (load_pattern(loader, node, pattern, out) < 0)
        return -1;
    if (regex_may_begin(pattern, STR("/")) || regex_may_begin(pattern, STR("*")))
        return 0;
    return complain(loader, node, "pattern \"%s\" can never match: paths begin with a slash",
                    node->text.ptr);
}

/* An escape as it is written in a pattern for decoded paths: "%7C" is the character itself, "\x7C",
 * which has no other meaning; "%2f" is "%2F", as in a decoded path. A byte of UTF-8 is itself. */
static size_t put_pattern_escape(char *out, unsigned char byte)
{
    size_t len = escape_put(out, byte);

    if (byte == '/' || byte == '%')
        return len;
    if (byte >= 0x80) {
        out[0] = (char)byte;
        return 1;
    }
    memmove(out + 2, out + 1, len - 1);
    out[0] = '\\';
    out[1] = 'x';
    return len + 1;
}

/* The pattern with its escapes decoded. */
static struct str pattern_decoded(struct loader *loader, struct str pattern)
{
    char *text = arena_alloc_aligned(loader->arena, pattern.len * 4 / 3 + 1, 1);
    size_t len = 0;

    for (size_t at = 0; at < pattern.len; at++) {
        int byte = escape_at(pattern, at);
        bool is_quoting = pattern.ptr[at] == '\\' && at + 1 < pattern.len;
        if (byte >= 0) {
            len += put_pattern_escape(text + len, (unsigned char)byte);
            at += 2;
        } else if (!is_quoting) {
            text[len++] = pattern.ptr[at];
        } else if (escape_at(pattern, at + 1) < 0) { /* of "\%7C" the backslash is left out */
            text[len++] = pattern.ptr[at++];
            text[len++] = pattern.ptr[at];
        }
    }
    return str_make(text, len);
}

/* --- texts ----------------------------------------------------------------------------------- */

static const char *character_problem(struct str path)
{
    for (size_t i = 0; i < path.len; i++) {
        if ((unsigned char)path.ptr[i] <= 0x20 || path.ptr[i] == 0x7f)
            return "has spaces or control characters: write them percent-encoded";
        if (path.ptr[i] == '?' || path.ptr[i] == '#')
            return "is a path, without query (see the condition \"query\")";
        if (path.ptr[i] == '*')
            return "has a star that is not a whole last segment (a pattern begins with \"~\")";
        if (path.ptr[i] == '%' && escape_at(path, i) < 0)
            return "has a broken percent-encoding";
    }
    return NULL;
}

/* What is common in patterns and hardly ever part of a path. A path that has it on purpose can be
 * written percent-encoded. */
static bool looks_like_pattern(struct str path)
{
    static const struct str marks[] = {STR_INIT("|"), STR_INIT("\\"), STR_INIT(".+"),
                                       STR_INIT(")+"), STR_INIT("(?")};

    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        if (str_find(path, marks[i]) >= 0)
            return true;
    }
    ptrdiff_t open = str_find_char(path, '[');
    return str_ends(path, STR("$")) || (open >= 0 && str_find_char(path, ']') > open);
}

static const char *path_problem(struct str path)
{
    if (path.len > 0 && (path.ptr[0] == '^' || path.ptr[0] == '('))
        return "must begin with a slash, and a pattern with \"~\"";
    if (path.len == 0 || path.ptr[0] != '/')
        return "must begin with a slash";
    if (path.len > RULE_PATH_MAX)
        return "is longer than 1024 bytes";
    const char *problem = character_problem(path);
    if (problem != NULL)
        return problem;
    if (!path_is_resolved(path))
        return "has an empty segment, \".\" or \"..\", which no request has after normalising";
    if (!path_is_clear(path))
        return "can never match: requests with such a path are answered with 400";
    return NULL;
}

/* Escapes that stay take no more room than before. */
static struct str decoded(struct loader *loader, struct str path)
{
    char *text = arena_alloc_aligned(loader->arena, path.len + 1, 1);
    struct str result;
    int status = path_decode(path, text, path.len, &result);

    ASSERT(status == 0);
    return result;
}

/* --- the condition --------------------------------------------------------------------------- */

int load_path_match(struct loader *loader, const struct node *node, void *out)
{
    struct path_match_conf *match = out;

    if (!expect_scalar(loader, node, "a path"))
        return -1;
    struct str path = node->text;
    match->place = node->place;
    match->kind = PATH_TREE;
    if (str_starts(path, STR("~"))) {
        match->kind = PATH_REGEX;
        return load_path_pattern(loader, node, pattern_decoded(loader, str_skip(path, 1)),
                                 &match->path);
    }
    if (str_starts(path, STR("="))) {
        match->kind = PATH_EXACT;
        path = str_skip(path, 1);
    } else if (str_ends(path, STR("/*"))) {
        match->kind = PATH_BELOW;
        path.len--;
    }
    const char *problem = path_problem(path);
    if (problem != NULL)
        return complain(loader, node, "path \"%s\" %s", node->text.ptr, problem);
    if (looks_like_pattern(path))
        warn_place(loader, node->place,
                   "path \"%s\" looks like a pattern and is compared as it is written: a pattern "
                   "begins with \"~\"",
                   node->text.ptr);
    /* "/x/" names everything below, too; only as an exact path the slash counts. */
    if (path.ptr[path.len - 1] == '/' && match->kind != PATH_EXACT) {
        if (path.len > 1)
            match->kind = PATH_BELOW;
        path.len--;
    }
    match->path = decoded(loader, path);
    return 0;
}
