/* Aliases first, because m.mediawiki.org is www.mediawiki.org and not mediawiki.org; then every
 * label "m" goes, wherever it stands, except as the last one. */
#include "config/fold.h"

static bool has_mobile_label(struct str host)
{
    if (host.len > 2 && host.ptr[0] == 'm' && host.ptr[1] == '.')
        return true;
    for (size_t i = 0; i + 3 < host.len; i++) {
        if (host.ptr[i] == '.' && host.ptr[i + 1] == 'm' && host.ptr[i + 2] == '.')
            return true;
    }
    return false;
}

struct str mobile_drop_labels(struct str host, char *out)
{
    size_t len = 0, start = 0;

    while (start < host.len) {
        const char *dot = memchr(host.ptr + start, '.', host.len - start);
        size_t end = dot != NULL ? (size_t)(dot - host.ptr) + 1 : host.len;
        bool is_mobile = end - start == 2 && host.ptr[start] == 'm' && dot != NULL;
        if (!is_mobile) {
            memcpy(out + len, host.ptr + start, end - start);
            len += end - start;
        }
        start = end;
    }
    return str_make(out, len);
}

struct str mobile_fold(const struct split_conf *split, struct str host, char *out)
{
    for (size_t i = 0; i < split->alias_count; i++) {
        if (str_eq(split->aliases[i].mobile, host))
            return split->aliases[i].host;
    }
    if (host.len > FOLD_MAX || !has_mobile_label(host))
        return host;
    return mobile_drop_labels(host, out);
}
