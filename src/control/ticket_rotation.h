/* Part: the keys of TLS session tickets, which all workers share. They come from files or are
 * random, and random ones are rotated. */
#pragma once

#include "control/control.h"

struct ticket_rotation {
    struct control_part part;
    struct tls_tickets *tickets; /* owns; workers borrow it */
};

void ticket_rotation_add(struct ticket_rotation *rotation, struct control *control);
