/* The sink that writes the access log: one line of JSON for each entry, into the buffer of a
 * file that is flushed once in a batch, or when much has been collected. */
#include "observe/log_file_impl.h"
#include "observe/log_sink.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    TEXT_COUNT = 13,
    JSON_LINE_MAX = TEXT_COUNT * ACCESS_TEXT_MAX * 6 + 4096, /* every byte as \u00xx */
    FLUSH_BYTES = 128 * 1024,
};

struct file_sink {
    struct log_sink sink;
    struct log_file file;
};

static struct file_sink *file_sink_of(struct log_sink *sink)
{
    return CONTAINER_OF(sink, struct file_sink, sink);
}

static const struct log_file *file_of(const struct log_sink *sink)
{
    return &CONTAINER_OF((struct log_sink *)(uintptr_t)sink, struct file_sink, sink)->file;
}

static void write_entry(struct log_sink *sink, const struct access_entry *entry)
{
    struct log_file *file = &file_sink_of(sink)->file;
    char *room = log_file_room(file, JSON_LINE_MAX);

    if (room == NULL)
        return;
    log_file_add(file, access_entry_json(entry, room, JSON_LINE_MAX));
    if (file->len >= FLUSH_BYTES)
        log_file_flush(file);
}

static void flush(struct log_sink *sink)
{
    log_file_flush(&file_sink_of(sink)->file);
}

static bool is_behind(const struct log_sink *sink)
{
    return file_of(sink)->len > 0;
}

static void reopen(struct log_sink *sink)
{
    log_file_reopen(&file_sink_of(sink)->file);
}

static void add_figures(const struct log_sink *sink, struct log_sink_figures *figures)
{
    const struct log_file *file = file_of(sink);

    figures->lost += file->lost + file->errors;
    figures->reopen_failures += file->reopen_failures;
}

static void file_sink_free(struct log_sink *sink)
{
    struct file_sink *file_sink = file_sink_of(sink);

    log_file_deinit(&file_sink->file);
    free(file_sink);
}

struct log_sink *file_sink_new(struct str path, struct err *err)
{
    static const struct log_sink_ops ops = {.name = "file",
                                            .write = write_entry,
                                            .flush = flush,
                                            .is_behind = is_behind,
                                            .reopen = reopen,
                                            .metrics = add_figures,
                                            .free = file_sink_free};
    struct file_sink *file_sink = mem_new(sizeof(*file_sink));

    file_sink->sink.ops = &ops;
    if (str_eq(path, STR("-"))) {
        log_file_init_fd(&file_sink->file, STDOUT_FILENO);
    } else if (log_file_init_path(&file_sink->file, path, err) < 0) {
        free(file_sink);
        return NULL;
    }
    return &file_sink->sink;
}

int file_sink_give_to(struct log_sink *sink, uid_t uid, struct err *err)
{
    return log_file_give_to(&file_sink_of(sink)->file, uid, err);
}
