/* Cookies, form parameters, hosts and paths: the first line of the input is searched for in the
 * rest. A result lies inside the input, and a normal form does not change when it is normalised
 * again. */
#include "base/path.h"
#include "route/route_impl.h"

static bool is_inside(struct str part, struct str whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void try_cookies(struct str name, struct str cookies)
{
    struct str rest = cookies, found, value;
    bool is_there = false;

    while (cookie_next(&rest, &found, &value)) {
        ASSERT(is_inside(found, cookies) && is_inside(value, cookies));
        is_there |= str_eq(found, name);
    }
    value = cookie_find(cookies, name);
    ASSERT((value.ptr != NULL) == is_there);
}

static void try_path(struct str target)
{
    static char once[PATH_TEXT_BYTES], twice[PATH_TEXT_BYTES];
    struct request request, again;

    if (str_find_char(target, '#') >= 0 || target_read(target, once, &request) < 0)
        return;
    ASSERT(is_inside(request.query, target));
    /* A decoded "?" would begin a query. */
    if (request.path.len == 0 || request.path.ptr[0] != '/' ||
        str_find_char(request.path, '?') >= 0 || target_read(request.path, twice, &again) < 0)
        return;
    ASSERT(str_eq(again.path, request.path) && str_eq(again.undone, request.undone));
}

/* What is sent in normal form decodes to what came, and all servers read it alike. */
static void try_normal_form(struct str path)
{
    static char text[3 * PATH_BYTES_MAX], came[PATH_TEXT_BYTES], sent[PATH_TEXT_BYTES];
    struct str normal, decoded_came, decoded_sent, undone;

    if (path.len == 0 || path.ptr[0] != '/' || !path_is_clear(path) ||
        path_normalize(path, text, sizeof(text), &normal) < 0 ||
        path_decode(path, came, sizeof(came), &decoded_came) < 0 ||
        path_decode(normal, sent, sizeof(sent), &decoded_sent) < 0)
        return;
    ASSERT(path_is_clear(normal) && path_is_resolved(normal));
    ASSERT(str_eq(decoded_came, decoded_sent) && path_is_resolved(decoded_came));
    if (path_undo_slashes(decoded_came, text, &undone))
        ASSERT(path_is_resolved(undone) && !path_undo_slashes(undone, sent, &undone));
}

static void try_host(struct str authority)
{
    char fast[HOST_BYTES_MAX], slow[HOST_BYTES_MAX], again_text[HOST_BYTES_MAX];
    struct str host, other, again;
    bool is_mobile;

    int result = host_read(authority, fast, &host, &is_mobile);
    ASSERT(result == host_canonical(authority, slow, sizeof(slow), &other));
    if (result < 0)
        return;
    ASSERT(str_eq(host, other));
    ASSERT(host_canonical(host, again_text, sizeof(again_text), &again) == 0);
    ASSERT(str_eq(host, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str name, rest;

    str_cut(str_make(data, size), '\n', &name, &rest);
    try_cookies(name, rest);
    query_text_eq(rest, name);
    query_text_starts(rest, name);
    try_path(rest);
    try_normal_form(rest);
    try_host(rest);
    return 0;
}
