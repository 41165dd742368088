/* The typed words of a configuration: durations, sizes, shares, host names. Total functions on
 * borrowed text; nothing here allocates. */
#pragma once

#include "base/base.h"
#include "base/str.h"

enum { HOST_NAME_MAX_BYTES = 253 };

/* "250ms", "4.5s", "15m", "1h", "1d", or a bare "0"; whole milliseconds, up to 49 days. */
MUST_USE int duration_parse(struct str text, uint32_t *ms);

/* "64KiB", "1MiB", "2GiB", "512B", or a bare number of bytes. */
MUST_USE int size_parse(struct str text, uint64_t *bytes);

/* "4%", "0.04", "true", "false", "0", "1": in 0.001 %, exactly; -1 for everything that is not a
 * multiple of it or lies outside of 0..100 %. */
MUST_USE int share_parse(struct str text, uint32_t *share);

/* "4%", "0.005%": the shortest form, into `out` (SHARE_TEXT_MAX); `out`. */
enum { SHARE_TEXT_MAX = 16 };
const char *share_format(uint32_t share, char *out);

/* "true" or "false". */
MUST_USE int bool_parse(struct str text, bool *value);

/* What was probably meant by a text that the parser above does not take, such as "20%" for a share
 * of "20"; false when there is no guess. */
enum { SUGGESTION_MAX = 32 };
typedef bool suggest_fn(struct str text, char *out);
suggest_fn share_suggest, duration_suggest, size_suggest, bool_suggest;

/* A host name as a configuration may write it: labels of letters, digits, "-" and "_", at most 253
 * bytes, or an IPv6 address in brackets. A trailing dot is forgiven, a port is not. */
bool is_host_name(struct str text);
