/* See refusal_impl.h. Both codecs answer alike; only how it is written differs. */
#include "http/refusal_impl.h"

void refusal_init(struct head *head, struct arena *arena, struct session *session, int status,
                  size_t body_len)
{
    head_init_response(head, arena, status);
    head->content_length = (int64_t)body_len;
    head_add_id(head, HEADER_CONTENT_TYPE, STR("text/plain"));
    if (status == 405)
        head_add(head, STR("Allow"), STR(SESSION_ALLOW));
    if (session->owner->on_refusal != NULL)
        session->owner->on_refusal(session, head);
}

struct str refusal_text(const struct session *session, int status, enum reason reason)
{
    return session->hides_reasons ? status_phrase(status) : str_of(reason_word(reason));
}
