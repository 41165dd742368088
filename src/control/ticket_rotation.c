/* Ticket keys: files that a configuration names take effect with that configuration; otherwise a
 * new random key is made every eight hours. */
#include "control/ticket_rotation.h"

enum { ROTATE_MS = 8 * 3600 * 1000 };

static struct ticket_rotation *rotation_of(struct control_part *part)
{
    return CONTAINER_OF(part, struct ticket_rotation, part);
}

static void init(struct control_part *part)
{
    rotation_of(part)->tickets = tls_tickets_new();
}

static void adopt(struct control_part *part)
{
    tls_tickets_use(rotation_of(part)->tickets, control_conf(part->control)->ticket_keys);
}

static void tick(struct control_part *part)
{
    tls_tickets_rotate(rotation_of(part)->tickets);
}

static void release(struct control_part *part)
{
    tls_tickets_free(rotation_of(part)->tickets);
}

void ticket_rotation_add(struct ticket_rotation *rotation, struct control *control)
{
    static const struct control_part_ops ops = {.name = "ticket_rotation",
                                                .tick_ms = ROTATE_MS,
                                                .init = init,
                                                .adopt = adopt,
                                                .tick = tick,
                                                .free = release};

    control_add(control, &rotation->part, &ops);
}
