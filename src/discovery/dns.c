/* See dns_impl.h. Sockets of c-ares are watched descriptors, its timeouts one deadline. It is asked
 * for one name and one family at a time and never searches by itself: its versions differ in where
 * a search stops and in what a final dot means. */
#include "discovery/dns_impl.h"

#include "base/log.h"

#include <ares.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

/* Newer c-ares remembers answers: with this and a size of 0 it does not, because we only ask when
 * the TTL is over and want the truth then. */
#ifdef ARES_OPT_QUERY_CACHE
enum { NO_QUERY_CACHE = ARES_OPT_QUERY_CACHE };
#else
enum { NO_QUERY_CACHE = 0 };
#endif

enum { NDOTS_DEFAULT = 1 };

/* A socket of c-ares. */
struct watched {
    struct list node; /* in dns->watched */
    ares_socket_t fd;
    struct fd_watch *watch;
};

struct dns {
    struct loop *loop;
    ares_channel servers; /* NULL: it could not be opened */
    ares_channel hosts;   /* reads /etc/hosts alone; NULL likewise */
    struct list watched;
    struct deadline timeout; /* c-ares's own */
    char *domains[DNS_DOMAINS_MAX];
    size_t domain_count;
    int ndots;
    bool has_own_search; /* dns_set_search */
};

struct question {
    dns_answered *answered;
    void *arg;
};

/* --- in the loop ----------------------------------------------------------------------------- */

static void set_timeout(struct dns *dns)
{
    struct timeval tv;

    if (dns->servers == NULL || ares_timeout(dns->servers, NULL, &tv) == NULL) {
        deadline_clear(&dns->timeout);
        return;
    }
    int64_t after_ms = (int64_t)tv.tv_sec * 1000 + tv.tv_usec / 1000;
    deadline_set(dns->loop, &dns->timeout, MAX(after_ms, 1));
}

static void on_timeout(struct deadline *deadline)
{
    struct dns *dns = CONTAINER_OF(deadline, struct dns, timeout);

    if (dns->servers != NULL)
        ares_process_fd(dns->servers, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timeout(dns);
}

static void on_socket_ready(void *arg, int fd, int events)
{
    struct dns *dns = arg;

    ares_process_fd(dns->servers, (events & FD_READABLE) ? fd : ARES_SOCKET_BAD,
                    (events & FD_WRITABLE) ? fd : ARES_SOCKET_BAD);
    set_timeout(dns);
}

static struct watched *find_watched(struct dns *dns, ares_socket_t fd)
{
    LIST_EACH(node, &dns->watched)
    {
        struct watched *watched = CONTAINER_OF(node, struct watched, node);
        if (watched->fd == fd)
            return watched;
    }
    return NULL;
}

static void unwatch(struct watched *watched)
{
    fd_watch_free(watched->watch);
    list_remove(&watched->node);
    free(watched);
}

/* c-ares says what it wants to know of `fd`; when that is nothing, it is about to close it. */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct dns *dns = arg;
    struct watched *watched = find_watched(dns, fd);
    int events = (readable ? FD_READABLE : 0) | (writable ? FD_WRITABLE : 0);

    if (watched != NULL)
        unwatch(watched);
    if (events == 0)
        return;
    watched = mem_new(sizeof(*watched));
    watched->fd = fd;
    watched->watch = fd_watch_new(dns->loop, fd, events, on_socket_ready, dns);
    list_push_back(&dns->watched, &watched->node);
}

/* --- opening --------------------------------------------------------------------------------- */

static char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = mem_new(size);

    memcpy(copy, text, size);
    return copy;
}

static void forget_domains(struct dns *dns)
{
    while (dns->domain_count > 0)
        free(dns->domains[--dns->domain_count]);
}

static void add_domain(struct dns *dns, const char *domain)
{
    if (domain[0] != '\0' && strcmp(domain, ".") != 0) /* these are the name as it stands */
        dns->domains[dns->domain_count++] = copy_text(domain);
}

/* What the C library makes of resolv.conf and its environment: new versions of c-ares do not
 * tell. */
static void read_resolv_conf(struct dns *dns)
{
    struct __res_state state = {.retry =
                                    RES_DFLRETRY + 1}; /* not the default: so it is read anew */

    if (dns->has_own_search)
        return;
    forget_domains(dns);
    dns->ndots = NDOTS_DEFAULT;
    if (res_ninit(&state) < 0)
        return;
    dns->ndots = (int)state.ndots;
    for (size_t i = 0; i < DNS_DOMAINS_MAX && state.dnsrch[i] != NULL; i++)
        add_domain(dns, state.dnsrch[i]);
    res_nclose(&state);
}

void dns_set_search(struct dns *dns, const char *const *domains, size_t count, int ndots)
{
    forget_domains(dns);
    for (size_t i = 0; i < count && i < DNS_DOMAINS_MAX; i++)
        add_domain(dns, domains[i]);
    dns->ndots = ndots;
    dns->has_own_search = true;
}

/* `lookups`: "b" asks servers, "f" reads /etc/hosts. NULL when that fails. */
static ares_channel open_channel(struct dns *dns, const char *lookups)
{
    char copy[2] = {lookups[0], '\0'};
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
        .timeout = DNS_QUERY_MS,
        .tries = DNS_QUERY_TRIES,
        .lookups = copy,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = dns,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
               ARES_OPT_DOMAINS | ARES_OPT_SOCK_STATE_CB | NO_QUERY_CACHE;
    ares_channel channel;
    int status = ares_init_options(&channel, &options, mask);

    if (status == ARES_SUCCESS)
        return channel;
    LOG_ERROR("resolver_start_failed", "error=\"%s\"", ares_strerror(status));
    return NULL;
}

static void close_channels(struct dns *dns)
{
    if (dns->servers != NULL)
        ares_destroy(dns->servers);
    if (dns->hosts != NULL)
        ares_destroy(dns->hosts);
    dns->servers = dns->hosts = NULL;
    while (!list_is_empty(&dns->watched))
        unwatch(CONTAINER_OF(dns->watched.next, struct watched, node));
    deadline_clear(&dns->timeout);
}

void dns_open(struct dns *dns, const char *servers)
{
    close_channels(dns);
    read_resolv_conf(dns);
    dns->hosts = open_channel(dns, "f");
    dns->servers = open_channel(dns, "b");
    if (dns->servers == NULL || servers[0] == '\0')
        return;
    int status = ares_set_servers_ports_csv(dns->servers, servers);
    if (status != ARES_SUCCESS)
        LOG_ERROR("resolver_servers_bad", "servers=\"%s\" error=\"%s\"", servers,
                  ares_strerror(status));
}

/* --- answers --------------------------------------------------------------------------------- */

static struct addr addr_of_node(const struct ares_addrinfo_node *node)
{
    struct addr addr = {0};

    if (node->ai_family == AF_INET && node->ai_addrlen >= sizeof(addr.in)) {
        addr.in.sin_family = AF_INET;
        addr.in.sin_addr = ((const struct sockaddr_in *)(const void *)node->ai_addr)->sin_addr;
        addr.len = sizeof(addr.in);
    } else if (node->ai_family == AF_INET6 && node->ai_addrlen >= sizeof(addr.in6)) {
        addr.in6.sin6_family = AF_INET6;
        addr.in6.sin6_addr = ((const struct sockaddr_in6 *)(const void *)node->ai_addr)->sin6_addr;
        addr.len = sizeof(addr.in6);
    }
    return addr;
}

static int64_t shortest_ttl_ms(const struct ares_addrinfo *info)
{
    int64_t ttl_s = INT32_MAX;

    for (const struct ares_addrinfo_node *node = info->nodes; node != NULL; node = node->ai_next)
        ttl_s = MIN(ttl_s, (int64_t)node->ai_ttl);
    for (const struct ares_addrinfo_cname *cname = info->cnames; cname != NULL; cname = cname->next)
        ttl_s = MIN(ttl_s, (int64_t)cname->ttl);
    return ttl_s * 1000;
}

static enum dns_status status_of(int status)
{
    switch (status) {
    case ARES_SUCCESS:
    case ARES_ENODATA:
        return DNS_NO_DATA;
    case ARES_ENOTFOUND:
    case ARES_EBADNAME: /* too long, with a domain of the search list */
        return DNS_NO_NAME;
    case ARES_EDESTRUCTION:
    case ARES_ECANCELLED:
        return DNS_CANCELLED;
    default:
        return DNS_FAILED;
    }
}

static void tell_addresses(const struct question *question, const struct ares_addrinfo *info)
{
    struct dns_answer answer = {.status = DNS_ADDRESSES, .ttl_ms = shortest_ttl_ms(info)};
    size_t count = 0;

    for (const struct ares_addrinfo_node *node = info->nodes; node != NULL; node = node->ai_next)
        count++;
    struct addr *addrs = mem_new(count * sizeof(*addrs));
    for (const struct ares_addrinfo_node *node = info->nodes; node != NULL; node = node->ai_next) {
        addrs[answer.count] = addr_of_node(node);
        answer.count += addrs[answer.count].len > 0;
    }
    answer.addrs = addrs;
    question->answered(question->arg, &answer);
    free(addrs);
}

static void on_answer(void *arg, int status, int timeouts UNUSED, struct ares_addrinfo *info)
{
    struct question *question = arg;

    if (status == ARES_SUCCESS && info != NULL && info->nodes != NULL) {
        tell_addresses(question, info);
    } else {
        struct dns_answer answer = {.status = status_of(status), .error = ares_strerror(status)};
        question->answered(question->arg, &answer);
    }
    if (info != NULL)
        ares_freeaddrinfo(info);
    free(question);
}

static void ask(ares_channel channel, const char *name, int family, dns_answered *answered,
                void *arg)
{
    struct ares_addrinfo_hints hints = {
        .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NOSORT};

    if (channel == NULL) {
        answered(arg, &(struct dns_answer){.status = DNS_FAILED, .error = "no resolver"});
        return;
    }
    struct question *question = mem_new(sizeof(*question));
    *question = (struct question){answered, arg};
    ares_getaddrinfo(channel, name, NULL, &hints, on_answer, question);
}

void dns_ask(struct dns *dns, const char *name, int family, dns_answered *answered, void *arg)
{
    ask(dns->servers, name, family, answered, arg);
    set_timeout(dns);
}

void dns_look_in_hosts(struct dns *dns, const char *name, dns_answered *answered, void *arg)
{
    ask(dns->hosts, name, AF_UNSPEC, answered, arg);
}

/* --- life ------------------------------------------------------------------------------------ */

struct dns *dns_new(struct loop *loop)
{
    struct dns *dns = mem_new(sizeof(*dns));

    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status != ARES_SUCCESS)
        LOG_ERROR("resolver_start_failed", "error=\"%s\"", ares_strerror(status));
    dns->loop = loop;
    list_init(&dns->watched);
    deadline_init(&dns->timeout, on_timeout);
    return dns;
}

void dns_free(struct dns *dns)
{
    close_channels(dns);
    forget_domains(dns);
    deadline_deinit(&dns->timeout);
    ares_library_cleanup();
    free(dns);
}

size_t dns_domain_count(const struct dns *dns)
{
    return dns->domain_count;
}

const char *dns_domain(const struct dns *dns, size_t i)
{
    return dns->domains[i];
}

int dns_ndots(const struct dns *dns)
{
    return dns->ndots;
}
