/* Complaints about a configuration on standard error. */
#pragma once

#include "config/config.h"

/* One line each; notes only if asked for. */
enum complaint_notes { COMPLAINTS_WITH_NOTES, COMPLAINTS_ERRORS_ONLY };
void complaints_print(const struct complaints *complaints, enum complaint_notes notes);

/* config_load, and what it found printed; NULL when there was an error. */
struct config *config_load_or_complain(const char *path, enum complaint_notes notes);
