/* The demo's backends: tiny HTTP/1.1 servers on free loopback ports, all on one thread of their
 * own, whose pages say which of them answered. */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct demo_backends;

/* One backend for each name. */
MUST_USE struct demo_backends *demo_backends_start(const char *const *names, unsigned count,
                                                   struct err *err);
uint16_t demo_backends_port(const struct demo_backends *backends, unsigned index);
void demo_backends_stop(struct demo_backends *backends);
