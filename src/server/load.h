/* Loading a configuration on the job thread, for a reload. */
#pragma once

#include "control/jobs.h"
#include "server/snapshot.h"

struct load;

/* Begins to load from `source`. Later the control thread gets `report` for each line that there is
 * to report, and then `done`, which owns the snapshot; NULL: the configuration cannot be used. */
struct load *load_begin(struct jobs *jobs, snapshot_source *source, void *source_arg,
                        snapshot_report *report, void (*done)(void *arg, struct snapshot *snapshot),
                        void *arg);

/* The result is not wanted any more: `report` and `done` are not called. */
void load_abandon(struct load *load);
