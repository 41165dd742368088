/* See shrink.h. */
#include "config/shrink.h"

static bool has_shrunk(size_t before, size_t after, uint32_t share)
{
    return after < before && (uint64_t)(before - after) * SHARE_MAX > (uint64_t)before * share;
}

static void compare(struct str name, size_t before, const struct place *place, size_t after,
                    uint32_t share, shrink_report *report, void *arg)
{
    char text[512];

    if (!has_shrunk(before, after, share))
        return;
    snprintf(text, sizeof(text), "\"%.*s\" had %zu names and has %zu", STR_FMT(name), before,
             after);
    report(arg, place, text);
}

static const struct split_entry_conf *list_find(const struct split_conf *split, struct str name)
{
    for (size_t i = 0; i < split->entry_count; i++) {
        if (split->entries[i].level == SPLIT_LIST && str_eq(split->entries[i].name, name))
            return &split->entries[i];
    }
    return NULL;
}

static void compare_splits(const struct split_conf *before, const struct split_conf *after,
                           uint32_t share, shrink_report *report, void *arg)
{
    for (size_t i = 0; i < after->entry_count; i++) {
        const struct split_entry_conf *entry = &after->entries[i], *old;
        if (entry->level != SPLIT_LIST || (old = list_find(before, entry->name)) == NULL)
            continue;
        compare(entry->name, old->name_count, &entry->place, entry->name_count, share, report, arg);
    }
}

void config_compare_lists(const struct config *before, const struct config *after,
                          shrink_report *report, void *arg)
{
    uint32_t share = after->list_shrink_warning;

    if (after->wiki_place.file != NULL)
        compare(STR("wikis"), before->wiki_count, &after->wiki_place, after->wiki_count, share,
                report, arg);
    for (size_t i = 0; i < after->router_count; i++) {
        for (size_t j = 0; j < before->router_count; j++) {
            if (str_eq(before->routers[j].name, after->routers[i].name))
                compare_splits(&before->routers[j].split, &after->routers[i].split, share, report,
                               arg);
        }
    }
}
