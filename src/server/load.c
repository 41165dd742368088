/* The job thread loads and keeps the lines that it would report; the control thread reports them
 * when it has the job back. */
#include "server/load.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct load {
    struct job job;
    atomic_bool is_abandoned; /* the process ends */
    snapshot_source *source;
    void *source_arg;
    snapshot_report *report;
    void (*done)(void *arg, struct snapshot *snapshot);
    void *arg;
    struct snapshot *snapshot; /* owns */
    struct text lines;         /* owns: "E" or "W", the line, a line feed */
};

/* --- the job thread -------------------------------------------------------------------------- */

static void remember_line(void *arg, bool is_error, const char *line)
{
    struct load *load = arg;

    text_add(&load->lines, "%c%s\n", is_error ? 'E' : 'W', line);
}

static void run(struct job *job)
{
    struct load *load = CONTAINER_OF(job, struct load, job);

    load->snapshot =
        snapshot_load(load->source, load->source_arg, &load->is_abandoned, remember_line, load);
}

/* --- the control thread ---------------------------------------------------------------------- */

static void report_lines(struct load *load)
{
    struct str rest = str_make(load->lines.ptr, load->lines.len), line;
    char text[1024];

    while (str_next(&rest, '\n', &line)) {
        if (line.len == 0)
            continue;
        snprintf(text, sizeof(text), "%.*s", STR_FMT(str_skip(line, 1)));
        load->report(load->arg, line.ptr[0] == 'E', text);
    }
}

static void load_free(struct load *load)
{
    snapshot_unref(&load->snapshot);
    text_free(&load->lines);
    free(load);
}

static void on_done(struct job *job)
{
    struct load *load = CONTAINER_OF(job, struct load, job);

    if (!atomic_load_explicit(&load->is_abandoned, memory_order_relaxed)) {
        struct snapshot *snapshot = load->snapshot;
        load->snapshot = NULL;
        report_lines(load);
        load->done(load->arg, snapshot);
    }
    load_free(load);
}

struct load *load_begin(struct jobs *jobs, snapshot_source *source, void *source_arg,
                        snapshot_report *report, void (*done)(void *arg, struct snapshot *snapshot),
                        void *arg)
{
    struct load *load = mem_new(sizeof(*load));

    load->job = (struct job){.run = run, .done = on_done};
    load->source = source;
    load->source_arg = source_arg;
    load->report = report;
    load->done = done;
    load->arg = arg;
    jobs_submit(jobs, &load->job);
    return load;
}

void load_abandon(struct load *load)
{
    atomic_store_explicit(&load->is_abandoned, true, memory_order_relaxed);
}
