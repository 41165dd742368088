/* The ring's two ends; for observe/ and its tests. */
#pragma once

#include "observe/access_log.h"

enum access_record_kind {
    ACCESS_RECORD_FILLER, /* nothing: the rest of the memory before it starts over */
    ACCESS_RECORD_ENTRY,
    ACCESS_RECORD_LINE,
};

/* Writer: room for `len` bytes of content, contiguous, or NULL; commit publishes it. */
char *access_ring_reserve(struct access_ring *ring, enum access_record_kind kind, size_t len);
void access_ring_commit(struct access_ring *ring);

/* Reader: the oldest record, borrowed until the pop. False: empty. */
bool access_ring_peek(struct access_ring *ring, enum access_record_kind *kind, struct str *content);
void access_ring_pop(struct access_ring *ring);

/* What access_ring_push packed; texts borrow from `content`. */
void access_entry_unpack(struct str content, struct access_entry *entry);
