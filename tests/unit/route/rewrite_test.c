/* Rewrites: what the upstream gets instead of what the client sent. */
#include "route/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct config *config;
static struct router *router;

static const char text[] =
    "listeners: [{ name: a, bind: '127.0.0.1:0', router: r }]\n"
    "groups: { old: { endpoints: ['o:1'] }, rest: { endpoints: ['r:1'] } }\n"
    "routers:\n"
    "  r:\n"
    "    services: { web: old }\n"
    "    rules:\n"
    "      - { name: pdf, path: /api/rest_v1/page/pdf/*, group: rest,\n"
    "          rewrite: { path: '/${host}/v1/page/pdf/${rest}' } }\n"
    "      - { name: rest, path: /api/rest_v1, group: rest,\n"
    "          normalize: { methods: PURGE, decode: \":@!$()*,;'\", encode: '[]&+=' },\n"
    "          rewrite: { path: '/${host}/v1/${rest}' } }\n"
    "      - name: web\n"
    "        service: web\n"
    "        normalize: { methods: PURGE, decode: ':/@!$()*,;', encode: \"[]&'+=\" }\n"
    "        rewrite:\n"
    "          - { when: { header: { X-Subdomain: '*' } }, host: '${header:x-dt-host}' }\n"
    "          - { when: { host: w.wiki, path: '=/' } }\n"
    "          - { when: { host: w.wiki }, host: meta.wikimedia.org,\n"
    "              path: '/wiki/Special:UrlRedirector${path}' }\n";

static int set_up(void **state UNUSED)
{
    struct complaints complaints;
    struct err err;
    char line[1024];

    complaints_init(&complaints);
    config = config_load_text(STR(text), "t", &complaints);
    for (size_t i = 0; i < complaints.count; i++)
        print_message("%s\n", complaint_line(&complaints.items[i], line, sizeof(line)));
    complaints_deinit(&complaints);
    router = config != NULL ? router_new(config, 0, &err) : NULL;
    return router != NULL ? 0 : -1;
}

static int tear_down(void **state UNUSED)
{
    router_free(router);
    config_free(config);
    return 0;
}

/* A mobile request as a cache in front sends it, when `arg` says to which desktop host. */
static struct str field(const void *arg, struct str name, unsigned *from UNUSED)
{
    if (arg != NULL && str_eq(name, STR("x-subdomain")))
        return STR("M");
    if (arg != NULL && str_eq(name, STR("x-dt-host")))
        return str_of(arg);
    return (struct str){NULL, 0};
}

struct want {
    const char *method, *host, *path, *desktop;
    const char *target, *new_host; /* NULL: as received */
};

static void check(const struct want *want)
{
    struct facts facts = {
        .method = str_of(want->method),
        .host = str_of(want->host),
        .path = str_of(want->path),
        .field = field,
        .field_arg = want->desktop,
    };
    struct decision decision = route_decide(router, router_weights(router), &facts);
    struct rewritten got;
    char out[4096];

    assert_int_equal(route_rewrite(router, &facts, &decision, out, sizeof(out), &got), 0);
    if (!str_eq(got.target, str_of(want->target)) || !str_eq(got.host, str_of(want->new_host)))
        fail_msg("%s %s%s became \"%.*s\" at \"%.*s\"", want->method, want->host, want->path,
                 STR_FMT(got.target), STR_FMT(got.host));
}

static void paths_and_hosts_change_as_rules_say(void **state UNUSED)
{
    static const struct want wants[] = {
        {"GET", "en.org", "/wiki/X?a=b", .target = NULL},
        {"GET", "en.org", "/api/rest_v1/page/html/A?x=1", .target = "/en.org/v1/page/html/A?x=1"},
        {"GET", "EN.org:443", "/api/rest_v1/", .target = "/en.org/v1/"},
        {"GET", "en.org", "/api/rest_v1", .target = "/en.org/v1/"},
        {"GET", "en.org", "/api/rest_v1/page/pdf/T", .target = "/en.org/v1/page/pdf/T"},
        /* what only means the same path is sent as it is understood */
        {"GET", "en.org", "/api/x/../rest_v1/a%2fb", .target = "/en.org/v1/a%2Fb"},
        {"GET", "en.org", "/api/../api/rest_v1/x", .target = "/en.org/v1/x"},
        {"GET", "en.org", "/%61pi/rest_v1/a%3ab", .target = "/en.org/v1/a%3ab"},
        {"PURGE", "en.org", "/x/%2e%2e/api/rest_v1/a%3ab", .target = "/en.org/v1/a:b"},
        {"GET", "it.m.org", "/wiki/R", .desktop = "it.org", .new_host = "it.org"},
        {"GET", "w.wiki", "/4k", .target = "/wiki/Special:UrlRedirector/4k",
         .new_host = "meta.wikimedia.org"},
        {"GET", "w.wiki", "/", .target = NULL},
        {"GET", "it.m.org", "/wiki/R", .desktop = "it.org", .new_host = "it.org"},
        /* nothing that is no host becomes one */
        {"GET", "it.m.org", "/wiki/R", .desktop = "a b"},
        {"GET", "it.m.org", "/wiki/R", .desktop = ""},
        {"GET", "it.m.org", "/wiki/R", .desktop = "u@x"},
    };
    for (size_t i = 0; i < ARRAY_LEN(wants); i++)
        check(&wants[i]);
}

static void purge_names_a_page_in_one_way(void **state UNUSED)
{
    static const struct want wants[] = {
        {"PURGE", "en.org", "/wiki/User:Ema%2fProfiling_Python%28Now[dude]",
         .target = "/wiki/User:Ema/Profiling_Python(Now%5Bdude%5D"},
        {"PURGE", "en.org", "/wiki/%e2%82%ac?a=%2f", .target = "/wiki/%E2%82%AC?a=%2f"},
        {"PURGE", "en.org", "/wiki/100%", .target = "/wiki/100%"},
        {"PURGE", "en.org", "/wiki/A'B&C", .target = "/wiki/A%27B%26C"},
        {"PURGE", "en.org", "/api/rest_v1/a%2fb%3A%27", .target = "/en.org/v1/a%2Fb:'"},
        {"GET", "en.org", "/wiki/User:Ema%2fX", .target = NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(wants); i++)
        check(&wants[i]);
}

static void a_rewrite_that_does_not_fit_is_reported(void **state UNUSED)
{
    struct facts facts = {
        .method = STR("GET"), .host = STR("en.org"), .path = STR("/api/rest_v1/page/html/A")};
    struct decision decision = route_decide(router, router_weights(router), &facts);
    struct rewritten got;
    char out[16];

    assert_int_equal(route_rewrite(router, &facts, &decision, out, sizeof(out), &got), -1);
}

static void the_debug_cookie_is_decoded(void **state UNUSED)
{
    const struct debug_conf debug = {.enabled = true, .cookie = STR("D")};
    struct str value;
    char out[64];

    assert_true(
        route_debug_cookie(&debug, STR("a=b; D=backend%3Dk8s%3Blog"), out, sizeof(out), &value));
    assert_true(str_eq(value, STR("backend=k8s;log")));
    assert_false(route_debug_cookie(&debug, STR("XD=1"), out, sizeof(out), &value));
    assert_false(route_debug_cookie(&debug, STR("D=123456789"), out, 3, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_and_hosts_change_as_rules_say),
        cmocka_unit_test(purge_names_a_page_in_one_way),
        cmocka_unit_test(a_rewrite_that_does_not_fit_is_reported),
        cmocka_unit_test(the_debug_cookie_is_decoded),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
