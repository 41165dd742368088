/* Which failed tries may be made again: each case differs from a harmless one in what it names. */
#include "proxy/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
    const char *what;
    struct failed_try failed;
    enum again again;
} cases[] = {
    {"a refused connection", {.reason = REASON_UPSTREAM_REFUSED, .max_retries = 1}, AGAIN_RETRY},
    {"no retries are allowed", {.reason = REASON_UPSTREAM_REFUSED}, AGAIN_NO},
    {"all retries are made",
     {.reason = REASON_UPSTREAM_REFUSED, .retries = 2, .max_retries = 2},
     AGAIN_NO},
    {"the response has begun",
     {.reason = REASON_UPSTREAM_REFUSED, .max_retries = 1, .is_answered = true},
     AGAIN_NO},
    {"the body is not kept",
     {.reason = REASON_UPSTREAM_REFUSED, .max_retries = 1, .lacks_body = true},
     AGAIN_NO},
    {"an interim response came: the upstream has read the request",
     {.reason = REASON_UPSTREAM_REFUSED, .max_retries = 1, .has_interim = true},
     AGAIN_NO},
    {"a pooled connection was gone: not a retry",
     {.reason = REASON_UPSTREAM_RESET, .was_reused = true, .is_unread = true},
     AGAIN_RACE},
    {"only once",
     {.reason = REASON_UPSTREAM_RESET, .was_reused = true, .is_unread = true, .has_raced = true},
     AGAIN_NO},
    {"then it is a retry",
     {.reason = REASON_UPSTREAM_RESET,
      .was_reused = true,
      .is_unread = true,
      .has_raced = true,
      .max_retries = 1},
     AGAIN_RETRY},
    {"unread on a fresh connection is a retry",
     {.reason = REASON_UPSTREAM_RESET, .is_unread = true, .max_retries = 1},
     AGAIN_RETRY},
    {"a reset on a fresh connection may mean that the request was processed",
     {.reason = REASON_UPSTREAM_RESET, .is_idempotent = true, .max_retries = 1},
     AGAIN_NO},
    {"an idempotent request on a stale connection",
     {.reason = REASON_UPSTREAM_RESET, .was_reused = true, .is_idempotent = true, .max_retries = 1},
     AGAIN_RETRY},
    {"a POST on a stale connection is not doubled",
     {.reason = REASON_UPSTREAM_RESET, .was_reused = true, .max_retries = 1},
     AGAIN_NO},
    {"nor is a request whose body was sent",
     {.reason = REASON_UPSTREAM_RESET,
      .was_reused = true,
      .is_idempotent = true,
      .sent_body = true,
      .max_retries = 1},
     AGAIN_NO},
    {"a timeout is never tried again",
     {.reason = REASON_UPSTREAM_TIMEOUT,
      .was_reused = true,
      .is_idempotent = true,
      .max_retries = 9},
     AGAIN_NO},
};

static void each_failure_is_tried_again_only_where_it_is_safe(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum again again = retry_decide(&cases[i].failed);
        if (again != cases[i].again)
            fail_msg("%s: %d instead of %d", cases[i].what, again, cases[i].again);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failure_is_tried_again_only_where_it_is_safe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
