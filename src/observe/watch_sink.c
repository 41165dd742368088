/* The sink that passes each entry to a function, as `weir demo` needs it for its table. */
#include "observe/log_sink.h"

#include <stdlib.h>

struct watch_sink {
    struct log_sink sink;
    void (*watch)(void *arg, const struct access_entry *entry);
    void *arg;
};

static struct watch_sink *watch_sink_of(struct log_sink *sink)
{
    return CONTAINER_OF(sink, struct watch_sink, sink);
}

static void write_entry(struct log_sink *sink, const struct access_entry *entry)
{
    struct watch_sink *watch_sink = watch_sink_of(sink);

    watch_sink->watch(watch_sink->arg, entry);
}

static void watch_sink_free(struct log_sink *sink)
{
    free(watch_sink_of(sink));
}

struct log_sink *watch_sink_new(void (*watch)(void *arg, const struct access_entry *entry),
                                void *arg)
{
    static const struct log_sink_ops ops = {
        .name = "watch", .write = write_entry, .free = watch_sink_free};
    struct watch_sink *watch_sink = mem_new(sizeof(*watch_sink));

    watch_sink->sink.ops = &ops;
    watch_sink->watch = watch;
    watch_sink->arg = arg;
    return &watch_sink->sink;
}
