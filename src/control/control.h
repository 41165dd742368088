/* The control thread: one loop and its parts. A part is one duty of the process, such as reading
 * signals, rotating ticket keys or watching for overload. Each part has a table of operations and
 * leaves out those that it does not need. The room above (server/) owns the parts, adds them in one
 * place, and says when a configuration takes effect and when draining begins. Everything here runs
 * on the control thread, which must never wait for a disk, for a name server or for a worker. */
#pragma once

#include "config/config.h"
#include "net/loop.h"
#include "observe/metrics.h"
#include "proxy/quotas.h"
#include "tls/server.h"

struct control;
struct control_part;

/* The configuration in force. Everything is borrowed from the snapshot until the next adopt. */
struct control_conf {
    const struct config *config;
    const struct tls_plans *tls;
    const struct tls_ticket_files *ticket_keys;
    int64_t loaded_wall_us;
};

/* The workers, as the control thread sees them without giving them an order. */
struct control_workers {
    size_t count;
    struct metrics *const *metrics; /* borrows: the counters of each worker */
    struct quotas *quotas;          /* borrows: shared by all workers */
    int64_t (*lag_ms)(void *arg, size_t index);
    void *arg;
};

/* Each operation may be NULL. */
struct control_part_ops {
    const char *name;
    int64_t tick_ms; /* time between two ticks; 0: no ticks */

    void (*init)(struct control_part *part);
    /* A configuration has taken effect; control_conf returns it. */
    void (*adopt)(struct control_part *part);
    /* Not called before the first configuration is in force and the workers run. */
    void (*tick)(struct control_part *part);
    /* Adds samples to the metrics page. */
    void (*metrics)(struct control_part *part, struct text *out);
    /* Draining begins: stop what would only delay it. */
    void (*drain)(struct control_part *part);
    /* Releases what init and adopt made; the part's own memory belongs to its owner. */
    void (*free)(struct control_part *part);
};

/* Embedded at the start of a part's own struct. */
struct control_part {
    const struct control_part_ops *ops;
    struct control *control; /* borrows; set by control_add */
    struct ticker *ticker;   /* owns */
    struct control_part *next;
};

struct control *control_new(void);

/* Frees the parts, the last one first, then the loop. NULL is fine. */
void control_free(struct control *control);

/* Initialises `part` and adds it. The part must stay until control_free. */
void control_add(struct control *control, struct control_part *part,
                 const struct control_part_ops *ops);

/* `workers` is copied; the workers run from now on. */
void control_set_workers(struct control *control, const struct control_workers *workers);

/* `conf` is copied and is in force from now on. */
void control_adopt(struct control *control, const struct control_conf *conf);

void control_print_metrics(struct control *control, struct text *out);
void control_drain(struct control *control);

/* --- for parts ------------------------------------------------------------------------------- */

struct loop *control_loop(struct control *control);

/* Config is NULL before the first control_adopt. */
const struct control_conf *control_conf(const struct control *control);

/* Count is 0 before control_set_workers. */
const struct control_workers *control_workers(const struct control *control);
uint64_t control_gauge(const struct control *control, enum gauge gauge); /* sum over all workers */
uint64_t control_counter(const struct control *control, enum counter counter);

/* Metrics with one sample. `type` is "gauge" or "counter". */
void control_add_number(struct text *out, enum metric_id id, uint64_t value);
void control_add_seconds(struct text *out, enum metric_id id, int64_t ms);
