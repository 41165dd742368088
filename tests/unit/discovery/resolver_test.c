/* The resolver against a DNS server of a few lines that lives in the same loop. Control thread and
 * worker are one thread here; what travels between them goes through the mailbox all the same. */
#include "discovery/resolver_impl.h"

#include "discovery/endpoint_set.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "../wait_for.h"

enum { ADDRESSES_MAX = 4, TYPE_A = 1, TYPE_AAAA = 28, RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3 };
enum { MUTE = -1 };

/* --- a DNS server ---------------------------------------------------------------------------- */

struct zone {
    const char *suffix; /* of the names that it answers for */
    const char *addresses[ADDRESSES_MAX], *addresses6[ADDRESSES_MAX];
    int rcode, rcode6; /* for A and for AAAA; MUTE: no answer */
};

struct dns_server {
    int fd;
    struct fd_watch *watch;
    char servers[64];     /* "127.0.0.1:port" */
    struct zone zones[4]; /* the first whose suffix fits answers; the last is for the rest */
    uint32_t ttl_s;
    unsigned asked;  /* for A */
    char names[512]; /* asked for A, with a blank behind each */
};

static void put16(uint8_t **at, unsigned value)
{
    *(*at)++ = (uint8_t)(value >> 8);
    *(*at)++ = (uint8_t)value;
}

static void put_address(uint8_t **at, unsigned type, const char *ip, uint32_t ttl_s)
{
    unsigned len = type == TYPE_A ? 4 : 16;

    put16(at, 0xc00c); /* the name of the question */
    put16(at, type);
    put16(at, 1);
    put16(at, ttl_s >> 16);
    put16(at, ttl_s & 0xffff);
    put16(at, len);
    assert_int_equal(inet_pton(type == TYPE_A ? AF_INET : AF_INET6, ip, *at), 1);
    *at += len;
}

/* "web.test" of the labels at `at`; where they end. */
static size_t read_name(const uint8_t *query, char *out)
{
    size_t at = 12;

    for (; query[at] != 0; at += query[at] + 1u) {
        memcpy(out, query + at + 1, query[at]);
        out += query[at];
        *out++ = '.';
    }
    out[-1] = '\0';
    return at;
}

static const struct zone *find_zone(const struct dns_server *dns, const char *name)
{
    for (size_t i = 0; i + 1 < ARRAY_LEN(dns->zones); i++) {
        const char *suffix = dns->zones[i].suffix;
        if (suffix != NULL && strlen(name) >= strlen(suffix) &&
            strcmp(name + strlen(name) - strlen(suffix), suffix) == 0)
            return &dns->zones[i];
    }
    return &dns->zones[ARRAY_LEN(dns->zones) - 1];
}

/* Header and question are echoed, the counts and flags set, and the addresses follow. 0: mute. */
static size_t dns_reply(struct dns_server *dns, const uint8_t *query, uint8_t *reply)
{
    char name[256];
    size_t question_end = read_name(query, name) + 5;
    unsigned type = query[question_end - 3], count = 0;
    const struct zone *zone = find_zone(dns, name);
    int rcode = type == TYPE_A ? zone->rcode : zone->rcode6;
    const char *const *ips = type == TYPE_A ? zone->addresses : zone->addresses6;

    if (type == TYPE_A) {
        dns->asked++;
        strncat(dns->names, name, sizeof(dns->names) - strlen(dns->names) - 1);
        strncat(dns->names, " ", sizeof(dns->names) - strlen(dns->names) - 1);
    }
    if (rcode == MUTE)
        return 0;
    while (rcode == 0 && count < ADDRESSES_MAX && ips[count] != NULL)
        count++;
    memcpy(reply, query, question_end);
    uint8_t *at = reply + 2;
    put16(&at, 0x8180u | (unsigned)rcode);
    put16(&at, 1);
    put16(&at, count);
    put16(&at, 0);
    put16(&at, 0);
    at = reply + question_end;
    for (unsigned i = 0; i < count; i++)
        put_address(&at, type, ips[i], dns->ttl_s);
    return (size_t)(at - reply);
}

static void on_query(void *arg, int fd, int events UNUSED)
{
    struct dns_server *dns = arg;
    struct addr peer = {.len = sizeof(peer.in6)};
    uint8_t query[512], reply[1024];

    ssize_t n = recvfrom(fd, query, sizeof(query), 0, &peer.sa, &peer.len);
    assert_true(n > 12);
    size_t len = dns_reply(dns, query, reply);
    if (len > 0)
        assert_int_equal(sendto(fd, reply, len, 0, &peer.sa, peer.len), len);
}

static void dns_server_open(struct dns_server *dns, struct loop *loop)
{
    struct addr addr = {.len = sizeof(addr.in)};

    addr.in.sin_family = AF_INET;
    addr.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    dns->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(dns->fd, &addr.sa, addr.len), 0);
    assert_int_equal(getsockname(dns->fd, &addr.sa, &addr.len), 0);
    snprintf(dns->servers, sizeof(dns->servers), "127.0.0.1:%u", addr_port(&addr));
    dns->watch = fd_watch_new(loop, dns->fd, FD_READABLE, on_query, dns);
    dns->ttl_s = 1;
}

static void dns_server_close(struct dns_server *dns)
{
    fd_watch_free(dns->watch);
    close(dns->fd);
}

/* --- a world --------------------------------------------------------------------------------- */

struct world {
    struct loop *loop;
    struct dns_server dns;
    struct resolver *resolver;
    struct mailbox *mailbox;
    struct host_conf hosts[2];
    struct target_conf target;
    struct group_conf group;
    struct config config;
    struct endpoint_set *set; /* last letter */
    unsigned letters, forgotten;
};

static struct world w;

static void on_letter(void *arg UNUSED, const struct letter *letter)
{
    const struct endpoint_letter *about = CONTAINER_OF(letter, struct endpoint_letter, letter);

    w.letters++;
    w.forgotten += about->news == ENDPOINTS_FORGOTTEN;
    endpoint_set_unref(&w.set);
    w.set = endpoint_set_ref(about->set);
}

static int setup(void **state UNUSED)
{
    memset(&w, 0, sizeof(w));
    w.loop = loop_new();
    dns_server_open(&w.dns, w.loop);
    w.resolver = resolver_new(w.loop);
    resolver_set_times(
        w.resolver, &(struct name_times){.retry_ms = 50, .candidate_ms = 300, .patience_ms = 100});
    w.mailbox = mailbox_new(w.loop);
    mailbox_receive(w.mailbox, &endpoint_letter_kind, on_letter, NULL);
    resolver_add_mailbox(w.resolver, w.mailbox);
    w.hosts[0] = (struct host_conf){.lookup = STR("web.test"), .port = 80};
    w.target = (struct target_conf){.hosts = w.hosts, .host_count = 1};
    w.group = (struct group_conf){.targets = &w.target, .target_count = 1};
    w.config = (struct config){.groups = &w.group,
                               .group_count = 1,
                               .dns = {.servers = str_of(w.dns.servers),
                                       .min_ttl_ms = 50,
                                       .max_ttl_ms = 60000,
                                       .max_addresses = 256}};
    resolver_set_search(w.resolver, NULL, 0, 1);
    return 0;
}

static int teardown(void **state UNUSED)
{
    resolver_remove_mailbox(w.resolver, w.mailbox);
    resolver_free(w.resolver);
    mailbox_free(&w.mailbox);
    endpoint_set_unref(&w.set);
    dns_server_close(&w.dns);
    loop_free(w.loop);
    return 0;
}

/* The zone of everything. */
static struct zone *all(void)
{
    return &w.dns.zones[ARRAY_LEN(w.dns.zones) - 1];
}

static void dns_has(const char *first, const char *second)
{
    all()->addresses[0] = first;
    all()->addresses[1] = second;
}

static void dns_has6(const char *first)
{
    all()->addresses6[0] = first;
}

static void dns_says(int rcode)
{
    all()->rcode = all()->rcode6 = rcode;
}

static void run_until_count(const unsigned *counter, unsigned at_least)
{
    wait_until_count(w.loop, counter, at_least);
}

static void assert_address(size_t i, const char *ip)
{
    char text[ADDR_TEXT_MAX];

    assert_true(i < w.set->count);
    assert_true(str_eq(str_make(text, addr_format_ip(&w.set->entries[i].addr, text)), str_of(ip)));
}

/* --- promises -------------------------------------------------------------------------------- */

static void all_addresses_of_a_name_are_reported(void **state UNUSED)
{
    dns_has("127.0.0.3", "127.0.0.2");
    resolver_watch(w.resolver, &w.config);
    assert_false(resolver_is_settled(w.resolver));
    run_until_count(&w.letters, 1);
    assert_true(resolver_is_settled(w.resolver));
    assert_true(str_eq(w.set->key, STR("web.test")));
    assert_int_equal(w.set->count, 2);
    assert_address(0, "127.0.0.2");
    assert_address(1, "127.0.0.3");
}

static void only_changes_are_reported(void **state UNUSED)
{
    w.dns.ttl_s = 0; /* the shortest time, 50 ms, counts */
    dns_has("127.0.0.2", "127.0.0.3");
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 1);
    dns_has("127.0.0.3", "127.0.0.2");
    run_until_count(&w.dns.asked, w.dns.asked + 3);
    assert_int_equal(w.letters, 1);
    dns_has("127.0.0.9", NULL);
    run_until_count(&w.letters, 2);
    assert_int_equal(w.set->count, 1);
    assert_address(0, "127.0.0.9");
}

static void the_ttl_decides_when_to_look_up_again(void **state UNUSED)
{
    w.dns.ttl_s = 1;
    dns_has("127.0.0.2", NULL);
    int64_t first_asked_ms = loop_now_ms(w.loop); /* the answer only comes after this */
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.dns.asked, 2);
    assert_true(loop_now_ms(w.loop) - first_asked_ms >= 1000);
}

static void a_failure_keeps_the_last_good_answer(void **state UNUSED)
{
    w.dns.ttl_s = 0;
    dns_has("127.0.0.2", NULL);
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 1);
    dns_says(RCODE_SERVFAIL);
    run_until_count(&w.dns.asked, w.dns.asked + 7); /* three tries each */
    assert_true(resolver_figures(w.resolver).failures >= 1);
    assert_int_equal(resolver_figures(w.resolver).stale, 1);
    assert_int_equal(w.letters, 1);
    dns_says(0);
    dns_has("127.0.0.4", NULL);
    run_until_count(&w.letters, 2);
    assert_address(0, "127.0.0.4");
    assert_int_equal(resolver_figures(w.resolver).stale, 0);
}

static void a_nonexistent_name_keeps_its_addresses_and_is_marked(void **state UNUSED)
{
    w.dns.ttl_s = 0;
    dns_has("127.0.0.2", NULL);
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 1);
    dns_says(RCODE_NXDOMAIN);
    run_until_count(&w.letters, 2);
    assert_true(w.set->is_gone);
    assert_address(0, "127.0.0.2");
    assert_int_equal(resolver_figures(w.resolver).gone, 1);
    dns_says(0);
    dns_has(NULL, NULL); /* no data */
    run_until_count(&w.dns.asked, w.dns.asked + 2);
    assert_int_equal(w.letters, 2);
    dns_has("127.0.0.2", NULL);
    run_until_count(&w.letters, 3);
    assert_false(w.set->is_gone);
}

static void each_family_keeps_its_last_good_answer(void **state UNUSED)
{
    w.dns.ttl_s = 0;
    dns_has("127.0.0.2", NULL);
    dns_has6("::1");
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 1);
    while (w.set->count < 2)
        run_until_count(&w.letters, w.letters + 1); /* the second family came a turn later */
    all()->rcode = RCODE_SERVFAIL;
    unsigned letters = w.letters;
    run_until_count(&w.dns.asked, w.dns.asked + 7);
    assert_int_equal(w.letters, letters);
    assert_int_equal(resolver_figures(w.resolver).stale, 1);
    all()->rcode = 0;
    all()->rcode6 = RCODE_SERVFAIL;
    dns_has("127.0.0.9", NULL);
    run_until_count(&w.letters, letters + 1);
    assert_int_equal(w.set->count, 2);
    assert_address(0, "::1");
    assert_address(1, "127.0.0.9");
}

static void a_family_that_has_no_data_loses_its_addresses(void **state UNUSED)
{
    w.dns.ttl_s = 0;
    dns_has("127.0.0.2", NULL);
    dns_has6("::1");
    resolver_watch(w.resolver, &w.config);
    while (w.set == NULL || w.set->count < 2)
        run_until_count(&w.letters, w.letters + 1);
    dns_has6(NULL);
    run_until_count(&w.letters, w.letters + 1);
    assert_int_equal(w.set->count, 1);
    assert_address(0, "127.0.0.2");
}

static void one_family_does_not_wait_for_the_other(void **state UNUSED)
{
    w.dns.ttl_s = 0;
    dns_has("127.0.0.2", NULL);
    all()->rcode6 = MUTE;
    int64_t began_ms = loop_now_ms(w.loop);
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 1);
    assert_address(0, "127.0.0.2");
    dns_has("127.0.0.3", NULL);
    run_until_count(&w.letters, 2);
    assert_address(0, "127.0.0.3");
    assert_true(loop_now_ms(w.loop) - began_ms < 1000);
}

static void only_the_wanted_family_is_asked(void **state UNUSED)
{
    dns_has("127.0.0.2", NULL);
    dns_has6("::1");
    w.group.family = FAMILY_IPV6;
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 1);
    assert_int_equal(w.set->count, 1);
    assert_address(0, "::1");
    assert_int_equal(w.dns.asked, 0);
}

static void a_reload_asks_again_before_the_ttl_ends(void **state UNUSED)
{
    w.dns.ttl_s = 60;
    dns_has("127.0.0.2", NULL);
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 1);
    dns_has("127.0.0.3", NULL);
    resolver_watch(w.resolver, &w.config);
    assert_true(resolver_is_settled(w.resolver));
    run_until_count(&w.letters, 2);
    assert_address(0, "127.0.0.3");
}

static void addresses_above_the_bound_are_dropped_and_counted(void **state UNUSED)
{
    w.config.dns.max_addresses = 1;
    w.dns.ttl_s = 0;
    dns_has("127.0.0.3", "127.0.0.2");
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 1);
    assert_int_equal(w.set->count, 1);
    assert_address(0, "127.0.0.2");
    assert_int_equal(resolver_figures(w.resolver).dropped, 1);
    dns_has("127.0.0.2", "127.0.0.3"); /* in another order: the same ones */
    run_until_count(&w.dns.asked, w.dns.asked + 2);
    assert_int_equal(w.letters, 1);
}

/* --- the search list ------------------------------------------------------------------------- */

static void watch_with_search_list(const char *lookup, int ndots)
{
    static const char *const domains[] = {"one.example", "two.example"};

    resolver_set_search(w.resolver, domains, ARRAY_LEN(domains), ndots);
    w.hosts[0].lookup = str_of(lookup);
    w.dns.zones[0] = (struct zone){.suffix = "one.example", .rcode = RCODE_NXDOMAIN};
    w.dns.zones[0].rcode6 = RCODE_NXDOMAIN;
    w.dns.zones[1] = (struct zone){.suffix = "two.example", .rcode = RCODE_NXDOMAIN};
    w.dns.zones[1].rcode6 = RCODE_NXDOMAIN;
}

static void run_search(const char *ip, const char *asked)
{
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 1);
    assert_address(0, ip);
    assert_string_equal(w.dns.names, asked);
}

static void the_search_list_comes_first_with_few_dots(void **state UNUSED)
{
    dns_has("127.0.0.2", NULL);
    watch_with_search_list("app.test", 5);
    run_search("127.0.0.2", "app.test.one.example app.test.two.example app.test ");
}

static void a_final_dot_means_absolute(void **state UNUSED)
{
    dns_has("127.0.0.2", NULL);
    watch_with_search_list("app.test.", 5);
    w.dns.zones[0].rcode = 0;
    w.dns.zones[0].addresses[0] = "127.0.0.66";
    run_search("127.0.0.2", "app.test ");
    assert_true(str_eq(w.set->key, STR("app.test.")));
}

static void a_name_with_enough_dots_is_tried_first(void **state UNUSED)
{
    dns_has("127.0.0.2", NULL);
    watch_with_search_list("app.test", 1);
    run_search("127.0.0.2", "app.test ");
}

static void a_search_domain_that_fails_does_not_stop_the_search(void **state UNUSED)
{
    static const int rcodes[] = {RCODE_SERVFAIL, 5 /* refused */, 4 /* not implemented */, MUTE};

    for (size_t i = 0; i < ARRAY_LEN(rcodes); i++) {
        dns_has("127.0.0.2", NULL);
        watch_with_search_list("app.test", 5);
        w.dns.zones[0].rcode = w.dns.zones[0].rcode6 = rcodes[i];
        unsigned letters = w.letters;
        resolver_watch(w.resolver, &w.config);
        run_until_count(&w.letters, letters + 1);
        assert_address(0, "127.0.0.2");
        w.config.group_count = 0; /* forgotten, so that it is new again */
        resolver_watch(w.resolver, &w.config);
        w.config.group_count = 1;
        run_until_count(&w.letters, letters + 2);
    }
}

/* The answer of another name would take its traffic. */
static void a_failure_of_a_known_candidate_does_not_go_on_to_the_next(void **state UNUSED)
{
    dns_has("127.0.0.66", NULL);
    watch_with_search_list("app.test", 5);
    w.dns.ttl_s = 0;
    w.dns.zones[0] = (struct zone){.suffix = "one.example", .addresses = {"127.0.0.2"}};
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 1);
    assert_address(0, "127.0.0.2");
    w.dns.zones[0].rcode = w.dns.zones[0].rcode6 = RCODE_SERVFAIL;
    run_until_count(&w.dns.asked, w.dns.asked + 7);
    assert_int_equal(w.letters, 1);
    w.dns.zones[0].rcode = w.dns.zones[0].rcode6 = RCODE_NXDOMAIN;
    run_until_count(&w.letters, 2);
    assert_address(0, "127.0.0.66");
}

/* The families of one answer are those of one name. */
static void addresses_of_two_candidates_are_not_mixed(void **state UNUSED)
{
    dns_has("127.0.0.66", NULL);
    dns_has6("::1");
    watch_with_search_list("app.test", 5);
    w.dns.zones[0] = (struct zone){.suffix = "one.example", .addresses = {"127.0.0.2"}};
    w.dns.ttl_s = 0;
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 1);
    run_until_count(&w.dns.asked, w.dns.asked + 3);
    assert_int_equal(w.letters, 1);
    assert_int_equal(w.set->count, 1);
    assert_address(0, "127.0.0.2");
}

static void a_name_that_never_resolved_is_reported_as_empty(void **state UNUSED)
{
    dns_says(RCODE_NXDOMAIN);
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 1);
    assert_int_equal(w.set->count, 0);
    assert_true(resolver_is_settled(w.resolver));
    dns_says(0);
    dns_has("127.0.0.4", NULL);
    run_until_count(&w.letters, 2);
    assert_address(0, "127.0.0.4");
}

static void a_reload_keeps_what_is_known_and_forgets_the_rest(void **state UNUSED)
{
    w.dns.ttl_s = 60;
    dns_has("127.0.0.2", NULL);
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 1);
    resolver_watch(w.resolver, &w.config);
    assert_true(resolver_is_settled(w.resolver));

    w.hosts[0].lookup = STR("other.test");
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 3);
    assert_int_equal(w.forgotten, 1);
    assert_true(str_eq(w.set->key, STR("other.test")));
}

static void a_reload_asks_again_what_was_on_its_way(void **state UNUSED)
{
    dns_says(MUTE);
    dns_has("127.0.0.2", NULL);
    resolver_watch(w.resolver, &w.config);
    wait_for_ms(w.loop, 60);
    assert_int_equal(w.letters, 0);
    dns_says(0);
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 1);
    assert_address(0, "127.0.0.2");
}

static void a_late_worker_gets_all_endpoint_sets(void **state UNUSED)
{
    dns_has("127.0.0.2", NULL);
    w.dns.ttl_s = 60;
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 1);
    resolver_remove_mailbox(w.resolver, w.mailbox);
    resolver_add_mailbox(w.resolver, w.mailbox);
    run_until_count(&w.letters, 2);
    assert_address(0, "127.0.0.2");
}

static void localhost_needs_no_server(void **state UNUSED)
{
    bool has_v4 = false;

    dns_says(MUTE);
    w.hosts[0].lookup = STR("localhost");
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 1);
    for (size_t i = 0; i < w.set->count; i++)
        has_v4 |= ntohl(w.set->entries[i].addr.in.sin_addr.s_addr) == INADDR_LOOPBACK;
    assert_true(has_v4);
}

enum { LETTERS = 1000 };

static void *put_many(void *arg UNUSED)
{
    for (unsigned i = 0; i < LETTERS; i++) {
        struct endpoint_set *set = endpoint_set_of_addresses(STR("web.test"), NULL, 0);
        endpoint_letter_send(w.mailbox, set, ENDPOINTS_CHANGED);
        endpoint_set_unref(&set);
    }
    return NULL;
}

static void letters_of_another_thread_arrive(void **state UNUSED)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, put_many, NULL), 0);
    run_until_count(&w.letters, LETTERS);
    pthread_join(thread, NULL);
    assert_int_equal(w.letters, LETTERS);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_addresses_of_a_name_are_reported),
        TEST(only_changes_are_reported),
        TEST(the_ttl_decides_when_to_look_up_again),
        TEST(a_failure_keeps_the_last_good_answer),
        TEST(a_nonexistent_name_keeps_its_addresses_and_is_marked),
        TEST(each_family_keeps_its_last_good_answer),
        TEST(a_family_that_has_no_data_loses_its_addresses),
        TEST(one_family_does_not_wait_for_the_other),
        TEST(only_the_wanted_family_is_asked),
        TEST(a_reload_asks_again_before_the_ttl_ends),
        TEST(addresses_above_the_bound_are_dropped_and_counted),
        TEST(the_search_list_comes_first_with_few_dots),
        TEST(a_final_dot_means_absolute),
        TEST(a_name_with_enough_dots_is_tried_first),
        TEST(a_search_domain_that_fails_does_not_stop_the_search),
        TEST(a_failure_of_a_known_candidate_does_not_go_on_to_the_next),
        TEST(addresses_of_two_candidates_are_not_mixed),
        TEST(a_name_that_never_resolved_is_reported_as_empty),
        TEST(a_reload_keeps_what_is_known_and_forgets_the_rest),
        TEST(a_reload_asks_again_what_was_on_its_way),
        TEST(a_late_worker_gets_all_endpoint_sets),
        TEST(localhost_needs_no_server),
        TEST(letters_of_another_thread_arrive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
