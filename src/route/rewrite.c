/* What the upstream gets where it differs from what the client sent: percent-encoding made uniform,
 * then the path and the host that a rule gives. Pure text work into the caller's buffer. */
#include "base/path.h"
#include "route/route_impl.h"

/* --- templates ------------------------------------------------------------------------------- */

int template_expand(const struct template_conf *template, variable_fn *variable, const void *arg,
                    char *out, size_t size, struct str *text)
{
    size_t len = 0;

    for (size_t i = 0; i < template->count; i++) {
        const struct part_conf *part = &template->parts[i];
        struct str piece = part->variable == VARIABLE_TEXT
                               ? part->text
                               : variable(arg, part->variable, part->text);
        if (piece.len > size - len)
            return -1;
        if (piece.len > 0)
            memcpy(out + len, piece.ptr, piece.len);
        len += piece.len;
    }
    *text = str_make(out, len);
    return 0;
}

/* --- percent-encoding ------------------------------------------------------------------------ */

static bool normalize_applies(const struct normalize_conf *normalize, struct str method)
{
    if (normalize == NULL)
        return false;
    for (size_t i = 0; i < normalize->method_count; i++) {
        if (str_eq(normalize->methods[i], method))
            return true;
    }
    return normalize->method_count == 0;
}

/* First what is to be decoded, then what is to be encoded; three bytes for one at worst. */
static int recode(const struct normalize_conf *normalize, struct str path, char *out, size_t size,
                  struct str *text)
{
    size_t len = 0;

    for (size_t at = 0; at < path.len; at++) {
        int byte = escape_at(path, at);
        unsigned char c = byte >= 0 ? (unsigned char)byte : (unsigned char)path.ptr[at];
        bool is_plain = byte < 0 || normalize->decode[c];
        if (size - len < 3)
            return -1;
        if (is_plain && !normalize->encode[c])
            out[len++] = (char)c;
        else
            len += escape_put(out + len, c);
        at += byte >= 0 ? 2 : 0;
    }
    *text = str_make(out, len);
    return 0;
}

/* --- what rewrites look at ------------------------------------------------------------------- */

struct subject {
    struct request request;
    const struct router *router;
    const struct rule_conf *rule;
    struct str path; /* as it stands now: received, normalised or made uniform; without query */
    struct str rest; /* where a template asks for it */
};

static struct str subject_variable(const void *arg, enum variable variable, struct str name)
{
    const struct subject *subject = arg;
    struct str value = {NULL, 0};

    switch (variable) {
    case VARIABLE_METHOD:
        return subject->request.facts->method;
    case VARIABLE_HOST:
        return subject->request.host;
    case VARIABLE_PATH:
        return subject->path;
    case VARIABLE_REST:
        return subject->rest;
    case VARIABLE_HEADER:
        return request_field(&subject->request, name);
    default:
        return value; /* what is known only to a connection has no place in a path */
    }
}

static const struct rewrite_conf *rewrite_find(const struct subject *subject)
{
    for (size_t i = 0; i < subject->rule->rewrite_count; i++) {
        const struct rewrite_conf *rewrite = &subject->rule->rewrites[i];
        if (rewrite->when == NULL || match_holds(rewrite->when, &subject->request))
            return rewrite;
    }
    return NULL;
}

/* --- putting it together --------------------------------------------------------------------- */

/* Takes `used` bytes off the buffer. */
struct space {
    char *at;
    size_t left;
};

static void take(struct space *space, struct str used)
{
    space->at += used.len;
    space->left -= used.len;
}

static bool is_path(struct str path)
{
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '?' || c == '#')
            return false;
    }
    return path.len > 0 && path.ptr[0] == '/' && path_is_clear(path);
}

static int rewrite_host(const struct subject *subject, const struct rewrite_conf *rewrite,
                        struct space *space, struct str *out)
{
    char canonical[HOST_BYTES_MAX];
    struct str text, host;

    if (rewrite->host.count == 0)
        return 0;
    if (template_expand(&rewrite->host, subject_variable, subject, space->at, space->left, &text) <
        0)
        return -1;
    if (host_canonical(text, canonical, sizeof(canonical), &host) < 0)
        return 0;
    take(space, text);
    *out = text;
    return 0;
}

static int rewrite_path(struct subject *subject, const struct rewrite_conf *rewrite,
                        struct space *space)
{
    struct str text;

    if (rewrite->path.count == 0)
        return 0;
    if (template_expand(&rewrite->path, subject_variable, subject, space->at, space->left, &text) <
        0)
        return -1;
    if (!is_path(text))
        return 0;
    take(space, text);
    subject->path = text;
    return 0;
}

/* What is behind the path that the rule asked for, of a path whose segments are resolved: what
 * cannot climb out of the template. */
static int find_rest(struct subject *subject, struct str received, bool is_recoded,
                     struct space *space)
{
    const struct path_match_conf *match =
        paths_match_find(&subject->rule->match, subject->request.path);
    struct str rest = received;

    if (!path_is_resolved(rest)) {
        if (path_normalize(rest, space->at, space->left, &rest) < 0)
            return -1;
        take(space, rest);
    }
    if (match != NULL)
        rest = path_skip_decoded(rest, match->path.len);
    rest = str_skip(rest, MIN(rest.len, (size_t)1));
    if (is_recoded) {
        if (recode(subject->rule->normalize, rest, space->at, space->left, &rest) < 0)
            return -1;
        take(space, rest);
    }
    subject->rest = rest;
    return 0;
}

/* The path that was made, and behind it the query that was sent. */
static int join_target(struct str path, struct str query, struct space *space, struct str *out)
{
    if (path.len + query.len > space->left)
        return -1;
    memcpy(space->at, path.ptr, path.len);
    if (query.len > 0)
        memcpy(space->at + path.len, query.ptr, query.len);
    *out = str_make(space->at, path.len + query.len);
    return 0;
}

bool route_rewrites(const struct router *router, const struct decision *decision)
{
    if (decision->rule < 0)
        return false;
    const struct rule_conf *rule = &router->conf->rules[decision->rule];
    return rule->rewrite_count > 0 || rule->normalize != NULL || router->conf->forwards_normalized;
}

static bool asks_for(const struct template_conf *template, enum variable variable)
{
    for (size_t i = 0; i < template->count; i++) {
        if (template->parts[i].variable == variable)
            return true;
    }
    return false;
}

static int rewrite_by_rule(struct subject *subject, struct space *space,
                           struct rewritten *rewritten)
{
    struct str received = subject->path;
    bool is_recoded = normalize_applies(subject->rule->normalize, subject->request.facts->method);

    if (is_recoded) {
        if (recode(subject->rule->normalize, received, space->at, space->left, &subject->path) < 0)
            return -1;
        take(space, subject->path);
    }
    const struct rewrite_conf *rewrite = rewrite_find(subject);
    if (rewrite == NULL)
        return 0;
    bool asks_for_rest =
        asks_for(&rewrite->path, VARIABLE_REST) || asks_for(&rewrite->host, VARIABLE_REST);
    if (asks_for_rest && find_rest(subject, received, is_recoded, space) < 0)
        return -1;
    if (rewrite_host(subject, rewrite, space, &rewritten->host) < 0)
        return -1;
    return rewrite_path(subject, rewrite, space);
}

/* The path in normal form, where the router sends it so. */
static int normalize_path(struct subject *subject, struct space *space)
{
    struct str normal;

    if (!subject->router->conf->forwards_normalized)
        return 0;
    if (path_normalize(subject->path, space->at, space->left, &normal) < 0)
        return -1;
    if (str_eq(normal, subject->path))
        return 0;
    take(space, normal);
    subject->path = normal;
    return 0;
}

int route_rewrite(const struct router *router, const struct facts *facts,
                  const struct decision *decision, char *out, size_t size,
                  struct rewritten *rewritten)
{
    char host_text[HOST_BYTES_MAX], path_text[PATH_TEXT_BYTES];
    struct subject subject = {.request = {.facts = facts, .router = router}, .router = router};
    struct space space = {out, size};
    struct str received, query;
    bool is_mobile;

    *rewritten = (struct rewritten){0};
    if (!route_rewrites(router, decision) || facts->path.len == 0 || facts->path.ptr[0] != '/')
        return 0;
    if (target_read(facts->path, path_text, &subject.request) < 0)
        return -1;
    if (facts->host.len > 0 &&
        host_read(facts->host, host_text, &subject.request.host, &is_mobile) < 0)
        return 0;
    subject.request.name = subject.request.host;
    ptrdiff_t mark = str_find_char(facts->path, '?');
    received = mark >= 0 ? str_make(facts->path.ptr, (size_t)mark) : facts->path;
    query = str_skip(facts->path, received.len);
    subject.rule = &router->conf->rules[decision->rule];
    subject.path = received;
    if (normalize_path(&subject, &space) < 0 || rewrite_by_rule(&subject, &space, rewritten) < 0)
        return -1;
    if (subject.path.ptr == received.ptr)
        return 0;
    return join_target(subject.path, query, &space, &rewritten->target);
}

/* --- the debug header as a cookie ------------------------------------------------------------ */

bool route_debug_cookie(const struct debug_conf *debug, struct str cookies, char *out, size_t size,
                        struct str *value)
{
    if (!debug->enabled || debug->cookie.len == 0 || cookies.len == 0)
        return false;
    struct str raw = cookie_find(cookies, debug->cookie);
    if (raw.ptr == NULL || raw.len > size)
        return false;
    size_t len = 0;
    for (size_t at = 0; at < raw.len; at++) {
        int byte = escape_at(raw, at);
        out[len++] = byte >= 0 ? (char)byte : raw.ptr[at];
        at += byte >= 0 ? 2 : 0;
    }
    *value = str_make(out, len);
    return true;
}
