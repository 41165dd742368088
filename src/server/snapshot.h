/* A snapshot: everything compiled from one configuration that all workers share. Immutable and
 * counted. References may be taken and given back on any thread. The last one that is given back
 * frees the snapshot, or passes it on to be freed elsewhere. */
#pragma once

#include "config/config.h"
#include "proxy/proxy.h"

struct snapshot;

/* Called with one line for each error (is_error) or warning about a configuration. */
typedef void snapshot_report(void *arg, bool is_error, const char *line);

/* Where the configuration comes from: a file, or the text embedded in the demo. */
typedef struct config *snapshot_source(void *arg, struct complaints *complaints);

/* Reads what `config` names: certificates, keys, CA bundles, ticket keys. Warns of what is missing on
 * this machine. Returns the number of errors; all were reported. */
int snapshot_check(const struct config *config, snapshot_report *report, void *report_arg);

/* Loads, checks and compiles a configuration with all certificates and keys. It may take long and
 * runs on any thread. Returns NULL after an error, when everything was reported, and soon after
 * `cancel` (may be NULL) has become true. The caller owns one reference. */
MUST_USE struct snapshot *snapshot_load(snapshot_source *source, void *source_arg,
                                        const atomic_bool *cancel, snapshot_report *report,
                                        void *report_arg);

struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot **snapshot); /* clears the pointer */

/* Before other threads have references: when the last one is given back, `dispose` is called on
 * that thread and owns the snapshot, which it passes to snapshot_free. To free a large snapshot
 * takes long, and a worker must not spend that time. */
void snapshot_on_last_unref(struct snapshot *snapshot,
                            void (*dispose)(void *arg, struct snapshot *snapshot), void *arg);
void snapshot_free(struct snapshot *snapshot);

const struct config *snapshot_config(const struct snapshot *snapshot);
const struct routers *snapshot_routers(const struct snapshot *snapshot);
const struct tls_plans *snapshot_tls(const struct snapshot *snapshot);
const struct tls_ticket_files *snapshot_ticket_keys(const struct snapshot *snapshot);
int64_t snapshot_loaded_wall_us(const struct snapshot *snapshot);
