/* How the figures of a group expire; for observe/ alone. */
#pragma once

#include "observe/metrics.h"

/* What the control thread records about a group's figures. */
struct group_fate {
    bool is_out;          /* the group is not in the configuration in force */
    bool is_shown;        /* a page has shown them since they became unused */
    int64_t unused_at_ms; /* since when no worker uses them; 0: one does */
};

struct group_metrics *group_metrics_new(void);
void group_metrics_free(struct group_metrics *group);

/* A page has the last values of all groups: those that left the configuration may expire. */
void metrics_note_shown(struct metrics *const *workers, size_t count);

/* True unless it has expired, and also then if the worker began to use it at the same moment. */
bool group_metrics_is_shown(const struct group_metrics *group);
