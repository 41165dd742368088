/* The shares of every split, and the emergency switch, for the metrics page and the configuration
 * status. */
#include "control/splits.h"

static const char *const level_words[] = {
    [SPLIT_DEFAULT] = "default", [SPLIT_LIST] = "list", [SPLIT_HOST] = "host"};
static const char *const emergency_words[] = {[EMERGENCY_NONE] = "none",
                                              [EMERGENCY_ALL_LEGACY] = "all-legacy",
                                              [EMERGENCY_ALL_K8S] = "all-k8s"};

static bool has_split(const struct router_conf *router)
{
    for (size_t i = 0; i < router->service_count; i++) {
        if (router->services[i].is_split)
            return true;
    }
    return false;
}

static struct str fraction(uint32_t share, char digits[12])
{
    return str_make(digits, fraction_to_dec(share, digits));
}

/* The place keeps entries of hosts, which have no name of their own, apart. */
static void add_share(const struct router_conf *router, const struct split_entry_conf *entry,
                      struct str service, uint32_t share, struct text *out)
{
    char digits[12];
    struct text place = {0};

    text_add(&place, "%s:%d:%d", entry->place.file != NULL ? entry->place.file : "",
             entry->place.line, entry->place.column);
    const struct str labels[] = {router->name, str_of(level_words[entry->level]), entry->name,
                                 str_make(place.ptr, place.len), service};
    text_add_sample_text(out, METRIC_SPLIT_SHARE, labels, fraction(share, digits));
    text_free(&place);
}

static void add_shares(const struct router_conf *router, struct text *out)
{
    for (size_t i = 0; i < router->split.entry_count; i++) {
        const struct split_entry_conf *entry = &router->split.entries[i];
        for (size_t s = 0; s < router->service_count; s++) {
            if (router->services[s].is_split)
                add_share(router, entry, router->services[s].name, share_of_service(&entry->k8s, s),
                          out);
        }
    }
}

static void add_emergency(const struct router_conf *router, struct text *out)
{
    for (size_t i = 0; i < ARRAY_LEN(emergency_words); i++) {
        const struct str labels[] = {router->name, str_of(emergency_words[i])};
        text_add_sample(out, METRIC_SPLIT_EMERGENCY, labels,
                        router->split.emergency == (enum emergency)i);
    }
}

static void print(struct control_part *part, struct text *out)
{
    const struct config *config = control_conf(part->control)->config;

    text_add_metric(out, METRIC_SPLIT_SHARE);
    for (size_t i = 0; i < config->router_count; i++) {
        if (has_split(&config->routers[i]))
            add_shares(&config->routers[i], out);
    }
    text_add_metric(out, METRIC_SPLIT_EMERGENCY);
    for (size_t i = 0; i < config->router_count; i++) {
        if (has_split(&config->routers[i]))
            add_emergency(&config->routers[i], out);
    }
}

/* The exact decimal number: 0 and 1 are whole. */
static struct doc *share_doc(uint32_t share)
{
    return share % SHARE_MAX == 0 ? doc_int(share / SHARE_MAX)
                                  : doc_real((double)share / SHARE_MAX);
}

static struct doc *entry_doc(const struct router_conf *router, const struct split_entry_conf *entry)
{
    struct doc *doc = doc_object(), *shares = doc_object();

    doc_set(doc, STR("level"), doc_text(str_of(level_words[entry->level])));
    doc_set(doc, STR("name"), doc_text(entry->name));
    doc_set(doc, STR("share"), shares);
    for (size_t s = 0; s < router->service_count; s++) {
        if (router->services[s].is_split)
            doc_set(shares, router->services[s].name, share_doc(share_of_service(&entry->k8s, s)));
    }
    return doc;
}

struct doc *splits_status(const struct config *config)
{
    struct doc *doc = doc_object();

    for (size_t i = 0; i < config->router_count; i++) {
        const struct router_conf *router = &config->routers[i];
        if (!has_split(router))
            continue;
        struct doc *split = doc_object(), *entries = doc_list();
        doc_set(split, STR("emergency"),
                doc_text(str_of(emergency_words[router->split.emergency])));
        doc_set(split, STR("entries"), entries);
        for (size_t e = 0; e < router->split.entry_count; e++)
            doc_add(entries, entry_doc(router, &router->split.entries[e]));
        doc_set(doc, router->name, split);
    }
    return doc;
}

void splits_add(struct control_part *part, struct control *control)
{
    static const struct control_part_ops ops = {.name = "splits", .metrics = print};

    control_add(control, part, &ops);
}
