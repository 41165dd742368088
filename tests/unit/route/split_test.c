/* The split: exact, monotone, independent between hosts and salts; and September 2023 as it was. */
#include "route/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { KEYS = 100000 };

struct built {
    struct config *config;
    struct router *router;
};

static struct built build(struct config *config)
{
    struct err err;
    struct built built = {config, NULL};

    assert_non_null(config);
    built.router = router_new(config, 0, &err);
    assert_non_null(built.router);
    return built;
}

static struct built build_share(const char *share, const char *salt, const char *more)
{
    char text[2048];
    struct complaints complaints;

    snprintf(
        text, sizeof(text),
        "listeners: [{ name: a, bind: '127.0.0.1:0', router: r }]\n"
        "groups: { old: { endpoints: ['127.0.0.1:1'] }, new: { endpoints: ['127.0.0.1:2'] } }\n"
        "routers:\n"
        "  r:\n"
        "    services: { web: { legacy: old, k8s: new } }\n"
        "    rules: [{ service: web }]\n"
        "    split: { default: %s%s }\n"
        "    sticky: { key: ['cookie:Uniq', 'header:X-Key', client-ip], salt: %s }\n",
        share, more, salt);
    complaints_init(&complaints);
    struct config *config = config_load_text(str_of(text), "t", &complaints);
    complaints_deinit(&complaints);
    return build(config);
}

static void discard(struct built *built)
{
    router_free(built->router);
    config_free(built->config);
}

static struct decision decide(const struct built *built, const char *host, uint32_t client)
{
    struct facts facts = {.method = STR("GET"), .host = str_of(host), .path = STR("/wiki/X")};

    facts.client_ip[10] = facts.client_ip[11] = 0xff;
    memcpy(facts.client_ip + 12, &client, sizeof(client));
    return route_decide(built->router, router_weights(built->router), &facts);
}

static int count_k8s(const struct built *built, const char *host, int keys)
{
    int count = 0;

    for (int i = 0; i < keys; i++)
        count += decide(built, host, (uint32_t)i).side == SIDE_K8S ? 1 : 0;
    return count;
}

static void shares_are_kept_within_five_deviations(void **state UNUSED)
{
    static const struct {
        const char *share;
        int min, max;
    } cases[] = {
        {"0", 0, 0},           {"0.5%", 388, 612},   {"1%", 842, 1158}, {"4%", 3690, 4310},
        {"50%", 49209, 50791}, {"100%", KEYS, KEYS}, {"0.001%", 0, 8},  {"99.999%", KEYS - 8, KEYS},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct built built = build_share(cases[i].share, "s", "");
        assert_in_range(count_k8s(&built, "en.wikipedia.org", KEYS), cases[i].min, cases[i].max);
        discard(&built);
    }
}

static void raising_the_share_never_moves_a_client_back(void **state UNUSED)
{
    static const char *const steps[] = {"0.5%", "1%", "4%", "10%", "50%", "99%", "100%"};

    for (size_t i = 1; i < ARRAY_LEN(steps); i++) {
        struct built before = build_share(steps[i - 1], "s", "");
        struct built after = build_share(steps[i], "s", "");
        for (uint32_t client = 0; client < 20000; client++) {
            if (decide(&before, "en.wikipedia.org", client).side == SIDE_K8S)
                assert_int_equal(decide(&after, "en.wikipedia.org", client).side, SIDE_K8S);
        }
        discard(&before);
        discard(&after);
    }
}

/* Of the clients that one draw moves, another independent one moves its own 4 %, and no more. */
static void hosts_and_salts_draw_independently(void **state UNUSED)
{
    struct built one = build_share("10%", "s", ""), other = build_share("10%", "t", "");
    int by_host = 0, by_salt = 0;

    for (uint32_t client = 0; client < KEYS; client++) {
        if (decide(&one, "en.wikipedia.org", client).side != SIDE_K8S)
            continue;
        by_host += decide(&one, "de.wikipedia.org", client).side == SIDE_K8S ? 1 : 0;
        by_salt += decide(&other, "en.wikipedia.org", client).side == SIDE_K8S ? 1 : 0;
    }
    assert_in_range(by_host, 840, 1160);
    assert_in_range(by_salt, 840, 1160);
    discard(&one);
    discard(&other);
}

static void the_mobile_host_moves_the_same_clients(void **state UNUSED)
{
    struct built built = build_share("50%", "s", "");

    for (uint32_t client = 0; client < 1000; client++)
        assert_int_equal(decide(&built, "en.wikipedia.org", client).bucket,
                         decide(&built, "EN.m.wikipedia.org.:443", client).bucket);
    discard(&built);
}

static struct str key_field(const void *arg, struct str name, unsigned *from UNUSED)
{
    return arg != NULL && str_eq(name, STR("x-key")) ? str_of(arg) : (struct str){NULL, 0};
}

static void the_first_key_that_is_there_decides(void **state UNUSED)
{
    struct built built = build_share("50%", "s", "");
    struct facts facts = {.method = STR("GET"), .host = STR("a.org"), .path = STR("/")};
    uint32_t buckets[4];

    facts.random = (uint64_t)0x12345678 << 32;
    facts.field = key_field;
    assert_int_equal(route_sticky_key(built.router, &facts), -1);
    buckets[0] = route_decide(built.router, router_weights(built.router), &facts).bucket;
    assert_int_equal(buckets[0], 0x12345678);
    facts.client_ip[15] = 1;
    assert_int_equal(route_sticky_key(built.router, &facts), 2);
    buckets[1] = route_decide(built.router, router_weights(built.router), &facts).bucket;
    facts.field_arg = "k";
    assert_int_equal(route_sticky_key(built.router, &facts), 1);
    buckets[2] = route_decide(built.router, router_weights(built.router), &facts).bucket;
    facts.cookie = STR("x=1; Uniq=u");
    assert_int_equal(route_sticky_key(built.router, &facts), 0);
    buckets[3] = route_decide(built.router, router_weights(built.router), &facts).bucket;
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < i; j++)
            assert_int_not_equal(buckets[i], buckets[j]);
    }
    facts.client_ip[15] = 2; /* what stands behind the cookie does not matter */
    assert_int_equal(route_decide(built.router, router_weights(built.router), &facts).bucket,
                     buckets[3]);
    discard(&built);
}

/* Ramps are compared over months and machines: a bucket is for ever. */
static void buckets_are_the_same_on_every_machine(void **state UNUSED)
{
    struct built built = build_share("4%", "mw-on-k8s", "");
    struct facts facts = {.method = STR("GET"), .host = STR("en.wikipedia.org"), .path = STR("/")};

    facts.cookie = STR("Uniq=abc");
    assert_int_equal(route_decide(built.router, router_weights(built.router), &facts).bucket,
                     590017791u);
    discard(&built);
}

/* However the host is written, and whether or not the configuration names it. */
static void buckets_do_not_depend_on_how_the_host_is_written(void **state UNUSED)
{
    static const char *const spellings[] = {"en.wikipedia.org", "EN.Wikipedia.org",
                                            "en.wikipedia.org:443", "en.wikipedia.org.",
                                            "en.m.wikipedia.org"};
    struct built unknown = build_share("4%", "s", "");
    struct built named =
        build_share("4%", "s", ", wikis: [{ hosts: [en.wikipedia.org], k8s: 7% }]");
    uint32_t bucket = decide(&unknown, "en.wikipedia.org", 1).bucket;

    for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
        assert_int_equal(decide(&unknown, spellings[i], 1).bucket, bucket);
        assert_int_equal(decide(&named, spellings[i], 1).bucket, bucket);
    }
    assert_int_not_equal(decide(&unknown, "de.wikipedia.org", 1).bucket, bucket);
    discard(&unknown);
    discard(&named);
}

static void long_keys_count_as_a_whole(void **state UNUSED)
{
    static char cookie[5000];
    struct built built = build_share("4%", "s", "");
    struct facts facts = {.method = STR("GET"), .host = STR("a.org"), .path = STR("/")};

    memset(cookie, 'a', sizeof(cookie));
    memcpy(cookie, "Uniq=", 5);
    facts.cookie = str_make(cookie, sizeof(cookie));
    uint32_t bucket = route_decide(built.router, router_weights(built.router), &facts).bucket;
    cookie[sizeof(cookie) - 1] = 'b';
    assert_int_not_equal(route_decide(built.router, router_weights(built.router), &facts).bucket,
                         bucket);
    discard(&built);
}

static void the_brake_overrides_every_share(void **state UNUSED)
{
    static const char *const more[] = {
        ", wikis: [{ hosts: [on.org], k8s: 1 }], emergency: all-legacy",
        ", wikis: [{ hosts: [on.org], k8s: 0 }], emergency: all-k8s"};

    for (size_t i = 0; i < ARRAY_LEN(more); i++) {
        struct built built = build_share("4%", "s", more[i]);
        enum side side = i == 0 ? SIDE_LEGACY : SIDE_K8S;
        for (uint32_t client = 0; client < 1000; client++) {
            assert_int_equal(decide(&built, "on.org", client).side, side);
            struct decision decision = decide(&built, "en.org", client);
            assert_int_equal(decision.side, side);
            assert_int_equal(decision.why, WHY_EMERGENCY);
        }
        discard(&built);
    }
}

static void a_hundred_thousand_hosts_are_found(void **state UNUSED)
{
    size_t size = 1024 + 100000 * 24, len;
    char *text = malloc(size), host[32];
    struct complaints complaints;

    assert_non_null(text);
    len = (size_t)snprintf(text, size,
                           "listeners: [{ name: a, bind: '127.0.0.1:0', router: r }]\n"
                           "groups: { g: { endpoints: ['127.0.0.1:1'] } }\n"
                           "routers:\n  r:\n    services: { w: { legacy: g, k8s: g } }\n"
                           "    rules: [{ service: w }]\n"
                           "    split:\n      wikis:\n        - k8s: 1\n          hosts:\n");
    for (int i = 0; i < 100000; i++)
        len += (size_t)snprintf(text + len, size - len, "          - h%05d.org\n", i);
    complaints_init(&complaints);
    struct built built = build(config_load_text(str_make(text, len), "t", &complaints));
    for (int i = 0; i < 100000; i++) {
        snprintf(host, sizeof(host), "h%05d.org", i);
        assert_int_equal(decide(&built, host, 1).why, WHY_SPLIT_HOST);
    }
    assert_int_equal(decide(&built, "h100000.org", 1).why, WHY_SPLIT_DEFAULT);
    discard(&built);
    complaints_deinit(&complaints);
    free(text);
}

/* --- September 2023 -------------------------------------------------------------------------- */

static struct built build_edge(void)
{
    struct complaints complaints;
    char line[1024];

    complaints_init(&complaints);
    struct config *config = config_load(WEIR_SOURCE_DIR "/conf/edge.yaml", &complaints);
    for (size_t i = 0; i < complaints.count; i++)
        print_message("%s\n", complaint_line(&complaints.items[i], line, sizeof(line)));
    assert_int_equal(complaints.count, 0);
    complaints_deinit(&complaints);
    return build(config);
}

static void every_configuration_of_conf_loads_without_warnings(void **state UNUSED)
{
    static const char *const files[] = {"edge.yaml", "sidecar.yaml", "demo.yaml"};

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct complaints complaints;
        char path[512];
        snprintf(path, sizeof(path), "%s/conf/%s", WEIR_SOURCE_DIR, files[i]);
        complaints_init(&complaints);
        struct config *config = config_load(path, &complaints);
        assert_non_null(config);
        assert_int_equal(complaints.count, 0);
        config_free(config);
        complaints_deinit(&complaints);
    }
}

static void check_row(const struct built *edge, struct str host, struct str load)
{
    char name[256];
    int keys = str_eq(load, STR("0.04")) ? KEYS : 1000;

    if (str_eq(host, STR("default")))
        host = STR("en.wikipedia.org");
    /* Listed twice, 0 and then 1: the later one was in effect. */
    if (str_eq(host, STR("test-commons.wikimedia.org")))
        load = STR("1");
    snprintf(name, sizeof(name), "%.*s", STR_FMT(host));
    int count = count_k8s(edge, name, keys);
    if (str_eq(load, STR("1")) && count != keys)
        fail_msg("%s: %d of %d on k8s", name, count, keys);
    if (str_eq(load, STR("0")) && count != 0)
        fail_msg("%s: %d of %d on k8s", name, count, keys);
    if (str_eq(load, STR("0.04")) && (count < 3690 || count > 4310))
        fail_msg("%s: %d of %d on k8s", name, count, keys);
}

static void every_row_of_september_2023_is_served_as_it_was(void **state UNUSED)
{
    static char text[65536];
    FILE *file = fopen(WEIR_SOURCE_DIR "/../shared/data/wikimedia/split-2023-09-01.tsv", "r");
    struct str rest, line, order, host, load;
    int rows = 0;

    if (file == NULL)
        skip();
    rest = str_make(text, fread(text, 1, sizeof(text), file));
    fclose(file);
    struct built edge = build_edge();
    assert_true(str_next(&rest, '\n', &line)); /* names of the columns */
    for (; str_next(&rest, '\n', &line); rows++) {
        str_next(&line, '\t', &order);
        str_next(&line, '\t', &host);
        str_next(&line, '\t', &load);
        check_row(&edge, host, load);
    }
    assert_int_equal(rows, 150);
    discard(&edge);
}

static void the_edge_knows_the_exceptions_of_september_2023(void **state UNUSED)
{
    static const struct {
        const char *host;
        uint32_t share;
    } cases[] = {
        {"aa.wikipedia.org", 100000},
        {"aa.m.wikipedia.org", 100000},
        {"ak.wikipedia.org", 4000},
        {"test-commons.wikimedia.org", 100000},
        {"www.wikidata.org", 0},
        {"m.wikidata.org", 0},
        {"commons.m.wikimedia.org", 0},
        {"m.mediawiki.org", 100000},
        {"mediawiki.org", 4000},
        {"test.wikipedia.org", 0},
        {"test2.m.wikipedia.org", 100000},
        {"en.wikipedia.org", 4000},
        {"vrt-wiki.wikimedia.org", 100000},
    };
    struct built edge = build_edge();

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(decide(&edge, cases[i].host, 1).share, cases[i].share);
    discard(&edge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_kept_within_five_deviations),
        cmocka_unit_test(raising_the_share_never_moves_a_client_back),
        cmocka_unit_test(hosts_and_salts_draw_independently),
        cmocka_unit_test(the_mobile_host_moves_the_same_clients),
        cmocka_unit_test(the_first_key_that_is_there_decides),
        cmocka_unit_test(buckets_are_the_same_on_every_machine),
        cmocka_unit_test(buckets_do_not_depend_on_how_the_host_is_written),
        cmocka_unit_test(long_keys_count_as_a_whole),
        cmocka_unit_test(the_brake_overrides_every_share),
        cmocka_unit_test(a_hundred_thousand_hosts_are_found),
        cmocka_unit_test(every_configuration_of_conf_loads_without_warnings),
        cmocka_unit_test(every_row_of_september_2023_is_served_as_it_was),
        cmocka_unit_test(the_edge_knows_the_exceptions_of_september_2023),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
