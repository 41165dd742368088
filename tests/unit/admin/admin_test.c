/* Which page for which path, and for whom. */
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
    char type[64], body[256];
    size_t field_count;
};

static bool is_our_name(void *arg UNUSED, struct str host)
{
    return str_eq(host, STR("mw1.example"));
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
    admin_answer(&source, &bound, &head, &reply);
    asked.status = reply.status;
    asked.field_count = reply.field_count;
    snprintf(asked.type, sizeof(asked.type), "%.*s", STR_FMT(reply.type));
    snprintf(asked.body, sizeof(asked.body), "%.*s", (int)MIN(reply.body.len, (size_t)200),
             reply.body.ptr);
    text_free(&reply.body);
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

static void nothing_is_changed_by_any_method(void **state UNUSED)
{
    static const enum method methods[] = {METHOD_POST, METHOD_PUT, METHOD_DELETE, METHOD_OTHER,
                                          METHOD_PATCH};

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        struct asked asked = ask(methods[i], "127.0.0.1", "/metrics", true, "127.0.0.1:9901");
        assert_int_equal(asked.status, 405);
        assert_int_equal(asked.field_count, 1);
    }
    assert_int_equal(ask(METHOD_HEAD, "127.0.0.1", "/ready", true, "127.0.0.1:9901").status, 200);
}

static void a_name_of_a_stranger_is_refused(void **state UNUSED)
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

static void on_a_unix_socket_any_name_will_do(void **state UNUSED)
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
        cmocka_unit_test(nothing_is_changed_by_any_method),
        cmocka_unit_test(a_name_of_a_stranger_is_refused),
        cmocka_unit_test(on_a_unix_socket_any_name_will_do),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
