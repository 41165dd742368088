/* See retry.h. Which reasons allow a retry is in the table of reasons (base/reason.h). */
#include "proxy/retry.h"

enum again retry_decide(const struct failed_try *failed)
{
    if (failed->is_answered || failed->lacks_body)
        return AGAIN_NO;
    bool is_unread = failed->is_unread && !failed->has_interim;
    if (is_unread && failed->was_reused && !failed->has_raced)
        return AGAIN_RACE;
    if (failed->retries >= failed->max_retries)
        return AGAIN_NO;
    if (is_unread)
        return AGAIN_RETRY;
    switch ((enum retry)reason_table[failed->reason].retry) {
    case RETRY_SAFE:
        return failed->has_interim ? AGAIN_NO : AGAIN_RETRY;
    case RETRY_IDEMPOTENT:
        return failed->was_reused && !failed->sent_body && failed->is_idempotent ? AGAIN_RETRY
                                                                                 : AGAIN_NO;
    case RETRY_NEVER:
        return AGAIN_NO;
    }
    UNREACHABLE("every kind of retry is above");
}
