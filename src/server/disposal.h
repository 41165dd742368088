/* Part: frees snapshots on the job thread, whichever thread gives the last reference back. That is
 * often a worker, when its last request on an old configuration ends. */
#pragma once

#include "control/control.h"
#include "control/jobs.h"
#include "net/mailbox.h"
#include "server/snapshot.h"

struct disposal {
    struct control_part part;
    struct mailbox *mailbox; /* owns: snapshots without a reference */
    struct jobs *jobs;       /* borrows; NULL: freed on the control thread */
};

void disposal_add(struct disposal *disposal, struct control *control);

/* `snapshot` will be freed here. Before other threads have references. */
void disposal_expect(struct disposal *disposal, struct snapshot *snapshot);
