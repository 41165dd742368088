/* What the files of this room share. Who holds what:
 *
 *   upstream ─shares─▶ group ─shares─▶ target ─owns─▶ endpoint ─owns─▶ upconn ─owns─▶ conn, session
 *
 * A lease shares its target and its endpoint. An upconn shares its endpoint until it is freed.
 *
 * A target, an endpoint or an upconn that is done with is freed by loop_reap only, because a caller
 * up the stack may still use it. */
#pragma once

#include "discovery/endpoint_set.h"
#include "upstream/upstream.h"

struct group;

struct upstream {
    struct loop *loop;
    struct tls_library *library;
    struct metrics *metrics;
    uint64_t dice;

    struct group **groups; /* shares: in the order of the configuration last adopted */
    size_t group_count;
    struct list all; /* every target that still has memory, retired ones included */

    struct list closing; /* upconns that are saying goodbye */

    struct endpoint_sets sets; /* embeds: the last of each key, as sources sent them */
};
