/* The small grammars inside header fields: the debug header, Cookie, form parameters. Total
 * functions on borrowed bytes. */
#include "base/path.h"
#include "route/route_impl.h"

/* X-Wikimedia-Debug is "backend=k8s-experimental; log", or from old clients a bare name. The other
 * attributes are for the application; whether the name exists is the caller's question. Two
 * backends that differ are no answer at all. */
struct str debug_backend_name(struct str value)
{
    struct str rest = value, attr, name, arg, found = {NULL, 0};

    while (str_next(&rest, ';', &attr)) {
        if (!str_cut(str_trim(attr), '=', &name, &arg) || !str_eq(name, STR("backend")))
            continue;
        if (found.ptr != NULL && !str_eq(found, arg))
            return (struct str){NULL, 0};
        found = arg;
    }
    return found.ptr != NULL ? found : str_trim(value);
}

bool cookie_next(struct str *rest, struct str *name, struct str *value)
{
    struct str pair;

    if (!str_next(rest, ';', &pair))
        return false;
    str_cut(str_trim(pair), '=', name, value);
    return true;
}

struct str cookie_find(struct str cookies, struct str name)
{
    struct str found, value;

    while (cookie_next(&cookies, &found, &value)) {
        if (str_eq(found, name))
            return value;
    }
    return (struct str){NULL, 0};
}

/* How many bytes of `raw` decode to how many of `text`: compares as far as `text` goes. In `text` a
 * "+" stands for itself and for the space that a form makes of it. */
bool query_decoded_matches(struct str raw, struct str text, bool is_whole)
{
    size_t at = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (at >= raw.len)
            return false;
        int escaped = escape_at(raw, at);
        char c = escaped >= 0 ? (char)escaped : raw.ptr[at] == '+' ? ' ' : raw.ptr[at];
        at += escaped >= 0 ? 3 : 1;
        if (c != text.ptr[i] && !(c == ' ' && text.ptr[i] == '+'))
            return false;
    }
    return !is_whole || at == raw.len;
}
