/* Durations, sizes, shares and names as people write them. All arithmetic is on integers, so that
 * 0.07 is 7 % and not nearly so. */
#include "config/units.h"

#include "base/addr.h"

#include <inttypes.h>
#include <stdio.h>

/* "12.5" times 10^`digits`, exactly; -1 when it is not such a number, is too precise or does not
 * fit. */
static int decimal_parse(struct str text, unsigned digits, uint64_t *value)
{
    struct str whole, fraction;
    bool has_point = str_cut(text, '.', &whole, &fraction);

    if (str_to_u64(whole, value) < 0)
        return -1;
    if (has_point && fraction.len == 0)
        return -1;
    for (size_t i = 0; i < MAX(digits, fraction.len); i++) {
        char c = i < fraction.len ? fraction.ptr[i] : '0';
        if (!ascii_is_digit(c) || (i >= digits && c != '0'))
            return -1;
        if (i >= digits)
            continue;
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, (uint64_t)(c - '0'), value))
            return -1;
    }
    return 0;
}

/* Cuts the trailing letters (or the percent sign) off. */
static struct str cut_unit(struct str *text)
{
    size_t at = text->len;

    while (at > 0 && !ascii_is_digit(text->ptr[at - 1]) && text->ptr[at - 1] != '.')
        at--;
    struct str unit = str_skip(*text, at);
    text->len = at;
    return str_trim(unit);
}

int duration_parse(struct str text, uint32_t *ms)
{
    static const struct {
        const char *name;
        uint32_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    struct str number = text, unit = cut_unit(&number);
    uint64_t thousandths;

    if (str_eq(text, STR("0"))) {
        *ms = 0;
        return 0;
    }
    if (decimal_parse(number, 3, &thousandths) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!str_eq(unit, str_of(units[i].name)))
            continue;
        uint64_t scaled;
        if (__builtin_mul_overflow(thousandths, units[i].ms, &scaled))
            return -1;
        if (scaled % 1000 != 0 || scaled / 1000 > UINT32_MAX)
            return -1;
        *ms = (uint32_t)(scaled / 1000);
        return 0;
    }
    return -1;
}

int size_parse(struct str text, uint64_t *bytes)
{
    static const struct {
        const char *name;
        unsigned shift;
    } units[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
    struct str number = text, unit = cut_unit(&number);
    uint64_t count;

    if (str_to_u64(number, &count) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!str_eq(unit, str_of(units[i].name)))
            continue;
        if (count > UINT64_MAX >> units[i].shift)
            return -1;
        *bytes = count << units[i].shift;
        return 0;
    }
    return -1;
}

int share_parse(struct str text, uint32_t *share)
{
    struct str number = text, unit = cut_unit(&number);
    uint64_t value;
    bool flag;

    if (bool_parse(text, &flag) == 0)
        value = flag ? 100000 : 0;
    else if (decimal_parse(number, unit.len > 0 ? 3 : 5, &value) < 0)
        return -1;
    else if (unit.len > 0 && !str_eq(unit, STR("%")))
        return -1;
    if (value > 100000)
        return -1;
    *share = (uint32_t)value;
    return 0;
}

const char *share_format(uint32_t share, char *out)
{
    int len = snprintf(out, SHARE_TEXT_MAX, "%" PRIu32 ".%03" PRIu32, share / 1000, share % 1000);

    while (out[len - 1] == '0')
        len--;
    if (out[len - 1] == '.')
        len--;
    out[len++] = '%';
    out[len] = '\0';
    return out;
}

int bool_parse(struct str text, bool *value)
{
    bool is_true = str_eq(text, STR("true"));

    if (!is_true && !str_eq(text, STR("false")))
        return -1;
    *value = is_true;
    return 0;
}

/* --- suggestions ----------------------------------------------------------------------------- */

/* Units of other programs, in lower case, and what they are called here. */
struct other_unit {
    const char *other, *ours;
};

/* `text` with the unit of another program replaced by ours. */
static bool suggest_unit(struct str text, const struct other_unit *units, size_t count, char *out)
{
    struct str number = text, unit = cut_unit(&number);

    for (size_t i = 0; i < count; i++) {
        if (!str_eq_nocase(unit, str_of(units[i].other)))
            continue;
        return snprintf(out, SUGGESTION_MAX, "%.*s%s", STR_FMT(str_trim(number)), units[i].ours) <
               SUGGESTION_MAX;
    }
    return false;
}

bool share_suggest(struct str text, char *out)
{
    static const struct other_unit units[] = {
        {"", "%"}, {"percent", "%"}, {"pct", "%"}, {"prozent", "%"}};
    uint32_t share;

    return suggest_unit(text, units, ARRAY_LEN(units), out) &&
           share_parse(str_of(out), &share) == 0;
}

bool duration_suggest(struct str text, char *out)
{
    static const struct other_unit units[] = {
        {"", "s"},        {"s", "s"},       {"sec", "s"}, {"secs", "s"}, {"second", "s"},
        {"seconds", "s"}, {"msec", "ms"},   {"ms", "ms"}, {"min", "m"},  {"mins", "m"},
        {"minute", "m"},  {"minutes", "m"}, {"m", "m"},   {"h", "h"},    {"hr", "h"},
        {"hour", "h"},    {"hours", "h"},   {"d", "d"},   {"day", "d"},  {"days", "d"},
    };
    uint32_t ms;

    return suggest_unit(text, units, ARRAY_LEN(units), out) &&
           duration_parse(str_of(out), &ms) == 0;
}

bool size_suggest(struct str text, char *out)
{
    static const struct other_unit units[] = {
        {"k", "KiB"},   {"kb", "KiB"},  {"kib", "KiB"}, {"ki", "KiB"},  {"m", "MiB"},
        {"mb", "MiB"},  {"mib", "MiB"}, {"mi", "MiB"},  {"g", "GiB"},   {"gb", "GiB"},
        {"gib", "GiB"}, {"gi", "GiB"},  {"b", "B"},     {"bytes", "B"},
    };
    uint64_t bytes;

    return suggest_unit(text, units, ARRAY_LEN(units), out) && size_parse(str_of(out), &bytes) == 0;
}

bool bool_suggest(struct str text, char *out)
{
    static const struct other_unit words[] = {
        {"yes", "true"}, {"on", "true"},   {"y", "true"},  {"1", "true"},  {"true", "true"},
        {"no", "false"}, {"off", "false"}, {"n", "false"}, {"0", "false"}, {"false", "false"},
    };

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_eq_nocase(text, str_of(words[i].other))) {
            snprintf(out, SUGGESTION_MAX, "%s", words[i].ours);
            return true;
        }
    }
    return false;
}

/* --- host names ------------------------------------------------------------------------------ */

static bool is_label(struct str label)
{
    if (label.len == 0 || label.len > 63)
        return false;
    for (size_t i = 0; i < label.len; i++) {
        char c = ascii_lower(label.ptr[i]);
        if (!ascii_is_digit(c) && !(c >= 'a' && c <= 'z') && c != '-' && c != '_')
            return false;
    }
    return true;
}

static bool is_ip_literal(struct str text)
{
    char canonical[ADDR_TEXT_MAX];

    return text.len > 2 && text.ptr[text.len - 1] == ']' &&
           ip_literal_canonical(str_make(text.ptr + 1, text.len - 2), canonical) > 0;
}

bool is_host_name(struct str text)
{
    struct str label;

    if (text.len > 0 && text.ptr[0] == '[')
        return is_ip_literal(text);
    if (text.len > 0 && text.ptr[text.len - 1] == '.')
        text.len--;
    if (text.len == 0 || text.len > HOST_NAME_MAX_BYTES || text.ptr[text.len - 1] == '.')
        return false;
    while (str_next(&text, '.', &label)) {
        if (!is_label(label))
            return false;
    }
    return true;
}
