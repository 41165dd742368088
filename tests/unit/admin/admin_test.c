/* Which page a path gets, for which methods and hosts. */
#include "admin/admin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct metrics *worker;

static struct metrics *const *all_metrics(void *arg UNUSED, size_t *count)
{
    *count = 1;
    return &worker;
}

static void print_metrics(void *arg UNUSED, struct text *out)
{
    text_add_str(out, STR("weir_from_above 1\n"));
}

static bool is_ready(void *arg, const char **words)
{
    *words = *(bool *)arg ? "ready" : "draining";
    return *(bool *)arg;
}

static void print_status(void *arg UNUSED, struct text *out)
{
    text_add_str(out, STR("{}\n"));
}

struct asked {
    int status;
    char type[64], body[256], allow[64];
    size_t field_count;
};

static bool is_our_name(void *arg UNUSED, struct str host)
{
    return str_eq(host, STR("mw1.example"));
}

/* A body in pieces, read as a client without limits does. */
static void read_stream(struct page_reply *reply)
{
    if (reply->stream == NULL)
        return;
    enum page_next next;
    do {
        struct text piece = {0};
        next = reply->stream->ops->next(reply->stream, &piece);
        assert_true(next != PAGE_WAIT);
        text_add_str(&reply->body, str_make(piece.ptr, piece.len));
        text_free(&piece);
    } while (next != PAGE_END);
    reply->stream->ops->free(reply->stream);
}

static struct asked ask(enum method method, const char *host, const char *path, bool ready,
                        const char *bound_text)
{
    const struct admin_source source = {.arg = &ready,
                                        .metrics = all_metrics,
                                        .print_metrics = print_metrics,
                                        .is_ready = is_ready,
                                        .is_our_name = is_our_name,
                                        .print_config_status = print_status};
    const struct head head = {
        .method = method, .version = HTTP_1_1, .authority = str_of(host), .path = str_of(path)};
    struct page_reply reply = {.status = 200, .type = STR("text/plain; charset=utf-8")};
    struct asked asked = {0};
    struct addr bound;

    assert_int_equal(addr_parse(str_of(bound_text), &bound), 0);
    struct admin *admin = admin_new(NULL, &source);
    admin_answer(admin, &bound, &head, &reply);
    read_stream(&reply);
    asked.status = reply.status;
    asked.field_count = reply.field_count;
    snprintf(asked.type, sizeof(asked.type), "%.*s", STR_FMT(reply.type));
    snprintf(asked.body, sizeof(asked.body), "%.*s", (int)MIN(reply.body.len, (size_t)200),
             reply.body.ptr);
    snprintf(asked.allow, sizeof(asked.allow), "%.*s",
             STR_FMT(reply.field_count > 0 ? reply.fields[0].value : STR("")));
    text_free(&reply.body);
    admin_free(admin);
    return asked;
}

static struct asked get(const char *host, const char *path)
{
    return ask(METHOD_GET, host, path, true, "127.0.0.1:9901");
}

static void pages_are_where_the_index_says(void **state UNUSED)
{
    assert_int_equal(get("127.0.0.1:9901", "/").status, 200);
    assert_string_equal(get("127.0.0.1:9901", "/healthz").body, "OK\n");
    assert_string_equal(get("127.0.0.1:9901", "/ready").body, "ready\n");
    assert_string_equal(get("127.0.0.1:9901", "/config/status").type, "application/json");
    assert_non_null(strstr(get("127.0.0.1:9901", "/metrics").body, "weir_build_info"));
    assert_non_null(strstr(get("127.0.0.1:9901", "/stats/prometheus?x=1").body, "weir_build_info"));
    assert_non_null(strstr(get("127.0.0.1:9901", "/metrics").type, "version=0.0.4"));
    assert_int_equal(get("127.0.0.1:9901", "/nothing").status, 404);
    assert_int_equal(get("127.0.0.1:9901", "/metrics/").status, 404);
}

static void not_ready_is_503_with_the_reason(void **state UNUSED)
{
    struct asked asked = ask(METHOD_GET, "127.0.0.1", "/ready", false, "127.0.0.1:9901");

    assert_int_equal(asked.status, 503);
    assert_string_equal(asked.body, "draining\n");
}

static void other_methods_are_405_with_the_methods_of_the_path(void **state UNUSED)
{
    static const enum method methods[] = {METHOD_POST, METHOD_PUT, METHOD_DELETE, METHOD_OTHER,
                                          METHOD_PATCH};

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        struct asked asked = ask(methods[i], "127.0.0.1", "/metrics", true, "127.0.0.1:9901");
        assert_int_equal(asked.status, 405);
        assert_int_equal(asked.field_count, 1);
        assert_string_equal(asked.allow, "GET, HEAD");
        asked = ask(methods[i], "127.0.0.1", "/nothing", true, "127.0.0.1:9901");
        assert_int_equal(asked.status, 404);
        assert_int_equal(asked.field_count, 0);
    }
    assert_int_equal(ask(METHOD_HEAD, "127.0.0.1", "/ready", true, "127.0.0.1:9901").status, 200);
}

static void change_it(void *arg, const struct head *request UNUSED, struct page_reply *reply)
{
    *(unsigned *)arg += 1;
    reply->status = 204;
}

static void a_registered_route_is_served_and_listed(void **state UNUSED)
{
    static const struct admin_source source = {.is_our_name = is_our_name};
    struct admin *admin = admin_new(NULL, &source);
    unsigned changes = 0;
    struct admin_route route = {.path = STR("/thing"),
                                .method = METHOD_POST,
                                .scope = SCOPE_CHANGE,
                                .answer = change_it,
                                .arg = &changes,
                                .help = STR("changes the thing")};
    struct head head = {.method = METHOD_POST,
                        .version = HTTP_1_1,
                        .authority = STR("127.0.0.1"),
                        .path = STR("/thing")};
    struct page_reply reply = {.status = 200};
    struct addr bound;

    assert_int_equal(addr_parse(STR("127.0.0.1:9901"), &bound), 0);
    admin_register(admin, &route);
    admin_answer(admin, &bound, &head, &reply);
    assert_int_equal(reply.status, 204);
    assert_int_equal(changes, 1);

    head.method = METHOD_GET;
    admin_answer(admin, &bound, &head, &reply);
    assert_int_equal(reply.status, 405);
    assert_true(str_eq(reply.fields[0].value, STR("POST")));
    route.method = METHOD_DELETE;
    admin_register(admin, &route);
    reply.field_count = 0;
    admin_answer(admin, &bound, &head, &reply);
    assert_true(str_eq(reply.fields[0].value, STR("POST, DELETE")));

    head.path = STR("/");
    reply.body.len = 0;
    admin_answer(admin, &bound, &head, &reply);
    assert_true(str_find(str_make(reply.body.ptr, reply.body.len),
                         STR("/thing               changes the thing\n")) > 0);
    text_free(&reply.body);
    admin_free(admin);
}

static void a_host_that_is_an_unknown_name_is_refused(void **state UNUSED)
{
    static const struct {
        const char *host;
        int status;
    } cases[] = {
        {"127.0.0.1", 200},
        {"127.0.0.1:9901", 200},
        {"localhost:9901", 200},
        {"LOCALHOST", 200},
        {"[::1]:9901", 200},
        {"10.64.0.12:9901", 200},
        {"MW1.example.:9901", 200},
        {"x.mw1.example", 403},
        {"evil.example", 403},
        {"evil.example:9901", 403},
        {"127.0.0.1.evil.example", 403},
        {"localhost.evil.example", 403},
        {"", 403},
        {"user@127.0.0.1", 403},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(get(cases[i].host, "/metrics").status, cases[i].status);
}

static void a_unix_socket_accepts_any_host(void **state UNUSED)
{
    assert_int_equal(ask(METHOD_GET, "weir", "/healthz", true, "unix:/run/weir/admin").status, 200);
}

static int set_up(void **state UNUSED)
{
    worker = metrics_new();
    return 0;
}

static int tear_down(void **state UNUSED)
{
    metrics_free(worker);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_where_the_index_says),
        cmocka_unit_test(not_ready_is_503_with_the_reason),
        cmocka_unit_test(other_methods_are_405_with_the_methods_of_the_path),
        cmocka_unit_test(a_registered_route_is_served_and_listed),
        cmocka_unit_test(a_host_that_is_an_unknown_name_is_refused),
        cmocka_unit_test(a_unix_socket_accepts_any_host),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
