/* Reads one message with weir's HTTP/1 reader and with the oracle, and compares what they say. */
#pragma once

#include "h1_oracle.h"

enum h1_verdict {
    H1_SAME,     /* both accept and mean the same, or neither accepts */
    H1_STRICTER, /* only the oracle accepts; the reason is on the list in h1_compare.c */
    H1_LAXER,    /* weir accepts what the oracle refuses */
    H1_UNLISTED, /* only the oracle accepts, and nothing on the list explains it */
    H1_DIFFERS,  /* both accept and disagree on the meaning */
};

struct h1_comparison {
    enum h1_verdict verdict;
    enum reason ours, theirs; /* NONE: accepted, or still waiting */
    bool ours_is_whole, theirs_is_whole;
    const char *what; /* the first difference in meaning, or the line of the list */
};

/* `text` is a head and what follows it on the connection; a chunked body is read with its trailers.
 * weir is shown the text in pieces that `seed` decides on; 0: all at once. `method` is the
 * request's where a response is read. Uses and resets `arena`. */
struct h1_comparison h1_compare(enum h1_kind kind, struct str text, enum method method,
                                const struct session_limits *limits, uint64_t seed,
                                struct arena *arena);
