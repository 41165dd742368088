/* Forwarding fields: tables of what a trusted peer says and who the client is. */
#include "proxy/forwarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static struct listener_conf trusting_10_slash_8(struct cidr *cidr)
{
    assert_int_equal(cidr_parse(STR("10.0.0.0/8"), cidr), 0);
    return (struct listener_conf){.trusted_proxies = cidr, .trusted_proxy_count = 1};
}

static const struct client_case {
    const char *x_forwarded_for, *forwarded;
    const char *client; /* NULL: not known */
    bool is_unreadable;
} cases[] = {
    {"203.0.113.7", "", "203.0.113.7", false},
    {"203.0.113.7:1234", "", "203.0.113.7", false},
    {"203.0.113.7:", "", "203.0.113.7", false},
    {"203.0.113.7:_p", "", "203.0.113.7", false},
    {"2001:db8::1", "", "2001:db8::1", false},
    {"[2001:db8::1]", "", "2001:db8::1", false},
    {"[2001:db8::1]:4711", "", "2001:db8::1", false},
    {"\"[2001:db8::1]:4711\"", "", "2001:db8::1", false},
    {"\"203.0.113.7:80\"", "", "203.0.113.7", false},
    {"::ffff:203.0.113.7", "", "203.0.113.7", false},
    {"203.0.113.7,,10.0.0.1", "", "203.0.113.7", false},
    {"203.0.113.7 , , 10.0.0.1 ,", "", "203.0.113.7", false},
    {"6.6.6.6, 203.0.113.7:1, 10.0.0.1:2", "", "203.0.113.7", false},
    {"10.0.0.2, 10.0.0.1", "", "10.0.0.2", false},
    {",,,", "", NULL, false},
    {"", "", NULL, false},
    {"unknown", "", NULL, true},
    {"203.0.113.7, unknown", "", NULL, true},
    {"203.0.113.7, _hidden, 10.0.0.1", "", "10.0.0.1", true},
    {"203.0.113.7:99999", "", NULL, true},
    {"203.0.113.7:8x", "", NULL, true},
    {"[203.0.113.7]", "", NULL, true},
    {"[2001:db8::1", "", NULL, true},
    {"[2001:db8::1]x", "", NULL, true},
    {"fe80::1%eth0", "", NULL, true},
    {"1.2.3.4.5", "", NULL, true},
    {"a.example", "", NULL, true},
    {"6.6.6.6 203.0.113.7", "", NULL, true},

    {"", "for=203.0.113.7", "203.0.113.7", false},
    {"", "For=203.0.113.7;proto=http;by=10.0.0.9", "203.0.113.7", false},
    {"", "proto=https; FOR=\"203.0.113.7:47011\"", "203.0.113.7", false},
    {"", "for=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17", false},
    {"", "for=\"[2001:db8:cafe::17]\", for=10.0.0.1", "2001:db8:cafe::17", false},
    {"", "for=6.6.6.6, for=203.0.113.7, , for=10.0.0.1", "203.0.113.7", false},
    {"", "for=203.0.113.7, for=unknown", NULL, true},
    {"", "for=203.0.113.7, for=_secret, for=10.0.0.1", "10.0.0.1", true},
    {"", "for=\"_gazonk\"", NULL, true},
    {"", "for=203.0.113.7, proto=https", NULL, true},
    {"", "for=203.0.113.7;for=6.6.6.6", NULL, true},
    /* what a client has quoted cannot reach out of its element */
    {"", "host=\"a;for=6.6.6.6\";for=203.0.113.7", "203.0.113.7", false},
    {"", "host=\"a, for=6.6.6.6\";for=203.0.113.7", "203.0.113.7", false},
    {"", "host=\"a\\\", for=6.6.6.6\";for=203.0.113.7", "203.0.113.7", false},
    {"", "for=\"6.6.6.6, for=203.0.113.7", "203.0.113.7", false},
    {"", "for=6.6.6.6, for=\"203.0.113.7", NULL, true},

    {"203.0.113.7", "for=6.6.6.6", "203.0.113.7", false},
    {" ", "for=203.0.113.7", "203.0.113.7", false},
};

static void the_client_is_the_last_address_that_is_no_trusted_proxy(void **state UNUSED)
{
    struct cidr cidr;
    struct listener_conf conf = trusting_10_slash_8(&cidr);
    char text[ADDR_TEXT_MAX];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct client_case *c = &cases[i];
        struct forwarded_client got =
            forwarded_client(&conf, str_of(c->x_forwarded_for), str_of(c->forwarded));
        if (got.is_known != (c->client != NULL) || got.is_unreadable != c->is_unreadable)
            fail_msg("\"%s\" \"%s\": known %d, unreadable %d", c->x_forwarded_for, c->forwarded,
                     got.is_known, got.is_unreadable);
        if (!got.is_known)
            continue;
        addr_format_ip(&got.addr, text);
        assert_string_equal(text, c->client);
    }
}

static void the_scheme_is_that_of_the_first_element(void **state UNUSED)
{
    static const struct {
        const char *x_forwarded_proto, *forwarded, *proto;
    } schemes[] = {
        {"https", "", "https"},
        {"https, http", "", "https"},
        {"https,http", "", "https"},
        {" , https", "", "https"},
        {"http, https", "", "http"},
        {"\"https\"", "", "https"},
        {"", "for=1.2.3.4;proto=https", "https"},
        {"", "proto=\"https\", proto=http", "https"},
        {"", "for=1.2.3.4, Proto=HTTPS;for=10.0.0.1", "HTTPS"},
        {"", "host=\"a;proto=https\"", ""},
        {"http", "proto=https", "http"},
        {",", "proto=https", "https"},
        {"", "", ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        struct str got =
            forwarded_proto(str_of(schemes[i].x_forwarded_proto), str_of(schemes[i].forwarded));
        if (!str_eq(got, str_of(schemes[i].proto)))
            fail_msg("\"%s\" \"%s\": \"%.*s\"", schemes[i].x_forwarded_proto, schemes[i].forwarded,
                     STR_FMT(got));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_is_the_last_address_that_is_no_trusted_proxy),
        cmocka_unit_test(the_scheme_is_that_of_the_first_element),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
