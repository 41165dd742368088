/* See text_file.h. The check looks at most bytes once: line and column are counted only when there
 * is a fault to report. */
#include "config/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- reading --------------------------------------------------------------------------------- */

static int read_all(int fd, struct arena *arena, struct str *text)
{
    size_t cap = 65536, len = 0;
    char *data = mem_new(cap);
    ssize_t got;

    while ((got = read(fd, data + len, cap - len)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        len += (size_t)got;
        if (len > TEXT_FILE_BYTES_MAX) {
            errno = EFBIG;
            got = -1;
            break;
        }
        if (len == cap) {
            cap *= 2;
            data = mem_resize(data, cap);
        }
    }
    if (got == 0)
        *text = arena_str(arena, str_make(data, len));
    int saved = errno;
    free(data);
    errno = saved;
    return got < 0 ? -1 : 0;
}

int text_file_read(const char *path, struct arena *arena, struct str *text, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int result = fd < 0 ? -1 : read_all(fd, arena, text);

    if (result < 0)
        err_set_errno(err, "cannot read \"%s\"", path);
    if (fd >= 0)
        close(fd);
    return result;
}

/* --- checking -------------------------------------------------------------------------------- */

static bool is_plain_ascii(unsigned char c)
{
    return (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\r' || c == '\t';
}

/* The character at the start of `text` into `*code`; its length in bytes, or 0 when it is not UTF-8
 * (RFC 3629: overlong forms and surrogates are not). */
static size_t utf8_decode(struct str text, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *at = (const unsigned char *)text.ptr;
    size_t len = at[0] < 0x80             ? 1
                 : (at[0] & 0xe0) == 0xc0 ? 2
                 : (at[0] & 0xf0) == 0xe0 ? 3
                 : (at[0] & 0xf8) == 0xf0 ? 4
                                          : 0;

    if (len == 0 || len > text.len)
        return 0;
    *code = len == 1 ? at[0] : at[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (at[i] & 0x3fu);
    }
    if (*code < least[len] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
        return 0;
    return len;
}

/* Why a character must not be in a text; NULL when it may. */
static const char *character_problem(uint32_t code)
{
    if (code == 0)
        return "a NUL byte";
    if (code == 0xfeff)
        return "a byte order mark, which may only begin a file";
    if (code == 0x85 || code == 0x2028 || code == 0x2029)
        return "a Unicode line separator; lines end in LF or CRLF";
    if (code < 0x20 || (code >= 0x7f && code < 0xa0))
        return "a control character";
    if (code == 0xfffe || code == 0xffff)
        return "no Unicode character";
    return NULL;
}

static void find_place(struct str before, struct text_fault *fault)
{
    fault->line = fault->column = 1;
    for (size_t i = 0; i < before.len; i++) {
        unsigned char c = (unsigned char)before.ptr[i];
        bool is_end =
            c == '\n' || (c == '\r' && (i + 1 == before.len || before.ptr[i + 1] != '\n'));
        if (is_end) {
            fault->line++;
            fault->column = 1;
        } else if ((c & 0xc0) != 0x80 && c != '\r') {
            fault->column++;
        }
    }
}

static int fault_at(struct str text, size_t at, struct text_fault *fault)
{
    uint32_t code;
    size_t len = utf8_decode(str_skip(text, at), &code);

    find_place(str_make(text.ptr, at), fault);
    if (len == 0)
        snprintf(fault->what, sizeof(fault->what),
                 "not UTF-8: byte 0x%02x; the file must be saved as UTF-8",
                 (unsigned char)text.ptr[at]);
    else
        snprintf(fault->what, sizeof(fault->what), "character U+%04X: %s", code,
                 character_problem(code));
    return -1;
}

static int check_encoding(struct str text, struct text_fault *fault)
{
    if (!str_starts(text, STR("\xff\xfe")) && !str_starts(text, STR("\xfe\xff")))
        return 0;
    fault->line = fault->column = 1;
    snprintf(fault->what, sizeof(fault->what), "UTF-16 text; the file must be saved as UTF-8");
    return -1;
}

int text_check(struct str *text, struct text_fault *fault)
{
    size_t at = 0;
    uint32_t code;

    if (check_encoding(*text, fault) < 0)
        return -1;
    if (str_starts(*text, STR("\xef\xbb\xbf")))
        *text = str_skip(*text, 3);
    while (true) {
        while (at < text->len && is_plain_ascii((unsigned char)text->ptr[at]))
            at++;
        if (at == text->len)
            return 0;
        size_t len = utf8_decode(str_skip(*text, at), &code);
        if (len == 0 || character_problem(code) != NULL)
            return fault_at(*text, at, fault);
        at += len;
    }
}

/* --- lines ----------------------------------------------------------------------------------- */

bool text_line_next(struct str *rest, struct str *line)
{
    size_t len = 0;

    if (rest->len == 0)
        return false;
    while (len < rest->len && rest->ptr[len] != '\n' && rest->ptr[len] != '\r')
        len++;
    *line = str_make(rest->ptr, len);
    bool is_crlf = len + 1 < rest->len && rest->ptr[len] == '\r' && rest->ptr[len + 1] == '\n';
    *rest = str_skip(*rest, MIN(len + (is_crlf ? 2 : 1), rest->len));
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool text_items_next(struct text_items *items, struct str *item)
{
    struct str line, comment;

    while (text_line_next(&items->rest, &line)) {
        items->place.line++;
        str_cut(line, '#', item, &comment);
        *item = str_trim(*item);
        items->place.column = (int)(item->ptr - line.ptr) + 1;
        if (item->len > 0)
            return true;
    }
    return false;
}

struct str text_word_next(struct str *line)
{
    size_t len = 0;

    *line = str_trim(*line);
    while (len < line->len && !is_blank(line->ptr[len]))
        len++;
    struct str word = str_make(line->ptr, len);
    *line = str_skip(*line, len);
    return word;
}
