/* PCRE2 with everything bounded: steps, depth and memory of a match. What a match writes to lies on
 * the stack of its caller, so a compiled pattern holds no memory that belongs to a thread: it may
 * be made on one thread, matched on others and freed on any. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/regex.h"

#include <pcre2.h>
#include <stdlib.h>

enum { STEPS_MAX = 20000, DEPTH_MAX = 500, HEAP_KIB_MAX = 256, SCRATCH_BYTES = 512 };

struct regex {
    pcre2_code *code;            /* owns */
    pcre2_match_context *limits; /* owns */
};

/* --- memory of one match --------------------------------------------------------------------- */

/* Enough for a general context and the data of a match without captures. Without its just-in-time
 * compiler PCRE2 needs more, which comes from malloc. */
struct scratch {
    _Alignas(max_align_t) char bytes[SCRATCH_BYTES];
    size_t used;
};

static void *scratch_alloc(size_t size, void *arg)
{
    struct scratch *scratch = arg;
    size_t taken = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);

    if (size > SCRATCH_BYTES || taken > SCRATCH_BYTES - scratch->used)
        return malloc(size);
    void *memory = scratch->bytes + scratch->used;
    scratch->used += taken;
    return memory;
}

static void scratch_free(void *memory, void *arg)
{
    const struct scratch *scratch = arg;
    const char *at = memory;

    if (at < scratch->bytes || at >= scratch->bytes + SCRATCH_BYTES)
        free(memory);
}

/* --- doors ----------------------------------------------------------------------------------- */

/* "." is any byte: an encoded line feed in a path must not hide it from ".*". */
enum {
    OPTIONS = PCRE2_ANCHORED | PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF |
              PCRE2_NEVER_BACKSLASH_C,
};

static struct regex *compile(struct str pattern, uint32_t options, struct err *err)
{
    struct regex *regex = mem_new(sizeof(*regex));
    PCRE2_SIZE at;
    int code;
    char text[256];

    regex->limits = pcre2_match_context_create(NULL);
    ASSERT(regex->limits != NULL);
    pcre2_set_match_limit(regex->limits, STEPS_MAX);
    pcre2_set_depth_limit(regex->limits, DEPTH_MAX);
    pcre2_set_heap_limit(regex->limits, HEAP_KIB_MAX);
    regex->code = pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, options, &code, &at, NULL);
    if (regex->code != NULL)
        return regex;
    pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof(text));
    err_set(err, "%s at character %zu", text, (size_t)at + 1);
    regex_free(regex);
    return NULL;
}

struct regex *regex_new(struct str pattern, struct err *err)
{
    struct regex *regex = compile(pattern, OPTIONS | PCRE2_ENDANCHORED, err);

    if (regex != NULL)
        pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); /* without it matching is only slower */
    return regex;
}

void regex_free(struct regex *regex)
{
    if (regex == NULL)
        return;
    pcre2_code_free(regex->code);
    pcre2_match_context_free(regex->limits);
    free(regex);
}

/* What PCRE2 says of the text. */
static int match(const struct regex *regex, struct str text, uint32_t options)
{
    struct scratch scratch;

    scratch.used = 0; /* the bytes need no clearing */
    pcre2_general_context *memory =
        pcre2_general_context_create(scratch_alloc, scratch_free, &scratch);
    pcre2_match_data *data = memory != NULL ? pcre2_match_data_create(1, memory) : NULL;
    if (data == NULL) {
        pcre2_general_context_free(memory);
        return PCRE2_ERROR_NOMEMORY;
    }
    int result = pcre2_match(regex->code, (PCRE2_SPTR)(text.ptr != NULL ? text.ptr : ""), text.len,
                             0, options, data, regex->limits);
    pcre2_match_data_free(data);
    pcre2_general_context_free(memory);
    return result;
}

enum regex_result regex_match(const struct regex *regex, struct str text)
{
    int result = match(regex, text, 0);

    if (result == PCRE2_ERROR_NOMATCH)
        return REGEX_NO;
    return result >= 0 ? REGEX_YES : REGEX_LIMIT;
}

/* PCRE2 finds no partial matches of a pattern that is anchored at its end, so this one is not. */
bool regex_may_begin(struct str pattern, struct str beginning)
{
    struct err err;
    struct regex *regex = compile(pattern, OPTIONS, &err);
    bool may = regex == NULL || match(regex, beginning, PCRE2_PARTIAL_HARD) != PCRE2_ERROR_NOMATCH;

    regex_free(regex);
    return may;
}
