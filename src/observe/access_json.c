/* One access log entry as one line of JSON. Bytes that a peer chose are escaped, so that the
 * line is one line of valid JSON and valid UTF-8, and does nothing to the terminal of its
 * reader. Documents are made with base/json.h. This file writes by itself, because it runs once
 * for each request: it allocates nothing and writes straight into the buffer of the log file. */
#include "observe/access_log.h"

#include "base/utf8.h"

#include <stdio.h>
#include <time.h>

/* The line so far. After a part that does not fit, nothing more is written. */
struct line {
    char *at, *end;
    bool is_full;
};

static void put(struct line *line, const char *ptr, size_t len)
{
    if (line->is_full || (size_t)(line->end - line->at) < len) {
        line->is_full = true;
        return;
    }
    if (len > 0)
        memcpy(line->at, ptr, len);
    line->at += len;
}

static void put_str(struct line *line, struct str s)
{
    put(line, s.ptr, s.len);
}

static void put_u64(struct line *line, uint64_t value)
{
    char digits[20];

    put(line, digits, u64_to_dec(value, digits));
}

/* Thousandths as a decimal number: 1234567 is 1234.567; always three decimals. */
static void put_thousandths(struct line *line, uint64_t value)
{
    char decimals[4] = {'.', (char)('0' + value / 100 % 10), (char)('0' + value / 10 % 10),
                        (char)('0' + value % 10)};

    put_u64(line, value / 1000);
    put(line, decimals, sizeof(decimals));
}

static void put_control(struct line *line, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

    put(line, escape, sizeof(escape));
}

/* The character at the start of `s`, escaped; how many bytes of `s` it was. */
static size_t put_escaped(struct line *line, struct str s)
{
    unsigned char c = (unsigned char)s.ptr[0];
    char escape[2] = {'\\', (char)c};

    if (c == '"' || c == '\\') {
        put(line, escape, sizeof(escape));
        return 1;
    }
    if (c < 0x20 || c == 0x7f) {
        put_control(line, c);
        return 1;
    }
    size_t len = utf8_sequence(s);
    if (len == 0) {
        put_str(line, STR("\\ufffd"));
        return 1;
    }
    /* U+0080 to U+009F are control characters too, and terminals act on them. */
    if (c == 0xc2 && (unsigned char)s.ptr[1] < 0xa0)
        put_control(line, (unsigned char)s.ptr[1]);
    else
        put(line, s.ptr, len);
    return len;
}

static bool is_plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; /* char is signed or not: both work */
}

enum { WORD = sizeof(uint64_t) };

/* The same for a whole word: a byte's highest bit is set where it is not plain. */
static bool is_plain_word(const char *at)
{
    const uint64_t each = UINT64_MAX / UINT8_MAX, high = each * 0x80;
    uint64_t word;

    memcpy(&word, at, WORD);
    uint64_t quote = word ^ each * '"', backslash = word ^ each * '\\', del = word ^ each * 0x7f;
    uint64_t less = (word - each * 0x20) & ~word;
    uint64_t equal =
        ((quote - each) & ~quote) | ((backslash - each) & ~backslash) | ((del - each) & ~del);
    return ((word | less | equal) & high) == 0;
}

/* How many bytes at the front need no escape. */
static size_t plain_length(struct str s)
{
    size_t plain = 0;

    while (plain + WORD <= s.len && is_plain_word(s.ptr + plain))
        plain += WORD;
    if (plain > 0 && plain + WORD > s.len && is_plain_word(s.ptr + s.len - WORD))
        return s.len; /* the last word overlaps the one before it */
    while (plain < s.len && is_plain(s.ptr[plain]))
        plain++;
    return plain;
}

static void put_text(struct line *line, struct str s)
{
    put(line, "\"", 1);
    while (s.len > 0) {
        size_t plain = plain_length(s);
        put(line, s.ptr, plain);
        s = str_skip(s, plain);
        if (s.len > 0)
            s = str_skip(s, put_escaped(line, s));
    }
    put(line, "\"", 1);
}

/* Adds ,"key":"value"; an unknown value is "-". */
static void put_field(struct line *line, struct str key, struct str value)
{
    put_str(line, key);
    put_text(line, value.len > 0 ? value : STR("-"));
}

static void put_number(struct line *line, struct str key, uint64_t value)
{
    put_str(line, key);
    put_u64(line, value);
}

static void put_ms(struct line *line, struct str key, uint32_t us)
{
    put_str(line, key);
    put_thousandths(line, us);
}

static void put_time(struct line *line, int64_t wall_us)
{
    /* Most entries start in the same second as the one before. */
    static _Thread_local time_t known = -1;
    static _Thread_local char date[24];
    time_t seconds = (time_t)(wall_us / 1000000);
    unsigned ms = (unsigned)(wall_us / 1000 % 1000);

    if (seconds != known) {
        struct tm tm;
        gmtime_r(&seconds, &tm);
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
        known = seconds;
    }
    char rest[5] = {'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10),
                    'Z'};
    put_str(line, STR("{\"time\":\""));
    put_str(line, str_of(date));
    put(line, rest, sizeof(rest));
    put(line, "\"", 1);
}

static void put_client(struct line *line, const uint8_t ip[16])
{
    static const uint8_t none[16], mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct addr addr = {0};
    char text[ADDR_TEXT_MAX] = "unix";

    if (memcmp(ip, none, sizeof(none)) != 0) {
        addr.in6.sin6_family = AF_INET6;
        memcpy(&addr.in6.sin6_addr, ip, 16);
        if (memcmp(ip, mapped, sizeof(mapped)) == 0) {
            addr.in.sin_family = AF_INET;
            memcpy(&addr.in.sin_addr, ip + 12, 4);
        }
        addr_format_ip(&addr, text);
    }
    put_field(line, STR(",\"client\":"), str_of(text));
}

static struct str protocol_word(uint8_t version)
{
    static const struct str words[] = {STR_INIT("HTTP/1.0"), STR_INIT("HTTP/1.1"),
                                       STR_INIT("HTTP/2")};

    return version < ARRAY_LEN(words) ? words[version] : STR("-");
}

static void put_share(struct line *line, const struct access_entry *entry)
{
    char digits[12];

    if (entry->has_share)
        put(line, digits, fraction_to_dec(entry->share, digits));
    else
        put_str(line, STR("null"));
}

size_t access_entry_json(const struct access_entry *entry, char *out, size_t size)
{
    struct line line = {.at = out, .end = out + size};

    put_time(&line, entry->start_wall_us);
    put_client(&line, entry->client_ip);
    put_field(&line, STR(",\"method\":"), entry->method);
    put_field(&line, STR(",\"host\":"), entry->host);
    put_field(&line, STR(",\"path\":"), entry->path);
    put_number(&line, STR(",\"status\":"), entry->status);
    put_number(&line, STR(",\"bytes\":"), entry->bytes_out);
    put_number(&line, STR(",\"bytes_in\":"), entry->bytes_in);
    put_field(&line, STR(",\"service\":"), entry->service);
    put_field(&line, STR(",\"side\":"), entry->side);
    put_field(&line, STR(",\"group\":"), entry->group);
    put_field(&line, STR(",\"endpoint\":"), entry->endpoint);
    put_field(&line, STR(",\"reason\":"),
              str_of(entry->reason < REASON_COUNT ? reason_word(entry->reason) : "-"));
    put_field(&line, STR(",\"why\":"), entry->why);
    put_ms(&line, STR(",\"duration_ms\":"), entry->duration_us);
    put_ms(&line, STR(",\"upstream_ms\":"), entry->upstream_us);
    put_ms(&line, STR(",\"connect_ms\":"), entry->connect_us);
    put_number(&line, STR(",\"retries\":"), entry->retries);
    put_field(&line, STR(",\"request_id\":"), entry->request_id);
    put_field(&line, STR(",\"tls\":"), entry->tls);
    put_str(&line,
            entry->tls_resumed ? STR(",\"tls_resumed\":true") : STR(",\"tls_resumed\":false"));
    put_field(&line, STR(",\"protocol\":"), protocol_word(entry->version));
    put_field(&line, STR(",\"user_agent\":"), entry->user_agent);
    put_field(&line, STR(",\"datacenter\":"), entry->datacenter);
    put_field(&line, STR(",\"listener\":"), entry->listener);
    put_field(&line, STR(",\"rule\":"), entry->rule);
    put_field(&line, STR(",\"dc_why\":"), entry->dc_why);
    put_field(&line, STR(",\"primary_if\":"), entry->primary_if);
    put_field(&line, STR(",\"error\":"), entry->error);
    put_field(&line, STR(",\"config\":"), entry->config);
    put_str(&line, STR(",\"share\":"));
    put_share(&line, entry);
    /* The last field, so that readers find it at the end of the line. */
    put_str(&line, STR(",\"bucket\":"));
    if (entry->has_bucket)
        put_u64(&line, entry->bucket);
    else
        put_str(&line, STR("null"));
    put_str(&line, STR("}\n"));
    return line.is_full ? 0 : (size_t)(line.at - out);
}

void text_add_json(struct text *text, struct str s)
{
    size_t most = s.len * 6 + 2; /* every byte as \u00xx */
    struct line line = {.at = text_room(text, most)};

    line.end = line.at + most;
    put_text(&line, s);
    ASSERT(!line.is_full);
    text->len = (size_t)(line.at - text->ptr);
    text->ptr[text->len] = '\0';
}
