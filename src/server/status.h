/* What the admin port asks of the server. Control thread. */
#pragma once

#include "control/orders.h"
#include "server/reload.h"

struct status {
    struct control_part part;
    /* borrows; set before status_add */
    const struct reload *reload;
    const struct workers *workers;
    const struct orders *orders;
    /* May new traffic come? `*words` says what the server does: "ready", "draining" and so on. */
    bool (*is_ready)(void *arg, const char **words);
    void *arg;
};

void status_add(struct status *status, struct control *control);

struct admin_source status_admin_source(struct status *status);
