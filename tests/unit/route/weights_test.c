/* Weights: which share is in force for a host and a service, and that a decision follows the
 * weights that it is given. */
#include "route/weights.h"

#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char text[] = "groups:\n"
                           "  old: { endpoints: ['127.0.0.1:1'] }\n"
                           "  new: { endpoints: ['127.0.0.1:2'] }\n"
                           "listeners:\n"
                           "  - { name: main, bind: ['127.0.0.1:0'], router: r }\n"
                           "routers:\n"
                           "  r:\n"
                           "    services:\n"
                           "      web: { legacy: old, k8s: new }\n"
                           "      api: { legacy: old, k8s: new }\n"
                           "    rules:\n"
                           "      - { path: /api, service: api }\n"
                           "      - { service: web }\n"
                           "    split:\n"
                           "      default: 10%%\n"
                           "%s"
                           "      wikis:\n"
                           "        - { hosts: [a.example], k8s: { default: 30%%, api: 40%% } }\n"
                           "        - { hosts: [b.example], k8s: 100%% }\n";

static struct config *config;
static struct router *router;

static void build(const char *emergency)
{
    char buffer[2048];
    struct complaints complaints;
    struct err err;
    int len = snprintf(buffer, sizeof(buffer), text, emergency);

    complaints_init(&complaints);
    config = config_load_text(str_make(buffer, (size_t)len), "test.yaml", &complaints);
    if (config == NULL)
        print_error("%.*s\n", STR_FMT(complaints.items[0].text));
    assert_non_null(config);
    complaints_deinit(&complaints);
    router = router_new(config, 0, &err);
    assert_non_null(router);
}

static int teardown(void **state UNUSED)
{
    router_free(router);
    config_free(config);
    return 0;
}

enum { WEB, API };

static void expect(const char *host, int service, uint32_t share, enum why why)
{
    struct weighed weighed = route_weigh(router, router_weights(router), str_of(host), service);

    assert_int_equal(weighed.weight.share, share);
    assert_int_equal(weighed.weight.why, why);
}

static void the_most_specific_share_is_in_force(void **state UNUSED)
{
    build("");
    expect("", WEB, 10000, WHY_SPLIT_DEFAULT);
    expect("other.example", API, 10000, WHY_SPLIT_DEFAULT);
    expect("a.example", WEB, 30000, WHY_SPLIT_HOST);
    expect("a.example", API, 40000, WHY_SPLIT_HOST);
    expect("b.example", WEB, SHARE_MAX, WHY_SPLIT_HOST);
}

static void a_mobile_host_has_the_share_of_its_wiki(void **state UNUSED)
{
    build("");
    expect("a.m.example", WEB, 30000, WHY_SPLIT_HOST);
    expect("c.m.example", WEB, 10000, WHY_SPLIT_DEFAULT);
}

static void the_emergency_switch_overrides_every_share(void **state UNUSED)
{
    build("      emergency: all-legacy\n");
    expect("", WEB, 0, WHY_EMERGENCY);
    expect("b.example", WEB, 0, WHY_EMERGENCY);
}

static struct decision decide(const struct weights *weights, const char *host)
{
    const struct facts facts = {.method = STR("GET"),
                                .host = str_of(host),
                                .path = STR("/"),
                                .client_ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1}};

    return route_decide(router, weights, &facts);
}

static void a_decision_follows_the_weights_that_it_is_given(void **state UNUSED)
{
    build("");
    struct config *before_config = config;
    struct router *before = router;
    struct weights *configured = weights_ref(router_weights(router));

    build("      emergency: all-k8s\n");
    struct weights *emergency = weights_ref(router_weights(router));
    assert_int_equal(decide(configured, "b.example").side, SIDE_K8S);
    assert_int_equal(decide(emergency, "other.example").side, SIDE_K8S);
    assert_int_equal(decide(emergency, "other.example").why, WHY_EMERGENCY);
    assert_int_equal(decide(configured, "other.example").share, 10000);
    router_free(before);
    config_free(before_config);
    assert_int_equal(decide(configured, "other.example").share, 10000); /* counted, not borrowed */
    weights_unref(&configured);
    weights_unref(&emergency);
    assert_null(configured);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_most_specific_share_is_in_force, teardown),
        cmocka_unit_test_teardown(a_mobile_host_has_the_share_of_its_wiki, teardown),
        cmocka_unit_test_teardown(the_emergency_switch_overrides_every_share, teardown),
        cmocka_unit_test_teardown(a_decision_follows_the_weights_that_it_is_given, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
