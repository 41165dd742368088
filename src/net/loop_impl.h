/* What only net/ sees of the loop. */
#pragma once

#include "net/loop.h"

/* Every connection of this loop, so that loop_free can close what still lingers. */
struct list *loop_conns(struct loop *loop);
