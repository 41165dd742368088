/* `weir route`: where would this request go, and why? The same code as the hot path. */
#pragma once

/* argv[0] is "route". The exit status: 0 decided, 1 bad configuration, 2 wrong usage. */
int cli_route(int argc, char **argv);
