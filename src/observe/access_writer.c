/* The log thread's end of the access log: takes records out of the workers' rings, entries to
 * the access log and the workers' own log lines to standard error. Rings are emptied whatever
 * happens to the files; what the files do not take in time is counted as lost. */
#include "observe/access_ring_impl.h"
#include "observe/log_file_impl.h"

#include "base/clock.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    TEXT_COUNT = 13,
    JSON_LINE_MAX = TEXT_COUNT * ACCESS_TEXT_MAX * 6 + 4096, /* every byte as \u00xx */
    FLUSH_BYTES = 128 * 1024,
    CLOSE_MS = 500, /* how long a slow reader of the last lines is waited for */
};

struct access_writer {
    struct log_file entries, lines;
    bool is_off; /* path "": entries are thrown away */
    void (*watch)(void *arg, const struct access_entry *entry);
    void *watch_arg;
};

struct access_writer *access_writer_new(struct str path, struct err *err)
{
    struct access_writer *writer = mem_new(sizeof(*writer));

    log_file_init_fd(&writer->lines, STDERR_FILENO);
    log_file_init_fd(&writer->entries, STDOUT_FILENO);
    writer->is_off = path.len == 0;
    if (path.len == 0 || str_eq(path, STR("-")))
        return writer;
    if (log_file_init_path(&writer->entries, path, err) < 0) {
        free(writer);
        return NULL;
    }
    return writer;
}

void access_writer_flush(struct access_writer *writer)
{
    log_file_flush(&writer->entries);
    log_file_flush(&writer->lines);
}

bool access_writer_is_behind(const struct access_writer *writer)
{
    return writer->entries.len > 0 || writer->lines.len > 0;
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
    log_file_deinit(&writer->entries);
    log_file_deinit(&writer->lines);
    free(writer);
}

void access_writer_reopen(struct access_writer *writer)
{
    log_file_reopen(&writer->entries);
}

int access_writer_give_to(struct access_writer *writer, uid_t uid, struct err *err)
{
    return log_file_give_to(&writer->entries, uid, err);
}

void access_writer_watch(struct access_writer *writer,
                         void (*watch)(void *arg, const struct access_entry *entry), void *arg)
{
    writer->watch = watch;
    writer->watch_arg = arg;
}

static void write_entry(struct access_writer *writer, const struct access_entry *entry)
{
    char *room = log_file_room(&writer->entries, JSON_LINE_MAX);

    if (room == NULL)
        return;
    log_file_add(&writer->entries, access_entry_json(entry, room, JSON_LINE_MAX));
    if (writer->entries.len >= FLUSH_BYTES)
        log_file_flush(&writer->entries);
}

static void take_entry(struct access_writer *writer, struct str content)
{
    struct access_entry entry;

    if (writer->is_off && writer->watch == NULL)
        return;
    access_entry_unpack(content, &entry);
    if (writer->watch != NULL)
        writer->watch(writer->watch_arg, &entry);
    if (!writer->is_off)
        write_entry(writer, &entry);
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

uint64_t access_writer_failed(const struct access_writer *writer)
{
    return writer->entries.lost + writer->entries.errors + writer->lines.lost +
           writer->lines.errors;
}

uint64_t access_writer_reopen_failures(const struct access_writer *writer)
{
    return writer->entries.reopen_failures;
}
