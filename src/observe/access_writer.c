/* The log thread's end of the access log. It takes records out of the workers' rings: entries go
 * to the sinks, and the workers' own log lines to standard error. Rings are emptied whatever
 * happens to the sinks. What a sink cannot take in time is lost, and counted. */
#include "observe/access_ring_impl.h"
#include "observe/log_file_impl.h"
#include "observe/log_sink.h"

#include "base/clock.h"

#include <stdlib.h>
#include <unistd.h>

enum { CLOSE_MS = 500 }; /* how long the end waits for a slow reader of the last lines */

struct access_writer {
    struct log_file lines;
    struct log_sink *sinks; /* owns */
    struct log_sink *file;  /* the sink of `path`, one of `sinks`; NULL for "" */
};

struct access_writer *access_writer_new(struct str path, struct err *err)
{
    struct log_sink *file = path.len > 0 ? file_sink_new(path, err) : NULL;

    if (path.len > 0 && file == NULL)
        return NULL;
    struct access_writer *writer = mem_new(sizeof(*writer));
    log_file_init_fd(&writer->lines, STDERR_FILENO);
    writer->file = file;
    if (file != NULL)
        access_writer_add(writer, file);
    return writer;
}

void access_writer_add(struct access_writer *writer, struct log_sink *sink)
{
    struct log_sink **end = &writer->sinks;

    while (*end != NULL)
        end = &(*end)->next;
    sink->next = NULL;
    *end = sink;
}

void access_writer_watch(struct access_writer *writer,
                         void (*watch)(void *arg, const struct access_entry *entry), void *arg)
{
    if (watch != NULL)
        access_writer_add(writer, watch_sink_new(watch, arg));
}

void access_writer_flush(struct access_writer *writer)
{
    for (struct log_sink *sink = writer->sinks; sink != NULL; sink = sink->next) {
        if (sink->ops->flush != NULL)
            sink->ops->flush(sink);
    }
    log_file_flush(&writer->lines);
}

bool access_writer_is_behind(const struct access_writer *writer)
{
    for (const struct log_sink *sink = writer->sinks; sink != NULL; sink = sink->next) {
        if (sink->ops->is_behind != NULL && sink->ops->is_behind(sink))
            return true;
    }
    return writer->lines.len > 0;
}

void access_writer_free(struct access_writer *writer)
{
    if (writer == NULL)
        return;
    int64_t until_ms = clock_mono_ms() + CLOSE_MS;
    access_writer_flush(writer);
    while (access_writer_is_behind(writer) && clock_mono_ms() < until_ms) {
        usleep(10000);
        access_writer_flush(writer);
    }
    for (struct log_sink *next, *sink = writer->sinks; sink != NULL; sink = next) {
        next = sink->next;
        sink->ops->free(sink);
    }
    log_file_deinit(&writer->lines);
    free(writer);
}

void access_writer_reopen(struct access_writer *writer)
{
    for (struct log_sink *sink = writer->sinks; sink != NULL; sink = sink->next) {
        if (sink->ops->reopen != NULL)
            sink->ops->reopen(sink);
    }
}

int access_writer_give_to(struct access_writer *writer, uid_t uid, struct err *err)
{
    return writer->file != NULL ? file_sink_give_to(writer->file, uid, err) : 0;
}

static void take_entry(struct access_writer *writer, struct str content)
{
    struct access_entry entry;

    if (writer->sinks == NULL)
        return;
    access_entry_unpack(content, &entry);
    for (struct log_sink *sink = writer->sinks; sink != NULL; sink = sink->next) {
        if (sink->ops->accepts == NULL || sink->ops->accepts(sink, &entry))
            sink->ops->write(sink, &entry);
    }
}

static void write_line(struct access_writer *writer, struct str line)
{
    char *room = log_file_room(&writer->lines, line.len);

    if (room == NULL)
        return;
    memcpy(room, line.ptr, line.len);
    log_file_add(&writer->lines, line.len);
}

size_t access_writer_drain(struct access_writer *writer, struct access_ring *ring)
{
    enum access_record_kind kind;
    struct str content;
    size_t count = 0;

    for (; access_ring_peek(ring, &kind, &content); count++) {
        if (kind == ACCESS_RECORD_ENTRY)
            take_entry(writer, content);
        else
            write_line(writer, content);
        access_ring_pop(ring);
    }
    return count;
}

static struct log_sink_figures figures_of(const struct access_writer *writer)
{
    struct log_sink_figures figures = {0};

    for (const struct log_sink *sink = writer->sinks; sink != NULL; sink = sink->next) {
        if (sink->ops->metrics != NULL)
            sink->ops->metrics(sink, &figures);
    }
    return figures;
}

uint64_t access_writer_failed(const struct access_writer *writer)
{
    return figures_of(writer).lost + writer->lines.lost + writer->lines.errors;
}

uint64_t access_writer_reopen_failures(const struct access_writer *writer)
{
    return figures_of(writer).reopen_failures;
}
