/* From the thread with the last reference a letter goes to the control thread, and from there a job
 * to the job thread. */
#include "server/disposal.h"

#include <stdlib.h>

struct dead_snapshot {
    struct letter letter;
    struct job job;
    struct snapshot *snapshot; /* owns */
};

/* --- the job --------------------------------------------------------------------------------- */

static void run(struct job *job)
{
    snapshot_free(CONTAINER_OF(job, struct dead_snapshot, job)->snapshot);
}

static void on_done(struct job *job)
{
    free(CONTAINER_OF(job, struct dead_snapshot, job));
}

/* --- the letter ------------------------------------------------------------------------------ */

static void letter_free(struct letter *letter)
{
    struct dead_snapshot *dead = CONTAINER_OF(letter, struct dead_snapshot, letter);

    if (dead->snapshot != NULL)
        snapshot_free(dead->snapshot);
    free(dead);
}

static const struct letter_kind dead_kind = {.name = "dead_snapshot", .free = letter_free};

static struct dead_snapshot *new_dead(struct snapshot *snapshot)
{
    struct dead_snapshot *dead = mem_new(sizeof(*dead));

    *dead = (struct dead_snapshot){
        .letter = {.kind = &dead_kind},
        .job = {.run = run, .done = on_done},
        .snapshot = snapshot,
    };
    return dead;
}

/* The mailbox frees the letter afterwards, so the snapshot moves to another. */
static void on_dead(void *arg, const struct letter *letter)
{
    const struct disposal *disposal = arg;
    struct dead_snapshot *dead =
        CONTAINER_OF((struct letter *)letter, struct dead_snapshot, letter);

    if (disposal->jobs == NULL)
        return;
    jobs_submit(disposal->jobs, &new_dead(dead->snapshot)->job);
    dead->snapshot = NULL;
}

/* Any thread. */
static void dispose(void *arg, struct snapshot *snapshot)
{
    const struct disposal *disposal = arg;

    mailbox_put(disposal->mailbox, &new_dead(snapshot)->letter);
}

/* --- the part -------------------------------------------------------------------------------- */

static struct disposal *disposal_of(struct control_part *part)
{
    return CONTAINER_OF(part, struct disposal, part);
}

static void init(struct control_part *part)
{
    struct disposal *disposal = disposal_of(part);

    disposal->mailbox = mailbox_new(control_loop(part->control));
    mailbox_receive(disposal->mailbox, &dead_kind, on_dead, disposal);
}

static void release(struct control_part *part)
{
    mailbox_free(&disposal_of(part)->mailbox);
}

void disposal_add(struct disposal *disposal, struct control *control)
{
    static const struct control_part_ops ops = {.name = "disposal", .init = init, .free = release};

    control_add(control, &disposal->part, &ops);
}

void disposal_expect(struct disposal *disposal, struct snapshot *snapshot)
{
    snapshot_on_last_unref(snapshot, dispose, disposal);
}
