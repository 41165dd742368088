/* A turn of the loop: libev waits; the clock is read once; watchers call back; then, before the
 * next wait, the deferred tasks run (flushing every connection that was touched) and after them the
 * memory of what was closed is freed. One ev_timer, armed for the wheel's next occupied slot,
 * serves all deadlines. */
#include "net/loop.h"

#include "base/clock.h"
#include "net/loop_impl.h"
#include "net/wheel_impl.h"

#include <ev.h>
#include <stdlib.h>

struct loop {
    struct ev_loop *ev; /* owns */
    struct clock clock;
    int64_t now_us;
    int64_t turn_wall_us;      /* loop_turn: when it was called last */
    struct loop_extra *alarms; /* owns; NULL: none was ever set */
    struct buf_pool bufs;
    struct list tasks;      /* for the end of this turn */
    struct list next_tasks; /* for the next turn */
    struct list conns;
    void (*abort_conn)(struct list *node); /* of one in conns */
    struct reap *reap_first, **reap_last;
    char *scratch; /* owns: LOOP_SCRATCH_BYTES, made on first use */
    ev_check after_wait;
    ev_prepare before_wait;
    ev_timer wheel_timer;
    ev_timer next_timer;         /* due at once while next_tasks is not empty */
    int64_t armed_tick;          /* what wheel_timer is set to */
    int accept_max, connect_max; /* descriptors; 0: any */
    int64_t kept_client_ms;      /* 0: never */
    size_t read_share;           /* bytes that one connection may read in a turn */
    void (*turned)(void *arg);   /* may be NULL */
    void *turned_arg;
    struct wheel wheel;
};

/* --- end of turn ----------------------------------------------------------------------------- */

void task_init(struct task *task, void (*run)(struct task *))
{
    list_init(&task->node);
    task->run = run;
}

void loop_defer(struct loop *loop, struct task *task)
{
    if (!list_is_linked(&task->node))
        list_push_back(&loop->tasks, &task->node);
}

void loop_defer_next(struct loop *loop, struct task *task)
{
    if (list_is_linked(&task->node))
        return;
    list_push_back(&loop->next_tasks, &task->node);
    if (!ev_is_active(&loop->next_timer))
        ev_timer_start(loop->ev, &loop->next_timer);
}

void task_cancel(struct task *task)
{
    list_remove(&task->node);
}

void loop_reap(struct loop *loop, struct reap *reap, void (*free_fn)(struct reap *))
{
    reap->next = NULL;
    reap->free_fn = free_fn;
    *loop->reap_last = reap;
    loop->reap_last = &reap->next;
}

void loop_on_turn_end(struct loop *loop, void (*turned)(void *arg), void *arg)
{
    loop->turned = turned;
    loop->turned_arg = arg;
}

static void run_tasks(struct loop *loop)
{
    for (struct list *node; (node = list_pop_front(&loop->tasks)) != NULL;) {
        struct task *task = CONTAINER_OF(node, struct task, node);
        task->run(task);
    }
}

static void run_reaps(struct loop *loop)
{
    struct reap *reap = loop->reap_first;

    loop->reap_first = NULL;
    loop->reap_last = &loop->reap_first;
    while (reap != NULL) {
        struct reap *next = reap->next;
        reap->free_fn(reap);
        reap = next;
    }
}

/* A free function may close more, and so defer and reap again. */
static void end_turn(struct loop *loop)
{
    while (!list_is_empty(&loop->tasks) || loop->reap_first != NULL) {
        run_tasks(loop);
        run_reaps(loop);
    }
}

/* --- clocks ---------------------------------------------------------------------------------- */

static int64_t kernel_mono_us(void *arg UNUSED)
{
    return clock_mono_us();
}

static int64_t kernel_wall_us(void *arg UNUSED)
{
    return clock_wall_us();
}

static int64_t mono_us(const struct loop *loop)
{
    return loop->clock.mono_us(loop->clock.arg);
}

int64_t loop_wall_us(const struct loop *loop)
{
    return loop->clock.wall_us(loop->clock.arg);
}

void loop_use_clock(struct loop *loop, const struct clock *clock)
{
    loop->clock = *clock;
    loop->now_us = mono_us(loop);
    loop->turn_wall_us = loop_wall_us(loop);
    wheel_init(&loop->wheel, loop_now_ms(loop));
}

/* --- the turn -------------------------------------------------------------------------------- */

static void arm_wheel(struct loop *loop)
{
    if (loop->armed_tick == loop->wheel.next_tick)
        return;
    loop->armed_tick = loop->wheel.next_tick;
    ev_timer_stop(loop->ev, &loop->wheel_timer);
    if (loop->armed_tick == WHEEL_NEVER)
        return;

    /* One millisecond more, so that rounding never wakes us just before the tick. */
    int64_t wait_ms = MAX(wheel_next_ms(&loop->wheel) - loop_now_ms(loop), 0) + 1;
    ev_timer_set(&loop->wheel_timer, (double)wait_ms / 1000, 0.);
    ev_timer_start(loop->ev, &loop->wheel_timer);
}

static void on_wheel(struct ev_loop *ev UNUSED, ev_timer *timer, int events UNUSED)
{
    struct loop *loop = timer->data;

    loop->armed_tick = WHEEL_NEVER;
    wheel_advance(&loop->wheel, loop_now_ms(loop));
}

static void on_next_turn(struct ev_loop *ev UNUSED, ev_timer *timer, int events UNUSED)
{
    struct loop *loop = timer->data;

    list_splice(&loop->tasks, &loop->next_tasks);
}

static void on_after_wait(struct ev_loop *ev UNUSED, ev_check *check, int events UNUSED)
{
    struct loop *loop = check->data;

    loop->now_us = mono_us(loop);
}

/* A turn that takes longer than this delays new events too much. */
enum { TURN_LONG_US = 16 * 1000 };

static void adapt_share(struct loop *loop)
{
    int64_t took_us = mono_us(loop) - loop->now_us;

    if (UNLIKELY(took_us > TURN_LONG_US))
        loop->read_share = MAX(loop->read_share / 2, (size_t)LOOP_SHARE_MIN);
    else if (took_us < TURN_LONG_US / 2)
        loop->read_share = MIN(loop->read_share * 2, (size_t)LOOP_SHARE_MAX);
}

static void on_before_wait(struct ev_loop *ev UNUSED, ev_prepare *prepare, int events UNUSED)
{
    struct loop *loop = prepare->data;

    end_turn(loop);
    if (UNLIKELY(loop->turned != NULL))
        loop->turned(loop->turned_arg);
    adapt_share(loop);
    arm_wheel(loop);
}

struct loop *loop_new(void)
{
    struct loop *loop = mem_new(sizeof(*loop));

    loop->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (loop->ev == NULL)
        assert_failed("epoll is not available", __FILE__, __LINE__);
    loop->clock = (struct clock){.mono_us = kernel_mono_us, .wall_us = kernel_wall_us};
    loop->now_us = mono_us(loop);
    loop->armed_tick = WHEEL_NEVER;
    loop->read_share = LOOP_SHARE_MAX;
    loop->reap_last = &loop->reap_first;
    list_init(&loop->tasks);
    list_init(&loop->next_tasks);
    list_init(&loop->conns);
    buf_pool_init(&loop->bufs);
    wheel_init(&loop->wheel, loop_now_ms(loop));

    ev_timer_init(&loop->wheel_timer, on_wheel, 0., 0.);
    loop->wheel_timer.data = loop;
    ev_timer_init(&loop->next_timer, on_next_turn, 0., 0.);
    loop->next_timer.data = loop;

    /* The clock first, before any watcher looks at it. */
    ev_check_init(&loop->after_wait, on_after_wait);
    ev_set_priority(&loop->after_wait, EV_MAXPRI);
    loop->after_wait.data = loop;
    ev_check_start(loop->ev, &loop->after_wait);

    ev_prepare_init(&loop->before_wait, on_before_wait);
    loop->before_wait.data = loop;
    ev_prepare_start(loop->ev, &loop->before_wait);
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    end_turn(loop);
    LIST_EACH(node, &loop->conns)
    loop->abort_conn(node);
    end_turn(loop);
    if (loop->alarms != NULL)
        loop->alarms->free(loop->alarms);
    ev_loop_destroy(loop->ev);
    buf_pool_deinit(&loop->bufs);
    free(loop->scratch);
    free(loop);
}

void loop_run(struct loop *loop)
{
    ev_now_update(loop->ev);
    loop->now_us = mono_us(loop);
    ev_run(loop->ev, 0);
    end_turn(loop);
}

/* A wall clock that runs moves as far as the monotonic one; both are read one after the other. */
static bool was_wall_clock_set(struct loop *loop, int64_t passed_us)
{
    enum { TOLERANCE_US = 100 * 1000 };
    int64_t wall_us = loop_wall_us(loop);
    int64_t jump_us = wall_us - loop->turn_wall_us - passed_us;

    loop->turn_wall_us = wall_us;
    return jump_us > TOLERANCE_US || jump_us < -TOLERANCE_US;
}

void loop_turn(struct loop *loop)
{
    int64_t began_us = loop->now_us;

    ev_run(loop->ev, EVRUN_NOWAIT);
    loop->now_us = mono_us(loop);
    bool was_set = was_wall_clock_set(loop, loop->now_us - began_us);
    wheel_advance(&loop->wheel, loop_now_ms(loop));
    if (loop->alarms != NULL)
        loop->alarms->turn(loop->alarms, was_set);
    end_turn(loop);
}

struct loop_extra **loop_alarms(struct loop *loop)
{
    return &loop->alarms;
}

void loop_limit_descriptors(struct loop *loop, int accept_max, int connect_max)
{
    loop->accept_max = accept_max;
    loop->connect_max = connect_max;
}

bool loop_may_accept(const struct loop *loop, int fd)
{
    return loop->accept_max == 0 || fd < loop->accept_max;
}

bool loop_may_connect(const struct loop *loop, int fd)
{
    return loop->connect_max == 0 || fd < loop->connect_max;
}

void loop_stop(struct loop *loop)
{
    ev_break(loop->ev, EVBREAK_ALL);
}

int64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_us / 1000;
}

int64_t loop_now_us(const struct loop *loop)
{
    return loop->now_us;
}

int64_t loop_kept_client_ms(const struct loop *loop)
{
    return loop->kept_client_ms;
}

void loop_note_kept_client(struct loop *loop)
{
    loop->kept_client_ms = loop_now_ms(loop);
}

size_t loop_read_share(const struct loop *loop)
{
    return loop->read_share;
}

unsigned loop_turns(const struct loop *loop)
{
    return ev_iteration(loop->ev);
}

struct buf_pool *loop_bufs(struct loop *loop)
{
    return &loop->bufs;
}

char *loop_scratch(struct loop *loop)
{
    if (loop->scratch == NULL)
        loop->scratch = mem_resize(NULL, LOOP_SCRATCH_BYTES);
    return loop->scratch;
}

struct ev_loop *loop_ev(struct loop *loop)
{
    return loop->ev;
}

void loop_add_conn(struct loop *loop, struct list *node, void (*abort)(struct list *node))
{
    loop->abort_conn = abort;
    list_push_back(&loop->conns, node);
}

const struct list *loop_conns(const struct loop *loop)
{
    return &loop->conns;
}

/* --- deadlines ------------------------------------------------------------------------------- */

void deadline_init(struct deadline *deadline, void (*fire)(struct deadline *))
{
    *deadline = (struct deadline){.fire = fire};
    list_init(&deadline->node);
}

void deadline_set(struct loop *loop, struct deadline *deadline, int64_t after_ms)
{
    int64_t now_ms = loop_now_ms(loop);

    wheel_set(&loop->wheel, deadline, now_ms + MAX(after_ms, 0), now_ms);
}

void deadline_deinit(struct deadline *deadline)
{
    deadline->at_ms = 0;
    list_remove(&deadline->node);
}
