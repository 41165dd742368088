/* What may be written on the wire (RFC 9110 section 5). */
#pragma once

#include "base/str.h"

bool token_is_valid(struct str text);       /* 1*tchar */
bool field_value_is_valid(struct str text); /* no CTL but HTAB */

/* Is it made of anything but letters, digits and "-"? Servers behind that turn names into variables
 * (CGI, FastCGI) take "X_Wikimedia_Debug" and "X.Wikimedia.Debug" for X-Wikimedia-Debug. */
bool field_name_is_odd(struct str name);
