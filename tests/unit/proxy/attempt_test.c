/* An attempt with a fake upstream: the lease and the stream are played by the test. */
#include "proxy/attempt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* --- a fake upstream ------------------------------------------------------------------------- */

static struct {
    struct lease *lease;
    const struct stream_handler *handler;
    struct stream stream;
    enum reason acquire;       /* what upstream_acquire answers */
    bool is_held;              /* whether it has a stream at once */
    struct str sent_authority; /* of the head that was sent */
    unsigned heads, releases;
    bool released_ok;
} fake;

static void fake_send_head(struct stream *stream UNUSED, const struct head *head,
                           enum end end UNUSED)
{
    fake.heads++;
    fake.sent_authority = head->authority;
}

static const struct stream_ops fake_ops = {.send_head = fake_send_head};

enum reason upstream_acquire(struct target *target UNUSED, struct lease *lease, struct arena *arena,
                             const struct stream_handler *handler, void *arg,
                             enum lease_want want UNUSED, const struct endpoint *avoid UNUSED,
                             bool is_idempotent UNUSED)
{
    fake.lease = lease;
    fake.handler = handler;
    fake.stream = (struct stream){.ops = &fake_ops, .handler = handler, .arg = arg, .arena = arena};
    if (fake.acquire != REASON_NONE)
        return fake.acquire;
    lease->stream = &fake.stream;
    lease->state = fake.is_held ? LEASE_HELD : LEASE_WAITING;
    return REASON_NONE;
}

void upstream_release(struct lease *lease, bool ok)
{
    fake.releases += lease->state != LEASE_NONE;
    fake.released_ok = ok;
    lease->state = LEASE_NONE;
}

const char *upstream_error(const struct lease *lease UNUSED)
{
    return "broken pipe";
}

bool upstream_was_unread(const struct lease *lease UNUSED, enum reason reason UNUSED)
{
    return false;
}

struct str endpoint_authority(const struct endpoint *endpoint UNUSED)
{
    return STR("10.0.0.1:80");
}

/* --- an owner that counts -------------------------------------------------------------------- */

static unsigned sent, heads, failures;
static enum reason failed_for;

static void on_sent(struct attempt *attempt UNUSED)
{
    sent++;
}

static void on_head(struct attempt *attempt UNUSED, struct head *head UNUSED, enum end end UNUSED)
{
    heads++;
}

static void on_failed(struct attempt *attempt UNUSED, enum reason reason)
{
    failures++;
    failed_for = reason;
}

static const struct attempt_ops ops = {
    .on_sent = on_sent, .on_head = on_head, .on_failed = on_failed};

static struct loop *loop;
static struct arena arena;
static struct attempt attempt;
static struct head request;

static int setup(void **state UNUSED)
{
    memset(&fake, 0, sizeof(fake));
    memset(&attempt, 0, sizeof(attempt));
    sent = heads = failures = 0;
    loop = loop_new();
    arena_init(&arena, loop_bufs(loop));
    head_init(&request, &arena);
    request.authority = STR("en.wikipedia.org");
    attempt_init(&attempt, &ops, loop, &arena);
    return 0;
}

static int teardown(void **state UNUSED)
{
    arena_reset(&arena);
    loop_free(loop);
    return 0;
}

static enum reason start(void)
{
    const struct attempt_want want = {.lease = LEASE_ANY};

    return attempt_start(&attempt, NULL, &request, END, &want);
}

/* --- promises -------------------------------------------------------------------------------- */

static void the_head_is_sent_at_once_when_there_is_a_stream(void **state UNUSED)
{
    fake.is_held = true;
    assert_int_equal(start(), REASON_NONE);
    assert_int_equal(fake.heads, 1);
    assert_int_equal(sent, 1);
    assert_true(str_eq(fake.sent_authority, STR("en.wikipedia.org")));
    assert_true(attempt.sent_us > 0);
}

static void the_head_is_sent_when_the_lease_is_ready(void **state UNUSED)
{
    assert_int_equal(start(), REASON_NONE);
    assert_null(attempt_stream(&attempt));
    assert_int_equal(sent, 0);
    fake.lease->state = LEASE_HELD;
    fake.lease->on_ready(fake.lease);
    assert_int_equal(fake.heads, 1);
    assert_int_equal(sent, 1);
}

static void host_names_the_endpoint_where_that_is_wanted(void **state UNUSED)
{
    fake.is_held = attempt.host_is_target = true;
    start();
    assert_true(str_eq(fake.sent_authority, STR("10.0.0.1:80")));
}

static void a_refusal_is_returned_and_not_called_back(void **state UNUSED)
{
    fake.acquire = REASON_UPSTREAM_OVERFLOW;
    assert_int_equal(start(), REASON_UPSTREAM_OVERFLOW);
    assert_int_equal(failures, 0);
}

static void a_failed_lease_has_a_reason(void **state UNUSED)
{
    start();
    fake.lease->error = "no route";
    fake.lease->on_failed(fake.lease, REASON_UPSTREAM_REFUSED);
    assert_int_equal(failures, 1);
    assert_int_equal(failed_for, REASON_UPSTREAM_REFUSED);
    assert_true(str_eq(attempt.error, STR("no route")));
}

static void a_broken_stream_has_a_reason(void **state UNUSED)
{
    fake.is_held = true;
    start();
    fake.handler->on_reset(&fake.stream, REASON_UPSTREAM_RESET);
    assert_int_equal(failed_for, REASON_UPSTREAM_RESET);
    assert_true(str_eq(attempt.error, STR("broken pipe")));
}

static void an_interim_response_is_no_answer(void **state UNUSED)
{
    struct head response;

    fake.is_held = true;
    start();
    head_init_response(&response, &arena, 103);
    fake.handler->on_head(&fake.stream, &response, MORE);
    assert_true(attempt.has_interim);
    assert_int_equal(attempt.answered_us, 0);
    response.status = 200;
    fake.handler->on_head(&fake.stream, &response, END);
    assert_true(attempt.answered_us > 0);
    assert_int_equal(heads, 2);
}

static void the_next_attempt_begins_without_the_interim_response_of_the_last(void **state UNUSED)
{
    struct head response;

    fake.is_held = true;
    start();
    head_init_response(&response, &arena, 100);
    fake.handler->on_head(&fake.stream, &response, MORE);
    attempt_end(&attempt, false);
    start();
    assert_false(attempt.has_interim);
}

static void the_end_of_an_attempt_tells_whether_the_endpoint_answered(void **state UNUSED)
{
    fake.is_held = true;
    start();
    attempt_end(&attempt, true);
    assert_int_equal(fake.releases, 1);
    assert_true(fake.released_ok);
    attempt_end(&attempt, false);
    assert_int_equal(fake.releases, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_head_is_sent_at_once_when_there_is_a_stream),
        TEST(the_head_is_sent_when_the_lease_is_ready),
        TEST(host_names_the_endpoint_where_that_is_wanted),
        TEST(a_refusal_is_returned_and_not_called_back),
        TEST(a_failed_lease_has_a_reason),
        TEST(a_broken_stream_has_a_reason),
        TEST(an_interim_response_is_no_answer),
        TEST(the_next_attempt_begins_without_the_interim_response_of_the_last),
        TEST(the_end_of_an_attempt_tells_whether_the_endpoint_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
