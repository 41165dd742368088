/* The life of a group's figures, for observe/ alone. */
#pragma once

#include "observe/metrics.h"

/* What the control thread knows of a group's figures. */
struct group_fate {
    bool is_out;          /* the group is not in the configuration in force */
    bool is_shown;        /* since it went */
    int64_t unused_at_ms; /* since when nobody counts; 0: somebody does */
};

struct group_metrics *group_metrics_new(void);
void group_metrics_free(struct group_metrics *group);

/* A page has the last values of all groups: those that left the configuration may expire. */
void metrics_note_shown(struct metrics *const *workers, size_t count);

/* Not expired; or it is, but the worker has found a use for it in the same moment. */
bool group_metrics_is_shown(const struct group_metrics *group);
