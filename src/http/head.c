/* The message model and the checks that do not depend on the codec. Names are recognised by a
 * perfect hash that is found once, at start, from the table in head.h; parsing pays one probe and
 * one compare. */
#include "http/head.h"

#include "base/hash.h"
#include "http/chars_impl.h"

/* --- names ----------------------------------------------------------------------------------- */

enum { H = HEADER_HOP_BY_HOP, P = HEADER_PROTECTED, T = HEADER_NO_TRAILER, U = HEADER_UNIQUE };

static const struct header_info {
    struct str name;
    unsigned flags;
} header_table[HEADER_COUNT] = {[HEADER_OTHER] = {STR_INIT(""), 0},
#define X(id, text, flags) [HEADER_##id] = {STR_INIT(text), flags},
                                HEADERS(X)
#undef X
};

enum { NAME_SLOTS = 512, NAME_MAX_LEN = 32 };

static uint8_t name_slots[NAME_SLOTS];
static uint32_t name_multiplier;

/* Four bytes that tell the names apart, mixed by a multiplier that leaves no two in one slot. */
static inline uint32_t name_slot(struct str name, uint32_t multiplier)
{
    uint32_t first = (uint8_t)name.ptr[0] | 0x20, last = (uint8_t)name.ptr[name.len - 1] | 0x20;
    uint32_t middle = (uint8_t)name.ptr[name.len / 2] | 0x20;
    uint32_t other = (uint8_t)name.ptr[name.len * 3 / 4] | 0x20;
    uint32_t mix = first | middle << 8 | last << 16 | other << 24;

    return ((mix ^ (uint32_t)name.len * 0x9e3779b1u) * multiplier) >> 23;
}

static bool try_multiplier(uint32_t multiplier)
{
    memset(name_slots, 0, sizeof(name_slots));
    for (unsigned id = 1; id < HEADER_COUNT; id++) {
        uint32_t slot = name_slot(header_table[id].name, multiplier);
        if (name_slots[slot] != 0)
            return false;
        name_slots[slot] = (uint8_t)id;
    }
    name_multiplier = multiplier;
    return true;
}

/* Runs before main, so that every thread finds the table ready. */
__attribute__((constructor)) static void find_perfect_hash(void)
{
    uint64_t seed = 1;

    while (!try_multiplier((uint32_t)rand_next(&seed) | 1)) {
    }
}

/* Bits in which eight bytes differ from what is in lower case; letters may differ in bit 5. Of what
 * the names in our table are made of, letters alone have bit 6. */
static inline uint64_t differs(uint64_t bytes, uint64_t lower)
{
    uint64_t is_letter = lower & 0x4040404040404040;

    return (bytes ^ lower) & ~(is_letter >> 1);
}

static inline uint64_t differs_8(const char *bytes, const char *lower)
{
    uint64_t a, b;

    memcpy(&a, bytes, sizeof(a));
    memcpy(&b, lower, sizeof(b));
    return differs(a, b);
}

static inline uint64_t differs_4(const char *bytes, const char *lower)
{
    uint32_t a, b;

    memcpy(&a, bytes, sizeof(a));
    memcpy(&b, lower, sizeof(b));
    return differs(a, b);
}

/* In words, of which the last may overlap the one before. */
static inline bool matches_lower(struct str name, struct str lower)
{
    size_t len = name.len;
    uint64_t all = 0;

    if (len != lower.len)
        return false;
    if (len < 4) {
        for (size_t i = 0; i < len; i++)
            all |= differs((uint8_t)name.ptr[i], (uint8_t)lower.ptr[i]);
    } else if (len < 8) {
        all = differs_4(name.ptr, lower.ptr) | differs_4(name.ptr + len - 4, lower.ptr + len - 4);
    } else {
        for (size_t i = 0; i + 8 < len; i += 8)
            all |= differs_8(name.ptr + i, lower.ptr + i);
        all |= differs_8(name.ptr + len - 8, lower.ptr + len - 8);
    }
    return all == 0;
}

enum header_id header_lookup(struct str name)
{
    if (name.len == 0 || name.len > NAME_MAX_LEN)
        return HEADER_OTHER;
    unsigned id = name_slots[name_slot(name, name_multiplier)];
    return matches_lower(name, header_table[id].name) ? (enum header_id)id : HEADER_OTHER;
}

struct str header_name(enum header_id id)
{
    return header_table[id].name;
}

unsigned header_flags(enum header_id id)
{
    return header_table[id].flags;
}

/* --- methods, versions, statuses ------------------------------------------------------------- */

static const struct {
    struct str name;
    bool idempotent; /* RFC 9110 section 9.2.2 */
} method_table[] = {
    [METHOD_OTHER] = {STR_INIT(""), false},          [METHOD_GET] = {STR_INIT("GET"), true},
    [METHOD_HEAD] = {STR_INIT("HEAD"), true},        [METHOD_POST] = {STR_INIT("POST"), false},
    [METHOD_PUT] = {STR_INIT("PUT"), true},          [METHOD_DELETE] = {STR_INIT("DELETE"), true},
    [METHOD_OPTIONS] = {STR_INIT("OPTIONS"), true},  [METHOD_TRACE] = {STR_INIT("TRACE"), true},
    [METHOD_PATCH] = {STR_INIT("PATCH"), false},     [METHOD_PURGE] = {STR_INIT("PURGE"), true},
    [METHOD_CONNECT] = {STR_INIT("CONNECT"), false},
};

enum method method_lookup(struct str name)
{
    for (unsigned i = 1; i < ARRAY_LEN(method_table); i++) {
        if (str_eq(name, method_table[i].name))
            return (enum method)i;
    }
    return METHOD_OTHER;
}

bool method_is_idempotent(enum method method)
{
    return method_table[method].idempotent;
}

struct str http_version_word(enum http_version version)
{
    static const struct str words[] = {
        [HTTP_1_0] = STR_INIT("HTTP/1.0"),
        [HTTP_1_1] = STR_INIT("HTTP/1.1"),
        [HTTP_2] = STR_INIT("HTTP/2"),
    };
    return words[version];
}

struct str status_phrase(int status)
{
    switch (status) {
    case 100:
        return STR("Continue");
    case 101:
        return STR("Switching Protocols");
    case 103:
        return STR("Early Hints");
    case 200:
        return STR("OK");
    case 201:
        return STR("Created");
    case 202:
        return STR("Accepted");
    case 204:
        return STR("No Content");
    case 206:
        return STR("Partial Content");
    case 301:
        return STR("Moved Permanently");
    case 302:
        return STR("Found");
    case 303:
        return STR("See Other");
    case 304:
        return STR("Not Modified");
    case 307:
        return STR("Temporary Redirect");
    case 308:
        return STR("Permanent Redirect");
    case 400:
        return STR("Bad Request");
    case 401:
        return STR("Unauthorized");
    case 403:
        return STR("Forbidden");
    case 404:
        return STR("Not Found");
    case 405:
        return STR("Method Not Allowed");
    case 408:
        return STR("Request Timeout");
    case 409:
        return STR("Conflict");
    case 410:
        return STR("Gone");
    case 411:
        return STR("Length Required");
    case 412:
        return STR("Precondition Failed");
    case 413:
        return STR("Content Too Large");
    case 414:
        return STR("URI Too Long");
    case 415:
        return STR("Unsupported Media Type");
    case 416:
        return STR("Range Not Satisfiable");
    case 417:
        return STR("Expectation Failed");
    case 421:
        return STR("Misdirected Request");
    case 422:
        return STR("Unprocessable Content");
    case 425:
        return STR("Too Early");
    case 426:
        return STR("Upgrade Required");
    case 428:
        return STR("Precondition Required");
    case 429:
        return STR("Too Many Requests");
    case 431:
        return STR("Request Header Fields Too Large");
    case 500:
        return STR("Internal Server Error");
    case 501:
        return STR("Not Implemented");
    case 502:
        return STR("Bad Gateway");
    case 503:
        return STR("Service Unavailable");
    case 504:
        return STR("Gateway Timeout");
    case 505:
        return STR("HTTP Version Not Supported");
    default:
        return STR("");
    }
}

bool response_has_body(enum method method, int status)
{
    return method != METHOD_HEAD && status >= 200 && status != 204 && status != 304;
}

/* --- fields ---------------------------------------------------------------------------------- */

void head_init(struct head *head, struct arena *arena)
{
    *head = (struct head){.arena = arena, .content_length = CONTENT_LENGTH_NONE};
}

void head_init_response(struct head *head, struct arena *arena, int status)
{
    head_init(head, arena);
    head->version = HTTP_1_1;
    head->status = status;
    head->phrase = status_phrase(status);
}

enum { FIELDS_FIRST_CAP = 32 };

static void grow_fields(struct head *head)
{
    uint16_t cap = head->field_cap > 0 ? (uint16_t)(head->field_cap * 2) : FIELDS_FIRST_CAP;
    struct field *fields = arena_alloc(head->arena, cap * sizeof(*fields));

    if (head->field_count > 0)
        memcpy(fields, head->fields, head->field_count * sizeof(*fields));
    head->fields = fields;
    head->field_cap = cap;
}

static struct field *add(struct head *head, struct str name, struct str value, enum header_id id)
{
    if (UNLIKELY(head->field_count == head->field_cap))
        grow_fields(head);

    struct field *field = &head->fields[head->field_count++];
    *field = (struct field){.name = name, .value = value, .id = (uint8_t)id};
    if (head->first[id] == 0)
        head->first[id] = head->field_count;
    return field;
}

struct field *head_add(struct head *head, struct str name, struct str value)
{
    return add(head, name, value, header_lookup(name));
}

struct field *head_add_id(struct head *head, enum header_id id, struct str value)
{
    return add(head, header_table[id].name, value, id);
}

/* The next live field with `id` at index `from` or later; NULL. */
static struct field *find_from(const struct head *head, enum header_id id, unsigned from)
{
    for (unsigned i = from; i < head->field_count; i++) {
        if (head->fields[i].id == id && !head->fields[i].removed)
            return &head->fields[i];
    }
    return NULL;
}

static struct field *find_next(const struct head *head, const struct field *after)
{
    return find_from(head, after->id, (unsigned)(after - head->fields) + 1);
}

struct field *head_find(const struct head *head, enum header_id id)
{
    if (head->first[id] == 0)
        return NULL;
    return find_from(head, id, head->first[id] - 1u);
}

struct field *head_find_name(const struct head *head, struct str name)
{
    enum header_id id = header_lookup(name);

    if (id != HEADER_OTHER)
        return head_find(head, id);
    for (unsigned i = 0; i < head->field_count; i++) {
        struct field *field = &head->fields[i];
        if (!field->removed && str_eq_nocase(field->name, name))
            return field;
    }
    return NULL;
}

unsigned head_count(const struct head *head, enum header_id id)
{
    unsigned count = 0;

    for (struct field *f = head_find(head, id); f != NULL; f = find_next(head, f))
        count++;
    return count;
}

struct str head_value(const struct head *head, enum header_id id)
{
    struct field *field = head_find(head, id);
    return field != NULL ? field->value : (struct str){0};
}

static char *put(char *at, struct str s)
{
    if (s.len > 0)
        memcpy(at, s.ptr, s.len);
    return at + s.len;
}

struct str head_joined(const struct head *head, enum header_id id, struct str between)
{
    struct field *first = head_find(head, id);
    size_t len = 0;

    if (first == NULL || find_next(head, first) == NULL)
        return first != NULL ? first->value : (struct str){0};
    for (struct field *f = first; f != NULL; f = find_next(head, f))
        len += f->value.len + between.len;

    char *text = arena_alloc_aligned(head->arena, len, 1), *at = put(text, first->value);
    for (struct field *f = find_next(head, first); f != NULL; f = find_next(head, f))
        at = put(put(at, between), f->value);
    return str_make(text, (size_t)(at - text));
}

void head_remove(struct head *head, enum header_id id)
{
    for (struct field *f = head_find(head, id); f != NULL; f = find_next(head, f))
        f->removed = true;
}

void head_set(struct head *head, enum header_id id, struct str value)
{
    struct field *first = head_find(head, id);

    if (first == NULL) {
        head_add_id(head, id, value);
        return;
    }
    for (struct field *f = find_next(head, first); f != NULL; f = find_next(head, f))
        f->removed = true;
    first->value = value;
}

bool head_has_token(const struct head *head, enum header_id id, struct str token)
{
    for (struct field *f = head_find(head, id); f != NULL; f = find_next(head, f)) {
        struct str rest = f->value, piece;
        while (str_next(&rest, ',', &piece)) {
            if (str_eq_nocase(str_trim(piece), token))
                return true;
        }
    }
    return false;
}

/* --- checks ---------------------------------------------------------------------------------- */

bool token_is_valid(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!char_is(text.ptr[i], CHAR_TOKEN))
            return false;
    }
    return text.len > 0;
}

bool field_value_is_valid(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!char_is(text.ptr[i], CHAR_VALUE))
            return false;
    }
    return true;
}

static bool port_is_valid(struct str port)
{
    uint64_t value;

    return port.len == 0 || (str_to_u64(port, &value) == 0 && value <= 65535);
}

static bool ip_literal_is_valid(struct str host)
{
    for (size_t i = 0; i < host.len; i++) {
        if (hex_value(host.ptr[i]) < 0 && host.ptr[i] != ':' && host.ptr[i] != '.')
            return false;
    }
    return host.len >= 2;
}

/* uri-host [ ":" port ] (RFC 9110 section 7.2); never userinfo, never empty. */
static bool authority_is_valid(struct str authority)
{
    struct str host, rest;

    if (authority.len > 0 && authority.ptr[0] == '[') {
        if (!str_cut(str_skip(authority, 1), ']', &host, &rest) || !ip_literal_is_valid(host))
            return false;
        return rest.len == 0 || (rest.ptr[0] == ':' && port_is_valid(str_skip(rest, 1)));
    }
    if (str_cut(authority, ':', &host, &rest) && !port_is_valid(rest))
        return false;
    for (size_t i = 0; i < host.len; i++) {
        if (!char_is(host.ptr[i], CHAR_HOST))
            return false;
    }
    return host.len > 0 && host.len <= 255;
}

/* The byte that begins at *at, with its escape undone; *at moves behind it. */
static int path_byte(struct str path, size_t *at)
{
    size_t i = (*at)++;

    if (path.ptr[i] != '%' || i + 2 >= path.len)
        return (unsigned char)path.ptr[i];
    int high = hex_value(path.ptr[i + 1]), low = hex_value(path.ptr[i + 2]);
    if (high < 0 || low < 0)
        return '%';
    *at = i + 3;
    return high * 16 + low;
}

/* One segment of a path as somebody behind us may read it. */
enum segment { SEGMENT_NAME, SEGMENT_EMPTY, SEGMENT_UP, SEGMENT_TRAP };

/* Reads the segment at *at up to its slash. A trap is "." or ".." for some servers and a name for
 * others: followed by ";…", or cut off by a backslash or an encoded slash; so is a control byte. */
static enum segment path_segment(struct str path, size_t *at)
{
    unsigned dots = 0;
    bool is_name = false, has_trap = false, has_hidden_slash = false;

    while (*at < path.len && path.ptr[*at] != '/') {
        bool is_escaped = path.ptr[*at] == '%';
        int c = path_byte(path, at);
        if (c < 0x20 || c == 0x7f)
            return SEGMENT_TRAP;
        if (c == ';' || c == '\\' || (c == '/' && is_escaped)) {
            has_trap |= !is_name && dots > 0 && dots <= 2;
            has_hidden_slash |= c != ';';
            is_name = c == ';';
            dots = 0;
        } else if (c == '.') {
            dots++;
        } else {
            is_name = true;
        }
    }
    if (has_trap || (has_hidden_slash && !is_name && dots > 0 && dots <= 2))
        return SEGMENT_TRAP;
    if (is_name || has_hidden_slash || dots > 2)
        return SEGMENT_NAME;
    return dots == 2 ? SEGMENT_UP : SEGMENT_EMPTY;
}

/* Does the path stay below its root, and does everybody read its segments alike? Empty segments
 * count for nothing, as in the form that is matched. */
static bool segments_are_valid(struct str path)
{
    unsigned depth = 0;

    for (size_t at = 0; at < path.len;) {
        at++; /* the slash */
        switch (path_segment(path, &at)) {
        case SEGMENT_NAME:
            depth++;
            break;
        case SEGMENT_EMPTY:
            break;
        case SEGMENT_UP:
            if (depth-- == 0)
                return false;
            break;
        case SEGMENT_TRAP:
            return false;
        }
    }
    return true;
}

static struct str without_query(struct str target)
{
    ptrdiff_t mark = str_find_char(target, '?');

    return mark >= 0 ? str_make(target.ptr, (size_t)mark) : target;
}

static bool has_dot_segment(struct str path)
{
    const char *end = path.ptr + path.len;

    for (const char *slash = path.ptr; slash != NULL && slash + 1 < end;
         slash = memchr(slash + 1, '/', (size_t)(end - slash - 1))) {
        if (slash[1] == '.')
            return true;
    }
    return false;
}

/* Is there a backslash, or a control, ".", "/", or backslash in disguise? Titles in most languages
 * are full of escapes that are none of these. */
static bool hides_something(struct str path)
{
    const char *end = path.ptr + path.len, *at = path.ptr;

    if (memchr(path.ptr, '\\', path.len) != NULL)
        return true;
    while ((at = memchr(at, '%', (size_t)(end - at))) != NULL && end - at >= 3) {
        char high = at[1], low = ascii_lower(at[2]);
        if (high == '0' || high == '1' || (high == '2' && (low == 'e' || low == 'f')) ||
            (high == '5' && low == 'c') || (high == '7' && low == 'f'))
            return true;
        at++;
    }
    return false;
}

/* Origin form. Most paths have no escape, no backslash and no segment that begins with a dot: one
 * pass says so. */
static bool origin_form_is_valid(struct str path)
{
    uint8_t all = CHAR_PATH, some = 0;

    for (size_t i = 0; i < path.len; i++) {
        uint8_t classes = char_table[(uint8_t)path.ptr[i]];
        all &= classes;
        some |= classes;
    }
    if (all == 0)
        return false;
    bool is_odd = ((some & CHAR_HIDES) != 0 && hides_something(path)) || has_dot_segment(path);
    return !is_odd || segments_are_valid(without_query(path));
}

static bool path_is_valid(const struct head *head)
{
    struct str path = head->path;

    if (head->method == METHOD_CONNECT)
        return true;
    if (head->method == METHOD_OPTIONS && str_eq(path, STR("*")))
        return true;
    return path.len > 0 && path.ptr[0] == '/' && origin_form_is_valid(path);
}

enum reason head_check_request(const struct head *head)
{
    bool may_lack_host = head->version == HTTP_1_0 && head->first[HEADER_HOST] == 0;

    if (!path_is_valid(head))
        return REASON_BAD_TARGET;
    if (head->authority.len == 0)
        return may_lack_host ? REASON_NONE : REASON_BAD_HOST;
    return authority_is_valid(head->authority) ? REASON_NONE : REASON_BAD_HOST;
}

/* --- hop by hop ------------------------------------------------------------------------------ */

/* A field that Connection names goes with this hop, unless it is one that must never be dropped on
 * a client's word. "close" and "keep-alive" are options, not fields; TE ends here, named or not. */
static enum reason strip_named(struct head *head, struct str name)
{
    enum header_id id = header_lookup(name);

    if (name.len == 0 || id == HEADER_KEEP_ALIVE || id == HEADER_TE ||
        str_eq_nocase(name, STR("close")))
        return REASON_NONE;
    if (!token_is_valid(name))
        return REASON_BAD_CONNECTION;
    if (id != HEADER_OTHER) {
        if (header_flags(id) & HEADER_PROTECTED)
            return REASON_BAD_CONNECTION;
        head_remove(head, id);
        return REASON_NONE;
    }
    for (unsigned i = 0; i < head->field_count; i++) {
        if (head->fields[i].id == HEADER_OTHER && str_eq_nocase(head->fields[i].name, name))
            head->fields[i].removed = true;
    }
    return REASON_NONE;
}

/* Sixteen bytes at a time, in whatever the processor has for it. */
typedef uint8_t block __attribute__((vector_size(16)));

static bool block_is_plain(block bytes)
{
    block letter = (bytes | 0x20) - 'a', digit = bytes - '0';
    block plain = (block)(letter < 26) | (block)(digit < 10) | (block)(bytes == '-');
    uint64_t halves[2];

    memcpy(halves, &plain, sizeof(halves));
    return (halves[0] & halves[1]) == UINT64_MAX;
}

/* A block of the first and the last `half` bytes, which may overlap; the rest is plain. */
static bool ends_are_plain(struct str name, size_t half)
{
    char text[sizeof(block)] = "----------------";
    block bytes;

    memcpy(text, name.ptr, half);
    memcpy(text + 8, name.ptr + name.len - half, half);
    memcpy(&bytes, text, sizeof(bytes));
    return block_is_plain(bytes);
}

bool field_name_is_odd(struct str name)
{
    if (name.len < 4) {
        for (size_t i = 0; i < name.len; i++) {
            if (!char_is(name.ptr[i], CHAR_PLAIN))
                return true;
        }
        return false;
    }
    if (name.len < 8)
        return !ends_are_plain(name, 4);
    for (size_t at = 0; at + sizeof(block) < name.len; at += sizeof(block)) {
        block bytes;
        memcpy(&bytes, name.ptr + at, sizeof(bytes));
        if (!block_is_plain(bytes))
            return true;
    }
    if (name.len <= sizeof(block))
        return !ends_are_plain(name, 8);
    block last;
    memcpy(&last, name.ptr + name.len - sizeof(last), sizeof(last));
    return !block_is_plain(last);
}

unsigned head_remove_odd_names(struct head *head)
{
    unsigned count = 0;

    for (unsigned i = 0; i < head->field_count; i++) {
        struct field *field = &head->fields[i];
        if (field->id != HEADER_OTHER || field->removed || !field_name_is_odd(field->name))
            continue;
        field->removed = true;
        count++;
    }
    return count;
}

static bool is_te_trailers(const struct head *head, const struct field *field)
{
    bool is_request = head->status == 0;

    return is_request && field->id == HEADER_TE && str_eq_nocase(field->value, STR("trailers"));
}

enum reason head_strip_hop_by_hop(struct head *head)
{
    for (struct field *f = head_find(head, HEADER_CONNECTION); f != NULL; f = find_next(head, f)) {
        struct str rest = f->value, piece;
        while (str_next(&rest, ',', &piece)) {
            enum reason reason = strip_named(head, str_trim(piece));
            if (reason != REASON_NONE)
                return reason;
        }
    }
    for (unsigned i = 0; i < head->field_count; i++) {
        struct field *field = &head->fields[i];
        if ((header_table[field->id].flags & HEADER_HOP_BY_HOP) && !is_te_trailers(head, field))
            field->removed = true;
    }
    return REASON_NONE;
}
