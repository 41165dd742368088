/* See worker.h. Orders come as letters: the worker's loop carries them out between two events. */
#include "server/worker.h"

#include "base/clock.h"
#include "base/log.h"
#include "control/join.h"
#include "control/limits.h"
#include "http/session.h"
#include "net/listener.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { GAUGE_TICK_MS = 500, PULSE_MS = 200 };

/* A listening socket of this worker. */
struct door {
    struct door *next;
    struct worker *worker;          /* borrows */
    struct bind bind;               /* a copy; its fds are those of the binds in force */
    bool is_ending;                 /* the new configuration does not have this address */
    struct listener_sock *listener; /* owns; NULL: not accepting */
};

struct worker {
    struct worker_conf conf;
    pthread_t thread;

    pthread_mutex_t mutex; /* guards is_started */
    pthread_cond_t started;
    bool is_started;

    /* made by control, outlive the thread */
    struct metrics *metrics;       /* owns */
    struct access_ring *ring;      /* owns */
    _Atomic int64_t pulse_at_ms;   /* when the loop last ran its pulse timer */
    _Atomic int64_t pulse_late_ms; /* how late that was */

    /* the thread's own */
    struct loop *loop;
    struct tls_library *library;
    struct proxy *proxy;
    struct mailbox *mailbox; /* owns: letters from the control thread */
    struct ticker *ticker, *pulse;
    struct door *doors;          /* owns */
    const struct config *config; /* borrows: of the snapshot last adopted */
    struct listener_figures listening, listening_reported;
    uint64_t offloaded_reported; /* handshakes */
    unsigned turns_reported;
    bool is_idle; /* draining: nothing is open, which was reported */
};

/* --- accepting ------------------------------------------------------------------------------- */

static bool is_at_connection_cap(struct worker *worker)
{
    uint32_t cap = worker->config->max_connections;

    /* The exact number needs the counters of all workers, whose cache lines are not ours: not while
     * this worker alone is far from the cap. */
    if (proxy_open_connections(worker->proxy) + 1 < cap / 8)
        return false;
    return worker->conf.connections(worker->conf.connections_arg) >= cap;
}

/* The open door that takes connections to the address that `fd` was accepted on; NULL: none. */
static struct door *door_for(struct worker *worker, int fd)
{
    struct addr local = {.len = sizeof(local.un)};

    if (getsockname(fd, &local.sa, &local.len) < 0)
        return NULL;
    for (struct door *door = worker->doors; door != NULL; door = door->next) {
        if (!door->is_ending && door->listener != NULL && addr_covers(&door->bind.bound, &local))
            return door;
    }
    return NULL;
}

static void on_accepted(void *arg, int fd, const struct addr *peer)
{
    struct door *door = arg;
    struct worker *worker = door->worker;

    if (door->is_ending)
        door = door_for(worker, fd);
    if (door == NULL) {
        close(fd);
        return;
    }
    if (is_at_connection_cap(worker)) {
        metric_add(&worker->metrics->counters[COUNTER_CONNECTIONS_REFUSED], 1);
        metric_add(&worker->metrics->reasons[REASON_CONNECTION_CAP], 1);
        LOG_LIMITED(LOG_LEVEL_WARN, "connection_cap_reached", "max_connections=%u",
                    worker->config->max_connections);
        close(fd);
        return;
    }
    proxy_accept(worker->proxy, door->bind.listener, fd, peer);
}

/* --- doors ----------------------------------------------------------------------------------- */

/* The descriptor that the binds have for this worker. */
static int *descriptor_of(const struct worker *worker, const struct bind *bind)
{
    return &bind->fds[worker->conf.index];
}

/* listener_stop closes the descriptor, which is the binds' no longer. */
static void door_shut(struct door *door)
{
    if (door->listener == NULL)
        return;
    listener_stop(door->listener);
    door->listener = NULL;
    *descriptor_of(door->worker, &door->bind) = -1;
}

static struct door *door_find(struct worker *worker, const struct bind *bind)
{
    for (struct door *door = worker->doors; door != NULL; door = door->next) {
        if (bind_is_same(&door->bind, bind))
            return door;
    }
    return NULL;
}

/* Accepts what waits at doors that `binds` does not have, before the old configuration is replaced. */
static void accept_at_doors_not_in(struct worker *worker, const struct binds *binds)
{
    for (struct door *door = worker->doors; door != NULL; door = door->next) {
        if (door->listener != NULL && binds_find(binds, &door->bind) == NULL)
            listener_accept_waiting(door->listener);
    }
}

static void remove_door(struct door **at)
{
    struct door *door = *at;

    door_shut(door);
    *at = door->next;
    free(door);
}

/* A connection that is accepted at a door that is ending goes to the door that covers its address
 * now, if there is one: 127.0.0.1:80 may replace 0.0.0.0:80. */
static void remove_doors_not_in(struct worker *worker, const struct binds *binds)
{
    for (struct door *door = worker->doors; door != NULL; door = door->next)
        door->is_ending = binds_find(binds, &door->bind) == NULL;
    for (struct door **at = &worker->doors; *at != NULL;) {
        if ((*at)->is_ending)
            remove_door(at);
        else
            at = &(*at)->next;
    }
}

/* A door that stays keeps its descriptor, which moves from the old binds to the new ones. */
static void move_descriptor(struct door *door, const struct bind *bind)
{
    int *from = descriptor_of(door->worker, &door->bind), *to = descriptor_of(door->worker, bind);

    if (from == to || door->listener == NULL)
        return;
    *to = *from;
    *from = -1;
}

static struct door *door_new(struct worker *worker)
{
    struct door *door = mem_new(sizeof(*door));

    door->worker = worker;
    door->next = worker->doors;
    worker->doors = door;
    return door;
}

static void take_door(struct worker *worker, const struct bind *bind)
{
    struct door *door = door_find(worker, bind);

    if (door != NULL)
        move_descriptor(door, bind);
    else
        door = door_new(worker);
    door->bind = *bind;
    int fd = *descriptor_of(worker, bind);
    if (door->listener == NULL && fd >= 0)
        door->listener = listener_start(worker->loop, fd, on_accepted, door, &worker->listening);
    if (door->listener != NULL)
        listener_limit_unsent(door->listener, bind->max_unsent_bytes);
}

static void take_doors(struct worker *worker, struct binds *binds)
{
    for (size_t i = 0; i < binds->count; i++) {
        if (!binds->items[i].is_admin)
            take_door(worker, &binds->items[i]);
    }
}

static void shut_inbound_doors(struct worker *worker)
{
    for (struct door *door = worker->doors; door != NULL; door = door->next) {
        if (door->bind.inbound)
            door_shut(door);
    }
}

static void remove_all_doors(struct worker *worker)
{
    while (worker->doors != NULL)
        remove_door(&worker->doors);
}

/* --- orders ---------------------------------------------------------------------------------- */

static void release_snapshot(void *arg)
{
    struct snapshot *snapshot = arg;

    snapshot_unref(&snapshot);
}

static void adopt(struct worker *worker, struct snapshot *snapshot)
{
    proxy_adopt(worker->proxy, snapshot_config(snapshot), snapshot_routers(snapshot),
                snapshot_tls(snapshot), release_snapshot, snapshot_ref(snapshot));
    worker->config = snapshot_config(snapshot);
}

void worker_adopt(struct worker *worker, struct snapshot *snapshot)
{
    adopt(worker, snapshot);
}

void worker_adopt_and_listen(struct worker *worker, struct snapshot *snapshot, struct binds *binds)
{
    accept_at_doors_not_in(worker, binds);
    adopt(worker, snapshot);
    take_doors(worker, binds);
    remove_doors_not_in(worker, binds);
}

void worker_listen(struct worker *worker, struct binds *binds)
{
    take_doors(worker, binds);
}

/* Listeners that are not inbound stay open while draining, so a worker can become idle more than
 * once. */
static void report_idle(void *arg)
{
    struct worker *worker = arg;
    bool is_idle =
        proxy_open_connections(worker->proxy) == 0 && proxy_open_exchanges(worker->proxy) == 0;

    if (is_idle && !worker->is_idle)
        worker->conf.idle(worker->conf.idle_arg);
    worker->is_idle = is_idle;
}

void worker_drain(struct worker *worker)
{
    shut_inbound_doors(worker);
    proxy_drain(worker->proxy);
    loop_on_turn_end(worker->loop, report_idle, worker);
}

void worker_end(struct worker *worker)
{
    loop_on_turn_end(worker->loop, NULL, NULL);
    remove_all_doors(worker);
    proxy_close_all(worker->proxy);
    loop_stop(worker->loop);
}

/* --- the thread ------------------------------------------------------------------------------ */

/* A full ring loses the line. */
static void log_to_ring(void *arg, const char *line, size_t len)
{
    (void)access_ring_push_line(arg, line, len);
}

static void report_listening(struct worker *worker)
{
    const struct listener_figures *now = &worker->listening,
                                  *reported = &worker->listening_reported;
    uint64_t refused = now->refused - reported->refused;

    metric_add(&worker->metrics->counters[COUNTER_CONNECTIONS_REFUSED], refused);
    metric_add(&worker->metrics->reasons[REASON_DESCRIPTORS], refused);
    metric_add(&worker->metrics->counters[COUNTER_ACCEPT_PAUSED], now->pauses - reported->pauses);
    worker->listening_reported = *now;
}

/* Read again with each pulse, because they can be changed from outside (prlimit). */
static void limit_descriptors(struct loop *loop)
{
    struct descriptor_limits limits = limits_descriptors();

    loop_limit_descriptors(loop, (int)limits.accept_max, (int)limits.connect_max);
}

static void on_tick(void *arg)
{
    struct worker *worker = arg;
    unsigned turns = loop_turns(worker->loop);

    buf_pool_trim(loop_bufs(worker->loop));
    h2_memory_trim();
    atomic_store_explicit(&worker->metrics->gauges[GAUGE_BUFFER_BYTES],
                          loop_bufs(worker->loop)->bytes_in_use, memory_order_relaxed);
    report_listening(worker);
    metrics_free_expired(worker->metrics);
    uint64_t offloaded = tls_library_figures(worker->library)->offloaded;
    metric_add(&worker->metrics->counters[COUNTER_HANDSHAKES_OFFLOADED],
               offloaded - worker->offloaded_reported);
    worker->offloaded_reported = offloaded;
    metric_add(&worker->metrics->counters[COUNTER_LOOP_TURNS], turns - worker->turns_reported);
    worker->turns_reported = turns;
}

static void on_pulse(void *arg)
{
    struct worker *worker = arg;
    int64_t now_ms = clock_mono_ms();
    int64_t late_ms = now_ms - atomic_load_explicit(&worker->pulse_at_ms, memory_order_relaxed);

    limit_descriptors(worker->loop);
    atomic_store_explicit(&worker->pulse_late_ms, MAX(late_ms - PULSE_MS, 0), memory_order_relaxed);
    atomic_store_explicit(&worker->pulse_at_ms, now_ms, memory_order_relaxed);
}

static void thread_init(struct worker *worker)
{
    char name[16];

    snprintf(name, sizeof(name), "worker-%u", worker->conf.index);
    pthread_setname_np(pthread_self(), name);
    log_set_sink(log_to_ring, worker->ring);
    worker->loop = loop_new();
    worker->library = tls_library_new();
    tls_library_attach(worker->library, worker->loop, worker->conf.helpers,
                       worker->conf.handshake_queue);
    worker->proxy = proxy_new(worker->loop, worker->library, worker->conf.tickets, worker->metrics,
                              worker->ring);
    proxy_share(worker->proxy, worker->conf.quotas);
    worker->mailbox = mailbox_new(worker->loop);
    upstream_receive(proxy_upstream(worker->proxy), worker->mailbox);
    orders_receive(worker->mailbox);
    atomic_store_explicit(&worker->pulse_at_ms, clock_mono_ms(), memory_order_relaxed);
    worker->pulse = ticker_new(worker->loop, PULSE_MS, on_pulse, worker);
    worker->ticker = ticker_new(worker->loop, GAUGE_TICK_MS, on_tick, worker);
}

static void thread_deinit(struct worker *worker)
{
    ticker_free(worker->ticker);
    ticker_free(worker->pulse);
    mailbox_free(&worker->mailbox);
    tls_library_detach(worker->library);
    proxy_free(worker->proxy);
    loop_free(worker->loop);
    tls_library_free(worker->library);
}

static void *thread_run(void *arg)
{
    struct worker *worker = arg;

    thread_init(worker);
    pthread_mutex_lock(&worker->mutex);
    worker->is_started = true;
    pthread_cond_signal(&worker->started);
    pthread_mutex_unlock(&worker->mutex);

    loop_run(worker->loop);
    thread_deinit(worker);
    return NULL;
}

/* --- the control thread's side --------------------------------------------------------------- */

struct worker *worker_start(const struct worker_conf *conf, struct err *err)
{
    struct worker *worker = mem_new(sizeof(*worker));

    worker->conf = *conf;
    worker->metrics = metrics_new();
    worker->ring = access_ring_new(conf->ring_bytes);
    access_ring_on_wake(worker->ring, conf->ring_wake, conf->ring_arg);
    pthread_mutex_init(&worker->mutex, NULL);
    pthread_cond_init(&worker->started, NULL);

    int rc = pthread_create(&worker->thread, NULL, thread_run, worker);
    if (rc != 0) {
        errno = rc;
        err_set_errno(err, "cannot start worker %u", conf->index);
        worker_free(worker);
        return NULL;
    }
    pthread_mutex_lock(&worker->mutex);
    while (!worker->is_started)
        pthread_cond_wait(&worker->started, &worker->mutex);
    pthread_mutex_unlock(&worker->mutex);
    return worker;
}

bool worker_join(struct worker *worker, int64_t ms)
{
    return thread_join(worker->thread, ms);
}

void worker_free(struct worker *worker)
{
    if (worker == NULL)
        return;
    pthread_cond_destroy(&worker->started);
    pthread_mutex_destroy(&worker->mutex);
    access_ring_free(worker->ring);
    metrics_free(worker->metrics);
    free(worker);
}

int64_t worker_lag_ms(const struct worker *worker)
{
    int64_t silent_ms = clock_mono_ms() -
                        atomic_load_explicit(&worker->pulse_at_ms, memory_order_relaxed) - PULSE_MS;
    int64_t late_ms = atomic_load_explicit(&worker->pulse_late_ms, memory_order_relaxed);

    return MAX(late_ms, silent_ms);
}

struct metrics *worker_metrics(struct worker *worker)
{
    return worker->metrics;
}

struct access_ring *worker_ring(struct worker *worker)
{
    return worker->ring;
}

struct mailbox *worker_mailbox(struct worker *worker)
{
    return worker->mailbox;
}
