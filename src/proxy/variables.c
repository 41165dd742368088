/* ${variables} of an exchange: what its request, its connection and its decision are. */
#include "proxy/exchange_impl.h"

/* --- values ---------------------------------------------------------------------------------- */

static struct str bool_text(bool value)
{
    return value ? STR("1") : STR("0");
}

static struct str number_text(const struct exchange *x, uint64_t value)
{
    char *text = arena_alloc_aligned(x->down->arena, 20, 1);

    return str_make(text, u64_to_dec(value, text));
}

static struct str or_dash(struct str text)
{
    return text.len > 0 ? text : STR("-");
}

/* "ECDHE-RSA-AES256-GCM-SHA384" and "TLS_AES_256_GCM_SHA384" are both "AES256…" and "AES-256…": the
 * bulk cipher and its hash, in the hyphens of TLS 1.2. */
static struct str short_cipher(const struct exchange *x, struct str cipher)
{
    static const struct str prefixes[] = {STR_INIT("ECDHE-RSA-"), STR_INIT("ECDHE-ECDSA-"),
                                          STR_INIT("DHE-RSA-"), STR_INIT("TLS_")};

    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        if (str_starts(cipher, prefixes[i])) {
            cipher = str_skip(cipher, prefixes[i].len);
            break;
        }
    }
    if (str_eq(cipher, STR("CHACHA20-POLY1305")))
        return STR("CHACHA20-POLY1305-SHA256");
    if (str_find_char(cipher, '_') < 0)
        return cipher;
    char *text = arena_alloc_aligned(x->down->arena, cipher.len, 1);
    for (size_t i = 0; i < cipher.len; i++)
        text[i] = cipher.ptr[i] == '_' ? '-' : cipher.ptr[i];
    return str_make(text, cipher.len);
}

static struct str tls_variable(const struct exchange *x, enum variable variable)
{
    static const struct conn_tls_info none;
    const struct conn_tls_info *tls =
        x->downstream->conn != NULL ? conn_tls_info(x->downstream->conn) : &none;

    if (!tls->is_tls)
        return STR("-");
    switch (variable) {
    case VARIABLE_TLS_VERSION:
        return or_dash(tls->version);
    case VARIABLE_TLS_CIPHER:
        return or_dash(tls->cipher);
    case VARIABLE_TLS_CIPHER_SHORT:
        return or_dash(short_cipher(x, tls->cipher));
    case VARIABLE_TLS_CURVE:
        return or_dash(tls->curve);
    case VARIABLE_TLS_AUTH:
        return or_dash(tls->auth);
    case VARIABLE_TLS_RESUMED:
        return bool_text(tls->resumed);
    default:
        return tls->resumed ? STR("reused") : STR("new");
    }
}

static struct str decision_variable(const struct exchange *x, enum variable variable)
{
    const struct config *config = x->serving->config;
    const struct decision *decision = &x->decision;

    switch (variable) {
    case VARIABLE_GROUP:
        return x->group_conf != NULL ? x->group_conf->name : STR("-");
    case VARIABLE_SIDE:
        return str_of(side_word(decision->side));
    case VARIABLE_SERVICE:
        if (x->listener->router < 0 || decision->service < 0)
            return STR("-");
        return config->routers[x->listener->router].services[decision->service].name;
    case VARIABLE_DATACENTER:
        return decision->datacenter >= 0 ? config->datacenters.names[decision->datacenter]
                                         : STR("-");
    case VARIABLE_WHY:
        return str_of(why_word(decision->why));
    case VARIABLE_BUCKET:
        return number_text(x, decision->bucket);
    default:
        return number_text(x, decision->share);
    }
}

static struct str path_of(struct str target)
{
    ptrdiff_t mark = str_find_char(target, '?');

    return mark >= 0 ? str_make(target.ptr, (size_t)mark) : target;
}

/* As it is sent to the upstream, as far as that is known by now; a hop-by-hop field as it came. */
static struct str header_variable(const struct exchange *x, struct str name)
{
    enum header_id id = header_lookup(name);
    const struct field *field = head_find_name(x->outgoing, name);

    if (field == NULL || id == HEADER_HOST || id == HEADER_COOKIE)
        return exchange_field(x, name);
    return field->value;
}

struct str exchange_variable(const void *arg, enum variable variable, struct str name)
{
    const struct exchange *x = arg;
    const struct head *head = x->request;

    switch (variable) {
    case VARIABLE_METHOD:
        return x->method;
    case VARIABLE_HOST:
        return exchange_host(x);
    case VARIABLE_PATH:
        return path_of(x->path);
    case VARIABLE_PATH_AND_QUERY:
        return x->path;
    case VARIABLE_SCHEME:
        return x->is_https ? STR("https") : STR("http");
    case VARIABLE_HTTP_VERSION:
        return http_version_word(head->version);
    case VARIABLE_HTTP_PROTOCOL:
        return head->version == HTTP_2 ? STR("h2") : STR("h1");
    case VARIABLE_IS_H2:
        return bool_text(head->version == HTTP_2);
    case VARIABLE_CLIENT_IP:
        return str_make(x->client_text, x->client_text_len);
    case VARIABLE_CLIENT_PORT:
        return number_text(x, x->client->port);
    case VARIABLE_REQUEST_ID:
        return x->request_id;
    case VARIABLE_TLS_VERSION:
    case VARIABLE_TLS_CIPHER:
    case VARIABLE_TLS_CIPHER_SHORT:
    case VARIABLE_TLS_CURVE:
    case VARIABLE_TLS_AUTH:
    case VARIABLE_TLS_RESUMED:
    case VARIABLE_TLS_SESSION:
        return tls_variable(x, variable);
    case VARIABLE_GROUP:
    case VARIABLE_SIDE:
    case VARIABLE_SERVICE:
    case VARIABLE_DATACENTER:
    case VARIABLE_WHY:
    case VARIABLE_BUCKET:
    case VARIABLE_SHARE:
        return decision_variable(x, variable);
    case VARIABLE_UPSTREAM_MS:
        return x->attempt.answered_us > 0 ? number_text(x, exchange_upstream_us(x) / 1000)
                                          : STR("-");
    case VARIABLE_HEADER:
        return header_variable(x, name);
    case VARIABLE_TEXT:
    case VARIABLE_REST:
    case VARIABLE_COUNT:
        return (struct str){0};
    }
    UNREACHABLE("exchange_variable");
}

/* --- templates ------------------------------------------------------------------------------- */

int exchange_fill(const struct exchange *x, const struct template_conf *template,
                  variable_fn *variable, size_t max, struct str *text)
{
    struct arena *arena = x->down->arena;
    struct str *pieces;
    size_t size = 0;

    if (template->count == 0) {
        *text = (struct str){"", 0};
        return 0;
    }
    if (template->count == 1 && template->parts[0].variable == VARIABLE_TEXT) {
        *text = template->parts[0].text;
        return 0;
    }
    pieces = ARENA_NEW_N(arena, struct str, template->count);
    for (size_t i = 0; i < template->count; i++) {
        const struct part_conf *part = &template->parts[i];
        pieces[i] =
            part->variable == VARIABLE_TEXT ? part->text : variable(x, part->variable, part->text);
        size += pieces[i].len;
        if (size > max)
            return -1;
    }
    char *at = arena_alloc_aligned(arena, size, 1);
    *text = str_make(at, size);
    for (size_t i = 0; i < template->count; i++) {
        if (pieces[i].len > 0)
            memcpy(at, pieces[i].ptr, pieces[i].len);
        at += pieces[i].len;
    }
    return 0;
}

/* --- values in bodies ------------------------------------------------------------------------ */

static struct str html_entity(char c)
{
    switch (c) {
    case '&':
        return STR("&amp;");
    case '<':
        return STR("&lt;");
    case '>':
        return STR("&gt;");
    case '"':
        return STR("&quot;");
    case '\'':
        return STR("&#39;");
    default:
        return (struct str){0};
    }
}

struct str exchange_variable_html(const void *arg, enum variable variable, struct str name)
{
    enum { ENTITY_MAX = 6 };
    const struct exchange *x = arg;
    struct str value = exchange_variable(arg, variable, name);
    char *text = arena_alloc_aligned(x->down->arena, value.len * ENTITY_MAX + 1, 1), *at = text;

    for (size_t i = 0; i < value.len; i++) {
        struct str entity = html_entity(value.ptr[i]);
        if (entity.len == 0)
            entity = str_make(value.ptr + i, 1);
        memcpy(at, entity.ptr, entity.len);
        at += entity.len;
    }
    return str_make(text, (size_t)(at - text));
}

struct str exchange_variable_json(const void *arg, enum variable variable, struct str name)
{
    const struct exchange *x = arg;
    struct text quoted = {0};

    text_add_json(&quoted, exchange_variable(arg, variable, name));
    struct str value = arena_str(x->down->arena, str_make(quoted.ptr + 1, quoted.len - 2));
    text_free(&quoted);
    return value;
}
