/* An HTTP/1 upstream connection is used again only after a complete response that had no bytes
 * after it and did not announce the end of the connection. The connection of an upstream that
 * responds to a request that it has not read is closed, because its bytes cannot be assigned to a
 * request. */
#include "worker_judge_impl.h"

/* Can the connection carry another request after the one of that index? */
static bool stays_open(const struct peer *p, size_t index)
{
    const struct messages *answers = &p->sent1.messages;

    return index < answers->count && answers->items[index].is_whole &&
           !answers->items[index].says_close && answers->items[index].status != 101 &&
           !p->got1.messages.items[index].says_close;
}

/* Behind a request to upgrade comes nothing before the upstream has said 101. */
static bool is_raw_too_soon(const struct peer *p)
{
    const struct messages *asked = &p->got1.messages, *answers = &p->sent1.messages;

    return p->got1.place == AT_RAW && asked->items[asked->count - 1].body_bytes > 0 &&
           (answers->count < asked->count || answers->items[asked->count - 1].status != 101);
}

void judge_reuse(const struct peer *p, size_t asked_before)
{
    if (p->is_client || p->speaks != SPEAKS_ONE || p->is_blind)
        return;
    expect(!is_raw_too_soon(p), "a refused upgrade is the last request");
    for (size_t i = MAX(asked_before, (size_t)1); i < p->got1.messages.count; i++) {
        expect(stays_open(p, i - 1), "a connection is used again only after a complete response");
        expect(!p->is_spoiled, "a connection is used again only without surplus bytes");
    }
}

/* Does an upstream send bytes after it has answered all requests? */
static bool says_too_much(const struct peer *p)
{
    const struct h1_reader *said = &p->sent1;
    size_t asked = p->got1.messages.count;
    bool is_at_end = said->place == AT_START || said->place == AT_NOTHING;

    return messages_whole(&said->messages) >= asked &&
           (said->messages.count > asked || !is_at_end || said->len > 0 || said->interims > 0 ||
            said->empty_lines > 0);
}

void judge_surplus(void)
{
    for (size_t i = 0; i < world.upstream_count; i++) {
        struct peer *p = &world.upstreams[i];
        if (p->speaks == SPEAKS_ONE && p->is_reading && !p->is_blind && says_too_much(p) &&
            peer_unread_bytes(p) == 0)
            p->is_spoiled = true;
    }
}
