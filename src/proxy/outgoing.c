/* The head that an attempt sends: a copy of the client's, with weir's own fields, the path and Host
 * that the rule makes of it, and the configured header rules. The client's head stays as it came
 * (but for what arrival has removed), so that a second attempt, or one at another group, begins with
 * the same. */
#include "proxy/exchange_impl.h"

/* Max-Forwards of TRACE and OPTIONS counts down (RFC 9110 section 7.6.2). It is not zero: then the
 * request ends here. A number above our maximum is sent on as that maximum. */
static void count_forwards_down(struct head *head)
{
    uint64_t forwards;

    if (LIKELY(head->first[HEADER_MAX_FORWARDS] == 0) || !max_forwards(head, &forwards))
        return;
    char *text = arena_alloc_aligned(head->arena, 20, 1); /* UINT64_MAX has 20 digits */
    head_set(head, HEADER_MAX_FORWARDS, str_make(text, u64_to_dec(forwards - 1, text)));
}

bool max_forwards(const struct head *head, uint64_t *forwards)
{
    struct str value = head_value(head, HEADER_MAX_FORWARDS);

    if ((head->method != METHOD_OPTIONS && head->method != METHOD_TRACE) || value.len == 0)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        if (!ascii_is_digit(value.ptr[i]))
            return false; /* an invalid number is forwarded as it came */
    }
    if (str_to_u64(value, forwards) < 0)
        *forwards = UINT64_MAX;
    return true;
}

struct head *outgoing_begin(struct exchange *x)
{
    struct head *head = head_copy(x->request);

    x->outgoing = head;
    return head;
}

enum reason outgoing_head(struct exchange *x, const struct group_conf *group, struct head **out)
{
    struct head *head = outgoing_begin(x);
    enum reason reason = x->listener->router >= 0 ? rewrite_target(x, head) : REASON_NONE;

    if (reason != REASON_NONE)
        return reason;
    count_forwards_down(head);
    rewrite_forwarding(x, head);
    header_rules_request(x, head);
    head->names = name_case_of(group->header_case);
    *out = head;
    return REASON_NONE;
}
