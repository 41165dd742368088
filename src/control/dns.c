/* The resolver reports every answer. An answer makes this part check once, at the end of the turn,
 * whether all names have one. */
#include "control/dns.h"

static struct dns *dns_of(struct control_part *part)
{
    return CONTAINER_OF(part, struct dns, part);
}

static void call_waiter(struct dns *dns)
{
    void (*waiter)(void *arg) = dns->waiter;

    dns_stop_waiting(dns);
    if (waiter != NULL)
        waiter(dns->waiter_arg);
}

static void on_check(struct task *task)
{
    struct dns *dns = CONTAINER_OF(task, struct dns, check);

    if (resolver_is_settled(dns->resolver))
        call_waiter(dns);
}

static void on_give_up(struct deadline *deadline)
{
    call_waiter(CONTAINER_OF(deadline, struct dns, give_up));
}

static void on_answer(void *arg)
{
    struct dns *dns = arg;

    if (dns->waiter != NULL)
        loop_defer(control_loop(dns->part.control), &dns->check);
}

static void init(struct control_part *part)
{
    struct dns *dns = dns_of(part);

    dns->resolver = resolver_new(control_loop(part->control));
    resolver_on_answer(dns->resolver, on_answer, dns);
    task_init(&dns->check, on_check);
    deadline_init(&dns->give_up, on_give_up);
}

static void print(struct control_part *part, struct text *out)
{
    struct resolver_figures dns = resolver_figures(dns_of(part)->resolver);

    control_add_number(out, METRIC_DNS_FAILURES, dns.failures);
    control_add_number(out, METRIC_DNS_STALE, dns.stale);
    control_add_number(out, METRIC_DNS_GONE, dns.gone);
    control_add_number(out, METRIC_DNS_DROPPED, dns.dropped);
}

static void drain(struct control_part *part)
{
    dns_stop_waiting(dns_of(part));
}

static void release(struct control_part *part)
{
    struct dns *dns = dns_of(part);

    dns_stop_waiting(dns);
    deadline_deinit(&dns->give_up);
    resolver_free(dns->resolver);
}

void dns_add(struct dns *dns, struct control *control)
{
    static const struct control_part_ops ops = {
        .name = "dns", .init = init, .metrics = print, .drain = drain, .free = release};

    control_add(control, &dns->part, &ops);
}

void dns_watch(struct dns *dns, const struct config *config)
{
    resolver_watch(dns->resolver, config);
}

void dns_wait(struct dns *dns, void (*waiter)(void *arg), void *arg)
{
    struct loop *loop = control_loop(dns->part.control);

    dns->waiter = waiter;
    dns->waiter_arg = arg;
    deadline_set(loop, &dns->give_up, DNS_WAIT_MS);
    loop_defer(loop, &dns->check);
}

void dns_stop_waiting(struct dns *dns)
{
    dns->waiter = NULL;
    deadline_clear(&dns->give_up);
    task_cancel(&dns->check);
}
