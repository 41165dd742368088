/* `weir check`: everything about a configuration that can be told without a network. */
#pragma once

/* argv[0] is "check". The exit status: 0 fine, 1 complaints, 2 wrong usage. */
int cli_check(int argc, char **argv);
