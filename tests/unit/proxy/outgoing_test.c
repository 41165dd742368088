/* The head that an attempt sends: what is added to it, and that the client's head stays as it was. */
#include "proxy/exchange_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct loop *loop;
static struct arena arena;
static struct proxy proxy;
static struct config config;
static struct serving serving = {.config = &config};
static struct listener_conf listener;
static struct serving_listener serving_listener = {.conf = &listener};
static struct client client;
static struct downstream downstream;
static struct stream down;
static struct head request;
static struct group_conf group;
static struct exchange x;

static int setup(void **state UNUSED)
{
    loop = loop_new();
    arena_init(&arena, loop_bufs(loop));
    proxy = (struct proxy){.loop = loop, .serving = &serving, .dice = 1};
    listener = (struct listener_conf){.router = -1, .forwarded_for = true, .via = STR("weir")};
    client = (struct client){
        .proxy = &proxy, .listener = &serving_listener, .text = "10.1.2.3", .text_len = 8};
    group = (struct group_conf){.name = STR("mw-web"), .header_case = HEADER_CASE_PROPER};
    head_init(&request, &arena);
    request.method = METHOD_GET;
    request.version = HTTP_1_1;
    request.path = STR("/wiki/Earth");
    head_add(&request, STR("Accept"), STR("*/*"));
    head_add(&request, STR("Connection"), STR("keep-alive"))->removed = true;
    head_add(&request, STR("X-Forwarded-For"), STR("192.0.2.7"));
    down = (struct stream){.arena = &arena};
    x = (struct exchange){.proxy = &proxy,
                          .client = &client,
                          .downstream = &downstream,
                          .serving = &serving,
                          .listener = &listener,
                          .down = &down,
                          .request = &request,
                          .outgoing = &request,
                          .decision = undecided,
                          .request_id = STR("id-1")};
    return 0;
}

static int teardown(void **state UNUSED)
{
    arena_reset(&arena);
    loop_free(loop);
    return 0;
}

static struct head *outgoing(void)
{
    struct head *head;

    assert_int_equal(outgoing_head(&x, &group, &head), REASON_NONE);
    assert_ptr_equal(x.outgoing, head);
    return head;
}

static void expect(const struct head *head, const char *name, const char *value)
{
    const struct field *field = head_find_name(head, str_of(name));

    assert_non_null(field);
    assert_true(str_eq(field->value, str_of(value)));
}

static void the_upstream_gets_to_know_of_the_client_and_the_way(void **state UNUSED)
{
    const struct head *head = outgoing();

    expect(head, "accept", "*/*");
    expect(head, "x-forwarded-for", "192.0.2.7, 10.1.2.3");
    expect(head, "x-forwarded-proto", "http");
    expect(head, "x-request-id", "id-1");
    expect(head, "via", "1.1 weir");
    assert_null(head_find_name(head, STR("connection")));
    assert_int_equal(head->names, NAME_CASE_PROPER);
}

static void the_head_of_the_client_is_not_changed(void **state UNUSED)
{
    uint16_t count = request.field_count;

    outgoing();
    assert_int_equal(request.field_count, count);
    expect(&request, "x-forwarded-for", "192.0.2.7");
    assert_null(head_find_name(&request, STR("via")));
}

static void a_second_attempt_sends_the_same(void **state UNUSED)
{
    const struct head *first = outgoing(), *second = outgoing();

    assert_ptr_not_equal(first, second);
    assert_int_equal(first->field_count, second->field_count);
    for (unsigned i = 0; i < first->field_count; i++) {
        assert_true(str_eq(first->fields[i].name, second->fields[i].name));
        assert_true(str_eq(first->fields[i].value, second->fields[i].value));
    }
}

static void max_forwards_counts_down_in_the_copy(void **state UNUSED)
{
    request.method = METHOD_OPTIONS;
    head_add(&request, STR("Max-Forwards"), STR("7"));
    expect(outgoing(), "max-forwards", "6");
    expect(outgoing(), "max-forwards", "6");
    expect(&request, "max-forwards", "7");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_upstream_gets_to_know_of_the_client_and_the_way),
        TEST(the_head_of_the_client_is_not_changed),
        TEST(a_second_attempt_sends_the_same),
        TEST(max_forwards_counts_down_in_the_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
