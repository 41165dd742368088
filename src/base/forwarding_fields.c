/* Which names are forwarding fields. */
#include "base/forwarding_fields.h"

static bool begins_with(struct str name, struct str lower)
{
    return name.len > lower.len && str_eq_nocase(str_make(name.ptr, lower.len), lower);
}

bool forwarding_family_search(struct str name)
{
    static const struct str families[] = {
#define X(prefix) STR_INIT(prefix),
        FORWARDING_FAMILIES(X)
#undef X
    };

    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        if (begins_with(name, families[i]))
            return true;
    }
    return false;
}

bool forwarding_field_is_known(struct str name)
{
    static const struct str names[] = {
#define X(id, text, flags) STR_INIT(text),
        FORWARDING_FIELDS(X)
#undef X
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eq_nocase(name, names[i]))
            return true;
    }
    return forwarding_family_has(name);
}
