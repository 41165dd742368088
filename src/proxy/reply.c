/* Answers that weir gives itself: short, plain, and saying why. */
#include "proxy/exchange_impl.h"

/* What every answer of ours says. */
static void add_common(struct proxy *proxy, const struct listener_conf *listener, struct head *head)
{
    head->names = name_case_of(listener->header_case);
    head_add_id(head, HEADER_DATE, proxy_date(proxy));
    if (listener->server_name.len > 0)
        head_add_id(head, HEADER_SERVER, listener->server_name);
}

void reply_refusal(struct downstream *downstream, struct head *head)
{
    const struct client *client = &downstream->client;

    add_common(client->proxy, client->listener->conf, head);
    header_rules_refusal(downstream, head);
}

/* Somebody else may read such a request otherwise, and then what follows it on the connection. */
static bool is_ambiguous(enum reason reason)
{
    return reason == REASON_BAD_CONNECTION || reason == REASON_ODD_NAME ||
           reason == REASON_BAD_HOST || reason == REASON_BAD_TARGET;
}

/* Head and body in one; the answer to HEAD has no body. */
static void reply(struct exchange *x, struct head *head, struct str body)
{
    bool has_body = response_has_body(x->request->method, head->status);

    head->content_length = (int64_t)body.len;
    add_common(x->proxy, x->listener, head);
    header_rules_reply(x, head);
    if (!x->request_ended || is_ambiguous(x->reason))
        head->close = true; /* what is left of the request is not waited for */
    exchange_enter(x, EXCHANGE_REPLYING);
    x->status = (uint16_t)head->status;
    x->response_started = true;
    if (!has_body || body.len == 0) {
        stream_send_head(x->down, head, END);
    } else {
        stream_send_head(x->down, head, MORE);
        stream_send_body(x->down, (struct slice){NULL, body.ptr, body.len}, END);
        x->bytes_out += body.len;
    }
    x->response_ended = true;
    exchange_close(x);
}

static struct head *new_head(struct exchange *x, int status)
{
    struct head *head = ARENA_NEW(x->down->arena, struct head);

    head_init_response(head, x->down->arena, status);
    return head;
}

static void add_reason(struct exchange *x, struct head *head, enum reason reason)
{
    if (x->client->is_trusted)
        head_add_id(head, HEADER_X_WEIR_REASON, str_of(reason_word(reason)));
    if (x->listener->show_group && x->group_conf != NULL)
        head_add_id(head, HEADER_X_WEIR_GROUP, x->group_conf->name);
}

/* What is said of a failure in one line. What failed behind weir concerns trusted clients only;
 * others get the name under which the failure stands in the log. */
static struct str failure_text(struct exchange *x, enum reason reason, int status)
{
    struct arena *arena = x->down->arena;
    struct str phrase = status_phrase(status);

    if (!x->client->is_trusted)
        return arena_printf(arena, "%d %.*s (request %.*s)", status, STR_FMT(phrase),
                            STR_FMT(x->request_id));
    if (x->group_conf == NULL)
        return arena_printf(arena, "%d %.*s: %s", status, STR_FMT(phrase), reason_word(reason));
    return arena_printf(arena, "%d %.*s: %s (group %.*s)", status, STR_FMT(phrase),
                        reason_word(reason), STR_FMT(x->group_conf->name));
}

/* `hint`: further lines of the body, or "". */
static void reply_text(struct exchange *x, enum reason reason, int status, struct str hint)
{
    struct head *head = new_head(x, status);
    struct str text = failure_text(x, reason, status);

    x->reason = reason;
    add_reason(x, head, reason);
    if (x->retry_after_s > 0)
        head_add(head, STR("Retry-After"), arena_printf(head->arena, "%u", x->retry_after_s));
    if (status == 405)
        head_add(head, STR("Allow"), STR(SESSION_ALLOW));
    if (x->is_grpc) {
        grpc_tell_failure(x, head, reason, text);
        reply(x, head, (struct str){0});
        return;
    }
    head_add_id(head, HEADER_CONTENT_TYPE, STR("text/plain; charset=utf-8"));
    text = arena_join(head->arena, text, STR("\n"));
    reply(x, head, arena_join(head->arena, text, hint));
}

void reply_reason(struct exchange *x, enum reason reason, int status)
{
    reply_text(x, reason, status, (struct str){0});
}

/* Only clients that may use the field get this far, so they may know the names too. */
void reply_debug_unknown(struct exchange *x, const struct debug_conf *debug, int status)
{
    struct arena *arena = x->down->arena;
    struct str hint = arena_printf(arena, "%.*s takes one of:\n", STR_FMT(debug->header));

    for (size_t i = 0; i < debug->backend_count; i++)
        hint = arena_printf(arena, "%.*s  backend=%.*s\n", STR_FMT(hint),
                            STR_FMT(debug->backends[i].name));
    reply_text(x, REASON_DEBUG_UNKNOWN, status, hint);
}

void reply_last_hop(struct exchange *x)
{
    struct head *head;

    if (x->request->method != METHOD_OPTIONS) {
        reply_reason(x, REASON_MAX_FORWARDS, reason_status(REASON_MAX_FORWARDS));
        return;
    }
    head = new_head(x, 204);
    x->reason = REASON_MAX_FORWARDS;
    add_reason(x, head, REASON_MAX_FORWARDS);
    head_add(head, STR("Allow"), STR(SESSION_ALLOW));
    reply(x, head, (struct str){0});
}

/* The authority without its port, which was that of the plain listener. */
static struct str without_port(struct str authority)
{
    size_t end = authority.len;

    while (end > 0 && ascii_is_digit(authority.ptr[end - 1]))
        end--;
    if (end > 0 && authority.ptr[end - 1] == ':')
        return str_make(authority.ptr, end - 1);
    return authority;
}

void reply_redirect_https(struct exchange *x)
{
    struct head *head = new_head(x, 308);
    struct str host = without_port(x->request->authority);
    struct str path = x->request->path.ptr[0] == '/' ? x->request->path : STR("/");
    uint16_t port = x->listener->redirect_port;

    x->reason = REASON_REDIRECT_HTTPS;
    head_add_id(
        head, HEADER_LOCATION,
        port == 443
            ? arena_printf(head->arena, "https://%.*s%.*s", STR_FMT(host), STR_FMT(path))
            : arena_printf(head->arena, "https://%.*s:%u%.*s", STR_FMT(host), port, STR_FMT(path)));
    reply(x, head, (struct str){0});
}

enum {
    LOCATION_MAX = 16 << 10,
    BODY_MAX = 256 << 10, /* with variables filled in */
};

static bool has_word(struct str text, struct str word)
{
    for (size_t at = 0; at + word.len <= text.len; at++) {
        if (str_eq_nocase(str_make(text.ptr + at, word.len), word))
            return true;
    }
    return false;
}

/* Clients choose many of the values, so they may not become markup. */
static variable_fn *variable_for(struct str type)
{
    if (has_word(type, STR("html")) || has_word(type, STR("xml")))
        return exchange_variable_html;
    return has_word(type, STR("json")) ? exchange_variable_json : exchange_variable;
}

static bool has_variable(const struct template_conf *template, enum variable variable)
{
    for (size_t i = 0; i < template->count; i++) {
        if (template->parts[i].variable == variable)
            return true;
    }
    return false;
}

/* A path with two slashes in front would be another host. */
static struct str on_this_host(const struct template_conf *template, struct str location)
{
    if (template->parts[0].variable == VARIABLE_TEXT)
        return location;
    while (location.len > 1 && location.ptr[0] == '/' &&
           (location.ptr[1] == '/' || location.ptr[1] == '\\'))
        location = str_skip(location, 1);
    return location;
}

static enum reason add_location(struct exchange *x, struct head *head,
                                const struct template_conf *template)
{
    struct str location;

    if (template->count == 0)
        return REASON_NONE;
    if (x->request->authority.len == 0 && has_variable(template, VARIABLE_HOST))
        return REASON_BAD_HOST; /* HTTP/1.0 that does not say where to */
    if (exchange_fill(x, template, exchange_variable, LOCATION_MAX, &location) < 0)
        return REASON_URI_TOO_LONG;
    head_add_id(head, HEADER_LOCATION, on_this_host(template, location));
    return REASON_NONE;
}

static struct str without_line_end(struct str text)
{
    while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
        text.len--;
    return text;
}

void reply_answer(struct exchange *x, const struct answer_conf *answer)
{
    struct head *head = new_head(x, answer->status);
    struct str body;

    bool is_grpc_failure = x->is_grpc && answer->status >= 400;

    if (answer->body.count > 0 && !is_grpc_failure)
        head_add_id(head, HEADER_CONTENT_TYPE, answer->type);
    enum reason reason = add_location(x, head, &answer->location);
    if (reason == REASON_NONE &&
        exchange_fill(x, &answer->body, variable_for(answer->type), BODY_MAX, &body) < 0)
        reason = REASON_URI_TOO_LONG;
    if (reason != REASON_NONE) {
        reply_reason(x, reason, reason_status(reason));
        return;
    }
    x->reason = REASON_ROUTE_ANSWER;
    add_reason(x, head, REASON_ROUTE_ANSWER);
    if (is_grpc_failure) {
        body = without_line_end(body);
        grpc_tell_failure(x, head, x->reason, body.len > 0 ? body : head->phrase);
        body = (struct str){0};
    }
    reply(x, head, body);
}
