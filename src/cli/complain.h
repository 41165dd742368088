/* Complaints about a configuration on standard error. */
#pragma once

#include "config/config.h"

/* The errors, one line each; the rest is for weir check. */
void complaints_print(const struct complaints *complaints);

/* config_load, and its errors printed; NULL when there was one. */
struct config *config_load_or_complain(const char *path);
