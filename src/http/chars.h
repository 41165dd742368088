/* What may be written on the wire (RFC 9110 section 5). */
#pragma once

#include "base/str.h"

bool token_is_valid(struct str text);       /* 1*tchar */
bool field_value_is_valid(struct str text); /* no CTL but HTAB */
