/* What the worker serves: listeners of four kinds, rewrites, limits, rates, answers of its own, and
 * one upstream, of HTTP/1 or HTTP/2. */
#pragma once

#include "proxy/proxy.h"

/* In the configuration's order. */
enum listener { LISTENER_EDGE, LISTENER_TRUSTED, LISTENER_PROXY, LISTENER_SMALL };

struct served {
    struct config *config;  /* owns */
    struct routers routers; /* owns */
};

/* The upstream listens at `socket_path` and speaks `protocol`, "h1" or "h2". */
void served_init(struct served *served, const char *socket_path, const char *protocol);
void served_deinit(struct served *served);
