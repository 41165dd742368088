/* PCRE2 with everything bounded: steps, depth and memory of a match. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/regex.h"

#include <pcre2.h>
#include <stdlib.h>

enum { STEPS_MAX = 20000, DEPTH_MAX = 500, HEAP_KIB_MAX = 256, MATCH_BYTES = 512 };

struct regex {
    pcre2_code *code;             /* owns */
    pcre2_match_context *limits;  /* owns */
    pcre2_general_context *local; /* owns: memory of one match */
};

/* What a match writes to: one block for each thread, which is enough unless PCRE2 has to go without
 * its just-in-time compiler. */
static _Thread_local struct {
    _Alignas(max_align_t) char bytes[MATCH_BYTES];
    bool is_taken;
} block;

static void *local_alloc(size_t size, void *arg UNUSED)
{
    if (size > sizeof(block.bytes) || block.is_taken)
        return malloc(size);
    block.is_taken = true;
    return block.bytes;
}

static void local_free(void *memory, void *arg UNUSED)
{
    if (memory == block.bytes)
        block.is_taken = false;
    else
        free(memory);
}

static int compile(struct regex *regex, struct str pattern, struct err *err)
{
    PCRE2_SIZE at;
    int code;
    char text[256];

    regex->code = pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len,
                                PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY |
                                    PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C,
                                &code, &at, NULL);
    if (regex->code != NULL) {
        pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); /* without it matching is only slower */
        return 0;
    }
    pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof(text));
    return err_set(err, "%s at character %zu", text, (size_t)at + 1);
}

struct regex *regex_new(struct str pattern, struct err *err)
{
    struct regex *regex = mem_new(sizeof(*regex));

    regex->local = pcre2_general_context_create(local_alloc, local_free, NULL);
    regex->limits = pcre2_match_context_create(NULL);
    ASSERT(regex->local != NULL && regex->limits != NULL);
    pcre2_set_match_limit(regex->limits, STEPS_MAX);
    pcre2_set_depth_limit(regex->limits, DEPTH_MAX);
    pcre2_set_heap_limit(regex->limits, HEAP_KIB_MAX);
    if (compile(regex, pattern, err) == 0)
        return regex;
    regex_free(regex);
    return NULL;
}

void regex_free(struct regex *regex)
{
    if (regex == NULL)
        return;
    pcre2_code_free(regex->code);
    pcre2_match_context_free(regex->limits);
    pcre2_general_context_free(regex->local);
    free(regex);
}

enum regex_result regex_match(const struct regex *regex, struct str text)
{
    pcre2_match_data *data = pcre2_match_data_create(1, regex->local);

    if (data == NULL)
        return REGEX_LIMIT;
    int result = pcre2_match(regex->code, (PCRE2_SPTR)(text.ptr != NULL ? text.ptr : ""), text.len,
                             0, 0, data, regex->limits);
    pcre2_match_data_free(data);
    if (result == PCRE2_ERROR_NOMATCH)
        return REGEX_NO;
    return result >= 0 ? REGEX_YES : REGEX_LIMIT;
}
