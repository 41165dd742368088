/* Part: the weighted splits that the configuration contains. */
#pragma once

#include "control/control.h"

void splits_add(struct control_part *part, struct control *control);

/* The shares and the emergency switch of every router with a split, as a JSON object. */
void splits_print_status(const struct config *config, struct text *out);
