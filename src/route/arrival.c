#include "route/arrival.h"

#include "base/field_names.h"
#include "base/forwarding_fields.h"
#include "base/path.h"
#include "base/utf8.h"

const struct listener_conf *arrival_listener(const struct config *config, size_t index)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        if (config->listeners[i].router == (int)index)
            return &config->listeners[i];
    }
    return NULL;
}

static bool keeps_untrusted(const struct listener_conf *listener, struct str name)
{
    for (size_t i = 0; listener != NULL && i < listener->keep_untrusted_count; i++) {
        if (str_eq_nocase(listener->keep_untrusted[i], name))
            return true;
    }
    return false;
}

bool arrival_removes_untrusted(const struct listener_conf *listener, struct str name)
{
    return forwarding_field_is_known(name) && !keeps_untrusted(listener, name);
}

bool arrival_name_is_odd(const struct listener_conf *listener, struct str name)
{
    enum odd_names mode = listener != NULL ? listener->odd_names : ODD_NAMES_DROP;

    return mode != ODD_NAMES_KEEP && field_name_is_odd(name);
}

static bool rules_remove_untrusted(const struct headers_conf *headers, struct str name)
{
    for (size_t i = 0; headers != NULL && i < headers->request.count; i++) {
        const struct header_rule_conf *rule = &headers->request.rules[i];
        if (rule->op == HEADER_OP_REMOVE_UNTRUSTED && str_eq_nocase(rule->name, name))
            return true;
    }
    return false;
}

/* Only weir sets X-Client-Cert-*. Where a listener may ask for certificates, the tools take the
 * given values in place of weir's; elsewhere the fields are removed. */
static bool is_of_certificate(const struct listener_conf *listener, struct str name)
{
    static const struct str prefix = STR_INIT("x-client-cert-");
    bool may_ask = listener != NULL && listener->tls != NULL;

    return !may_ask && name.len > prefix.len &&
           str_eq_nocase(str_make(name.ptr, prefix.len), prefix);
}

bool arrival_removes_debug(const struct router_conf *router)
{
    return router->debug.enabled && !forwarding_field_is_known(router->debug.header);
}

bool arrival_keeps(const struct listener_conf *listener, const struct router_conf *router,
                   bool is_trusted, struct str name)
{
    if (arrival_name_is_odd(listener, name) || is_of_certificate(listener, name))
        return false;
    if (is_trusted)
        return true;
    if (arrival_removes_debug(router) && str_eq_nocase(router->debug.header, name))
        return false;
    return !arrival_removes_untrusted(listener, name) &&
           !rules_remove_untrusted(listener != NULL ? listener->headers : NULL, name) &&
           !rules_remove_untrusted(router->headers, name);
}

/* Bytes beyond ASCII are taken where they are UTF-8 and the listener encodes it. */
static bool is_taken_raw(struct str target, bool takes_utf8)
{
    while (target.len > 0) {
        bool is_ascii = (unsigned char)target.ptr[0] < 0x80;
        size_t len = is_ascii ? 1 : takes_utf8 ? utf8_sequence(target) : 0;
        if (len == 0)
            return false;
        target = str_skip(target, len);
    }
    return true;
}

bool arrival_takes_target(const struct listener_conf *listener, struct str target)
{
    bool takes_utf8 = listener == NULL || listener->raw_utf8 == RAW_UTF8_ENCODE;
    bool takes_controls = listener == NULL || listener->encoded_controls == ENCODED_CONTROLS_PASS;
    struct str path, query;

    (void)str_cut(target, '?', &path, &query);
    return (takes_controls || !path_has_control(path)) && is_taken_raw(target, takes_utf8);
}
