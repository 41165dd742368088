/* The format is detected for each line: a log that was rotated in the middle of a change may
 * have two. */
#include "cli/diff/log_line.h"

#include "cli/scan.h"

/* --- weir's JSON ----------------------------------------------------------------------------- */

enum { TIME_BYTES = 34 }; /* {"time":"2023-09-01T00:00:00.000Z" */

struct log_fields {
    struct str method, host, path, client, why, bucket;
};

static struct str *field_of(struct log_fields *fields, struct str key)
{
    switch (key.len) {
    case 3:
        return str_eq(key, STR("why")) ? &fields->why : NULL;
    case 4:
        if (str_eq(key, STR("host")))
            return &fields->host;
        return str_eq(key, STR("path")) ? &fields->path : NULL;
    case 6:
        if (str_eq(key, STR("method")))
            return &fields->method;
        if (str_eq(key, STR("client")))
            return &fields->client;
        return str_eq(key, STR("bucket")) ? &fields->bucket : NULL;
    default:
        return NULL;
    }
}

/* weir writes the bucket last: then the line need not be read to its end. */
static struct str bucket_at_end(const char *line, size_t len)
{
    static const struct str key = STR_INIT("\"bucket\":");
    static const struct str none = STR_INIT("\"bucket\":null}");
    size_t end = len > 0 ? len - 1 : 0, start = end;

    if (len > none.len && str_eq(str_make(line + len - none.len, none.len), none))
        return str_make(line + end - 4, 4);
    while (start > 0 && ascii_is_digit(line[start - 1]))
        start--;
    if (start == end || start < key.len || line[end] != '}' ||
        !str_eq(str_make(line + start - key.len, key.len), key))
        return (struct str){NULL, 0};
    return str_make(line + start, end - start);
}

static bool has_all(const struct log_fields *fields)
{
    return fields->method.ptr != NULL && fields->host.ptr != NULL && fields->path.ptr != NULL &&
           fields->client.ptr != NULL && fields->why.ptr != NULL && fields->bucket.ptr != NULL;
}

/* Takes `text` if it comes next. */
static bool take(struct scan *scan, struct str text)
{
    if (!str_starts(str_make(scan->at, (size_t)(scan->end - scan->at)), text))
        return false;
    scan->at += text.len;
    return true;
}

/* The line as weir writes it: keys in their order, and nothing looked at that is not needed. A key
 * with its quotes cannot stand inside a string, where quotes are escaped. False when it is not so;
 * nothing has been changed by then, as a line with escapes is left alone. */
static bool read_own_fields(char *line, size_t len, struct log_fields *fields)
{
    static const struct str why = STR_INIT(",\"why\":");
    struct scan scan;

    if (len <= TIME_BYTES || fields->bucket.ptr == NULL || memchr(line, '\\', len) != NULL)
        return false;
    scan_init(&scan, line + TIME_BYTES, len - TIME_BYTES);
    if (!take(&scan, STR(",\"client\":")) || !scan_string(&scan, &fields->client) ||
        !take(&scan, STR(",\"method\":")) || !scan_string(&scan, &fields->method) ||
        !take(&scan, STR(",\"host\":")) || !scan_string(&scan, &fields->host) ||
        !take(&scan, STR(",\"path\":")) || !scan_string(&scan, &fields->path))
        return false;
    ptrdiff_t at = str_find(str_make(scan.at, (size_t)(scan.end - scan.at)), why);
    if (at < 0)
        return false;
    scan.at += (size_t)at + why.len;
    return scan_string(&scan, &fields->why);
}

static int read_fields(char *line, size_t len, struct log_fields *fields)
{
    struct scan scan;
    struct str key;

    *fields = (struct log_fields){.bucket = bucket_at_end(line, len)};
    if (read_own_fields(line, len, fields))
        return 0;
    *fields = (struct log_fields){.bucket = fields->bucket};
    scan_init(&scan, line, len);
    if (!scan_enter(&scan, SCAN_OBJECT))
        return -1;
    while (!has_all(fields) && scan_next_key(&scan, &key)) {
        struct str *field = field_of(fields, key);
        enum scan_kind kind = scan_peek(&scan);
        bool is_read;
        if (field != NULL && field != &fields->bucket && kind == SCAN_STRING)
            is_read = scan_string(&scan, field);
        else if (field == &fields->bucket && kind == SCAN_NUMBER)
            is_read = scan_number(&scan, field);
        else
            is_read = scan_skip(&scan);
        if (!is_read)
            return -1;
    }
    return scan.error == NULL && fields->path.ptr != NULL ? 0 : -1;
}

static bool is_known(struct str value)
{
    return value.len > 0 && !str_eq(value, STR("-"));
}

static enum log_result read_json(char *line, size_t len, struct question *question,
                                 struct log_request *request)
{
    struct log_fields fields;
    uint64_t bucket;

    if (read_fields(line, len, &fields) < 0)
        return LOG_UNREADABLE;
    if (str_starts(fields.why, STR("debug")))
        return LOG_DEBUG;
    if (!is_known(fields.path) || question_set_url(question, fields.path) != NULL)
        return LOG_UNREADABLE;
    if (is_known(fields.method) && question_set_method(question, fields.method) != NULL)
        return LOG_UNREADABLE;
    if (is_known(fields.host))
        question->authority = fields.host;
    question->is_http10 = !is_known(fields.host); /* else it would have been refused */
    if (is_known(fields.client) && !str_eq(fields.client, STR("unix")))
        question->client = fields.client;
    request->has_bucket =
        str_starts(fields.why, STR("split_")) && str_to_u64(fields.bucket, &bucket) == 0;
    if (request->has_bucket)
        request->bucket = (uint32_t)bucket;
    return LOG_REQUEST;
}

/* --- combined -------------------------------------------------------------------------------- */

/* The next word of `*rest`. */
static struct str word_next(struct str *rest)
{
    struct str word = {"", 0};

    str_next(rest, ' ', &word);
    return word;
}

static bool is_address(struct str text)
{
    struct addr addr;

    return text.len > 0 && (ascii_is_digit(text.ptr[0]) || str_find_char(text, ':') >= 0) &&
           addr_parse_ip(text, 0, &addr) == 0;
}

/* client - user [time] "GET /path HTTP/1.1" …, or host:port in front of it. */
static enum log_result read_combined(struct str line, struct str host, struct question *question)
{
    ptrdiff_t quote = str_find_char(line, '"');

    if (quote < 0)
        return LOG_UNREADABLE;
    struct str before = str_make(line.ptr, (size_t)quote),
               request = str_skip(line, (size_t)quote + 1);
    struct str first = word_next(&before), second = word_next(&before);
    if (is_address(second)) {
        host = first;
        first = second;
    }
    struct str method = word_next(&request), target = word_next(&request);
    if (question_set_method(question, method) != NULL || target.len == 0 ||
        question_set_url(question, target) != NULL)
        return LOG_UNREADABLE;
    if (target.ptr[0] == '/' || question->authority.len == 0)
        question->authority = host;
    if (question->authority.len == 0)
        return LOG_NO_HOST;
    if (is_address(first))
        question->client = first;
    return LOG_REQUEST;
}

enum log_result log_line_read(char *line, size_t len, struct str host, struct question *question,
                              struct log_request *request)
{
    *request = (struct log_request){.has_bucket = false};
    if (len > 0 && line[0] == '{')
        return read_json(line, len, question, request);
    return read_combined(str_make(line, len), host, question);
}

void log_request_use_bucket(const struct log_request *request, struct facts *facts)
{
    if (!request->has_bucket)
        return;
    memset(facts->client_ip, 0, sizeof(facts->client_ip));
    facts->random = (uint64_t)request->bucket << 32 | (uint32_t)facts->random;
}
