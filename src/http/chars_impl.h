/* Which bytes may stand where: one table, one bit per place. */
#pragma once

#include "base/base.h"

enum char_class {
    CHAR_TOKEN = 1,  /* tchar, RFC 9110 section 5.6.2 */
    CHAR_VALUE = 2,  /* field value: VCHAR, SP, HTAB, obs-text */
    CHAR_PATH = 4,   /* request target: VCHAR but "#"; the rest must be percent-encoded */
    CHAR_HIDES = 32, /* "%" and backslash: in a path they may stand for something else */
    CHAR_HOST = 8, /* reg-name as hosts are really spelled: RFC 3986 unreserved, sub-delims, "%" */
};

extern const uint8_t char_table[256];

static inline bool char_is(char c, enum char_class wanted)
{
    return (char_table[(uint8_t)c] & wanted) != 0;
}
