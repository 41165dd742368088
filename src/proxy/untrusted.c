/* Forwarding fields (base/forwarding_fields.h) of clients that are not trusted: taken out before
 * the request is looked at. Names were recognised while parsing, so that a table by id tells;
 * only names without an id are looked at. */
#include "proxy/proxy_impl.h"
#include "route/arrival.h"

void untrusted_compile(const struct listener_conf *conf, bool removed[HEADER_COUNT])
{
    removed[HEADER_OTHER] = true; /* where the name is of a family */
    for (int id = HEADER_OTHER + 1; id < HEADER_COUNT; id++)
        removed[id] = arrival_removes_untrusted(conf, header_name((enum header_id)id));
}

void untrusted_remove(struct exchange *x)
{
    const bool *removed = x->client->listener->removed_untrusted;
    struct head *head = x->request;

    for (unsigned i = 0; i < head->field_count; i++) {
        struct field *field = &head->fields[i];
        if (!removed[field->id])
            continue;
        if (field->id != HEADER_OTHER || (forwarding_family_has(field->name) &&
                                          arrival_removes_untrusted(x->listener, field->name)))
            field->removed = true;
    }
}
