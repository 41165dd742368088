/* Clients: whose word is believed, and what upstreams get to know of them. */
#include "proxy/client.h"

#include "proxy/proxy_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static struct cidr trusted[1];
static struct listener_conf strict, trusting;
static struct serving_listener strict_listener = {.conf = &strict, .key = 7};
static struct serving_listener trusting_listener = {.conf = &trusting, .key = 7};
static struct proxy proxy;

static int setup(void **state UNUSED)
{
    assert_int_equal(cidr_parse(STR("10.0.0.0/8"), &trusted[0]), 0);
    trusting.trusted_proxies = trusted;
    trusting.trusted_proxy_count = 1;
    return 0;
}

static struct addr addr_of(const char *ip, uint16_t port)
{
    struct addr addr;

    assert_int_equal(addr_parse_ip(str_of(ip), port, &addr), 0);
    return addr;
}

static struct client connect_from(const char *ip, const struct serving_listener *listener)
{
    struct client client = {0};
    const struct addr peer = addr_of(ip, 4711);

    client_init(&client, &proxy, listener, &peer, NULL);
    return client;
}

static void only_listed_networks_are_trusted(void **state UNUSED)
{
    assert_true(connect_from("10.1.2.3", &trusting_listener).is_trusted);
    assert_false(connect_from("192.0.2.1", &trusting_listener).is_trusted);
    assert_false(connect_from("10.1.2.3", &strict_listener).is_trusted);
}

static void a_new_configuration_decides_on_trust_anew(void **state UNUSED)
{
    struct client client = connect_from("10.1.2.3", &strict_listener);

    client_follow(&client, &trusting_listener);
    assert_true(client.is_trusted);
    client_follow(&client, &strict_listener);
    assert_false(client.is_trusted);
}

static void the_address_is_kept_as_text_and_bytes(void **state UNUSED)
{
    const struct client client = connect_from("2001:db8::1", &strict_listener);

    assert_true(str_eq(client_text(&client), STR("2001:db8::1")));
    assert_int_equal(client.port, 4711);
    assert_int_equal(client.ip[15], 1);
    assert_int_equal(client.listener_key, 7);
}

static void a_proxy_header_says_both_ends(void **state UNUSED)
{
    struct client client = {0};
    const struct addr peer = addr_of("192.0.2.1", 1000), server = addr_of("198.51.100.1", 443);

    client_init(&client, &proxy, &strict_listener, &peer, &server);
    const struct upstream_client *identity = client_identity(&client, -1);
    assert_true(addr_eq(&identity->addr, &peer));
    assert_true(addr_eq(&identity->server, &server));
    client_end(&client);
    client_deinit(&client);
    assert_null(client.identity);
}

static void a_closed_connection_has_no_ends(void **state UNUSED)
{
    struct client client = connect_from("192.0.2.1", &strict_listener);
    const struct upstream_client *identity = client_identity(&client, -1);

    assert_int_equal(identity->addr.len, 0);
    assert_ptr_equal(client_identity(&client, -1), identity);
    client_end(&client);
    client_deinit(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_listed_networks_are_trusted),
        cmocka_unit_test(a_new_configuration_decides_on_trust_anew),
        cmocka_unit_test(the_address_is_kept_as_text_and_bytes),
        cmocka_unit_test(a_proxy_header_says_both_ends),
        cmocka_unit_test(a_closed_connection_has_no_ends),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
