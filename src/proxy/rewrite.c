/* Header rules: what a request carries on, what a response carries back, and which clients are
 * trusted.
 *
 * The trust boundary is one line: a peer in trusted_proxies (or on a unix socket) may say who the
 * client is and how it came; from all others those fields are removed and made anew. */
#include "base/field_names.h"
#include "http/chars.h"
#include "proxy/forwarded.h"
#include "proxy/proxy_impl.h"

#include <endian.h>

/* --- the client's address -------------------------------------------------------------------- */

/* All lines of a list field as one value. */
static struct str joined(const struct head *head, enum header_id id)
{
    return head_joined(head, id, STR(", "));
}

static bool has_field(const struct head *head, enum header_id id)
{
    return head->first[id] != 0;
}

/* The peer, or who a trusted peer says is behind it. */
static void find_client(struct exchange *x)
{
    const struct client *client = x->client;
    const struct head *head = x->request;
    char text[ADDR_TEXT_MAX];

    memcpy(x->client_ip, client->ip, sizeof(x->client_ip));
    memcpy(x->client_text, client->text, client->text_len);
    x->client_text_len = client->text_len;
    if (!client->is_trusted ||
        (!has_field(head, HEADER_X_FORWARDED_FOR) && !has_field(head, HEADER_FORWARDED)))
        return;
    struct forwarded_client behind = forwarded_client(
        x->listener, joined(head, HEADER_X_FORWARDED_FOR), joined(head, HEADER_FORWARDED));
    if (behind.is_unreadable)
        proxy_count(x->proxy, COUNTER_FORWARDED_UNREADABLE, 1);
    if (!behind.is_known)
        return;
    addr_ip_bytes(&behind.addr, x->client_ip);
    x->client_text_len = (uint8_t)MIN(addr_format_ip(&behind.addr, text), sizeof(x->client_text));
    memcpy(x->client_text, text, x->client_text_len);
}

/* --- requests -------------------------------------------------------------------------------- */

/* `old`, or what comes after it in a list. */
static struct str append(struct arena *arena, struct str old, struct str item)
{
    if (old.len == 0)
        return item;
    char *text = arena_alloc_aligned(arena, old.len + 2 + item.len, 1);
    memcpy(text, old.ptr, old.len);
    memcpy(text + old.len, ", ", 2);
    memcpy(text + old.len + 2, item.ptr, item.len);
    return str_make(text, old.len + 2 + item.len);
}

static void set_forwarded_for(const struct exchange *x, struct head *head)
{
    struct str peer = client_text(x->client);

    if (!x->listener->forwarded_for)
        return;
    head_set(head, HEADER_X_FORWARDED_FOR,
             append(head->arena, joined(head, HEADER_X_FORWARDED_FOR), peer));
}

static void set_client_ip(const struct exchange *x, struct head *head)
{
    switch (x->listener->client_ip) {
    case CLIENT_IP_SET:
        head_set(head, HEADER_X_CLIENT_IP, str_make(x->client_text, x->client_text_len));
        break;
    case CLIENT_IP_APPEND:
        head_set(head, HEADER_X_CLIENT_IP,
                 append(head->arena, joined(head, HEADER_X_CLIENT_IP), client_text(x->client)));
        break;
    case CLIENT_IP_OFF:
        break;
    }
}

/* Did the client use https? The word of a trusted peer counts, else how the request came to us; its
 * target says nothing. */
static bool client_uses_https(const struct exchange *x)
{
    const struct head *head = x->request;
    struct str proto = {0};

    if (x->client->is_trusted &&
        (has_field(head, HEADER_X_FORWARDED_PROTO) || has_field(head, HEADER_FORWARDED)))
        proto =
            forwarded_proto(joined(head, HEADER_X_FORWARDED_PROTO), joined(head, HEADER_FORWARDED));
    if (proto.len == 0)
        return x->listener->tls != NULL;
    return str_eq_nocase(proto, STR("https")) || str_eq_nocase(proto, STR("wss"));
}

static void find_scheme(struct exchange *x)
{
    x->request->scheme = x->listener->tls != NULL ? STR("https") : STR("http");
    x->is_https = client_uses_https(x);
}

static void set_forwarded_proto(const struct exchange *x, struct head *head)
{
    if (head_find(head, HEADER_X_FORWARDED_PROTO) == NULL)
        head_add_id(head, HEADER_X_FORWARDED_PROTO, x->is_https ? STR("https") : STR("http"));
}

/* Fields that only weir may set: the certificate that the client has shown. Where none
 * is asked for the fields are only taken away. */
static void set_client_cert(struct exchange *x)
{
    struct head *head = x->request;
    struct conn *conn = x->downstream->conn;

    for (int id = HEADER_X_CLIENT_CERT_VERIFIED; id <= HEADER_X_CLIENT_CERT_FINGERPRINT; id++) {
        if (head->first[id] != 0)
            head_remove(head, (enum header_id)id);
    }
    if (x->client->listener->tls == NULL || conn == NULL || !tls_asks_certificate(conn))
        return;
    const struct tls_peer *peer = tls_peer(conn);
    bool verified = peer != NULL && peer->is_verified;
    head_add_id(head, HEADER_X_CLIENT_CERT_VERIFIED, verified ? STR("true") : STR("false"));
    if (!verified)
        return;
    if (peer->subject.len > 0)
        head_add_id(head, HEADER_X_CLIENT_CERT_SUBJECT, peer->subject);
    if (peer->names.len > 0)
        head_add_id(head, HEADER_X_CLIENT_CERT_SAN, peer->names);
    head_add_id(head, HEADER_X_CLIENT_CERT_FINGERPRINT, peer->fingerprint);
}

/* Sixteen digits, the lowest nibble first. */
static void put_hex16(char *out, uint64_t bits)
{
    for (int half = 0; half < 2; half++) {
        uint64_t x = (uint32_t)(bits >> 32 * half); /* a nibble into each byte */
        x = (x << 16 | x) & 0x0000ffff0000ffff;
        x = (x << 8 | x) & 0x00ff00ff00ff00ff;
        x = (x << 4 | x) & 0x0f0f0f0f0f0f0f0f;
        uint64_t is_letter = ((x + 0x0606060606060606) >> 4) & 0x0101010101010101;
        x += 0x3030303030303030 + is_letter * ('a' - '0' - 10); /* all digits at once */
        x = htole64(x);
        memcpy(out + 8 * half, &x, sizeof(x));
    }
}

/* A random UUID (RFC 9562 section 5.4: version 4 in digit 12, variant 8 to b in digit 16). */
static struct str make_uuid(struct exchange *x)
{
    enum { TEXT_LEN = 36 };
    uint64_t low = rand_next(&x->proxy->dice), high = rand_next(&x->proxy->dice);
    char *text = arena_alloc_aligned(x->request->arena, TEXT_LEN, 1);
    char digits[32];

    put_hex16(digits, (low & ~(UINT64_C(15) << 48)) | UINT64_C(4) << 48);
    put_hex16(digits + 16, (high & ~UINT64_C(12)) | 8);
    memcpy(text, "........-....-....-....-............", TEXT_LEN);
    memcpy(text, digits, 8);
    memcpy(text + 9, digits + 8, 4);
    memcpy(text + 14, digits + 12, 4);
    memcpy(text + 19, digits + 16, 4);
    memcpy(text + 24, digits + 20, 12);
    return str_make(text, TEXT_LEN);
}

static void find_request_id(struct exchange *x)
{
    struct str given = head_value(x->request, HEADER_X_REQUEST_ID);

    x->request_id = given.len > 0 ? given : make_uuid(x);
}

static void set_request_id(const struct exchange *x, struct head *head)
{
    if (head_value(head, HEADER_X_REQUEST_ID).len == 0)
        head_set(head, HEADER_X_REQUEST_ID, x->request_id);
}

/* RFC 9110 section 7.6.3: the version that was received, and who we are. */
static void add_via(struct head *head, struct str name)
{
    static const struct str versions[] = {
        [HTTP_1_0] = STR_INIT("1.0 "), [HTTP_1_1] = STR_INIT("1.1 "), [HTTP_2] = STR_INIT("2 ")};

    if (name.len == 0)
        return;
    struct str item = arena_join(head->arena, versions[head->version], name);
    struct str old = head->first[HEADER_VIA] != 0 ? joined(head, HEADER_VIA) : (struct str){0};
    head_set(head, HEADER_VIA, append(head->arena, old, item));
}

static bool has_odd_name(const struct field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].id == HEADER_OTHER && field_name_is_odd(fields[i].name))
            return true;
    }
    return false;
}

static enum reason check_names(struct exchange *x)
{
    switch (x->listener->odd_names) {
    case ODD_NAMES_DROP: {
        unsigned dropped = head_remove_odd_names(x->request);
        if (dropped > 0)
            proxy_count(x->proxy, COUNTER_ODD_NAMES_DROPPED, dropped);
        return REASON_NONE;
    }
    case ODD_NAMES_REJECT:
        return has_odd_name(x->request->fields, x->request->field_count) ? REASON_ODD_NAME
                                                                         : REASON_NONE;
    case ODD_NAMES_KEEP:
        return REASON_NONE;
    }
    UNREACHABLE("every way is above");
}

static bool is_dropped(struct exchange *x, const struct field *field)
{
    bool is_odd = x->listener->odd_names != ODD_NAMES_KEEP && field->id == HEADER_OTHER &&
                  field_name_is_odd(field->name);

    if (is_odd)
        proxy_count(x->proxy, COUNTER_ODD_NAMES_DROPPED, 1);
    return is_odd || forwarding_family_has(field->name) || header_rules_name(x, field->name);
}

/* Nothing in trailers is worth a refusal: the request is on its way. */
size_t rewrite_trailers(struct exchange *x, struct field *fields, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (!is_dropped(x, &fields[i]))
            fields[kept++] = fields[i];
    }
    return kept;
}

/* What a client may not send is taken out before the hop-by-hop fields are, which conditions
 * see. */
enum reason rewrite_arrival(struct exchange *x)
{
    struct head *head = x->request;
    enum reason reason = check_names(x);

    find_client(x);
    set_client_cert(x);
    if (!x->client->is_trusted) {
        untrusted_remove(x);
        header_rules_arrival(x);
    }
    if (reason == REASON_NONE)
        reason = head_strip_hop_by_hop(head);
    find_request_id(x);
    find_scheme(x);
    return reason;
}

void rewrite_forwarding(const struct exchange *x, struct head *head)
{
    set_request_id(x, head);
    set_forwarded_for(x, head);
    set_client_ip(x, head);
    set_forwarded_proto(x, head);
    add_via(head, x->listener->via);
}

/* --- responses ------------------------------------------------------------------------------- */

static void show_group(struct exchange *x, struct head *head)
{
    head_remove(head, HEADER_X_WEIR_GROUP);
    head_remove(head, HEADER_X_WEIR_REASON);
    if (x->listener->show_group && x->group_conf != NULL)
        head_add_id(head, HEADER_X_WEIR_GROUP, x->group_conf->name);
}

enum reason rewrite_response(struct exchange *x, struct head *head)
{
    if (head_strip_hop_by_hop(head) != REASON_NONE)
        return REASON_UPSTREAM_PROTOCOL;
    head->names = name_case_of(x->listener->header_case);
    show_group(x, head);
    add_via(head, x->listener->via);
    if (head->first[HEADER_DATE] == 0)
        head_add_id(head, HEADER_DATE, proxy_date(x->proxy));
    if (head->first[HEADER_SERVER] == 0 && x->listener->server_name.len > 0)
        head_add_id(head, HEADER_SERVER, x->listener->server_name);
    header_rules_response(x, head);
    return REASON_NONE;
}
