/* c-ares in the control loop: its sockets are watched descriptors, its timeouts one deadline, and
 * each name has a deadline for its next look-up. An answer that differs from the last one is put
 * into every worker's mailbox; one that failed changes nothing, unless it was the first. */
#include "upstream/resolver_impl.h"

#include "base/log.h"
#include "upstream/address_set_impl.h"

#include <ares.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/* Newer c-ares remembers answers: with this and a size of 0 it does not, because we only ask when
 * the TTL is over and want the truth then. */
#ifdef ARES_OPT_QUERY_CACHE
enum { NO_QUERY_CACHE = ARES_OPT_QUERY_CACHE };
#else
enum { NO_QUERY_CACHE = 0 };
#endif

/* A socket of c-ares. */
struct watched {
    struct list node; /* in resolver->watched */
    ares_socket_t fd;
    struct fd_watch *watch;
};

/* One host name of the configuration. */
struct watched_name {
    struct list node; /* in resolver->names */
    struct resolver *resolver;
    char *text;              /* owns */
    struct address_set *set; /* shares: what workers know; NULL before the first answer */
    struct deadline again;   /* next look-up */
    bool is_wanted, is_asked;
};

struct resolver {
    struct loop *loop;
    ares_channel channel; /* NULL: c-ares could not start; names then fail and are retried */
    bool has_channel;
    char *servers; /* owns: of the configuration; "" = resolv.conf */
    struct list names, watched, mailboxes;
    struct deadline timeout; /* c-ares's own */
    struct resolver_times times;
    uint64_t failures;
};

/* --- c-ares in the loop ---------------------------------------------------------------------- */

static void set_timeout(struct resolver *r)
{
    struct timeval tv;

    if (!r->has_channel || ares_timeout(r->channel, NULL, &tv) == NULL) {
        deadline_clear(&r->timeout);
        return;
    }
    int64_t after_ms = (int64_t)tv.tv_sec * 1000 + tv.tv_usec / 1000;
    deadline_set(r->loop, &r->timeout, MAX(after_ms, 1));
}

static void on_ares_timeout(struct deadline *deadline)
{
    struct resolver *r = CONTAINER_OF(deadline, struct resolver, timeout);

    if (r->has_channel)
        ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timeout(r);
}

static void on_socket_ready(void *arg, int fd, int events)
{
    struct resolver *r = arg;

    ares_process_fd(r->channel, (events & FD_READABLE) ? fd : ARES_SOCKET_BAD,
                    (events & FD_WRITABLE) ? fd : ARES_SOCKET_BAD);
    set_timeout(r);
}

static struct watched *find_watched(struct resolver *r, ares_socket_t fd)
{
    LIST_EACH(node, &r->watched)
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

/* c-ares says what it wants to know of `fd`; nothing any more means that it is about to close it.
 */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct resolver *r = arg;
    struct watched *watched = find_watched(r, fd);
    int events = (readable ? FD_READABLE : 0) | (writable ? FD_WRITABLE : 0);

    if (watched != NULL)
        unwatch(watched);
    if (events == 0)
        return;
    watched = mem_new(sizeof(*watched));
    watched->fd = fd;
    watched->watch = fd_watch_new(r->loop, fd, events, on_socket_ready, r);
    list_push_back(&r->watched, &watched->node);
}

static int channel_init(struct resolver *r)
{
    char lookups[] = "fb"; /* /etc/hosts, then DNS */
    struct ares_options options = {
        .timeout = RESOLVER_QUERY_MS,
        .tries = RESOLVER_QUERY_TRIES,
        .lookups = lookups,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = r,
    };
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;

    return ares_init_options(&r->channel, &options, mask | NO_QUERY_CACHE);
}

static void channel_open(struct resolver *r)
{
    int status = channel_init(r);

    if (status != ARES_SUCCESS) {
        LOG_ERROR("resolver_start_failed", "error=\"%s\"", ares_strerror(status));
        return;
    }
    r->has_channel = true;
    if (r->servers[0] == '\0')
        return;
    status = ares_set_servers_ports_csv(r->channel, r->servers);
    if (status != ARES_SUCCESS)
        LOG_ERROR("resolver_servers_bad", "servers=\"%s\" error=\"%s\"", r->servers,
                  ares_strerror(status));
}

/* Look-ups that are on their way end with ARES_EDESTRUCTION. */
static void channel_close(struct resolver *r)
{
    if (r->has_channel)
        ares_destroy(r->channel);
    r->has_channel = false;
    while (!list_is_empty(&r->watched))
        unwatch(CONTAINER_OF(r->watched.next, struct watched, node));
    deadline_clear(&r->timeout);
}

/* --- answers --------------------------------------------------------------------------------- */

static void tell_workers(struct resolver *r, struct address_set *set, enum news news)
{
    LIST_EACH(node, &r->mailboxes)
    {
        mailbox_put(CONTAINER_OF(node, struct resolver_mailbox, node), set, news);
    }
}

/* Has this machine a way there at all? No packet is sent; it spares IPv4-only machines every AAAA.
 */
static bool has_route(const struct addr *addr)
{
    struct addr with_port = *addr;
    int fd = socket(addr->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return false;
    if (addr->sa.sa_family == AF_INET)
        with_port.in.sin_port = htons(9);
    else
        with_port.in6.sin6_port = htons(9);
    int status = connect(fd, &with_port.sa, with_port.len);
    close(fd);
    return status == 0;
}

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

/* Those with a route; all of them when none has one, so that the log names what was tried. */
static size_t keep_routed(struct addr *addrs, size_t count)
{
    size_t routed = 0;

    for (size_t i = 0; i < count; i++) {
        if (!has_route(&addrs[i]))
            continue;
        struct addr swap = addrs[routed];
        addrs[routed++] = addrs[i];
        addrs[i] = swap;
    }
    return routed > 0 ? routed : count;
}

static struct address_set *set_of_answer(const char *name, const struct ares_addrinfo *answer)
{
    size_t count = 0, i = 0;

    for (const struct ares_addrinfo_node *node = answer->nodes; node != NULL; node = node->ai_next)
        count++;
    struct addr *addrs = mem_new(sizeof(*addrs) * MAX(count, 1u));
    for (const struct ares_addrinfo_node *node = answer->nodes; node != NULL;
         node = node->ai_next) {
        addrs[i] = addr_of_node(node);
        i += addrs[i].len > 0;
    }
    struct address_set *set = address_set_new(str_of(name), addrs, keep_routed(addrs, i));
    free(addrs);
    return set;
}

/* The shortest TTL of the chain, within our bounds. */
static int64_t next_look_up_ms(const struct resolver *r, const struct ares_addrinfo *answer)
{
    int64_t ttl_s = INT32_MAX;

    for (const struct ares_addrinfo_node *node = answer->nodes; node != NULL; node = node->ai_next)
        ttl_s = MIN(ttl_s, (int64_t)node->ai_ttl);
    for (const struct ares_addrinfo_cname *cname = answer->cnames; cname != NULL;
         cname = cname->next)
        ttl_s = MIN(ttl_s, (int64_t)cname->ttl);
    return MIN(MAX(ttl_s * 1000, r->times.min_ms), r->times.max_ms);
}

static void keep_answer(struct watched_name *name, struct address_set *set)
{
    if (name->set == NULL || !address_set_eq(name->set, set)) {
        if (set->count > 0)
            LOG_INFO("name_resolved", "name=%s addresses=%zu", name->text, set->count);
        tell_workers(name->resolver, set, NEWS_ADDRESSES);
    }
    address_set_unref(&name->set);
    name->set = set;
}

static void on_failure(struct watched_name *name, int status)
{
    struct resolver *r = name->resolver;

    r->failures++;
    LOG_LIMITED(LOG_LEVEL_WARN, "name_not_resolved", "name=%s error=\"%s\" kept=%zu", name->text,
                ares_strerror(status), name->set != NULL ? name->set->count : 0);
    if (name->set == NULL)
        keep_answer(name, address_set_new(str_of(name->text), NULL, 0));
    deadline_set(r->loop, &name->again, r->times.retry_ms);
}

static void on_answer(void *arg, int status, int timeouts UNUSED, struct ares_addrinfo *answer)
{
    struct watched_name *name = arg;
    struct resolver *r = name->resolver;

    name->is_asked = false;
    if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED) {
        deadline_set(r->loop, &name->again, 1);
    } else if (status != ARES_SUCCESS || answer == NULL || answer->nodes == NULL) {
        on_failure(name, status != ARES_SUCCESS ? status : ARES_ENODATA);
    } else {
        keep_answer(name, set_of_answer(name->text, answer));
        deadline_set(r->loop, &name->again, next_look_up_ms(r, answer));
    }
    if (answer != NULL)
        ares_freeaddrinfo(answer);
}

static void look_up(struct watched_name *name)
{
    struct resolver *r = name->resolver;
    struct ares_addrinfo_hints hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NOSORT};

    if (name->is_asked)
        return;
    if (!r->has_channel)
        channel_open(r);
    if (!r->has_channel) {
        on_failure(name, ARES_ENOTINITIALIZED);
        return;
    }
    name->is_asked = true;
    ares_getaddrinfo(r->channel, name->text, NULL, &hints, on_answer, name);
    set_timeout(r);
}

static void on_again(struct deadline *deadline)
{
    look_up(CONTAINER_OF(deadline, struct watched_name, again));
}

/* --- names ----------------------------------------------------------------------------------- */

static struct watched_name *find_name(struct resolver *r, struct str text)
{
    LIST_EACH(node, &r->names)
    {
        struct watched_name *name = CONTAINER_OF(node, struct watched_name, node);
        if (str_eq(str_of(name->text), text))
            return name;
    }
    return NULL;
}

static void want_name(struct resolver *r, struct str text)
{
    struct watched_name *name = find_name(r, text);

    if (name == NULL) {
        name = mem_new(sizeof(*name));
        name->resolver = r;
        name->text = mem_new(text.len + 1);
        memcpy(name->text, text.ptr, text.len);
        deadline_init(&name->again, on_again);
        list_push_back(&r->names, &name->node);
        deadline_set(r->loop, &name->again, 1);
    }
    name->is_wanted = true;
}

/* Not while it is asked for: the channel is closed before. */
static void name_free(struct watched_name *name)
{
    ASSERT(!name->is_asked);
    deadline_deinit(&name->again);
    list_remove(&name->node);
    address_set_unref(&name->set);
    free(name->text);
    free(name);
}

static void forget_unwanted(struct resolver *r)
{
    LIST_EACH(node, &r->names)
    {
        struct watched_name *name = CONTAINER_OF(node, struct watched_name, node);
        if (name->is_wanted)
            continue;
        if (name->set != NULL)
            tell_workers(r, name->set, NEWS_FORGOTTEN);
        name_free(name);
    }
}

static void want_names_of(struct resolver *r, const struct config *config)
{
    for (size_t g = 0; g < config->group_count; g++) {
        const struct group_conf *group = &config->groups[g];
        for (size_t t = 0; t < group->target_count; t++) {
            const struct target_conf *target = &group->targets[t];
            for (size_t h = 0; h < target->host_count; h++) {
                if (target->hosts[h].addr.len == 0)
                    want_name(r, target->hosts[h].name);
            }
        }
    }
}

/* --- doors ----------------------------------------------------------------------------------- */

struct resolver *resolver_new(struct loop *control)
{
    struct resolver *r = mem_new(sizeof(*r));

    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status != ARES_SUCCESS)
        LOG_ERROR("resolver_start_failed", "error=\"%s\"", ares_strerror(status));
    r->loop = control;
    r->servers = mem_new(1);
    r->times = (struct resolver_times){RESOLVER_MIN_MS, RESOLVER_MAX_MS, RESOLVER_RETRY_MS};
    list_init(&r->names);
    list_init(&r->watched);
    list_init(&r->mailboxes);
    deadline_init(&r->timeout, on_ares_timeout);
    return r;
}

void resolver_free(struct resolver *r)
{
    if (r == NULL)
        return;
    channel_close(r);
    while (!list_is_empty(&r->names))
        name_free(CONTAINER_OF(r->names.next, struct watched_name, node));
    while (list_pop_front(&r->mailboxes) != NULL)
        continue;
    deadline_deinit(&r->timeout);
    ares_library_cleanup();
    free(r->servers);
    free(r);
}

void resolver_add_mailbox(struct resolver *r, struct resolver_mailbox *mailbox)
{
    list_push_back(&r->mailboxes, &mailbox->node);
    LIST_EACH(node, &r->names)
    {
        struct watched_name *name = CONTAINER_OF(node, struct watched_name, node);
        if (name->set != NULL)
            mailbox_put(mailbox, name->set, NEWS_ADDRESSES);
    }
}

void resolver_remove_mailbox(struct resolver *r UNUSED, struct resolver_mailbox *mailbox)
{
    list_remove(&mailbox->node);
}

void resolver_watch(struct resolver *r, const struct config *config)
{
    /* A new channel reads resolv.conf again; what it was asked is asked anew. */
    channel_close(r);
    free(r->servers);
    r->servers = mem_new(config->dns_servers.len + 1);
    if (config->dns_servers.len > 0)
        memcpy(r->servers, config->dns_servers.ptr, config->dns_servers.len);

    LIST_EACH(node, &r->names)
    {
        CONTAINER_OF(node, struct watched_name, node)->is_wanted = false;
    }
    want_names_of(r, config);
    forget_unwanted(r);
}

bool resolver_is_settled(const struct resolver *r)
{
    LIST_EACH(node, &r->names)
    {
        if (CONTAINER_OF(node, struct watched_name, node)->set == NULL)
            return false;
    }
    return true;
}

uint64_t resolver_failures(const struct resolver *r)
{
    return r->failures;
}

void resolver_set_times(struct resolver *r, struct resolver_times times)
{
    r->times = times;
}
