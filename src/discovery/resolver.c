/* Keeps the names of the configuration resolved, and sends their addresses to the workers. How one
 * name is looked up is name.c, how servers are asked dns.c. */
#include "discovery/resolver_impl.h"

#include <stdlib.h>
#include <string.h>

enum {
    RETRY_MS = 5 * 1000,
    CANDIDATE_MS = 2 * 1000,
    PATIENCE_MS = 500,
    NAMES_PER_MS = 4, /* asked at once: so many that no socket buffer overflows */
};

struct resolver {
    struct name_world world;
    struct list names;
    struct mailbox **mailboxes; /* owns the array, borrows its members */
    size_t mailbox_count;
    void (*on_answer)(void *arg); /* may be NULL */
    void *on_answer_arg;
};

/* --- workers --------------------------------------------------------------------------------- */

static void send_to_workers(struct resolver *r, struct endpoint_set *set, enum endpoint_news news)
{
    for (size_t i = 0; i < r->mailbox_count; i++)
        endpoint_letter_send(r->mailboxes[i], set, news);
}

static void on_publish(void *arg, struct endpoint_set *set)
{
    struct resolver *r = arg;

    send_to_workers(r, set, ENDPOINTS_CHANGED);
    if (r->on_answer != NULL)
        r->on_answer(r->on_answer_arg);
}

void resolver_on_answer(struct resolver *r, void (*on_answer)(void *arg), void *arg)
{
    r->on_answer = on_answer;
    r->on_answer_arg = arg;
}

void resolver_add_mailbox(struct resolver *r, struct mailbox *mailbox)
{
    r->mailboxes = mem_resize(r->mailboxes, (r->mailbox_count + 1) * sizeof(struct mailbox *));
    r->mailboxes[r->mailbox_count++] = mailbox;
    LIST_EACH(node, &r->names)
    {
        struct name *name = CONTAINER_OF(node, struct name, node);
        if (name->set != NULL)
            endpoint_letter_send(mailbox, name->set, ENDPOINTS_CHANGED);
    }
}

void resolver_remove_mailbox(struct resolver *r, struct mailbox *mailbox)
{
    for (size_t i = 0; i < r->mailbox_count; i++) {
        if (r->mailboxes[i] == mailbox) {
            r->mailboxes[i] = r->mailboxes[--r->mailbox_count];
            return;
        }
    }
}

/* --- names ----------------------------------------------------------------------------------- */

static struct name *find_name(struct resolver *r, struct str text)
{
    LIST_EACH(node, &r->names)
    {
        struct name *name = CONTAINER_OF(node, struct name, node);
        if (str_eq(str_of(name->text), text))
            return name;
    }
    return NULL;
}

static void want_name(struct resolver *r, struct str text, enum address_family family)
{
    struct name *name = find_name(r, text);

    if (name == NULL) {
        name = name_new(&r->world, text);
        list_push_back(&r->names, &name->node);
    }
    name->is_wanted = true;
    name->wants[NAME_IPV4] |= family != FAMILY_IPV6;
    name->wants[NAME_IPV6] |= family != FAMILY_IPV4;
}

static void want_names_of(struct resolver *r, const struct config *config)
{
    for (size_t g = 0; g < config->group_count; g++) {
        const struct group_conf *group = &config->groups[g];
        for (size_t t = 0; t < group->target_count; t++) {
            const struct target_conf *target = &group->targets[t];
            for (size_t h = 0; h < target->host_count; h++) {
                if (target->hosts[h].addr.len == 0)
                    want_name(r, target->hosts[h].lookup, group->family);
            }
        }
    }
}

static void want_nothing(struct resolver *r)
{
    LIST_EACH(node, &r->names)
    {
        struct name *name = CONTAINER_OF(node, struct name, node);
        name->is_wanted = name->wants[NAME_IPV4] = name->wants[NAME_IPV6] = false;
    }
}

static void forget_unwanted(struct resolver *r)
{
    LIST_EACH(node, &r->names)
    {
        struct name *name = CONTAINER_OF(node, struct name, node);
        if (name->is_wanted)
            continue;
        if (name->set != NULL)
            send_to_workers(r, name->set, ENDPOINTS_FORGOTTEN);
        name_free(name);
    }
}

static void look_up_all(struct resolver *r)
{
    int64_t i = 0;

    LIST_EACH(node, &r->names)
    {
        name_look_up(CONTAINER_OF(node, struct name, node), 1 + i++ / NAMES_PER_MS);
    }
}

void resolver_watch(struct resolver *r, const struct config *config)
{
    char *servers = mem_new(config->dns.servers.len + 1);

    if (config->dns.servers.len > 0)
        memcpy(servers, config->dns.servers.ptr, config->dns.servers.len);
    dns_open(r->world.dns, servers);
    free(servers);
    r->world.times.min_ms = config->dns.min_ttl_ms;
    r->world.times.max_ms = MAX(config->dns.max_ttl_ms, config->dns.min_ttl_ms);
    r->world.max_addresses = config->dns.max_addresses;

    want_nothing(r);
    want_names_of(r, config);
    forget_unwanted(r);
    look_up_all(r);
}

/* --- life ------------------------------------------------------------------------------------ */

struct resolver *resolver_new(struct loop *control)
{
    struct resolver *r = mem_new(sizeof(*r));

    r->world = (struct name_world){
        .loop = control,
        .dns = dns_new(control),
        .times = {.retry_ms = RETRY_MS, .candidate_ms = CANDIDATE_MS, .patience_ms = PATIENCE_MS},
        .publish = on_publish,
        .arg = r,
    };
    list_init(&r->names);
    return r;
}

void resolver_free(struct resolver *r)
{
    if (r == NULL)
        return;
    dns_free(r->world.dns);
    while (!list_is_empty(&r->names))
        name_free(CONTAINER_OF(r->names.next, struct name, node));
    free(r->mailboxes);
    free(r);
}

bool resolver_is_settled(const struct resolver *r)
{
    LIST_EACH(node, &r->names)
    {
        if (CONTAINER_OF(node, struct name, node)->set == NULL)
            return false;
    }
    return true;
}

struct resolver_figures resolver_figures(const struct resolver *r)
{
    struct resolver_figures figures = {.failures = r->world.failures, .dropped = r->world.dropped};

    LIST_EACH(node, &r->names)
    {
        const struct name *name = CONTAINER_OF(node, struct name, node);
        figures.stale += name_is_stale(name);
        figures.gone += name->is_gone;
    }
    return figures;
}

void resolver_set_times(struct resolver *r, const struct name_times *times)
{
    r->world.times = *times;
}

void resolver_set_search(struct resolver *r, const char *const *domains, size_t count, int ndots)
{
    dns_set_search(r->world.dns, domains, count, ndots);
}
