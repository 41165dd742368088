/* Which rules a host meets: what was prepared for each host finds the same rule as going through
 * all rules in their order. */
#include "route/route_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 300, RULES = 12, TEXT_MAX = 16 * 1024, HOST_LABELS = 3 };

/* The same rules in each run. */
static uint32_t dice;

static uint32_t roll(uint32_t below)
{
    dice = dice * 1664525 + 1013904223;
    return (dice >> 16) % below;
}

/* One to three labels out of three: many hosts are equal, or below one another. */
static void random_host(char *out)
{
    unsigned labels = 1 + roll(HOST_LABELS);

    *out = '\0';
    for (unsigned i = 0; i < labels; i++)
        sprintf(out + strlen(out), "%s%c", i > 0 ? "." : "", "abc"[roll(3)]);
}

static void random_rule(char *out)
{
    unsigned hosts = roll(4);
    char host[32];

    sprintf(out, "      - { answer: 404");
    for (unsigned i = 0; i < hosts; i++) {
        random_host(host);
        sprintf(out + strlen(out), "%s%s%s%s", i > 0 ? ", '" : ", host: ['",
                roll(3) == 0 ? "*." : "", host, i + 1 == hosts ? "']" : "'");
    }
    if (hosts == 0 && roll(4) == 0)
        strcat(out, ", host: '~[ab]([.].*)?'");
    if (roll(3) > 0)
        sprintf(out + strlen(out), ", path: /%c", "xy"[roll(2)]);
    strcat(out, " }\n");
}

static struct config *random_config(void)
{
    static char text[TEXT_MAX];
    struct complaints complaints;

    strcpy(text, "listeners: [{ name: a, bind: '127.0.0.1:0', router: r }]\n"
                 "groups: { g: { endpoints: ['127.0.0.1:1'] } }\n"
                 "routers:\n  r:\n    rules:\n");
    for (unsigned i = 0; i < RULES; i++)
        random_rule(text + strlen(text));
    complaints_init(&complaints);
    struct config *config = config_load_text(str_of(text), "t", &complaints);
    if (config == NULL)
        print_message("%s\n", text);
    complaints_deinit(&complaints);
    assert_non_null(config);
    return config;
}

static bool meets_host(const struct match_conf *match, struct str host)
{
    for (size_t i = 0; i < match->host_count; i++) {
        if (match->hosts[i].is_regex) /* the one pattern there is */
            return (host.ptr[0] == 'a' || host.ptr[0] == 'b') &&
                   (host.len == 1 || host.ptr[1] == '.');
    }
    return hosts_match(match, host);
}

static int first_rule(const struct router_conf *conf, struct str host, struct str path)
{
    for (size_t i = 0; i < conf->rule_count; i++) {
        const struct match_conf *match = &conf->rules[i].match;
        if (meets_host(match, host) &&
            (match->path_count == 0 || path_match(&match->paths[0], path)))
            return (int)i;
    }
    return -1;
}

static void check_host(const struct router *router, const char *host)
{
    static const char *const paths[] = {"/x", "/y", "/z"};

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct facts facts = {.method = STR("GET"), .host = str_of(host), .path = str_of(paths[i])};
        struct decision got = route_decide(router, router_weights(router), &facts);
        assert_int_equal(got.rule, first_rule(router->conf, str_of(host), str_of(paths[i])));
    }
}

static void every_host_meets_the_first_rule_that_fits(void **state UNUSED)
{
    char host[32];
    struct err err;

    for (dice = 1; dice <= ROUNDS; dice++) {
        uint32_t seed = dice;
        struct config *config = random_config();
        struct router *router = router_new(config, 0, &err);
        assert_non_null(router);
        for (unsigned i = 0; i < 60; i++) {
            random_host(host);
            check_host(router, host);
        }
        check_host(router, "d");
        check_host(router, "d.a.b.c");
        router_free(router);
        config_free(config);
        dice = seed;
    }
}

/* Was 10^10 comparisons, a minute. */
static void a_hundred_thousand_hosts_in_a_rule_take_no_time(void **state UNUSED)
{
    enum { HOSTS = 100000 };
    char *text = malloc(HOSTS * 16 + 1024), *at = text;
    struct complaints complaints;
    struct err err;

    at += sprintf(at, "listeners: [{ name: a, bind: '127.0.0.1:0', router: r }]\n"
                      "groups: { g: { endpoints: ['127.0.0.1:1'] } }\n"
                      "routers: { r: { rules: [{ answer: 404, host: [");
    for (unsigned i = 0; i < HOSTS; i++)
        at += sprintf(at, "%sh%u.test", i > 0 ? ", " : "", i);
    at += sprintf(at, "] }] } }\n");
    complaints_init(&complaints);
    struct config *config = config_load_text(str_make(text, (size_t)(at - text)), "t", &complaints);
    complaints_deinit(&complaints);
    assert_non_null(config);
    struct router *router = router_new(config, 0, &err);
    assert_non_null(router);
    struct facts facts = {.method = STR("GET"), .host = STR("h99999.test"), .path = STR("/")};
    assert_int_equal(route_decide(router, router_weights(router), &facts).status, 404);
    assert_int_equal(router->candidates_count, 2);
    router_free(router);
    config_free(config);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_host_meets_the_first_rule_that_fits),
        cmocka_unit_test(a_hundred_thousand_hosts_in_a_rule_take_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
