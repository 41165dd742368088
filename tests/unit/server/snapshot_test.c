/* Snapshots: built whole or not at all, freed by whoever holds the last reference. */
#include "server/snapshot.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define LISTENER(more)                                                                             \
    "listeners:\n  - { name: main, bind: [\"127.0.0.1:0\"], router: r" more " }\n"
#define REST                                                                                       \
    "groups:\n"                                                                                    \
    "  old: { endpoints: [\"127.0.0.1:1\"] }\n"                                                    \
    "  new: { endpoints: [\"127.0.0.1:2\"] }\n"                                                    \
    "routers:\n"                                                                                   \
    "  r:\n"                                                                                       \
    "    services: { web: { legacy: old, k8s: new } }\n"                                           \
    "    rules: [ { service: web } ]\n"                                                            \
    "    split: { default: 4% }\n"

static const char good[] = LISTENER("") REST;

static struct config *load(void *arg, struct complaints *complaints)
{
    return config_load_text(str_of(arg), "test.yaml", complaints);
}

struct heard {
    unsigned errors;
    char last[512];
};

static void hear(void *arg, bool is_error, const char *line)
{
    struct heard *heard = arg;

    heard->errors += is_error;
    if (is_error)
        strncpy(heard->last, line, sizeof(heard->last) - 1);
}

static struct snapshot *load_good(void)
{
    struct heard heard = {0};
    struct snapshot *snapshot = snapshot_load(load, (void *)good, NULL, hear, &heard);

    if (snapshot == NULL)
        print_message("%s\n", heard.last);
    assert_non_null(snapshot);
    assert_int_equal(heard.errors, 0);
    return snapshot;
}

static void a_good_configuration_is_compiled(void **state UNUSED)
{
    struct snapshot *snapshot = load_good();
    const struct routers *routers = snapshot_routers(snapshot);
    const struct facts facts = {
        .method = STR("GET"), .host = STR("de.wikipedia.org"), .path = STR("/")};

    assert_int_equal(routers->count, 1);
    assert_true(route_decide(routers->items[0], router_weights(routers->items[0]), &facts).group >=
                0);
    assert_true(snapshot_loaded_wall_us(snapshot) > 0);
    snapshot_unref(&snapshot);
    assert_null(snapshot);
}

static void a_bad_configuration_is_explained(void **state UNUSED)
{
    struct heard heard = {0};
    char bad[] = "listeners:\n  - { name: main, bind: [\"127.0.0.1:0\"], router: nobody }\n";

    assert_null(snapshot_load(load, bad, NULL, hear, &heard));
    assert_true(heard.errors > 0);
    assert_true(str_starts(str_of(heard.last), STR("test.yaml:")));
}

static void a_certificate_that_cannot_be_read_is_an_error(void **state UNUSED)
{
    struct heard heard = {0};
    char bad[] = LISTENER(
        ", tls: { certificates: [ { chain: /nonexistent/c.pem, key: /nonexistent/k.pem } ] }") REST;

    assert_null(snapshot_load(load, bad, NULL, hear, &heard));
    assert_true(heard.errors > 0);
    assert_non_null(strstr(heard.last, "/nonexistent/"));
}

static void a_load_can_be_cancelled(void **state UNUSED)
{
    const atomic_bool cancelled = true;
    struct heard heard = {0};
    char text[] = LISTENER("") "groups:\n"
                               "  old: { endpoints: [\"127.0.0.1:1\"], tls: {} }\n"
                               "  new: { endpoints: [\"127.0.0.1:2\"] }\n"
                               "routers:\n"
                               "  r:\n"
                               "    services: { web: { legacy: old, k8s: new } }\n"
                               "    rules: [ { service: web } ]\n"
                               "    split: { default: 4% }\n";

    assert_null(snapshot_load(load, text, &cancelled, hear, &heard));
    assert_int_equal(heard.errors, 0);
}

enum { HOLDERS = 4, ROUNDS = 2000 };

static void *hold_and_let_go(void *arg)
{
    struct snapshot *own = arg; /* one reference came with it */

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct snapshot *more = snapshot_ref(own);
        assert_int_equal(snapshot_routers(more)->count, 1);
        snapshot_unref(&more);
    }
    snapshot_unref(&own);
    return NULL;
}

static void references_may_be_taken_and_dropped_on_any_thread(void **state UNUSED)
{
    struct snapshot *snapshot = load_good();
    pthread_t threads[HOLDERS];

    for (unsigned i = 0; i < HOLDERS; i++) {
        int rc = pthread_create(&threads[i], NULL, hold_and_let_go, snapshot_ref(snapshot));
        assert_int_equal(rc, 0);
    }
    snapshot_unref(&snapshot); /* whoever is last frees it */
    for (unsigned i = 0; i < HOLDERS; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_configuration_is_compiled),
        cmocka_unit_test(a_bad_configuration_is_explained),
        cmocka_unit_test(a_certificate_that_cannot_be_read_is_an_error),
        cmocka_unit_test(a_load_can_be_cancelled),
        cmocka_unit_test(references_may_be_taken_and_dropped_on_any_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
