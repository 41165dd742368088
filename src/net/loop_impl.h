/* What only net/ sees of the loop. */
#pragma once

#include "net/loop.h"

/* Adds `node` of a connection, so that loop_free can end with `abort` what is still open. The same
 * function for every connection. */
void loop_add_conn(struct loop *loop, struct list *node, void (*abort)(struct list *node));
const struct list *loop_conns(const struct loop *loop); /* for tests */

/* A client has sent something again; see loop_kept_client_ms. */
void loop_note_kept_client(struct loop *loop);

/* May a connection that was accepted, or one to be connected, have this descriptor? */
bool loop_may_accept(const struct loop *loop, int fd);
bool loop_may_connect(const struct loop *loop, int fd);

/* What another file of net/ keeps for each loop. `turn` is called by loop_turn alone. */
struct loop_extra {
    void (*turn)(struct loop_extra *extra, bool was_wall_clock_set);
    void (*free)(struct loop_extra *extra);
};

/* Where the alarms of the wall clock are kept; NULL until the first one is set. */
struct loop_extra **loop_alarms(struct loop *loop);
