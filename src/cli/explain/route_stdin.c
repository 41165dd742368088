/* Line in, line out. A line that cannot be understood answers for itself and the next one is read;
 * answers are written when there is a bufferful or when we would wait for more questions. */
#include "cli/explain/route_stdin.h"

#include "cli/answer.h"
#include "cli/diff/log_line.h"
#include "cli/lines.h"
#include "cli/scan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WRITE_BYTES = 256 << 10 };

/* --- a line ---------------------------------------------------------------------------------- */

static bool is_host(struct str name)
{
    return name.len == 4 && str_eq_nocase(name, STR("host"));
}

static const char *read_text_field(struct question *question, struct scan *scan, struct str name)
{
    struct str value;

    if (!scan_string(scan, &value))
        return scan->error;
    return question_add_field(question, name, value);
}

/* A string; a list of strings: the field once for each; null: none (of Host: really none). */
static const char *read_field(struct question *question, struct scan *scan, struct str name)
{
    unsigned before = question->field_count;
    const char *error = NULL;

    switch (scan_peek(scan)) {
    case SCAN_NULL:
        question->lacks_host = question->lacks_host || is_host(name);
        return scan_null(scan) ? NULL : scan->error;
    case SCAN_LIST:
        scan_enter(scan, SCAN_LIST);
        while (error == NULL && scan_next_item(scan))
            error = read_text_field(question, scan, name);
        if (question->field_count == before && is_host(name))
            question->lacks_host = true;
        return error;
    default:
        return read_text_field(question, scan, name);
    }
}

static const char *read_fields(struct question *question, struct scan *scan)
{
    const char *error = NULL;
    struct str name;

    if (scan_peek(scan) == SCAN_NULL)
        return scan_null(scan) ? NULL : scan->error;
    if (!scan_enter(scan, SCAN_OBJECT))
        return "headers must be an object";
    while (error == NULL && scan_next_key(scan, &name))
        error = read_field(question, scan, name);
    return error;
}

enum key { KEY_METHOD, KEY_URL, KEY_HEADERS, KEY_CLIENT, KEY_TRUSTED, KEY_HTTP, KEY_COUNT };

static enum key key_of(struct str text)
{
    static const struct str keys[KEY_COUNT] = {
        [KEY_METHOD] = STR_INIT("method"),   [KEY_URL] = STR_INIT("url"),
        [KEY_HEADERS] = STR_INIT("headers"), [KEY_CLIENT] = STR_INIT("client"),
        [KEY_TRUSTED] = STR_INIT("trusted"), [KEY_HTTP] = STR_INIT("http"),
    };
    unsigned key = 0;

    while (key < KEY_COUNT && !str_eq(text, keys[key]))
        key++;
    return (enum key)key;
}

static const char *read_trusted(struct question *question, struct scan *scan)
{
    bool is_trusted;

    if (!scan_bool(scan, &is_trusted))
        return scan->error;
    question->trust = is_trusted ? TRUST_YES : TRUST_NO;
    return NULL;
}

static const char *read_value(struct question *question, struct scan *scan, enum key key)
{
    struct str text = {"", 0};

    if (key == KEY_HEADERS)
        return read_fields(question, scan);
    if (scan_peek(scan) == SCAN_NULL && key != KEY_URL)
        return scan_null(scan) ? NULL : scan->error;
    if (key == KEY_TRUSTED)
        return read_trusted(question, scan);
    if (!scan_string(scan, &text))
        return scan->error;
    switch (key) {
    case KEY_METHOD:
        return question_set_method(question, text);
    case KEY_URL:
        return question_set_url(question, text);
    case KEY_HTTP:
        return question_set_http(question, text);
    default:
        question->client = text;
        return NULL;
    }
}

const char *question_read_json(struct question *question, char *line, size_t len)
{
    struct scan scan;
    struct str text;
    unsigned seen = 0;

    scan_init(&scan, line, len);
    if (!scan_enter(&scan, SCAN_OBJECT))
        return scan.error;
    while (scan_next_key(&scan, &text)) {
        enum key key = key_of(text);
        if (key == KEY_COUNT)
            return "unknown key (known: method, url, headers, client, trusted, http)";
        if ((seen & BIT(key)) != 0)
            return "a key is given twice";
        seen |= BIT(key);
        const char *error = read_value(question, &scan, key);
        if (error != NULL)
            return error;
    }
    if (scan.error != NULL || !scan_ended(&scan))
        return scan.error;
    return (seen & BIT(KEY_URL)) != 0 ? NULL : "there is no url";
}

/* --- all of them ----------------------------------------------------------------------------- */

struct stream {
    struct text out;
    int fd;
    bool has_failed;
};

static void flush(void *arg)
{
    struct stream *stream = arg;
    size_t at = 0;

    while (at < stream->out.len && !stream->has_failed) {
        ssize_t written = write(stream->fd, stream->out.ptr + at, stream->out.len - at);
        if (written > 0)
            at += (size_t)written;
        else
            stream->has_failed = errno != EINTR;
    }
    stream->out.len = 0;
}

struct session {
    struct judge *judge;
    const struct answer_names *names;
    struct question question;
    enum trust trust;
};

/* A line of weir's access log has a path in place of a URL. */
static bool is_log_line(const char *line, size_t len)
{
    return memmem(line, len, "\"url\"", 5) == NULL && memmem(line, len, "\"path\"", 6) != NULL;
}

static const char *read_log_line(struct question *question, char *line, size_t len,
                                 struct log_request *request)
{
    switch (log_line_read(line, len, (struct str){0}, question, request)) {
    case LOG_REQUEST:
        return NULL;
    case LOG_DEBUG:
        return "a debug header has chosen, which is not in the log";
    case LOG_NO_HOST:
    case LOG_UNREADABLE:
        break;
    }
    return "this is no line of an access log";
}

static void answer_line(struct session *session, char *line, size_t len, struct text *out)
{
    struct question *question = &session->question;
    struct log_request logged = {.has_bucket = false};

    question_reset(question);
    question->trust = session->trust;
    const char *error = is_log_line(line, len) ? read_log_line(question, line, len, &logged)
                                               : question_read_json(question, line, len);
    if (error == NULL)
        error = judge_facts(session->judge, question);
    if (error != NULL) {
        answer_error(out, error);
        return;
    }
    log_request_use_bucket(&logged, &question->facts);
    struct decision decision = judge_decide(session->judge, question);
    answer_json(session->names, &decision, out);
}

static enum lines_result answer_all(struct session *session, struct lines *lines,
                                    struct stream *stream)
{
    enum lines_result result;
    char *line;
    size_t len;

    while ((result = lines_next(lines, &line, &len)) <= LINES_TOO_LONG && !stream->has_failed) {
        if (result == LINES_TOO_LONG)
            answer_error(&stream->out, "the line is too long");
        else
            answer_line(session, line, len, &stream->out);
        if (stream->out.len >= WRITE_BYTES)
            flush(stream);
    }
    flush(stream);
    return result;
}

int route_stdin(struct judge *judge, enum trust trust, int fd_in, int fd_out)
{
    struct answer_names *names = answer_names_new(judge);
    struct session session = {.judge = judge, .names = names, .trust = trust};
    struct stream stream = {.fd = fd_out};
    struct lines lines;

    lines_init(&lines, fd_in);
    lines.before_read = flush;
    lines.arg = &stream;
    question_init(&session.question);
    enum lines_result result = answer_all(&session, &lines, &stream);
    if (result == LINES_FAILED)
        perror("weir route: standard input");
    if (stream.has_failed)
        perror("weir route: standard output");
    question_deinit(&session.question);
    lines_deinit(&lines);
    text_free(&stream.out);
    answer_names_free(names);
    return result == LINES_FAILED || stream.has_failed ? 1 : 0;
}
