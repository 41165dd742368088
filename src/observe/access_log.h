/* The access log. A worker packs one entry for each exchange into its own ring: a few copies, no
 * formatting, no lock, no wait. When the ring is full, the entry is dropped and counted. The log
 * thread takes the entries out, writes lines of JSON and waits for the disk. */
#pragma once

#include "base/addr.h"
#include "base/base.h"
#include "base/err.h"
#include "base/reason.h"
#include "base/str.h"
#include "observe/metrics.h"

#include <sys/types.h>

struct access_entry {
    int64_t start_wall_us;             /* when the head's first byte arrived */
    uint32_t duration_us, upstream_us; /* whole exchange; from upstream request to response head */
    uint32_t connect_us;               /* waiting for an upstream connection */
    uint64_t bytes_in, bytes_out;      /* body bytes */
    uint16_t status;
    uint8_t retries, version; /* enum http_version */
    enum reason reason;
    uint8_t client_ip[16]; /* IPv4 mapped; all zero: unix */
    bool tls_resumed;
    /* Borrowed during the push; each is cut to ACCESS_TEXT_MAX. */
    struct str method, host, path, service, side, group, endpoint, why, request_id, tls, user_agent,
        datacenter, listener, rule, dc_why, primary_if, error, config;
    uint32_t share, bucket; /* what the split compared; share in 0.001 % */
    bool has_share, has_bucket;
};

enum { ACCESS_TEXT_MAX = 2048 };

struct access_ring;
struct access_ring *access_ring_new(uint32_t bytes); /* rounded up to a power of two */
void access_ring_free(struct access_ring *ring);

/* Worker. False when there was no room (the caller counts). */
bool access_ring_push(struct access_ring *ring, const struct access_entry *entry);

/* Worker: a line for the process log (log.h sink), so that a worker never writes to a
 * descriptor. */
bool access_ring_push_line(struct access_ring *ring, const char *line, size_t len);

/* Before the worker starts. `wake` is called on the worker's thread when a record was added
 * while the reader sleeps, and when the ring becomes more than half full (once, until it was
 * emptied). While the reader is awake and keeps up, `wake` is not called. */
void access_ring_on_wake(struct access_ring *ring, void (*wake)(void *arg), void *arg);

/* Log thread, before it sleeps: the next record calls `wake`. False when there are records already.
 * access_ring_stay_awake cancels it. */
bool access_ring_sleep(struct access_ring *ring);
void access_ring_stay_awake(struct access_ring *ring);

/* Log thread: takes all records out of a ring. Entries go to the sinks of the writer
 * (log_sink.h): the first one writes to `path` ("-": standard output, "": there is none). The
 * workers' own log lines go to standard error. Memory is bounded. Lines are lost, and counted,
 * when the disk is full, a pipe is slow or its reader has closed it. A writer is made on the
 * control thread, and then used on the log thread alone. */
struct access_writer;
MUST_USE struct access_writer *access_writer_new(struct str path, struct err *err);
void access_writer_free(struct access_writer *writer); /* flushes first, bounded */
void access_writer_reopen(struct access_writer *writer);
MUST_USE int access_writer_give_to(struct access_writer *writer, uid_t uid, struct err *err);
size_t access_writer_drain(struct access_writer *writer, struct access_ring *ring);
void access_writer_flush(struct access_writer *writer); /* one write(2) of what was collected */
/* Are there lines that the last flush could not write? */
bool access_writer_is_behind(const struct access_writer *writer);
/* Adds a sink that calls `watch` (NULL: no sink) for each entry, also when there is no path. */
void access_writer_watch(struct access_writer *writer,
                         void (*watch)(void *arg, const struct access_entry *entry), void *arg);

/* Writes that failed (a full disk, a closed pipe), and lines that were lost because of it. */
uint64_t access_writer_failed(const struct access_writer *writer);
uint64_t access_writer_reopen_failures(const struct access_writer *writer);

/* One entry as a JSON line with its newline into `out`; its length, 0 when it does not fit. Bytes
 * that a peer chose are escaped; invalid UTF-8 becomes \ufffd. For the writer and for tests. */
size_t access_entry_json(const struct access_entry *entry, char *out, size_t size);
