/* UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#pragma once

#include "base/arena.h"

/* How many bytes the sequence of two bytes or more at the start of `s` has; 0 when there is
 * none. */
size_t utf8_sequence(struct str s);

/* Copies `text` with each byte from 0x80 percent-encoded. False, and nothing is written, when it is
 * not UTF-8. */
bool utf8_escape(struct arena *arena, struct str text, struct str *escaped);
