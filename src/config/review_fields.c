/* Conditions on header fields that no listener lets through to the router. */
#include "base/field_names.h"
#include "config/review_impl.h"

/* Does some listener in front of the router keep fields with odd names? */
static bool odd_names_arrive(const struct config *config, const struct router_conf *router)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct listener_conf *listener = &config->listeners[i];
        if (listener->router == (int)(router - config->routers) &&
            listener->odd_names == ODD_NAMES_KEEP)
            return true;
    }
    return false;
}

static void review_match(const struct match_conf *match, struct complaints *complaints)
{
    for (size_t i = 0; i < match->field_count; i++) {
        const struct field_match_conf *field = &match->fields[i];
        if (field->where == FIELD_HEADER && field_name_is_odd(field->name))
            complaints_warn(complaints, field->place,
                            "no request has the field \"%.*s\" here: listeners take out names with "
                            "other characters than letters, digits and \"-\" (see odd_names)",
                            STR_FMT(field->name));
    }
}

void review_fields(const struct config *config, const struct router_conf *router,
                   struct complaints *complaints)
{
    if (odd_names_arrive(config, router))
        return;
    for (size_t i = 0; i < router->rule_count; i++) {
        const struct rule_conf *rule = &router->rules[i];
        review_match(&rule->match, complaints);
        for (size_t j = 0; j < rule->rewrite_count; j++) {
            if (rule->rewrites[j].when != NULL)
                review_match(rule->rewrites[j].when, complaints);
        }
    }
    for (size_t i = 0; i < router->multi_dc.primary_if_count; i++)
        review_match(&router->multi_dc.primary_if[i].match, complaints);
}
