/* The resolver against a DNS server of a few lines that lives in the same loop. Control thread and
 * worker are one thread here; what travels between them goes through the mailbox all the same. */
#include "upstream/resolver_impl.h"

#include "upstream/address_set_impl.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "wait.h"

enum { ADDRESSES_MAX = 4, TYPE_A = 1, RCODE_NXDOMAIN = 3 };

/* --- a DNS server ---------------------------------------------------------------------------- */

struct dns {
    int fd;
    struct fd_watch *watch;
    char servers[64]; /* "127.0.0.1:port" */
    const char *addresses[ADDRESSES_MAX];
    size_t count;
    uint32_t ttl_s;
    bool says_no, is_mute;
    unsigned asked; /* for A */
};

static void put16(uint8_t **at, unsigned value)
{
    *(*at)++ = (uint8_t)(value >> 8);
    *(*at)++ = (uint8_t)value;
}

static void put_address(uint8_t **at, const char *ip, uint32_t ttl_s)
{
    put16(at, 0xc00c); /* the name of the question */
    put16(at, TYPE_A);
    put16(at, 1);
    put16(at, ttl_s >> 16);
    put16(at, ttl_s & 0xffff);
    put16(at, 4);
    assert_int_equal(inet_pton(AF_INET, ip, *at), 1);
    *at += 4;
}

/* Header and question are echoed, the counts and flags set, and the addresses follow. */
static size_t dns_reply(struct dns *dns, const uint8_t *query, uint8_t *reply)
{
    size_t question_end = 12;

    while (query[question_end] != 0)
        question_end += query[question_end] + 1u;
    question_end += 5;
    bool is_a = query[question_end - 3] == TYPE_A;
    dns->asked += is_a;

    memcpy(reply, query, question_end);
    uint8_t *at = reply + 2;
    put16(&at, 0x8180u | (dns->says_no ? RCODE_NXDOMAIN : 0));
    put16(&at, 1);
    put16(&at, is_a && !dns->says_no ? (unsigned)dns->count : 0);
    put16(&at, 0);
    put16(&at, 0);
    at = reply + question_end;
    for (size_t i = 0; is_a && !dns->says_no && i < dns->count; i++)
        put_address(&at, dns->addresses[i], dns->ttl_s);
    return (size_t)(at - reply);
}

static void on_query(void *arg, int fd, int events UNUSED)
{
    struct dns *dns = arg;
    struct addr peer = {.len = sizeof(peer.in6)};
    uint8_t query[512], reply[1024];

    ssize_t n = recvfrom(fd, query, sizeof(query), 0, &peer.sa, &peer.len);
    assert_true(n > 12);
    if (dns->is_mute)
        return;
    size_t len = dns_reply(dns, query, reply);
    assert_int_equal(sendto(fd, reply, len, 0, &peer.sa, peer.len), len);
}

static void dns_open(struct dns *dns, struct loop *loop)
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

static void dns_close(struct dns *dns)
{
    fd_watch_free(dns->watch);
    close(dns->fd);
}

/* --- a world --------------------------------------------------------------------------------- */

struct world {
    struct loop *loop;
    struct dns dns;
    struct resolver *resolver;
    struct resolver_mailbox *mailbox;
    struct host_conf hosts[2];
    struct target_conf target;
    struct group_conf group;
    struct config config;
    struct address_set *set; /* last letter */
    unsigned letters, forgotten;
};

static struct world w;

static void on_mail(void *arg UNUSED)
{
    struct letter *next;

    for (struct letter *letter = mailbox_take(w.mailbox); letter != NULL; letter = next) {
        next = letter->next;
        w.letters++;
        w.forgotten += letter->is_forgotten;
        address_set_unref(&w.set);
        w.set = address_set_ref(letter->set);
        letter_free(letter);
    }
}

static int setup(void **state UNUSED)
{
    memset(&w, 0, sizeof(w));
    w.loop = loop_new();
    dns_open(&w.dns, w.loop);
    w.resolver = resolver_new(w.loop);
    resolver_set_times(w.resolver,
                       (struct resolver_times){.min_ms = 50, .max_ms = 60000, .retry_ms = 50});
    w.mailbox = mailbox_new(w.loop, on_mail, NULL);
    resolver_add_mailbox(w.resolver, w.mailbox);
    w.hosts[0] = (struct host_conf){.name = STR("web.test"), .port = 80};
    w.target = (struct target_conf){.hosts = w.hosts, .host_count = 1};
    w.group = (struct group_conf){.targets = &w.target, .target_count = 1};
    w.config =
        (struct config){.groups = &w.group, .group_count = 1, .dns_servers = str_of(w.dns.servers)};
    return 0;
}

static int teardown(void **state UNUSED)
{
    resolver_remove_mailbox(w.resolver, w.mailbox);
    resolver_free(w.resolver);
    mailbox_free(w.mailbox);
    address_set_unref(&w.set);
    dns_close(&w.dns);
    loop_free(w.loop);
    return 0;
}

static void dns_has(const char *first, const char *second)
{
    w.dns.addresses[0] = first;
    w.dns.addresses[1] = second;
    w.dns.count = second != NULL ? 2 : 1;
}

static void run_until_count(const unsigned *counter, unsigned at_least)
{
    wait_until_count(w.loop, counter, at_least);
}

static void assert_address(size_t i, const char *ip)
{
    char text[ADDR_TEXT_MAX];

    assert_true(i < w.set->count);
    assert_true(str_eq(str_make(text, addr_format_ip(&w.set->addrs[i], text)), str_of(ip)));
}

/* --- promises -------------------------------------------------------------------------------- */

static void all_addresses_of_a_name_are_told(void **state UNUSED)
{
    dns_has("127.0.0.3", "127.0.0.2");
    resolver_watch(w.resolver, &w.config);
    assert_false(resolver_is_settled(w.resolver));
    run_until_count(&w.letters, 1);
    assert_true(resolver_is_settled(w.resolver));
    assert_true(str_eq(w.set->name, STR("web.test")));
    assert_int_equal(w.set->count, 2);
    assert_address(0, "127.0.0.2");
    assert_address(1, "127.0.0.3");
}

static void only_changes_are_told(void **state UNUSED)
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

static void the_ttl_says_when_to_ask_again(void **state UNUSED)
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
    w.dns.says_no = true;
    run_until_count(&w.dns.asked, w.dns.asked + 3);
    assert_true(resolver_failures(w.resolver) >= 1);
    assert_int_equal(w.letters, 1);
    w.dns.says_no = false;
    dns_has("127.0.0.4", NULL);
    run_until_count(&w.letters, 2);
    assert_address(0, "127.0.0.4");
}

static void a_name_that_never_resolved_is_told_as_empty(void **state UNUSED)
{
    w.dns.says_no = true;
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 1);
    assert_int_equal(w.set->count, 0);
    assert_true(resolver_is_settled(w.resolver));
    w.dns.says_no = false;
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

    w.hosts[0].name = STR("other.test");
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 3);
    assert_int_equal(w.forgotten, 1);
    assert_true(str_eq(w.set->name, STR("other.test")));
}

static void a_reload_asks_again_what_was_on_its_way(void **state UNUSED)
{
    w.dns.is_mute = true;
    dns_has("127.0.0.2", NULL);
    resolver_watch(w.resolver, &w.config);
    wait_for_ms(w.loop, 60);
    assert_int_equal(w.letters, 0);
    w.dns.is_mute = false;
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 1);
    assert_address(0, "127.0.0.2");
}

static void a_worker_that_comes_late_is_told_everything(void **state UNUSED)
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

    w.dns.is_mute = true;
    w.hosts[0].name = STR("localhost");
    resolver_watch(w.resolver, &w.config);
    run_until_count(&w.letters, 1);
    for (size_t i = 0; i < w.set->count; i++)
        has_v4 |= ntohl(w.set->addrs[i].in.sin_addr.s_addr) == INADDR_LOOPBACK;
    assert_true(has_v4);
}

enum { LETTERS = 1000 };

static void *put_many(void *arg UNUSED)
{
    for (unsigned i = 0; i < LETTERS; i++) {
        struct address_set *set = address_set_new(STR("web.test"), NULL, 0);
        mailbox_put(w.mailbox, set, NEWS_ADDRESSES);
        address_set_unref(&set);
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
        TEST(all_addresses_of_a_name_are_told),
        TEST(only_changes_are_told),
        TEST(the_ttl_says_when_to_ask_again),
        TEST(a_failure_keeps_the_last_good_answer),
        TEST(a_name_that_never_resolved_is_told_as_empty),
        TEST(a_reload_keeps_what_is_known_and_forgets_the_rest),
        TEST(a_reload_asks_again_what_was_on_its_way),
        TEST(a_worker_that_comes_late_is_told_everything),
        TEST(localhost_needs_no_server),
        TEST(letters_of_another_thread_arrive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
