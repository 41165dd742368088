/* Good configurations: what is written arrives, what is not has its default. */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct config *load(const char *text)
{
    struct complaints complaints;
    char line[2048];

    complaints_init(&complaints);
    struct config *config = config_load_text(str_of(text), "dir/test.yaml", &complaints);
    for (size_t i = 0; i < complaints.count; i++)
        print_message("%s\n", complaint_line(&complaints.items[i], line, sizeof(line)));
    complaints_deinit(&complaints);
    assert_non_null(config);
    return config;
}

static void defaults_are_those_of_the_header(void **state UNUSED)
{
    struct config *config = load("listeners: [{ name: a, bind: '[::1]:0', group: g }]\n"
                                 "groups: { g: { endpoints: ['127.0.0.1:1'] } }\n");
    const struct listener_conf *listener = &config->listeners[0];
    const struct group_conf *group = &config->groups[0];

    assert_int_equal(listener->router, -1);
    assert_int_equal(listener->group, 0);
    assert_null(listener->tls);
    assert_true(listener->trust_unix && listener->inbound && listener->websocket);
    assert_false(listener->show_group);
    assert_int_equal(listener->client_ip, CLIENT_IP_SET);
    assert_true(str_eq(listener->via, STR("weir")));
    assert_int_equal(listener->limits.max_header_bytes, 65536);
    assert_int_equal(listener->timeouts.header_ms, 15000);
    assert_int_equal(group->balance, BALANCE_LEAST_REQUEST);
    assert_int_equal(group->protocol, PROTOCOL_H1);
    assert_int_equal(group->timeouts.pool_idle_ms, 4500);
    assert_int_equal(group->timeouts.total_ms, 0);
    assert_int_equal(group->max_requests, 1000);
    assert_int_equal(group->retries, 1);
    assert_int_equal(group->retry_budget.share, SHARE_MAX / 5);
    assert_int_equal(group->retry_budget.floor, 10);
    assert_int_equal(group->retry_budget.ceiling, 100);
    assert_null(group->tls);
    assert_true(config->admin.enabled);
    assert_int_equal(addr_port(&config->admin.binds.items[0].addr), 9901);
    assert_true(str_eq(config->access_log.path, STR("-")));
    assert_int_equal(config->drain_timeout_ms, 30000);
    assert_int_equal(config->datacenters.local, -1);
    assert_int_equal(strlen(config->version), 16);
    config_free(config);
}

static void what_is_written_arrives(void **state UNUSED)
{
    struct config *config = load(
        "groups:\n"
        "  g:\n"
        "    endpoints: ['127.0.0.1:8080', 'unix:/run/x.sock', 'Name.example.org:81', '[::1]:82']\n"
        "    tls: { ca: ca.pem, server_name: a.org, verify: false }\n"
        "    protocol: h2\n"
        "    balance: round_robin\n"
        "    timeouts: { connect: 250ms, total: 1m }\n"
        "    retry_budget: 12.5%\n"
        "    retry_floor: 3\n"
        "    retry_ceiling: 30\n"
        "listeners:\n"
        "  name: a\n"
        "  bind: 'unix:/run/weir.sock'\n"
        "  group: g\n"
        "  client_ip: append\n"
        "  via: ''\n"
        "  trusted_proxies: [10.0.0.0/8, '::1']\n"
        "  limits: { max_body_bytes: 10GiB, max_streams: 7 }\n"
        "  tls:\n"
        "    alpn: http/1.1\n"
        "    min_version: '1.3'\n"
        "    certificates: [{ chain: c.pem, key: /k.pem }]\n"
        "admin: off\n"
        "access_log: { min_status: 500, path: log.json }\n"
        "workers: 3\n");
    const struct listener_conf *listener = &config->listeners[0];
    const struct group_conf *group = &config->groups[0];
    const struct target_conf *target = &group->targets[0];

    assert_int_equal(target->host_count, 4);
    assert_true(addr_is_unix(&target->hosts[1].addr));
    assert_int_equal(target->hosts[2].addr.len, 0);
    assert_true(str_eq(target->hosts[2].name, STR("name.example.org")));
    assert_int_equal(target->hosts[2].port, 81);
    assert_int_equal(target->hosts[2].place.line, 3);
    assert_int_equal(target->hosts[2].place.column, 55);
    assert_true(str_eq(target->name, STR("g")));
    assert_true(str_eq(group->tls->ca, STR("dir/ca.pem")));
    assert_false(group->tls->verify);
    assert_int_equal(group->protocol, PROTOCOL_H2);
    assert_int_equal(group->balance, BALANCE_ROUND_ROBIN);
    assert_int_equal(group->timeouts.connect_ms, 250);
    assert_int_equal(group->timeouts.total_ms, 60000);
    assert_int_equal(group->timeouts.response_ms, 180000);
    assert_int_equal(group->retry_budget.share, 12500);
    assert_int_equal(group->retry_budget.floor, 3);
    assert_int_equal(group->retry_budget.ceiling, 30);
    assert_int_equal(listener->client_ip, CLIENT_IP_APPEND);
    assert_int_equal(listener->via.len, 0);
    assert_int_equal(listener->trusted_proxy_count, 2);
    assert_true(listener->limits.max_body_bytes == 10ull << 30);
    assert_int_equal(listener->limits.max_streams, 7);
    assert_false(listener->tls->alpn_h2);
    assert_true(listener->tls->alpn_h1 && listener->tls->tickets);
    assert_int_equal(listener->tls->min_version, TLS_VERSION_1_3);
    assert_true(str_eq(listener->tls->certificates[0].chain, STR("dir/c.pem")));
    assert_true(str_eq(listener->tls->certificates[0].key, STR("/k.pem")));
    assert_false(config->admin.enabled);
    assert_int_equal(config->access_log.min_status, 500);
    assert_true(str_eq(config->access_log.path, STR("dir/log.json")));
    assert_int_equal(config->workers, 3);
    config_free(config);
}

static void hosts_become_targets_by_datacenter(void **state UNUSED)
{
    struct config *config =
        load("datacenters: { local: codfw, primary: eqiad, others: [esams] }\n"
             "groups:\n"
             "  g: { port: 443, hosts: { eqiad: a.org, codfw: [b.org, 'c.org:1'], any: d.org } }\n"
             "  h: { port: 443, hosts: { ro: r.org, rw: w.org } }\n"
             "listeners: [{ name: a, bind: '127.0.0.1:0', group: h }]\n");
    const struct target_conf *targets = config->groups[0].targets;

    assert_int_equal(config->datacenters.count, 3);
    assert_int_equal(config->datacenters.primary, 1);
    assert_int_equal(config->groups[0].target_count, 3);
    assert_int_equal(targets[0].datacenter, 1);
    assert_true(str_eq(targets[0].name, STR("a.org:443")));
    assert_int_equal(targets[1].datacenter, 0);
    assert_int_equal(targets[1].hosts[1].port, 1);
    assert_true(str_eq(targets[1].name, STR("g.codfw")));
    assert_int_equal(targets[2].datacenter, -1);
    assert_int_equal(config->groups[1].targets[0].use, TARGET_RO);
    assert_int_equal(config->groups[1].targets[0].use, TARGET_RO);
    assert_int_equal(config->groups[1].targets[1].use, TARGET_RW);
    config_free(config);
}

/* Own keys win over merged ones, and of several sources the first. */
static void zero_switches_a_limit_off(void **state UNUSED)
{
    struct config *config = load(
        "listeners: [{ name: a, bind: '[::1]:0', group: g, limits: { max_requests: 0, "
        "max_connections: 0, max_body_bytes: 0, min_body_rate: 0 },\n"
        "  per_client: { max_connections: 0, new_per_second: 0 } }]\n"
        "groups: { g: { endpoints: ['127.0.0.1:1'], max_requests: 0, max_connections: 0 } }\n");
    const struct limits_conf *limits = &config->listeners[0].limits;

    assert_int_equal(limits->max_requests, 0);
    assert_true(limits->max_connections == LIMIT_OFF);
    assert_int_equal(limits->max_body_bytes, 0);
    assert_int_equal(config->groups[0].max_requests, 0);
    assert_true(config->groups[0].max_connections == LIMIT_OFF);
    config_free(config);
}

static void merge_keys_give_what_is_not_written(void **state UNUSED)
{
    struct config *config = load(
        "listeners: [{ name: a, bind: '[::1]:0', group: g }]\n"
        "groups:\n"
        "  g: &g { endpoints: ['127.0.0.1:1'], retries: 7, max_pending: 3, timeouts: &t { idle: "
        "9s, connect: 1s } }\n"
        "  h: { retries: 2, <<: *g }\n"
        "  i: { <<: [{ retries: 4, timeouts: { <<: *t, connect: 2s } }, *g] }\n"
        "  j: { <<: { <<: *g, retries: 5 }, max_pending: 8 }\n"
        "  k:\n"
        "    <<: [*g]\n"
        "    endpoints: ['127.0.0.1:2']\n"
        "  <<: { l: *g, g: { endpoints: ['127.0.0.1:4'] } }\n");
    static const struct {
        const char *name;
        uint32_t retries, pending, connect_ms, idle_ms;
        uint16_t port;
    } want[] = {
        {"g", 7, 3, 1000, 9000, 1}, {"h", 2, 3, 1000, 9000, 1}, {"i", 4, 3, 2000, 9000, 1},
        {"j", 5, 8, 1000, 9000, 1}, {"k", 7, 3, 1000, 9000, 2}, {"l", 7, 3, 1000, 9000, 1},
    };

    assert_int_equal(config->group_count, ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        const struct group_conf *group = &config->groups[i];
        assert_string_equal(group->name.ptr, want[i].name);
        assert_int_equal(group->retries, want[i].retries);
        assert_int_equal(group->max_pending, want[i].pending);
        assert_int_equal(group->timeouts.connect_ms, want[i].connect_ms);
        assert_int_equal(group->timeouts.idle_ms, want[i].idle_ms);
        assert_int_equal(addr_port(&group->targets[0].hosts[0].addr), want[i].port);
    }
    config_free(config);
}

static void aliases_and_variables_are_filled_in(void **state UNUSED)
{
    setenv("WEIR_TEST_PORT", "4450", 1);
    setenv("WEIR_TEST_EMPTY", "", 1);
    unsetenv("WEIR_TEST_NONE");
    /* What a variable holds is text: it cannot bring structure along. */
    setenv("WEIR_TEST_YAML", "{ a: b }", 1);
    struct config *config =
        load("groups:\n"
             "  g: { endpoints: ['127.0.0.1:${WEIR_TEST_PORT}'], timeouts: &t { connect: 9s } }\n"
             "  h: { endpoints: ['127.0.0.1:${WEIR_TEST_NONE:-81}'], timeouts: *t }\n"
             "  i: { endpoints: ['127.0.0.1:${WEIR_TEST_EMPTY:-82}'] }\n"
             "listeners: [{ name: '${WEIR_TEST_YAML}', bind: '127.0.0.1:0', group: h }]\n");

    assert_int_equal(config->groups[0].targets->hosts->port, 4450);
    assert_int_equal(config->groups[1].targets->hosts->port, 81);
    assert_int_equal(config->groups[2].targets->hosts->port, 82);
    assert_int_equal(config->groups[1].timeouts.connect_ms, 9000);
    assert_true(str_eq(config->listeners[0].name, STR("{ a: b }")));
    config_free(config);
}

/* --- files ----------------------------------------------------------------------------------- */

static char directory[64];

static int make_directory(void **state UNUSED)
{
    strcpy(directory, "/tmp/weir-config-test-XXXXXX");
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static const char *path_of(const char *name)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static const char *const file_names[] = {"main.yaml", "groups.yaml", "rules.yaml", "wikis.txt",
                                         "closed.txt"};

static int remove_directory(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(file_names); i++)
        unlink(path_of(file_names[i]));
    return rmdir(directory);
}

static struct config *load_main(struct complaints *complaints)
{
    complaints_init(complaints);
    return config_load(path_of("main.yaml"), complaints);
}

static void includes_are_relative_to_the_file_that_names_them(void **state UNUSED)
{
    struct complaints complaints;

    write_file("groups.yaml", "h: { endpoints: ['127.0.0.1:2'] }\n");
    write_file("rules.yaml", "- { path: /a, group: g }\n- { path: /b, group: h }\n");
    write_file("main.yaml", "listeners: [{ name: a, bind: '127.0.0.1:0', router: r }]\n"
                            "groups:\n"
                            "  g: { endpoints: ['127.0.0.1:1'] }\n"
                            "  include: groups.yaml\n"
                            "routers:\n"
                            "  r:\n"
                            "    rules:\n"
                            "      - { path: /first, group: g }\n"
                            "      - include: rules.yaml\n"
                            "      - { path: /last, group: g }\n");
    struct config *config = load_main(&complaints);
    assert_non_null(config);
    assert_int_equal(config->group_count, 2);
    const struct router_conf *router = &config->routers[0];
    assert_int_equal(router->rule_count, 4);
    assert_string_equal(router->rules[2].place.file, path_of("rules.yaml"));
    assert_int_equal(router->rules[2].place.line, 2);
    assert_true(str_eq(router->rules[3].match.paths[0].path, STR("/last")));
    config_free(config);
    complaints_deinit(&complaints);
}

static void a_file_that_includes_itself_is_refused(void **state UNUSED)
{
    struct complaints complaints;

    write_file("main.yaml", "include: main.yaml\n");
    assert_null(load_main(&complaints));
    assert_true(complaints.error_count > 0);
    complaints_deinit(&complaints);
}

static void a_key_in_two_files_names_both(void **state UNUSED)
{
    struct complaints complaints;
    char line[2048], want[512];

    write_file("groups.yaml", "g: { endpoints: ['127.0.0.1:2'] }\n");
    write_file("main.yaml", "listeners: [{ name: a, bind: '127.0.0.1:0', group: g }]\n"
                            "groups:\n"
                            "  g: { endpoints: ['127.0.0.1:1'] }\n"
                            "  include: groups.yaml\n");
    assert_null(load_main(&complaints));
    assert_int_equal(complaints.error_count, 1);
    snprintf(want, sizeof(want),
             "%s/main.yaml:3:3: \"g\" is given twice, first at %s/groups.yaml:1:1", directory,
             directory);
    assert_string_equal(complaint_line(&complaints.items[0], line, sizeof(line)), want);
    complaints_deinit(&complaints);
}

static void lists_by_database_name_cover_the_wiki_and_name_their_line(void **state UNUSED)
{
    struct complaints complaints;

    write_file("wikis.txt", "# name host mobile\n"
                            "aawiki aa.wikipedia.org aa.m.wikipedia.org\n"
                            "oddwiki odd.wikipedia.org mobile-odd.wikipedia.org\n"
                            "labswiki wikitech.wikimedia.org -\n");
    write_file("closed.txt", "# closed\n\naawiki # since 2007\n  oddwiki\nplain.example.org\n");
    write_file("main.yaml", "listeners: [{ name: a, bind: '127.0.0.1:0', router: r }]\n"
                            "groups: { g: { endpoints: ['127.0.0.1:1'] } }\n"
                            "wikis: wikis.txt\n"
                            "routers:\n"
                            "  r:\n"
                            "    services: { w: { legacy: g, k8s: g } }\n"
                            "    rules: [{ service: w }]\n"
                            "    split:\n"
                            "      wikis:\n"
                            "        - { list: closed.txt, k8s: 100% }\n"
                            "        - { hosts: [labswiki, plain.example.org], k8s: 0% }\n");
    struct config *config = load_main(&complaints);
    assert_non_null(config);
    const struct split_conf *split = &config->routers[0].split;
    static const struct {
        const char *host;
        enum split_level level;
        int line;
    } want[] = {
        {"aa.wikipedia.org", SPLIT_LIST, 3},        {"mobile-odd.wikipedia.org", SPLIT_LIST, 4},
        {"odd.wikipedia.org", SPLIT_LIST, 4},       {"plain.example.org", SPLIT_HOST, 11},
        {"wikitech.wikimedia.org", SPLIT_HOST, 11},
    };
    assert_int_equal(split->host_count, ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_true(str_eq(split->hosts[i].host, str_of(want[i].host)));
        assert_int_equal(split->entries[split->hosts[i].entry].level, want[i].level);
        assert_int_equal(split->hosts[i].place.line, want[i].line);
    }
    /* The host that overrides its list is told as a note. */
    assert_int_equal(complaints.error_count, 0);
    assert_int_equal(complaints.count, 1);
    assert_true(str_find(complaints.items[0].text, STR("overrides 100% of list")) >= 0);
    config_free(config);
    complaints_deinit(&complaints);
}

static void two_lists_that_disagree_name_both_lines(void **state UNUSED)
{
    struct complaints complaints;
    char line[2048], want[512];

    write_file("closed.txt", "a.example.org\ntest-commons.wikimedia.org\n");
    write_file("main.yaml", "listeners: [{ name: a, bind: '127.0.0.1:0', router: r }]\n"
                            "groups: { g: { endpoints: ['127.0.0.1:1'] } }\n"
                            "routers:\n"
                            "  r:\n"
                            "    services: { w: { legacy: g, k8s: g } }\n"
                            "    rules: [{ service: w }]\n"
                            "    split:\n"
                            "      wikis:\n"
                            "        - { list: closed.txt, k8s: 100% }\n"
                            "        - { list: closed.txt, k8s: 0% }\n");
    assert_null(load_main(&complaints));
    assert_int_equal(complaints.error_count, 2);
    snprintf(
        want, sizeof(want),
        "%s/closed.txt:2:1: \"test-commons.wikimedia.org\" has two different shares: 0%% here, "
        "100%% at %s/closed.txt:2:1",
        directory, directory);
    assert_string_equal(complaint_line(&complaints.items[1], line, sizeof(line)), want);
    complaints_deinit(&complaints);
}

static void an_unknown_wiki_in_a_list_is_reported_with_its_line(void **state UNUSED)
{
    struct complaints complaints;
    char line[2048], want[512];

    write_file("wikis.txt", "aawiki aa.wikipedia.org\n");
    write_file("closed.txt", "\n  aawikki\n");
    write_file("main.yaml", "listeners: [{ name: a, bind: '127.0.0.1:0', router: r }]\n"
                            "groups: { g: { endpoints: ['127.0.0.1:1'] } }\n"
                            "wikis: wikis.txt\n"
                            "routers:\n"
                            "  r:\n"
                            "    rules: [{ group: g }]\n"
                            "    split: { wikis: [{ list: closed.txt, k8s: 100% }] }\n");
    assert_null(load_main(&complaints));
    snprintf(want, sizeof(want),
             "%s/closed.txt:2:3: unknown wiki: \"aawikki\"; did you mean \"aawiki\"?", directory);
    assert_string_equal(complaint_line(&complaints.items[0], line, sizeof(line)), want);
    complaints_deinit(&complaints);
}

static void the_version_follows_every_file(void **state UNUSED)
{
    static const char main_text[] = "listeners: [{ name: a, bind: '127.0.0.1:0', group: g }]\n"
                                    "groups: { include: groups.yaml }\n";
    struct complaints complaints;
    char first[17];

    write_file("main.yaml", main_text);
    write_file("groups.yaml", "g: { endpoints: ['127.0.0.1:1'] }\n");
    struct config *config = load_main(&complaints);
    assert_non_null(config);
    strcpy(first, config->version);
    config_free(config);
    complaints_deinit(&complaints);

    config = load_main(&complaints);
    assert_string_equal(config->version, first);
    config_free(config);
    complaints_deinit(&complaints);

    write_file("groups.yaml", "g: { endpoints: ['127.0.0.1:2'] }\n");
    config = load_main(&complaints);
    assert_string_not_equal(config->version, first);
    config_free(config);
    complaints_deinit(&complaints);
}

static void a_missing_file_or_a_directory_is_an_error(void **state UNUSED)
{
    static const char *const paths[] = {"/nonexistent.yaml", "/", ""};

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct complaints complaints;
        complaints_init(&complaints);
        assert_null(config_load(paths[i], &complaints));
        assert_int_equal(complaints.error_count, 1);
        complaints_deinit(&complaints);
    }
}

static void a_port_alone_stands_for_both_families(void **state UNUSED)
{
    static const char *const texts[] = {"':81'", "'*:81'", "81", "'81'"};
    char yaml[256];

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct complaints complaints;
        complaints_init(&complaints);
        snprintf(yaml, sizeof(yaml),
                 "groups: { g: { endpoints: ['127.0.0.1:1'] } }\n"
                 "listeners: [{ name: a, bind: %s, group: g }]\n"
                 "admin: { bind: '*:82' }\n",
                 texts[i]);
        struct config *config = config_load_text(str_of(yaml), "t", &complaints);
        assert_non_null(config);
        const struct binds_conf *binds = &config->listeners[0].binds;
        assert_int_equal(binds->count, 2);
        assert_int_equal(config->admin.binds.count, 2);
        char text[ADDR_TEXT_MAX];
        addr_format(&binds->items[0].addr, text);
        assert_string_equal(text, "0.0.0.0:81");
        addr_format(&binds->items[1].addr, text);
        assert_string_equal(text, "[::]:81");
        assert_true(binds->items[1].may_be_missing);
        config_free(config);
        complaints_deinit(&complaints);
    }
}

static void a_unix_socket_may_have_rights(void **state UNUSED)
{
    struct complaints complaints;

    complaints_init(&complaints);
    struct config *config =
        config_load_text(STR("groups: { g: { endpoints: ['127.0.0.1:1'] } }\n"
                             "listeners:\n"
                             "  - name: a\n"
                             "    bind: [{ address: 'unix:/x', mode: 0660, owner: u, group: 7 }]\n"
                             "    group: g\n"),
                         "t", &complaints);
    assert_non_null(config);
    const struct bind_conf *bind = &config->listeners[0].binds.items[0];
    assert_int_equal(bind->mode, 0660);
    assert_true(str_eq(bind->owner, STR("u")));
    assert_true(str_eq(bind->group, STR("7")));
    config_free(config);
    complaints_deinit(&complaints);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_alone_stands_for_both_families),
        cmocka_unit_test(a_unix_socket_may_have_rights),
        cmocka_unit_test(defaults_are_those_of_the_header),
        cmocka_unit_test(what_is_written_arrives),
        cmocka_unit_test(hosts_become_targets_by_datacenter),
        cmocka_unit_test(zero_switches_a_limit_off),
        cmocka_unit_test(merge_keys_give_what_is_not_written),
        cmocka_unit_test(aliases_and_variables_are_filled_in),
        cmocka_unit_test(includes_are_relative_to_the_file_that_names_them),
        cmocka_unit_test(a_file_that_includes_itself_is_refused),
        cmocka_unit_test(a_key_in_two_files_names_both),
        cmocka_unit_test(lists_by_database_name_cover_the_wiki_and_name_their_line),
        cmocka_unit_test(two_lists_that_disagree_name_both_lines),
        cmocka_unit_test(an_unknown_wiki_in_a_list_is_reported_with_its_line),
        cmocka_unit_test(the_version_follows_every_file),
        cmocka_unit_test(a_missing_file_or_a_directory_is_an_error),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
