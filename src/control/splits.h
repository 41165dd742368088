/* Part: the weighted splits that the configuration contains. */
#pragma once

#include "base/json.h"
#include "control/control.h"

void splits_add(struct control_part *part, struct control *control);

/* The shares and the emergency switch of every router with a split: an object for the caller to
 * free. */
struct doc *splits_status(const struct config *config);
