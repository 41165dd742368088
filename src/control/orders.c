/* An order is two letters in one allocation. When the worker's mailbox has delivered the first, or
 * has been freed without delivering it, the second goes back. When that was read the order is
 * freed. */
#include "control/orders.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

struct order {
    struct letter letter, answer;
    struct list node; /* in orders.open */
    struct orders *orders;
    struct order_round *round;
    size_t index;
    void *worker;
    int64_t given_at_ms;
    bool is_reported; /* as late */
};

/* --- the worker's side ----------------------------------------------------------------------- */

static void carry_out(void *arg UNUSED, const struct letter *letter)
{
    const struct order *order = CONTAINER_OF((struct letter *)letter, struct order, letter);

    order->round->carry_out(order->round, order->worker);
}

static void send_answer(struct letter *letter)
{
    struct order *order = CONTAINER_OF(letter, struct order, letter);

    mailbox_put(order->orders->answers, &order->answer);
}

static const struct letter_kind order_kind = {.name = "order", .free = send_answer};

void orders_receive(struct mailbox *mailbox)
{
    mailbox_receive(mailbox, &order_kind, carry_out, NULL);
}

/* --- the control thread's side --------------------------------------------------------------- */

static void order_free(struct letter *answer)
{
    struct order *order = CONTAINER_OF(answer, struct order, answer);

    list_remove(&order->node);
    free(order);
}

static const struct letter_kind answer_kind = {.name = "answer", .free = order_free};

static int64_t waited_ms(const struct order *order)
{
    return loop_now_ms(control_loop(order->orders->part.control)) - order->given_at_ms;
}

static void on_answer(void *arg UNUSED, const struct letter *letter)
{
    struct order *order = CONTAINER_OF((struct letter *)letter, struct order, answer);
    struct order_round *round = order->round;

    list_remove(&order->node);
    if (order->is_reported)
        LOG_WARN("worker_answered", "worker=%zu order=%s waited_ms=%lld", order->index, round->name,
                 (long long)waited_ms(order));
    if (--round->unanswered == 0 && round->done != NULL)
        round->done(round);
}

/* Orders are listed by age, so the first one that is not late yet is the next to be looked at. */
static void on_late(struct deadline *deadline)
{
    struct orders *orders = CONTAINER_OF(deadline, struct orders, late);

    LIST_EACH(node, &orders->open)
    {
        struct order *order = CONTAINER_OF(node, struct order, node);
        if (waited_ms(order) < ORDER_LATE_MS) {
            deadline_set(control_loop(orders->part.control), &orders->late,
                         ORDER_LATE_MS - waited_ms(order));
            return;
        }
        if (!order->is_reported)
            LOG_ERROR("worker_stuck", "worker=%zu order=%s waited_ms=%lld", order->index,
                      order->round->name, (long long)waited_ms(order));
        order->is_reported = true;
    }
}

void orders_give(struct orders *orders, struct order_round *round, size_t index,
                 struct mailbox *mailbox, void *worker)
{
    struct order *order = mem_new(sizeof(*order));

    *order = (struct order){
        .letter = {.kind = &order_kind},
        .answer = {.kind = &answer_kind},
        .orders = orders,
        .round = round,
        .index = index,
        .worker = worker,
        .given_at_ms = loop_now_ms(control_loop(orders->part.control)),
    };
    list_push_back(&orders->open, &order->node);
    round->unanswered++;
    if (!deadline_is_set(&orders->late))
        deadline_set(control_loop(orders->part.control), &orders->late, ORDER_LATE_MS);
    mailbox_put(mailbox, &order->letter);
}

bool orders_is_stuck(const struct orders *orders, size_t index)
{
    LIST_EACH(node, &orders->open)
    {
        const struct order *order = CONTAINER_OF(node, struct order, node);
        if (order->index == index && order->is_reported)
            return true;
    }
    return false;
}

static struct doc *order_doc(const struct order *order)
{
    struct doc *doc = doc_object();

    doc_set(doc, STR("worker"), doc_int((int64_t)order->index));
    doc_set(doc, STR("order"), doc_text(str_of(order->round->name)));
    doc_set(doc, STR("waited_ms"), doc_int(waited_ms(order)));
    return doc;
}

struct doc *orders_status(const struct orders *orders)
{
    struct doc *list = doc_list();

    LIST_EACH(node, &orders->open)
    {
        const struct order *order = CONTAINER_OF(node, struct order, node);
        if (order->is_reported)
            doc_add(list, order_doc(order));
    }
    return list;
}

/* --- the part -------------------------------------------------------------------------------- */

static struct orders *orders_of(struct control_part *part)
{
    return CONTAINER_OF(part, struct orders, part);
}

static void init(struct control_part *part)
{
    struct orders *orders = orders_of(part);

    orders->answers = mailbox_new(control_loop(part->control));
    mailbox_receive(orders->answers, &answer_kind, on_answer, orders);
    list_init(&orders->open);
    deadline_init(&orders->late, on_late);
}

static void print(struct control_part *part, struct text *out)
{
    text_add_metric(out, METRIC_WORKER_STUCK);
    for (size_t w = 0; w < control_workers(part->control)->count; w++) {
        char digits[24];
        int len = snprintf(digits, sizeof(digits), "%zu", w);
        struct str worker = str_make(digits, (size_t)len);
        text_add_sample(out, METRIC_WORKER_STUCK, &worker, orders_is_stuck(orders_of(part), w));
    }
}

static void release(struct control_part *part)
{
    struct orders *orders = orders_of(part);

    mailbox_free(&orders->answers);
    deadline_deinit(&orders->late);
}

void orders_add(struct orders *orders, struct control *control)
{
    static const struct control_part_ops ops = {
        .name = "orders", .init = init, .metrics = print, .free = release};

    control_add(control, &orders->part, &ops);
}
