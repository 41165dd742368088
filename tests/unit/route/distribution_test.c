/* How the split spreads clients: shares over a million keys, evenness of the buckets, and that two
 * salts or two hosts have nothing to do with one another. No dice: the keys are counted up, so that
 * a run that passes passes for ever. */
#include "route/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { KEYS = 1000000, CELLS = 1000 };

struct site {
    struct config *config;
    struct router *router;
};

static struct site site_new(const char *share, const char *salt)
{
    char text[1024];
    struct complaints complaints;
    struct err err;
    struct site site;

    snprintf(
        text, sizeof(text),
        "listeners: [{ name: a, bind: '127.0.0.1:0', router: r }]\n"
        "groups: { old: { endpoints: ['127.0.0.1:1'] }, new: { endpoints: ['127.0.0.1:2'] } }\n"
        "routers:\n"
        "  r:\n"
        "    services: { web: { legacy: old, k8s: new } }\n"
        "    rules: [{ service: web }]\n"
        "    split: { default: %s }\n"
        "    sticky: { key: ['cookie:WMF-Uniq'], salt: %s }\n",
        share, salt);
    complaints_init(&complaints);
    site.config = config_load_text(str_of(text), "test.yaml", &complaints);
    assert_non_null(site.config);
    site.router = router_new(site.config, 0, &err);
    assert_non_null(site.router);
    complaints_deinit(&complaints);
    return site;
}

static void site_free(struct site *site)
{
    router_free(site->router);
    config_free(site->config);
}

static struct decision decide(const struct site *site, const char *host, unsigned key)
{
    char cookie[32];
    int len = snprintf(cookie, sizeof(cookie), "WMF-Uniq=%u", key);
    struct facts facts = {.method = STR("GET"),
                          .host = str_of(host),
                          .path = STR("/wiki/Main_Page"),
                          .cookie = str_make(cookie, (size_t)len)};
    return route_decide(site->router, router_weights(site->router), &facts);
}

/* The four shares of the ramp that the issue names, within 0.1 %. */
static void shares_are_kept_over_a_million_clients(void **state UNUSED)
{
    static const struct {
        const char *text;
        double share;
    } cases[] = {{"0.5%", 0.005}, {"1%", 0.01}, {"4%", 0.04}, {"50%", 0.5}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct site site = site_new(cases[i].text, "mw-on-k8s");
        unsigned on_k8s = 0;
        for (unsigned key = 0; key < KEYS; key++)
            on_k8s += decide(&site, "de.wikipedia.org", key).side == SIDE_K8S;
        double off = (double)on_k8s / KEYS - cases[i].share;
        print_message("share %s: %u of %u\n", cases[i].text, on_k8s, KEYS);
        assert_true(off <= 0.001 && off >= -0.001);
        site_free(&site);
    }
}

/* Pearson's test over 1,000 equal cells: with 999 degrees of freedom the sum stays below 1,143 with
 * probability 0.999. */
static void buckets_are_even(void **state UNUSED)
{
    static unsigned cells[CELLS];
    struct site site = site_new("4%", "mw-on-k8s");
    double sum = 0, expected = (double)KEYS / CELLS;

    memset(cells, 0, sizeof(cells));
    for (unsigned key = 0; key < KEYS; key++)
        cells[(uint64_t)decide(&site, "de.wikipedia.org", key).bucket * CELLS >> 32]++;
    for (unsigned i = 0; i < CELLS; i++)
        sum += (cells[i] - expected) * (cells[i] - expected) / expected;
    print_message("chi-square %.0f with %d degrees of freedom\n", sum, CELLS - 1);
    assert_true(sum < 1143);
    site_free(&site);
}

/* Of those on k8s under one salt (or on one host) the usual share is on k8s under the other. */
static void assert_independent(const struct site *a, const char *host_a, const struct site *b,
                               const char *host_b)
{
    unsigned first = 0, both = 0;

    for (unsigned key = 0; key < KEYS; key++) {
        bool in_a = decide(a, host_a, key).side == SIDE_K8S;
        first += in_a;
        both += in_a && decide(b, host_b, key).side == SIDE_K8S;
    }
    double off = both - first * 0.5, variance = first * 0.25;
    assert_true(off * off < 25 * variance); /* five standard deviations */
}

static void salts_and_hosts_are_independent(void **state UNUSED)
{
    struct site one = site_new("50%", "first"), other = site_new("50%", "second");

    assert_independent(&one, "de.wikipedia.org", &other, "de.wikipedia.org");
    assert_independent(&one, "de.wikipedia.org", &one, "fr.wikipedia.org");
    site_free(&one);
    site_free(&other);
}

/* Every step of the real ramp, one after the other: nobody who is on k8s comes back. */
static void no_step_of_the_ramp_moves_a_client_back(void **state UNUSED)
{
    static const char *const ramp[] = {"0.5%", "1%",  "2%",  "4%",  "5%",  "6.5%", "8%",
                                       "10%",  "15%", "20%", "25%", "30%", "35%",  "40%",
                                       "45%",  "50%", "55%", "60%", "65%", "70%",  "75%",
                                       "80%",  "85%", "90%", "95%", "100%"};
    enum { CLIENTS = 20000 };
    static bool was_on_k8s[CLIENTS];

    for (size_t i = 0; i < ARRAY_LEN(ramp); i++) {
        struct site site = site_new(ramp[i], "mw-on-k8s");
        for (unsigned key = 0; key < CLIENTS; key++) {
            bool is_on_k8s = decide(&site, "de.wikipedia.org", key).side == SIDE_K8S;
            assert_true(is_on_k8s || !was_on_k8s[key]);
            was_on_k8s[key] = is_on_k8s;
        }
        site_free(&site);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_kept_over_a_million_clients),
        cmocka_unit_test(buckets_are_even),
        cmocka_unit_test(salts_and_hosts_are_independent),
        cmocka_unit_test(no_step_of_the_ramp_moves_a_client_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
