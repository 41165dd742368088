/* What only net/ sees of the loop. */
#pragma once

#include "net/loop.h"

/* Every connection of this loop, so that loop_free can close what still lingers. */
struct list *loop_conns(struct loop *loop);

/* A client has sent something again; see loop_kept_client_ms. */
void loop_note_kept_client(struct loop *loop);

/* May a connection that was accepted, or one to be connected, have this descriptor? */
bool loop_may_accept(const struct loop *loop, int fd);
bool loop_may_connect(const struct loop *loop, int fd);
