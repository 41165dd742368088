/* See excerpt.h. The file is read again for each complaint: there are few, and a person reads them. */
#include "cli/excerpt.h"

#include "base/str.h"

#include <stdlib.h>
#include <unistd.h>

enum { WIDTH = 100, FILE_MAX = 64 * 1024 * 1024 };

/* Bytes that begin no character (UTF-8). */
static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static bool line_find(struct str text, int number, struct str *line)
{
    for (int i = 1; str_next(&text, '\n', line); i++) {
        if (i == number) {
            if (line->len > 0 && line->ptr[line->len - 1] == '\r')
                line->len--;
            return true;
        }
    }
    return false;
}

/* The byte at which character `column` (from 1) of `line` begins. */
static size_t offset_of(struct str line, int column)
{
    size_t at = 0;

    for (int i = 1; i < column && at < line.len; i++) {
        at++;
        while (at < line.len && is_continuation(line.ptr[at]))
            at++;
    }
    return at;
}

/* Where the token that begins at `at` ends: a quoted text with its quotes, else a word. */
static size_t token_end(struct str line, size_t at)
{
    char quote = at < line.len ? line.ptr[at] : '\0';
    size_t end = at + 1;

    if (quote == '"' || quote == '\'') {
        while (end < line.len && line.ptr[end] != quote)
            end++;
        return MIN(end + 1, line.len);
    }
    while (end < line.len && line.ptr[end] != ' ' && line.ptr[end] != ',' && line.ptr[end] != '}' &&
           line.ptr[end] != ']' && line.ptr[end] != '\t')
        end++;
    if (end > at + 1 && end - 1 < line.len && line.ptr[end - 1] == ':')
        end--;
    return MIN(end, line.len);
}

static void add_shown(struct text *out, struct str part)
{
    for (size_t i = 0; i < part.len; i++) {
        unsigned char c = (unsigned char)part.ptr[i];
        text_add(out, "%c", c == '\t' ? ' ' : c < 0x20 || c == 0x7f ? '?' : (char)c);
    }
}

static size_t characters(struct str part)
{
    size_t count = 0;

    for (size_t i = 0; i < part.len; i++)
        count += !is_continuation(part.ptr[i]);
    return count;
}

void excerpt_add(struct text *out, struct str text, int number, int column)
{
    struct str line;

    if (number < 1 || column < 1 || !line_find(text, number, &line))
        return;
    size_t at = offset_of(line, column), end = token_end(line, at);
    size_t first = at > WIDTH / 2 ? offset_of(line, column - WIDTH / 2) : 0;
    struct str shown = str_make(line.ptr + first, MIN(line.len - first, (size_t)WIDTH));
    while (first + shown.len < line.len && is_continuation(line.ptr[first + shown.len]))
        shown.len++;

    text_add(out, "%5d | ", number);
    add_shown(out, shown);
    text_add(out, "\n      | ");
    for (size_t i = characters(str_make(line.ptr + first, at - first)); i > 0; i--)
        text_add(out, " ");
    text_add(out, "^");
    size_t marked = MIN(end, first + shown.len);
    for (size_t i = marked > at ? characters(str_make(line.ptr + at, marked - at)) : 0; i > 1; i--)
        text_add(out, "~");
    text_add(out, "\n");
}

static bool file_read(const char *path, struct text *content)
{
    FILE *file = fopen(path, "re");
    size_t got = 0;

    if (file == NULL)
        return false;
    do {
        char *room = text_room(content, 65536);
        got = fread(room, 1, 65536, file);
        content->len += got;
    } while (got > 0 && content->len < FILE_MAX);
    fclose(file);
    return true;
}

void excerpt_print(FILE *stream, struct place place)
{
    struct text content = {0}, out = {0};

    if (place.file == NULL || place.line < 1 || !isatty(fileno(stream)))
        return;
    if (file_read(place.file, &content)) {
        excerpt_add(&out, str_make(content.ptr, content.len), place.line, place.column);
        if (out.len > 0)
            fputs(out.ptr, stream);
    }
    text_free(&content);
    text_free(&out);
}
