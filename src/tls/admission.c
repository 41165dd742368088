/* Who may sign, where and when. A full handshake reaches this point after its hello was parsed and
 * its ticket, if any, turned out useless; resumed ones never come here and so go first by
 * themselves.
 *
 *   slow key (RSA), and there are helpers   a helper thread does the whole step
 *   anything else                           the worker does, a few in each turn of its loop; the
 *                                           others wait, in the order in which they came
 *
 * A helper that shares its core with the worker saves the time of those clients only that keep
 * their connections, and each switch between the two costs: without such clients the worker signs.
 *
 * Waiting costs nothing but the stream; both queues are bounded, and who does not fit is
 * refused. */
#include "tls/helpers_impl.h"

#include <stdlib.h>

/* Units of CPU that full handshakes may take in one turn on the worker's loop. An ECDSA handshake
 * costs about 0.15 ms, an RSA one 0.8 ms. */
enum { TURN_CREDIT = 8, COST_FAST = 2, COST_SLOW = 8 };

enum { ALONE_AFTER_MS = 1000 };

/* --- the worker's turns ---------------------------------------------------------------------- */

static unsigned cost_of(enum key_speed speed)
{
    return speed == KEY_SLOW ? COST_SLOW : COST_FAST;
}

/* A new turn, new credit. */
static void refill(struct tls_library *library)
{
    int64_t now_us = loop_now_us(library->loop);

    if (library->credit_at_us != now_us)
        library->credit = TURN_CREDIT;
    library->credit_at_us = now_us;
}

/* Gives this turn's credit to waiting handshakes; they continue at the end of this turn. */
static void on_turn(struct task *task)
{
    struct tls_library *library = CONTAINER_OF(task, struct tls_library, turn);

    refill(library);
    while (!list_is_empty(&library->waiting)) {
        struct tls_step *step = CONTAINER_OF(library->waiting.next, struct tls_step, node);
        unsigned cost = cost_of(step->stream->key_speed);
        if (cost > library->credit)
            break;
        library->credit -= cost;
        library->waiting_count--;
        list_remove(&step->node);
        conn_transport_ready(step->stream->conn);
    }
    if (!list_is_empty(&library->waiting))
        loop_defer_next(library->loop, &library->turn);
}

/* True when the worker may sign in this turn. */
static bool take_credit(struct tls_library *library, enum key_speed speed)
{
    unsigned cost = cost_of(speed);

    if (library->loop == NULL)
        return true;
    refill(library);
    if (!list_is_empty(&library->waiting) || cost > library->credit)
        return false;
    library->credit -= cost;
    return true;
}

static bool wait_for_turn(struct tls_library *library, struct tls_step *step)
{
    if (library->waiting_count >= library->queue_max)
        return false;
    list_push_back(&library->waiting, &step->node);
    library->waiting_count++;
    loop_defer_next(library->loop, &library->turn);
    return true;
}

static bool wait_for_helper(struct tls_library *library, struct tls_step *step)
{
    step->is_offloaded = true;
    if (!helpers_queue(library->helpers, step))
        return false;
    library->figures.offloaded++;
    return true;
}

/* Nobody has come back to this worker for so long that it would notice a signature. */
static bool is_alone(const struct tls_library *library)
{
    int64_t kept_ms = loop_kept_client_ms(library->loop);

    return kept_ms == 0 || loop_now_ms(library->loop) - kept_ms > ALONE_AFTER_MS;
}

static bool wants_helper(const struct tls_library *library)
{
    return library->helpers != NULL &&
           !(helpers_share_cores(library->helpers) && is_alone(library));
}

/* --- doors ----------------------------------------------------------------------------------- */

bool tls_may_sign(struct tls_stream *s, enum key_speed speed)
{
    if (s->may_sign)
        return true;
    s->key_speed = (uint8_t)speed;
    s->to_helper = speed == KEY_SLOW && wants_helper(s->library);
    return !s->to_helper && take_credit(s->library, speed);
}

enum io tls_postpone(struct tls_stream *s)
{
    struct tls_library *library = s->library;
    struct tls_step *step = mem_new(sizeof(*step));

    list_init(&step->node);
    step->stream = s;
    s->step = step;
    s->may_sign = true;
    if (s->to_helper ? wait_for_helper(library, step) : wait_for_turn(library, step))
        return IO_BUSY;
    s->step = NULL;
    s->broken = true;
    tls_step_free(step);
    conn_set_error(s->conn, REASON_HANDSHAKE_OVERFLOW, "too many handshakes are waiting");
    return IO_ERROR;
}

void tls_step_free(struct tls_step *step)
{
    free(step->flight);
    free(step);
}

bool tls_step_abandon(struct tls_stream *s)
{
    struct tls_step *step = s->step;
    struct tls_library *library = s->library;

    if (step->is_offloaded && !helpers_take_back(library->helpers, step))
        return false;
    if (!step->is_offloaded && list_is_linked(&step->node)) {
        list_remove(&step->node);
        library->waiting_count--;
    }
    s->step = NULL;
    tls_step_free(step);
    return true;
}

/* --- coming back from a helper --------------------------------------------------------------- */

/* Its connection may have gone meanwhile: then the stream has no other user. */
static void step_returns(struct tls_step *step)
{
    struct tls_stream *s = step->stream;

    if (s->conn != NULL) {
        conn_transport_ready(s->conn);
        return;
    }
    s->step = NULL;
    tls_step_free(step);
    tls_stream_free(s);
}

static void on_done(void *arg)
{
    struct tls_library *library = arg;

    for (struct tls_step *step; (step = helpers_next_done(library->helpers, library)) != NULL;)
        step_returns(step);
}

void tls_library_attach(struct tls_library *library, struct loop *loop, struct tls_helpers *helpers,
                        unsigned queue_max)
{
    ASSERT(library->loop == NULL);
    library->loop = loop;
    library->helpers = helpers;
    library->queue_max = queue_max;
    task_init(&library->turn, on_turn);
    if (helpers != NULL)
        library->wakeup = wakeup_new(loop, on_done, library);
}

void tls_library_detach(struct tls_library *library)
{
    if (library->loop == NULL)
        return;
    if (library->helpers != NULL) {
        helpers_leave(library->helpers, library);
        on_done(library); /* the last orphans */
        wakeup_free(library->wakeup);
    }
    task_cancel(&library->turn);
    library->loop = NULL;
    library->helpers = NULL;
    library->wakeup = NULL;
}

const struct tls_figures *tls_library_figures(const struct tls_library *library)
{
    return &library->figures;
}
