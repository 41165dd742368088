/* Paths of request targets, without their query: their percent-encoding, their segments, and
 * whether every server reads them alike. Pure text work; no function here allocates. */
#pragma once

#include "base/str.h"

/* The byte that the escape at `at` stands for ("%41" is 'A'); -1 when no escape begins there. */
static inline int escape_at(struct str text, size_t at)
{
    if (text.ptr[at] != '%' || text.len - at < 3)
        return -1;
    int high = hex_value(text.ptr[at + 1]), low = hex_value(text.ptr[at + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Writes the escape of `byte`, "%2F", at `out`; returns its length, 3. */
size_t escape_put(char *out, unsigned char byte);

/* Whether all servers agree on the segments of `path`, and none of them is above the root. Refused
 * is ".." that climbs above the root, or that removes an empty segment, one with a hidden slash
 * ("%2F", "\" or "%5C") or one of parameters alone (";a"), because servers disagree on what it
 * removes; "." or ".." that some servers take for a name ("..;", "..\", "..%2f", "..%09"); control
 * characters; and "%00". */
bool path_is_clear(struct str path);

/* Whether a control character is in it, escaped ("%0A") or not. */
bool path_has_control(struct str path);

/* The form in which paths are compared: every escape is undone but those of "/" and "%", which stay
 * "%2F" and "%25"; a "%" that begins no escape becomes "%25"; empty segments, "." and ".." are
 * resolved (RFC 3986 section 5.2.4), never above the root. -1 when it does not fit into `size`. */
MUST_USE int path_decode(struct str path, char *out, size_t size, struct str *decoded);

/* A decoded path as a server reads it that takes "%2F" and "\" for a slash. `out` has `path.len`
 * bytes. False, and nothing is written, when it has neither. */
bool path_undo_slashes(struct str path, char *out, struct str *undone);

/* Whether there is no segment to resolve. */
bool path_is_resolved(struct str path);

/* The path in the normal form of RFC 3986 section 6.2.2, as it may be sent: unreserved characters
 * are plain, what may not stand in a path is escaped, escapes are in upper case, and segments are
 * resolved. -1 when it does not fit into `size`. */
MUST_USE int path_normalize(struct str path, char *out, size_t size, struct str *normal);

/* What of an encoded path is left behind the part that decodes to `decoded_len` bytes. */
struct str path_skip_decoded(struct str path, size_t decoded_len);
