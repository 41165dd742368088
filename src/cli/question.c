/* From the parts of a request to the facts that a router looks at. What the codecs refuse before
 * any router is asked is refused here too, so that the tools answer as the proxy does. */
#include "cli/question.h"

#include "base/utf8.h"
#include "http/chars.h"
#include "http/head.h"
#include "proxy/forwarded.h"
#include "route/arrival.h"

/* --- the parts ------------------------------------------------------------------------------- */

void question_init(struct question *question)
{
    question->field_count = 0;
    arena_init(&question->arena, NULL);
    question_reset(question);
}

void question_reset(struct question *question)
{
    question->method = STR("GET");
    question->authority = (struct str){"", 0};
    question->path = STR("/");
    question->client = (struct str){"", 0};
    question->trust = TRUST_BY_CLIENT;
    question->is_http10 = question->lacks_host = false;
    question->field_count = 0;
    if (question->arena.chunks != NULL)
        arena_reset(&question->arena);
}

void question_deinit(struct question *question)
{
    arena_reset(&question->arena);
}

static bool has_blank_or_control(struct str path)
{
    for (size_t i = 0; i < path.len; i++) {
        if ((unsigned char)path.ptr[i] <= ' ' || path.ptr[i] == 0x7f)
            return true;
    }
    return false;
}

/* Takes "https://" off; a "://" behind the first slash is part of the path. */
static struct str without_scheme(struct str url)
{
    ptrdiff_t colon = str_find_char(url, ':');
    size_t len = colon >= 0 ? (size_t)colon : 0;
    struct str scheme = str_make(url.ptr, len);

    if (colon <= 0 || str_find_char(scheme, '/') >= 0 || str_find_char(scheme, '?') >= 0 ||
        !str_starts(str_skip(url, len), STR("://")))
        return url;
    return str_skip(url, len + 3);
}

const char *question_set_url(struct question *question, struct str url)
{
    ptrdiff_t fragment = str_find_char(url, '#');
    size_t len = 0;

    if (fragment >= 0)
        url.len = (size_t)fragment;
    url = without_scheme(url);
    while (len < url.len && url.ptr[len] != '/' && url.ptr[len] != '?')
        len++;
    question->authority = str_make(url.ptr, len);
    struct str path = str_skip(url, len);
    if (has_blank_or_control(path))
        return "the URL has characters that must be percent-encoded";
    question->raw_path = path;
    if (!utf8_escape(&question->arena, path, &path))
        return "the URL has bytes that are not UTF-8";
    if (path.len == 0)
        path = STR("/");
    if (path.ptr[0] == '?')
        path = arena_join(&question->arena, STR("/"), path);
    question->path = path;
    return NULL;
}

const char *question_set_method(struct question *question, struct str method)
{
    if (!token_is_valid(method))
        return "not a method";
    if (str_eq(method, STR("CONNECT")))
        return "CONNECT is never routed";
    question->method = method;
    return NULL;
}

const char *question_add_field(struct question *question, struct str name, struct str value)
{
    if (!token_is_valid(name))
        return "not the name of a header field";
    if (question->field_count == QUESTION_FIELDS_MAX)
        return "too many header fields";
    for (size_t i = 0; i < value.len; i++) {
        if ((unsigned char)value.ptr[i] < ' ' && value.ptr[i] != '\t')
            return "control characters in a header field";
    }
    question->fields[question->field_count++] = (struct question_field){name, str_trim(value)};
    return NULL;
}

const char *question_add_line(struct question *question, struct str line)
{
    struct str name, value;

    if (!str_cut(line, ':', &name, &value) || name.len == 0)
        return "a header is written 'Name: value'";
    value = str_trim(value);
    if (value.len == 0 && str_eq_nocase(name, STR("host"))) {
        question->lacks_host = true;
        return NULL;
    }
    return question_add_field(question, name, value);
}

const char *question_set_http(struct question *question, struct str version)
{
    question->is_http10 = str_eq(version, STR("1.0"));
    return question->is_http10 || str_eq(version, STR("1.1")) ? NULL
                                                              : "http must be \"1.0\" or \"1.1\"";
}

/* --- the judge ------------------------------------------------------------------------------- */

static int router_find(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->router_count; i++) {
        if (name == NULL || str_eq(config->routers[i].name, str_of(name)))
            return (int)i;
    }
    return -1;
}

int judge_init(struct judge *judge, const struct config *config, const char *name, struct err *err)
{
    int index = router_find(config, name);

    *judge = (struct judge){.config = config, .dice = rand_seed()};
    if (index < 0 && name == NULL)
        return err_set(err, "%s has no router", config->file.ptr);
    if (index < 0)
        return err_set(err, "there is no router \"%s\"", name);
    judge->conf = &config->routers[index];
    judge->router = router_new(config, (size_t)index, err);
    if (judge->router == NULL)
        return -1;
    judge->listener = arrival_listener(config, (size_t)index);
    return 0;
}

void judge_deinit(struct judge *judge)
{
    router_free(judge->router);
    judge->router = NULL;
}

/* --- facts ----------------------------------------------------------------------------------- */

static struct str field_find(const void *arg, struct str name, unsigned *from)
{
    const struct question *question = arg;

    while (*from < question->field_count) {
        const struct question_field *field = &question->fields[(*from)++];
        if (str_eq_nocase(field->name, name))
            return field->value;
    }
    return (struct str){NULL, 0};
}

/* Every value of a field in one; ptr NULL when there is none. */
static struct str field_joined(struct question *question, struct str name, struct str separator)
{
    struct str all = {NULL, 0};

    for (unsigned i = 0; i < question->field_count; i++) {
        const struct question_field *field = &question->fields[i];
        if (field->name.len != name.len || !str_eq_nocase(field->name, name))
            continue;
        if (all.ptr == NULL) {
            all = field->value;
            continue;
        }
        all = arena_join(&question->arena, all, separator);
        all = arena_join(&question->arena, all, field->value);
    }
    return all;
}

static void client_behind(const struct listener_conf *listener, struct question *question)
{
    struct forwarded_client behind =
        forwarded_client(listener, field_joined(question, STR("x-forwarded-for"), STR(", ")),
                         field_joined(question, STR("forwarded"), STR(", ")));

    if (behind.is_known)
        addr_ip_bytes(&behind.addr, question->facts.client_ip);
}

static const char *client_facts(const struct judge *judge, struct question *question,
                                bool *is_trusted)
{
    struct addr addr;

    *is_trusted = question->trust != TRUST_NO;
    if (question->client.len == 0)
        return NULL;
    if (addr_parse_ip(question->client, 0, &addr) < 0)
        return "the client is not an IP address";
    addr_ip_bytes(&addr, question->facts.client_ip);
    const struct listener_conf *listener = judge->listener;
    bool is_proxy =
        listener != NULL && cidrs_contain(listener->trusted_proxies, listener->trusted_proxy_count,
                                          question->facts.client_ip);
    if (question->trust == TRUST_BY_CLIENT)
        *is_trusted = is_proxy;
    if (is_proxy)
        client_behind(listener, question);
    return NULL;
}

/* Exactly one Host, which may be missing in HTTP/1.0 only (RFC 9112 section 3.2). */
static void host_facts(struct question *question)
{
    unsigned count = 0;

    question->facts.host = question->lacks_host ? (struct str){"", 0} : question->authority;
    for (unsigned i = 0; i < question->field_count; i++) {
        const struct question_field *field = &question->fields[i];
        if (field->name.len != 4 || !str_eq_nocase(field->name, STR("host")))
            continue;
        question->facts.host = field->value;
        count++;
    }
    bool may_lack_host = question->is_http10 && count == 0;
    if (count > 1 || (question->facts.host.len == 0 && !may_lack_host))
        question->refusal = WHY_BAD_HOST;
}

/* Does Connection name a field that a client cannot have removed? The codec of the proxy says. */
static bool connection_is_bad(struct question *question)
{
    struct head head;

    if (field_joined(question, STR("connection"), STR(",")).ptr == NULL)
        return false;
    head_init(&head, &question->arena);
    for (unsigned i = 0; i < question->field_count; i++)
        head_add(&head, question->fields[i].name, question->fields[i].value);
    return head_strip_hop_by_hop(&head) != REASON_NONE;
}

/* Leaves out what the proxy takes out before it routes. */
static void fields_arrive(const struct judge *judge, struct question *question, bool is_trusted)
{
    const struct listener_conf *listener = judge->listener;
    bool is_strict = listener != NULL && listener->odd_names == ODD_NAMES_REJECT;
    unsigned kept = 0;

    for (unsigned i = 0; i < question->field_count; i++) {
        struct question_field field = question->fields[i];
        if (is_strict && arrival_name_is_odd(listener, field.name))
            question->refusal = WHY_ODD_NAME;
        if (arrival_keeps(listener, judge->conf, is_trusted, field.name))
            question->fields[kept++] = field;
    }
    question->field_count = kept;
}

/* The cookie that stands for the debug header, where there is none. */
static void cookie_debug_facts(const struct judge *judge, struct question *question)
{
    struct facts *facts = &question->facts;
    char *text = arena_alloc_aligned(&question->arena, facts->cookie.len + 1, 1);

    facts->has_debug = route_debug_cookie(&judge->conf->debug, facts->cookie, text,
                                          facts->cookie.len + 1, &facts->debug);
}

const char *judge_facts(struct judge *judge, struct question *question)
{
    struct facts *facts = &question->facts;
    bool is_trusted;

    *facts = (struct facts){
        .method = question->method,
        .path = question->path,
        .field = field_find,
        .field_arg = question,
        .random = rand_next(&judge->dice),
    };
    question->refusal = WHY_NONE;
    host_facts(question);
    if (question->refusal == WHY_NONE &&
        (!route_target_is_clear(facts->path) ||
         !arrival_takes_target(judge->listener, question->raw_path)))
        question->refusal = WHY_BAD_PATH;
    const char *error = client_facts(judge, question, &is_trusted);
    if (error != NULL || question->field_count == 0)
        return error;
    if (question->refusal == WHY_NONE && connection_is_bad(question))
        question->refusal = WHY_BAD_CONNECTION;
    fields_arrive(judge, question, is_trusted);
    facts->cookie = field_joined(question, STR("cookie"), STR("; "));
    if (is_trusted && judge->conf->debug.enabled) {
        facts->debug = field_joined(question, judge->conf->debug.header, STR(", "));
        facts->has_debug = facts->debug.ptr != NULL;
        if (!facts->has_debug && facts->cookie.len > 0)
            cookie_debug_facts(judge, question);
    }
    return NULL;
}

struct decision judge_decide(const struct judge *judge, const struct question *question)
{
    if (question->refusal != WHY_NONE)
        return route_refuse(question->refusal);
    return route_decide(judge->router, router_weights(judge->router), &question->facts);
}
