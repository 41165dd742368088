/* Names of header fields, as text. */
#pragma once

#include "base/str.h"

/* Is it made of anything but letters, digits and "-"? Servers behind that turn names into variables
 * (CGI, FastCGI) take "X_Wikimedia_Debug" and "X.Wikimedia.Debug" for X-Wikimedia-Debug. */
bool field_name_is_odd(struct str name);
