/* An authority as Host, :authority and absolute targets carry it: a host and perhaps a port. */
#pragma once

#include "base/str.h"

/* uri-host [ ":" port ] (RFC 9110 section 7.2). Userinfo and an empty host are refused, and so is
 * an IP literal that is neither an IPv6 address nor IPvFuture. */
bool authority_is_valid(struct str authority);

/* Do both name the same origin under `scheme`? Case, a trailing dot, an empty port, the scheme's
 * default port and the spelling of an IPv6 address make no difference (RFC 9110 section 4.2.3, RFC
 * 3986 section 6.2). */
bool authority_same(struct str a, struct str b, struct str scheme);
