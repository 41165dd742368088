/* Decisions: rules, debug, datacenter, split, in this order, as tables. */
#include "route/route.h"

#include <linux/seccomp.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char text[] =
    "datacenters: { local: codfw, primary: eqiad }\n"
    "listeners: [{ name: a, bind: '127.0.0.1:0', router: r }]\n"
    "groups:\n"
    "  web-old: { port: 443, hosts: { ro: web-ro, rw: web-rw } }\n"
    "  web-new: { port: 4450, hosts: { codfw: web.codfw, eqiad: web.eqiad } }\n"
    "  api-old: { port: 443, hosts: { any: api } }\n"
    "  api-new: { port: 4447, hosts: { codfw: api.codfw, eqiad: api.eqiad } }\n"
    "  canary: { endpoints: ['canary:1'] }\n"
    "  misc: { endpoints: ['misc:1'] }\n"
    "  debug: { port: 4444, hosts: { any: debug, eqiad: debug.eqiad, codfw: debug.codfw } }\n"
    "routers:\n"
    "  r:\n"
    "    services:\n"
    "      web: { legacy: web-old, k8s: web-new }\n"
    "      api: { legacy: api-old, k8s: api-new }\n"
    "      mixed: { groups: { misc: 90%, canary: 10% } }\n"
    "    rules:\n"
    "      - { name: health, host: health.org, path: '=/up', answer: { status: 200, body: OK } }\n"
    "      - { name: misc, host: [misc.org, '*.misc.org'], group: misc }\n"
    "      - { name: deep, host: '*.a.misc2.org', group: misc }\n"
    "      - { name: wide, host: '*.misc2.org', path: /only, group: canary }\n"
    "      - { name: socket, host: ws.org, header: { Upgrade: websocket }, group: canary }\n"
    "      - { name: joined, host: joined.org, header: { A: 'b, c, d' }, answer: 403 }\n"
    "      - { name: begins, host: joined.org, header: { B: 'x, Y, Z*' }, answer: 403 }\n"
    "      - { name: mixed, path: /mixed, service: mixed }\n"
    "      - { name: blocked, method: [CONNECT, TRACE], answer: 405 }\n"
    "      - { name: next, cookie: { php: next }, path: /wiki/, group: canary }\n"
    "      - { name: evil, path: '~/(a|aa)+[!x]', answer: 403 }\n"
    "      - { name: slow, path: '~/(b|bb)+[!x]', group: misc }\n"
    "      - { name: thumb, path: '~/thumb/[0-9a-f]/.*[.](png|jpg)', group: misc }\n"
    "      - { name: planet, host: '~([^.]+[.])?planet[.]org', group: canary }\n"
    "      - { name: api, path: [/w/api.php, /api/rest_v1/*], service: api }\n"
    "      - { name: none, host: closed.org, answer: 404 }\n"
    "      - { name: web, service: web }\n"
    "    debug:\n"
    "      backends:\n"
    "        k8s: debug\n"
    "        k8s-eqiad: { group: debug, datacenter: eqiad }\n"
    "        limited: { group: debug, hosts: [test.org], refused: 403 }\n"
    "    split:\n"
    "      default: 0\n"
    "      wikis:\n"
    "        - { hosts: [on.org, m.on2.org], k8s: 100% }\n"
    "        - { hosts: [de.off.org, x.off.org], k8s: 100% }\n"
    "        - { hosts: [de.m.off.org], k8s: 0% }\n"
    "        - { hosts: [mixed.org], k8s: { default: 0%, api: 100% } }\n"
    "    multi_dc:\n"
    "      mode: local\n"
    "      hosts: { pinned.org: primary, anon.org: local-anon, none.org: { share: 0 } }\n"
    "      primary_if:\n"
    "        - { name: post, method: POST, unless_header: { Promise: 'true' } }\n"
    "        - { name: cookie, cookie: { UseDC: master } }\n"
    "        - { name: pos, query: { cpPosIndex: '*' } }\n"
    "        - { name: rollback, query: { action: rollback } }\n"
    "        - { name: login, host: login.org }\n"
    "        - { name: auth, header: { Authorization: 'CentralAuthToken*' } }\n"
    "        - { name: page, path: /wiki/Special:CentralAutoLogin }\n";

static struct config *config;
static struct router *router;

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
    if (config == NULL)
        return -1;
    router = router_new(config, 0, &err);
    return router != NULL ? 0 : -1;
}

static int tear_down(void **state UNUSED)
{
    router_free(router);
    config_free(config);
    return 0;
}

/* "Name: value", one in a line. */
static struct str field(const void *arg, struct str name, unsigned *from)
{
    struct str all = str_of(arg), rest = str_skip(all, *from), line, key, value;

    while (str_next(&rest, '\n', &line)) {
        *from = (unsigned)(all.len - rest.len);
        if (str_cut(line, ':', &key, &value) && str_eq_nocase(key, name))
            return str_trim(value);
    }
    return (struct str){NULL, 0};
}

struct want {
    const char *method, *host, *path, *cookie, *header, *debug;
    int status;         /* or … */
    const char *target; /* … the target's name */
    const char *rule;
    enum side side;
    enum why why;
    const char *dc_rule; /* or NULL */
};

static void check(const struct want *want)
{
    struct facts facts = {
        .method = str_of(want->method),
        .host = str_of(want->host),
        .path = str_of(want->path),
        .cookie = str_of(want->cookie),
        .debug = str_of(want->debug),
        .has_debug = want->debug != NULL,
        .field = field,
        .field_arg = want->header,
        .client_ip = {[15] = 1},
    };
    struct decision got = route_decide(router, router_weights(router), &facts);
    struct str target = {"-", 1}, rule = {"-", 1}, dc_rule = {"-", 1};

    if (got.group >= 0)
        target = config->groups[got.group].targets[got.target].name;
    if (got.rule >= 0)
        rule = config->routers[0].rules[got.rule].name;
    if (got.dc_rule >= 0)
        dc_rule = config->routers[0].multi_dc.primary_if[got.dc_rule].name;
    if (got.status != want->status || got.side != want->side || got.why != want->why ||
        !str_eq(target, str_of(want->target != NULL ? want->target : "-")) ||
        !str_eq(rule, str_of(want->rule != NULL ? want->rule : "-")) ||
        !str_eq(dc_rule, str_of(want->dc_rule != NULL ? want->dc_rule : "-")))
        fail_msg("%s %s%s: status %d, target %.*s, rule %.*s, side %s, why %s, dc rule %.*s",
                 want->method, want->host, want->path, got.status, STR_FMT(target), STR_FMT(rule),
                 side_word(got.side), why_word(got.why), STR_FMT(dc_rule));
}

static void check_all(const struct want *wants, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check(&wants[i]);
}

static void the_first_rule_that_matches_wins(void **state UNUSED)
{
    static const struct want wants[] = {
        {"GET", "health.org", "/up", .status = 200, .rule = "health", .why = WHY_ANSWER},
        {"GET", "health.org", "/up?x=1", .status = 200, .rule = "health", .why = WHY_ANSWER},
        {"GET", "health.org", "/up/", .target = "web-ro:443", .rule = "web", .side = SIDE_LEGACY,
         .why = WHY_SPLIT_DEFAULT},
        {"GET", "misc.org", "/w/api.php", .target = "misc:1", .rule = "misc", .why = WHY_PLAIN},
        {"GET", "MISC.org:443", "/", .target = "misc:1", .rule = "misc", .why = WHY_PLAIN},
        {"GET", "a.b.misc.org", "/", .target = "misc:1", .rule = "misc", .why = WHY_PLAIN},
        {"GET", "xmisc.org", "/", .target = "web-ro:443", .rule = "web", .side = SIDE_LEGACY,
         .why = WHY_SPLIT_DEFAULT},
        {"GET", "b.a.misc2.org", "/only", .target = "misc:1", .rule = "deep", .why = WHY_PLAIN},
        {"GET", "a.misc2.org", "/only/x", .target = "canary:1", .rule = "wide", .why = WHY_PLAIN},
        {"GET", "a.misc2.org", "/onlyx", .target = "web-ro:443", .rule = "web", .side = SIDE_LEGACY,
         .why = WHY_SPLIT_DEFAULT},
        {"GET", "misc2.org", "/only", .target = "web-ro:443", .rule = "web", .side = SIDE_LEGACY,
         .why = WHY_SPLIT_DEFAULT},
        {"GET", "ws.org", "/", .header = "upgrade: websocket", .target = "canary:1",
         .rule = "socket", .why = WHY_PLAIN},
        {"GET", "ws.org", "/", .header = "upgrade: h2c\na: b\nUpgrade: websocket",
         .target = "canary:1", .rule = "socket", .why = WHY_PLAIN},
        {"GET", "ws.org", "/", .header = "upgrade: h2c\nupgrade: h3", .target = "web-ro:443",
         .rule = "web", .side = SIDE_LEGACY, .why = WHY_SPLIT_DEFAULT},
        {"GET", "joined.org", "/", .header = "a: b\na: c, d", .status = 403, .rule = "joined",
         .why = WHY_ANSWER},
        {"GET", "joined.org", "/", .header = "a: b, c\na: d", .status = 403, .rule = "joined",
         .why = WHY_ANSWER},
        {"GET", "joined.org", "/", .header = "a: b\na: c\na: d\na: e", .target = "web-ro:443",
         .rule = "web", .side = SIDE_LEGACY, .why = WHY_SPLIT_DEFAULT},
        {"GET", "joined.org", "/", .header = "a: b, c\na: d2", .target = "web-ro:443",
         .rule = "web", .side = SIDE_LEGACY, .why = WHY_SPLIT_DEFAULT},
        {"GET", "joined.org", "/", .header = "b: x\nb: Y\nb: Z2", .status = 403, .rule = "begins",
         .why = WHY_ANSWER},
        {"GET", "joined.org", "/", .header = "b: x\nb: zy", .target = "web-ro:443", .rule = "web",
         .side = SIDE_LEGACY, .why = WHY_SPLIT_DEFAULT},
        {"GET", "ws.org", "/", .target = "web-ro:443", .rule = "web", .side = SIDE_LEGACY,
         .why = WHY_SPLIT_DEFAULT},
        {"TRACE", "en.org", "/", .status = 405, .rule = "blocked", .why = WHY_ANSWER},
        {"trace", "en.org", "/", .target = "web-ro:443", .rule = "web", .side = SIDE_LEGACY,
         .why = WHY_SPLIT_DEFAULT},
        {"GET", "en.org", "/wiki/X", .cookie = "a=b; php=next", .target = "canary:1",
         .rule = "next", .why = WHY_PLAIN},
        {"GET", "en.org", "/wiki/X", .cookie = "a=b; php=nex", .target = "web-ro:443",
         .rule = "web", .side = SIDE_LEGACY, .why = WHY_SPLIT_DEFAULT},
        {"GET", "en.org", "/w/api.php/x", .target = "api:443", .rule = "api", .side = SIDE_LEGACY,
         .why = WHY_SPLIT_DEFAULT},
        {"GET", "en.org", "/w/%61pi.php", .target = "api:443", .rule = "api", .side = SIDE_LEGACY,
         .why = WHY_SPLIT_DEFAULT},
        {"GET", "en.org", "/w/api.phpx", .target = "web-ro:443", .rule = "web", .side = SIDE_LEGACY,
         .why = WHY_SPLIT_DEFAULT},
        {"GET", "en.org", "/api/rest_v1/x", .target = "api:443", .rule = "api", .side = SIDE_LEGACY,
         .why = WHY_SPLIT_DEFAULT},
        {"GET", "en.org", "/api/rest_v1", .target = "web-ro:443", .rule = "web",
         .side = SIDE_LEGACY, .why = WHY_SPLIT_DEFAULT},
        {"GET", "closed.org", "/", .status = 404, .rule = "none", .why = WHY_ANSWER},
        {"OPTIONS", "en.org", "*", .target = "web-ro:443", .rule = "web", .side = SIDE_LEGACY,
         .why = WHY_SPLIT_DEFAULT},
    };
    check_all(wants, ARRAY_LEN(wants));
}

static void patterns_match_whole_paths_and_hosts(void **state UNUSED)
{
    static const struct want wants[] = {
        {"GET", "en.org", "/thumb/a/x.png", .target = "misc:1", .rule = "thumb", .why = WHY_PLAIN},
        {"GET", "en.org", "/thumb/a/x.png2", .target = "web-ro:443", .rule = "web",
         .side = SIDE_LEGACY, .why = WHY_SPLIT_DEFAULT},
        {"GET", "en.org", "/x/thumb/a/x.png", .target = "web-ro:443", .rule = "web",
         .side = SIDE_LEGACY, .why = WHY_SPLIT_DEFAULT},
        {"GET", "planet.org", "/", .target = "canary:1", .rule = "planet", .why = WHY_PLAIN},
        {"GET", "de.planet.org", "/", .target = "canary:1", .rule = "planet", .why = WHY_PLAIN},
        {"GET", "a.de.planet.org", "/", .target = "web-ro:443", .rule = "web", .side = SIDE_LEGACY,
         .why = WHY_SPLIT_DEFAULT},
    };
    check_all(wants, ARRAY_LEN(wants));
}

/* What takes too long denies where the rule denies, and is passed over where it does not. */
static void a_pattern_that_takes_too_long_fails_closed(void **state UNUSED)
{
    char path[66] = "/";
    struct facts facts = {.method = STR("GET"), .host = STR("en.org"), .path = {path, 65}};

    memset(path + 1, 'a', 64);
    struct decision decision = route_decide(router, router_weights(router), &facts);
    assert_int_equal(decision.status, 403);
    assert_int_equal(decision.limits, 1);
    memset(path + 1, 'b', 64);
    decision = route_decide(router, router_weights(router), &facts);
    assert_int_equal(decision.status, 0);
    assert_int_equal(decision.limits, 1);
    assert_true(str_eq(config->routers[0].rules[decision.rule].name, STR("web")));
}

static void a_bad_host_is_answered_and_no_host_is_legacy(void **state UNUSED)
{
    static const struct want wants[] = {
        {"GET", "a@b.org", "/", .status = 400, .why = WHY_BAD_HOST},
        {"GET", "", "/", .target = "web-rw:443", .rule = "web", .side = SIDE_LEGACY,
         .why = WHY_NO_HOST},
    };
    check_all(wants, ARRAY_LEN(wants));
}

static void debug_beats_everything_but_the_rule(void **state UNUSED)
{
    static const struct want wants[] = {
        {"POST", "on.org", "/", .debug = "backend=k8s; log", .target = "debug:4444", .rule = "web",
         .why = WHY_DEBUG},
        {"GET", "login.org", "/", .debug = "k8s-eqiad", .target = "debug.eqiad:4444", .rule = "web",
         .why = WHY_DEBUG},
        {"GET", "on.org", "/", .debug = "k9s", .status = 400, .rule = "web",
         .why = WHY_DEBUG_UNKNOWN},
        {"GET", "on.org", "/", .debug = "", .status = 400, .rule = "web", .why = WHY_DEBUG_UNKNOWN},
        {"GET", "on.org", "/", .debug = "limited", .status = 403, .rule = "web",
         .why = WHY_DEBUG_REFUSED},
        {"GET", "test.org", "/", .debug = "limited", .target = "debug:4444", .rule = "web",
         .why = WHY_DEBUG},
        /* only services of MediaWiki look at it */
        {"GET", "misc.org", "/", .debug = "nonsense", .target = "misc:1", .rule = "misc",
         .why = WHY_PLAIN},
    };
    check_all(wants, ARRAY_LEN(wants));
}

static void the_datacenter_comes_before_the_side(void **state UNUSED)
{
    static const struct want wants[] = {
        {"GET", "on.org", "/", .target = "web.codfw:4450", .rule = "web", .side = SIDE_K8S,
         .why = WHY_SPLIT_HOST},
        {"POST", "on.org", "/", .target = "web.eqiad:4450", .rule = "web", .side = SIDE_K8S,
         .why = WHY_SPLIT_HOST, .dc_rule = "post"},
        {"POST", "on.org", "/", .header = "Promise: true", .target = "web.codfw:4450",
         .rule = "web", .side = SIDE_K8S, .why = WHY_SPLIT_HOST},
        {"POST", "on.org", "/", .header = "Promise: truely", .target = "web.eqiad:4450",
         .rule = "web", .side = SIDE_K8S, .why = WHY_SPLIT_HOST, .dc_rule = "post"},
        {"PURGE", "on.org", "/", .target = "web.codfw:4450", .rule = "web", .side = SIDE_K8S,
         .why = WHY_SPLIT_HOST},
        {"GET", "on.org", "/", .cookie = "a=1; UseDC=master", .target = "web.eqiad:4450",
         .rule = "web", .side = SIDE_K8S, .why = WHY_SPLIT_HOST, .dc_rule = "cookie"},
        {"GET", "on.org", "/", .cookie = "NotUseDC=master", .target = "web.codfw:4450",
         .rule = "web", .side = SIDE_K8S, .why = WHY_SPLIT_HOST},
        {"GET", "on.org", "/?cpPosIndex=", .target = "web.eqiad:4450", .rule = "web",
         .side = SIDE_K8S, .why = WHY_SPLIT_HOST, .dc_rule = "pos"},
        {"GET", "on.org", "/?cpPosIndexes=1", .target = "web.codfw:4450", .rule = "web",
         .side = SIDE_K8S, .why = WHY_SPLIT_HOST},
        {"GET", "on.org", "/?action=view&action=%72ollback", .target = "web.eqiad:4450",
         .rule = "web", .side = SIDE_K8S, .why = WHY_SPLIT_HOST, .dc_rule = "rollback"},
        {"GET", "login.m.org", "/", .target = "web-rw:443", .rule = "web", .side = SIDE_LEGACY,
         .why = WHY_SPLIT_DEFAULT, .dc_rule = "login"},
        {"GET", "en.org", "/wiki/Special:CentralAutoLogin/x", .target = "web-rw:443", .rule = "web",
         .side = SIDE_LEGACY, .why = WHY_SPLIT_DEFAULT, .dc_rule = "page"},
        {"GET", "en.org", "/", .header = "authorization: centralauthtoken 12",
         .target = "web-rw:443", .rule = "web", .side = SIDE_LEGACY, .why = WHY_SPLIT_DEFAULT,
         .dc_rule = "auth"},
        {"GET", "pinned.org", "/", .target = "web-rw:443", .rule = "web", .side = SIDE_LEGACY,
         .why = WHY_SPLIT_DEFAULT},
        {"GET", "anon.org", "/", .cookie = "a=Session=1", .target = "web-ro:443", .rule = "web",
         .side = SIDE_LEGACY, .why = WHY_SPLIT_DEFAULT},
        {"GET", "anon.org", "/", .cookie = "enwikiSession=1", .target = "web-rw:443", .rule = "web",
         .side = SIDE_LEGACY, .why = WHY_SPLIT_DEFAULT},
        {"GET", "none.org", "/", .target = "web-rw:443", .rule = "web", .side = SIDE_LEGACY,
         .why = WHY_SPLIT_DEFAULT},
    };
    check_all(wants, ARRAY_LEN(wants));
}

static void an_exact_host_beats_the_folded_one(void **state UNUSED)
{
    static const struct want wants[] = {
        {"GET", "on.m.org", "/", .target = "web.codfw:4450", .rule = "web", .side = SIDE_K8S,
         .why = WHY_SPLIT_HOST},
        {"GET", "m.on2.org", "/", .target = "web.codfw:4450", .rule = "web", .side = SIDE_K8S,
         .why = WHY_SPLIT_HOST},
        {"GET", "on2.org", "/", .target = "web-ro:443", .rule = "web", .side = SIDE_LEGACY,
         .why = WHY_SPLIT_DEFAULT},
        {"GET", "de.off.org", "/", .target = "web.codfw:4450", .rule = "web", .side = SIDE_K8S,
         .why = WHY_SPLIT_HOST},
        {"GET", "de.m.off.org", "/", .target = "web-ro:443", .rule = "web", .side = SIDE_LEGACY,
         .why = WHY_SPLIT_HOST},
        {"GET", "x.m.off.org", "/", .target = "web.codfw:4450", .rule = "web", .side = SIDE_K8S,
         .why = WHY_SPLIT_HOST},
        {"GET", "default", "/", .target = "web-ro:443", .rule = "web", .side = SIDE_LEGACY,
         .why = WHY_SPLIT_DEFAULT},
    };
    check_all(wants, ARRAY_LEN(wants));
}

static void services_may_have_shares_of_their_own(void **state UNUSED)
{
    static const struct want wants[] = {
        {"GET", "mixed.org", "/", .target = "web-ro:443", .rule = "web", .side = SIDE_LEGACY,
         .why = WHY_SPLIT_HOST},
        {"GET", "mixed.org", "/w/api.php", .target = "api.codfw:4447", .rule = "api",
         .side = SIDE_K8S, .why = WHY_SPLIT_HOST},
    };
    check_all(wants, ARRAY_LEN(wants));
}

static void fixed_weights_are_kept(void **state UNUSED)
{
    int canary = 0;

    for (uint32_t client = 0; client < 100000; client++) {
        struct facts facts = {.method = STR("GET"), .host = STR("en.org"), .path = STR("/mixed")};
        memcpy(facts.client_ip, &client, sizeof(client));
        facts.client_ip[15] = 1;
        struct decision decision = route_decide(router, router_weights(router), &facts);
        assert_int_equal(decision.why, WHY_WEIGHTS);
        canary += str_eq(config->groups[decision.group].name, STR("canary")) ? 1 : 0;
    }
    assert_in_range(canary, 9525, 10475);
}

static void a_path_too_long_to_normalise_is_answered(void **state UNUSED)
{
    static char path[20000];
    struct facts facts = {.method = STR("GET"), .host = STR("en.org"), .path = {path, 20000}};

    memset(path, 'a', sizeof(path));
    memcpy(path, "/%61", 4);
    assert_int_equal(route_decide(router, router_weights(router), &facts).status, 414);
}

static void deciding_allocates_nothing(void **state UNUSED)
{
    struct facts facts = {.method = STR("GET"), .host = STR("on.m.org"), .path = STR("/%61?a=b")};
    struct mallinfo2 before = mallinfo2();

    for (int i = 0; i < 1000; i++)
        route_decide(router, router_weights(router), &facts);
    assert_true(mallinfo2().uordblks == before.uordblks);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { HAS_SANITIZER = true }; /* its run-time asks the kernel for memory on its own account */
#else
enum { HAS_SANITIZER = false };
#endif

/* In a child that the kernel would kill for anything but reading, writing and leaving. */
static void deciding_makes_no_system_call(void **state UNUSED)
{
    if (HAS_SANITIZER)
        skip();

    struct facts facts = {
        .method = STR("GET"),
        .host = STR("de.m.off.org"),
        .path = STR("/w/%61pi.php?action=rollback"),
        .cookie = STR("a=b; UseDC=master"),
        .client_ip = {[15] = 1},
    };
    int status;
    pid_t child = fork();

    if (child == 0) {
        int result = 0;
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
            _exit(77);
        for (int i = 0; i < 1000; i++)
            result |= route_decide(router, router_weights(router), &facts).group < 0 ? 1 : 0;
        syscall(SYS_exit, result);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip(); /* not allowed here */
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_rule_that_matches_wins),
        cmocka_unit_test(patterns_match_whole_paths_and_hosts),
        cmocka_unit_test(a_pattern_that_takes_too_long_fails_closed),
        cmocka_unit_test(a_bad_host_is_answered_and_no_host_is_legacy),
        cmocka_unit_test(debug_beats_everything_but_the_rule),
        cmocka_unit_test(the_datacenter_comes_before_the_side),
        cmocka_unit_test(an_exact_host_beats_the_folded_one),
        cmocka_unit_test(services_may_have_shares_of_their_own),
        cmocka_unit_test(fixed_weights_are_kept),
        cmocka_unit_test(a_path_too_long_to_normalise_is_answered),
        cmocka_unit_test(deciding_allocates_nothing),
        cmocka_unit_test(deciding_makes_no_system_call),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
