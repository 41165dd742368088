/* Which names are forwarding fields. */
#include "base/forwarding_fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void names_and_families_are_known_in_any_case(void **state UNUSED)
{
    static const struct {
        const char *name;
        bool is_known, is_of_family;
    } cases[] = {
        {"X-Forwarded-For", true, true},
        {"x-forwarded-anything", true, true},
        {"X-FORWARDED-PREFIX", true, true},
        {"x-envoy-internal", true, true},
        {"X-Original-URL", true, true},
        {"X-SSL-Client-DN", true, true},
        {"SSL-CLIENT-Cert", true, true},
        {"Proxy", true, false},
        {"True-Client-IP", true, false},
        {"X-Forwarded", true, false},
        {"X-Forwarded-", false, false}, /* the bare prefix is no field of anybody */
        {"X-Forward-For", true, false},
        {"Client-Cert", true, false},
        {"CLIENT-CERT-CHAIN", true, false},
        {"X-Amzn-Mtls-Clientcert-Leaf", true, true},
        {"X-Amzn-Trace-Id", false, false},
        {"X-Forward-From", false, false},
        {"x-envoy", false, false},
        {"Sec-Fetch-Site", false, false},
        {"SSL-Cipher", false, false},
        {"X-Originating", false, false},
        {"Proxy-Authorization", false, false},
        {"x", false, false},
        {"", false, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str name = str_of(cases[i].name);
        if (forwarding_field_is_known(name) != cases[i].is_known ||
            forwarding_family_has(name) != cases[i].is_of_family)
            fail_msg("\"%s\"", cases[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_families_are_known_in_any_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
