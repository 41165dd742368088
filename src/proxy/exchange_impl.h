/* The exchange's own verbs, for exchange.c and for the local replies. */
#pragma once

#include "proxy/proxy_impl.h"

/* Writes x->state, and checks that the step is one of the diagram. */
void exchange_enter(struct exchange *x, enum exchange_state next);

/* Ends the exchange in whatever state: both streams, the clock, the log. Memory goes at the end of
 * the turn. Safe anywhere, and safe twice. */
void exchange_close(struct exchange *x);
