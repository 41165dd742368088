/* The control thread: its loop, its states, signals, and the logs of the workers. How a
 * configuration comes in is reload.c; how it all ends is drain.c. */
#include "server/server_impl.h"

#include "base/clock.h"
#include "base/log.h"
#include "server/limits.h"
#include "server/notify.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    LOG_BUSY_MS = 50,  /* between two looks at the rings while entries come */
    LOG_IDLE_MS = 250, /* … and while none do */
    RESOLVE_STEP_MS = 20,
    RESOLVE_MAX_MS = 5000, /* names without an answer then hold nothing up */
    TICKET_ROTATE_MS = 8 * 3600 * 1000,
};

/* --- states ---------------------------------------------------------------------------------- */

static const char *const state_name[] = {"new",   "resolving", "running",
                                         "grace", "draining",  "stopped"};

static const unsigned may_follow[] = {
    [SERVER_NEW] = BIT(SERVER_RESOLVING),
    [SERVER_RESOLVING] = BIT(SERVER_RUNNING) | BIT(SERVER_GRACE) | BIT(SERVER_STOPPED),
    [SERVER_RUNNING] = BIT(SERVER_GRACE) | BIT(SERVER_STOPPED),
    [SERVER_GRACE] = BIT(SERVER_DRAINING) | BIT(SERVER_STOPPED),
    [SERVER_DRAINING] = BIT(SERVER_STOPPED),
    [SERVER_STOPPED] = 0,
};

void server_enter(struct server *server, enum server_state next)
{
    ASSERT(may_follow[server->state] & BIT(next));
    LOG_DEBUG("server_state", "from=%s to=%s", state_name[server->state], state_name[next]);
    server->state = next;
}

void server_step_in(struct server *server, int64_t ms)
{
    deadline_set(server->loop, &server->step, ms);
}

void server_watch_names(struct server *server, const struct config *config)
{
    resolver_watch(server->resolver, config);
    server->names_until_ms = clock_mono_ms() + RESOLVE_MAX_MS;
}

bool server_waits_for_names(struct server *server)
{
    if (resolver_is_settled(server->resolver) || clock_mono_ms() >= server->names_until_ms)
        return false;
    server_step_in(server, RESOLVE_STEP_MS);
    return true;
}

static void log_bind(const struct config *config, const struct bind *bind)
{
    const struct listener_conf *listener = &config->listeners[bind->listener];
    char text[ADDR_TEXT_MAX];

    addr_format(&bind->bound, text);
    if (bind->is_admin)
        LOG_INFO("admin_open", "address=%s", text);
    else
        LOG_INFO("listener_open", "name=%.*s address=%s tls=%s", STR_FMT(listener->name), text,
                 listener->tls != NULL ? "yes" : "no");
}

static void log_listeners(const struct server *server)
{
    for (size_t i = 0; i < server->binds->count; i++)
        log_bind(server_config(server), &server->binds->items[i]);
}

/* Names have their first answers, or had their time: open the doors. */
static void begin_serving(struct server *server)
{
    if (!resolver_is_settled(server->resolver))
        LOG_WARN("start_unresolved", "waited_ms=%d", RESOLVE_MAX_MS);
    malloc_trim(0); /* what loading and checking gave back */
    for (size_t w = 0; w < server->worker_count; w++)
        worker_listen(server->workers[w], server->binds);
    server_enter(server, SERVER_RUNNING);
    notify_ready();
    log_listeners(server);
    LOG_INFO("running", "workers=%zu config=%s", server->worker_count,
             server_config(server)->version);
    if (server->reload_again) {
        server->reload_again = false;
        server_reload(server);
    }
}

static void on_step(struct deadline *deadline)
{
    struct server *server = CONTAINER_OF(deadline, struct server, step);

    switch (server->state) {
    case SERVER_RESOLVING:
        if (!server_waits_for_names(server))
            begin_serving(server);
        break;
    case SERVER_RUNNING:
        if (server->reload != NULL)
            server_reload_step(server);
        break;
    case SERVER_GRACE:
    case SERVER_DRAINING:
        server_drain_step(server);
        break;
    case SERVER_NEW:
    case SERVER_STOPPED:
        break;
    }
}

/* --- logs of the workers --------------------------------------------------------------------- */

static size_t empty_rings(struct server *server)
{
    size_t count = 0;

    for (size_t w = 0; w < server->worker_count; w++)
        count += access_writer_drain(server->writer, worker_ring(server->workers[w]));
    access_writer_flush(server->writer);
    return count;
}

void server_write_logs(struct server *server)
{
    size_t count = empty_rings(server);

    deadline_set(server->loop, &server->log_deadline, count > 0 ? LOG_BUSY_MS : LOG_IDLE_MS);
}

void server_reopen_logs(struct server *server)
{
    if (server->writer != NULL)
        access_writer_reopen(server->writer);
}

static void on_log_deadline(struct deadline *deadline)
{
    server_write_logs(CONTAINER_OF(deadline, struct server, log_deadline));
}

static void on_log_wakeup(void *arg)
{
    struct server *server = arg;

    if (server->writer != NULL && server->state != SERVER_NEW)
        server_write_logs(server);
}

/* --- signals --------------------------------------------------------------------------------- */

void server_stop(struct server *server)
{
    switch (server->state) {
    case SERVER_RESOLVING:
    case SERVER_RUNNING:
        server_drain_begin(server);
        break;
    case SERVER_GRACE:
    case SERVER_DRAINING:
        LOG_WARN("stop_now", "state=%s", state_name[server->state]);
        server_end_now(server);
        break;
    case SERVER_NEW:
    case SERVER_STOPPED:
        break;
    }
}

static void handle_signal(struct server *server, int number)
{
    switch (number) {
    case SIGHUP:
        if (server->options.hangup_is_end != NULL &&
            server->options.hangup_is_end(server->options.hangup_arg))
            server_stop(server);
        else
            server_reload(server);
        break;
    case SIGUSR1:
        server_reopen_logs(server);
        break;
    case SIGUSR2:
        LOG_WARN("signal_ignored",
                 "signal=SIGUSR2 reason=\"upgrading the binary is not supported\"");
        break;
    default:
        server_stop(server);
        break;
    }
}

static void on_signal(void *arg, int fd, int events UNUSED)
{
    struct server *server = arg;
    struct signalfd_siginfo info;

    while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        LOG_DEBUG("signal", "number=%u pid=%u", info.ssi_signo, info.ssi_pid);
        handle_signal(server, (int)info.ssi_signo);
    }
}

/* Signals that would end the process by default and mean nothing to it. A handler that somebody
 * else has installed, such as a preloaded profiler, stays. SIGXFSZ is among them so that a file
 * size limit becomes a failed write, which is counted, and not the end. */
static void ignore_meaningless_signals(void)
{
    static const int numbers[] = {SIGPIPE, SIGALRM, SIGVTALRM, SIGPROF,
                                  SIGIO,   SIGPWR,  SIGSTKFLT, SIGXFSZ};
    struct sigaction now;

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (sigaction(numbers[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
            signal(numbers[i], SIG_IGN);
    }
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++) {
        if (sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
            signal(number, SIG_IGN);
    }
}

static void signals_open(struct server *server)
{
    static const int handled[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};
    sigset_t set;

    ignore_meaningless_signals();
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(handled); i++)
        sigaddset(&set, handled[i]);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* threads to come inherit it */
    server->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (server->signal_fd < 0)
        assert_failed("signalfd is not available", __FILE__, __LINE__);
    server->signal_watch =
        fd_watch_new(server->loop, server->signal_fd, FD_READABLE, on_signal, server);
}

static void on_ticket_tick(void *arg)
{
    struct server *server = arg;

    tls_tickets_rotate(server->tickets);
}

static void on_expiry_tick(void *arg)
{
    expiry_tick(arg);
}

/* --- overload -------------------------------------------------------------------------------- */

/* What is open beside connections, at least: they have the lowest numbers, those that limits.h
 * counts. A worker has its loop and wake-ups, and for each address of a listener a socket and a
 * reserve. The admin port's sockets are among those of the process. */
static uint64_t own_descriptors(const struct server *server)
{
    enum { PROCESS = 8, WORKER = 4, LISTENER = 2 };
    uint64_t count = PROCESS + server->worker_count * WORKER;

    for (size_t i = 0; i < server->binds->count; i++) {
        if (!server->binds->items[i].is_admin)
            count += server->worker_count * LISTENER;
    }
    return count;
}

static void gather(const struct server *server, struct overload_facts *facts)
{
    const struct config *config = server_config(server);
    uint64_t memory = config->overload.memory_bytes;
    uint64_t up = 0;

    *facts = (struct overload_facts){
        .memory_bytes = overload_memory_now(),
        .memory_max = memory > 0 ? memory : server->memory_limit,
        .descriptors_max = limits_descriptors().accept_max,
        .connections_max = config->max_connections,
    };
    for (size_t w = 0; w < server->worker_count; w++) {
        facts->connections += metric_get(&server->metrics[w]->gauges[GAUGE_DOWN_CONNECTIONS_OPEN]);
        up += metric_get(&server->metrics[w]->gauges[GAUGE_UP_CONNECTIONS_OPEN]);
        facts->lag_ms = MAX(facts->lag_ms, worker_lag_ms(server->workers[w]));
    }
    facts->descriptors = own_descriptors(server) + facts->connections + up;
}

/* What is in buffers, and about what a connection has beside them. */
static uint64_t accounted_bytes(const struct server *server)
{
    enum { CONNECTION = 32 * 1024 };
    uint64_t buffers = 0;

    for (size_t w = 0; w < server->worker_count; w++)
        buffers += metric_get(&server->metrics[w]->gauges[GAUGE_BUFFER_BYTES]);
    return buffers + server->overload_facts.descriptors * CONNECTION;
}

static void give_back_memory(struct server *server)
{
    uint64_t used = accounted_bytes(server), now = server->overload_facts.memory_bytes;

    if (trim_is_due(&server->trim, now, used))
        server->overload_facts.memory_bytes = trim_now(&server->trim, now, used);
}

static void on_overload_tick(void *arg)
{
    struct server *server = arg;
    struct overload_facts *facts = &server->overload_facts;

    if (server->snapshot == NULL || server->quotas == NULL)
        return;
    metrics_expire_groups(server->metrics, server->worker_count, clock_mono_ms(),
                          server_config(server)->admin.keep_series_ms);
    gather(server, facts);
    give_back_memory(server);
    enum overload_level before = server->overload.level;
    enum overload_level level =
        overload_step(&server->overload, overload_decide(&server_config(server)->overload, facts));
    atomic_store_explicit(&server->quotas->overload, level, memory_order_relaxed);
    if (level != before)
        LOG_WARN("overload", "level=%s was=%s memory=%llu of=%llu connections=%llu lag_ms=%lld",
                 overload_word(level), overload_word(before),
                 (unsigned long long)facts->memory_bytes, (unsigned long long)facts->memory_max,
                 (unsigned long long)facts->connections, (long long)facts->lag_ms);
}

/* --- life ------------------------------------------------------------------------------------ */

struct server *server_new(const struct server_options *options)
{
    struct server *server = mem_new(sizeof(*server));

    server->options = *options;
    server->loop = loop_new();
    signals_open(server);
    deadline_init(&server->log_deadline, on_log_deadline);
    deadline_init(&server->step, on_step);
    server->log_wakeup = wakeup_new(server->loop, on_log_wakeup, server);
    server->tickets = tls_tickets_new();
    server->ticket_ticker = ticker_new(server->loop, TICKET_ROTATE_MS, on_ticket_tick, server);
    server->memory_limit = overload_memory_limit();
    server->overload_ticker = ticker_new(server->loop, OVERLOAD_TICK_MS, on_overload_tick, server);
    server->expiry_ticker = ticker_new(server->loop, EXPIRY_TICK_MS, on_expiry_tick, server);
    server->resolver = resolver_new(server->loop);
    struct admin_source source = server_admin_source(server);
    server->admin = admin_new(server->loop, &source);
    return server;
}

int server_start(struct server *server)
{
    if (server_load_first(server) < 0)
        return -1;
    server_enter(server, SERVER_RESOLVING);
    server_write_logs(server);
    server_step_in(server, 0);
    return 0;
}

int server_run(struct server *server)
{
    loop_run(server->loop);
    return 0;
}

static void stop_workers(struct server *server)
{
    for (size_t w = 0; w < server->worker_count && server->workers != NULL; w++) {
        resolver_remove_mailbox(server->resolver, worker_mailbox(server->workers[w]));
        worker_stop(server->workers[w]);
    }
}

static void free_workers(struct server *server)
{
    for (size_t w = 0; w < server->worker_count && server->workers != NULL; w++)
        worker_free(server->workers[w]);
    free(server->workers);
    quotas_free(server->quotas);
    free(server->metrics);
}

void server_free(struct server *server)
{
    if (server == NULL)
        return;
    stop_workers(server);
    if (server->writer != NULL && server->workers != NULL)
        empty_rings(server); /* the last entries */
    server_reload_forget(server);
    jobs_free(server->jobs);
    admin_free(server->admin);
    access_writer_free(server->writer);
    free_workers(server);
    binds_free(server->binds);
    snapshot_unref(&server->snapshot);

    tls_helpers_free(server->helpers);
    resolver_free(server->resolver);
    ticker_free(server->ticket_ticker);
    ticker_free(server->overload_ticker);
    ticker_free(server->expiry_ticker);
    tls_tickets_free(server->tickets);
    wakeup_free(server->log_wakeup);
    deadline_deinit(&server->log_deadline);
    deadline_deinit(&server->step);
    fd_watch_free(server->signal_watch);
    close(server->signal_fd);
    loop_free(server->loop);
    text_free(&server->last_reload.complaints);
    text_free(&server->last_reload.warnings);
    free(server);
}

/* --- facts ----------------------------------------------------------------------------------- */

struct loop *server_loop(struct server *server)
{
    return server->loop;
}

struct metrics *const *server_metrics(struct server *server, size_t *count)
{
    *count = server->worker_count;
    return server->metrics;
}

const struct config *server_config(const struct server *server)
{
    return snapshot_config(server->snapshot);
}

bool server_is_ready(const struct server *server)
{
    return server->state == SERVER_RUNNING;
}

uint64_t server_counter(const struct server *server, enum counter counter)
{
    uint64_t sum = 0;

    for (size_t w = 0; w < server->worker_count; w++)
        sum += metric_get(&server->metrics[w]->counters[counter]);
    return sum;
}

const struct addr *server_listener_address(const struct server *server, struct str name)
{
    const struct config *config = server_config(server);

    for (size_t i = 0; i < server->binds->count; i++) {
        const struct bind *bind = &server->binds->items[i];
        if (!bind->is_admin && str_eq(config->listeners[bind->listener].name, name))
            return &bind->bound;
    }
    return NULL;
}

const struct addr *server_admin_address(const struct server *server)
{
    for (size_t i = 0; i < server->binds->count; i++) {
        if (server->binds->items[i].is_admin)
            return &server->binds->items[i].bound;
    }
    return NULL;
}
