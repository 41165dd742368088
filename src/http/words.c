/* Names are recognised by a perfect hash that is found once, at start, from the table in words.h;
 * parsing pays one probe and one comparison. */
#include "http/words.h"

#include "base/hash.h"
#include "http/name_case.h"

/* --- names of fields -------------------------------------------------------------------------- */

enum { H = HEADER_HOP_BY_HOP, P = HEADER_PROTECTED, T = HEADER_NO_TRAILER, U = HEADER_UNIQUE };

static const struct header_info {
    struct str name;
    unsigned flags;
} header_table[HEADER_COUNT] = {[HEADER_OTHER] = {STR_INIT(""), 0},
#define X(id, text, flags) [HEADER_##id] = {STR_INIT(text), flags},
                                HEADERS(X)
#undef X
};

enum { NAME_SLOT_BITS = 11, NAME_SLOTS = 1 << NAME_SLOT_BITS, NAME_MAX_LEN = 32 };

static uint8_t name_slots[NAME_SLOTS];
static uint32_t name_multiplier;
static char proper_names[HEADER_COUNT][NAME_MAX_LEN];

/* Four bytes that tell the names apart, mixed by a multiplier that leaves no two in one slot. */
static inline uint32_t name_slot(struct str name, uint32_t multiplier)
{
    uint32_t first = (uint8_t)name.ptr[0] | 0x20, last = (uint8_t)name.ptr[name.len - 1] | 0x20;
    uint32_t middle = (uint8_t)name.ptr[name.len / 2] | 0x20;
    uint32_t other = (uint8_t)name.ptr[name.len * 3 / 4] | 0x20;
    uint32_t mix = first | middle << 8 | last << 16 | other << 24;

    return ((mix ^ (uint32_t)name.len * 0x9e3779b1u) * multiplier) >> (32 - NAME_SLOT_BITS);
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
__attribute__((constructor)) static void make_names_ready(void)
{
    uint64_t seed = 1;

    while (!try_multiplier((uint32_t)rand_next(&seed) | 1)) {
    }
    for (unsigned id = 1; id < HEADER_COUNT; id++)
        name_put_proper(proper_names[id], header_table[id].name);
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

struct str header_proper_name(enum header_id id)
{
    return str_make(proper_names[id], header_table[id].name.len);
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
