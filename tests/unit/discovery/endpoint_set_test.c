/* Endpoint sets: what is equal, what is a duplicate, and what a worker keeps of them. */
#include "discovery/endpoint_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static struct endpoint_entry entry(const char *ip, uint16_t port)
{
    struct endpoint_entry made = {.zone = STR("eqiad-a"), .weight = 1, .is_ready = true};

    assert_int_equal(addr_parse_ip(str_of(ip), port, &made.addr), 0);
    return made;
}

static void the_order_of_entries_does_not_matter(void **state UNUSED)
{
    const struct endpoint_entry forth[] = {entry("10.0.0.1", 80), entry("10.0.0.2", 80)};
    const struct endpoint_entry back[] = {forth[1], forth[0]};
    struct endpoint_set *a = endpoint_set_new(STR("web"), forth, 2);
    struct endpoint_set *b = endpoint_set_new(STR("web"), back, 2);

    assert_true(endpoint_set_eq(a, b));
    endpoint_set_unref(&a);
    endpoint_set_unref(&b);
    assert_null(a);
}

static void an_endpoint_is_its_address_and_port(void **state UNUSED)
{
    const struct endpoint_entry entries[] = {entry("10.0.0.1", 80), entry("10.0.0.1", 81),
                                             entry("10.0.0.1", 80)};
    struct endpoint_set *set = endpoint_set_new(STR("web"), entries, 3);

    assert_int_equal(set->count, 2);
    assert_int_equal(addr_port(&set->entries[1].addr), 81);
    endpoint_set_unref(&set);
}

static void every_property_of_an_entry_is_compared(void **state UNUSED)
{
    struct endpoint_entry changed[5];
    const struct endpoint_entry plain = entry("10.0.0.1", 80);
    struct endpoint_set *set = endpoint_set_new(STR("web"), &plain, 1);

    for (size_t i = 0; i < ARRAY_LEN(changed); i++)
        changed[i] = plain;
    changed[0].zone = STR("eqiad-b");
    changed[1].weight = 2;
    changed[2].is_ready = false;
    changed[3].is_terminating = true;
    changed[4] = entry("10.0.0.1", 443);
    for (size_t i = 0; i < ARRAY_LEN(changed); i++) {
        struct endpoint_set *other = endpoint_set_new(STR("web"), &changed[i], 1);
        assert_false(endpoint_set_eq(set, other));
        endpoint_set_unref(&other);
    }
    endpoint_set_unref(&set);
}

static void texts_are_copied(void **state UNUSED)
{
    char key[] = "web", zone[] = "z1";
    struct endpoint_entry one = entry("10.0.0.1", 80);

    one.zone = str_of(zone);
    struct endpoint_set *set = endpoint_set_new(str_of(key), &one, 1);
    key[0] = zone[0] = 'X';
    assert_true(str_eq(set->key, STR("web")));
    assert_true(str_eq(set->entries[0].zone, STR("z1")));
    endpoint_set_unref(&set);
}

static void apply(struct endpoint_sets *sets, struct endpoint_set *set, enum endpoint_news news)
{
    const struct endpoint_letter letter = {.set = set, .news = news};

    endpoint_sets_apply(sets, &letter);
}

static void a_worker_keeps_the_last_set_of_each_key(void **state UNUSED)
{
    struct endpoint_sets sets = {0};
    const struct endpoint_entry one = entry("10.0.0.1", 80), two = entry("10.0.0.2", 80);
    struct endpoint_set *web = endpoint_set_new(STR("web"), &one, 1);
    struct endpoint_set *newer = endpoint_set_new(STR("web"), &two, 1);
    struct endpoint_set *api = endpoint_set_new(STR("api"), &one, 1);

    apply(&sets, web, ENDPOINTS_CHANGED);
    apply(&sets, api, ENDPOINTS_CHANGED);
    apply(&sets, newer, ENDPOINTS_CHANGED);
    assert_ptr_equal(endpoint_sets_find(&sets, STR("web")), newer);
    assert_ptr_equal(endpoint_sets_find(&sets, STR("api")), api);
    apply(&sets, newer, ENDPOINTS_FORGOTTEN);
    assert_null(endpoint_sets_find(&sets, STR("web")));
    assert_ptr_equal(endpoint_sets_find(&sets, STR("api")), api);
    endpoint_sets_deinit(&sets);
    endpoint_set_unref(&web);
    endpoint_set_unref(&newer);
    endpoint_set_unref(&api);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_of_entries_does_not_matter),
        cmocka_unit_test(an_endpoint_is_its_address_and_port),
        cmocka_unit_test(every_property_of_an_entry_is_compared),
        cmocka_unit_test(texts_are_copied),
        cmocka_unit_test(a_worker_keeps_the_last_set_of_each_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
