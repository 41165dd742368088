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

static void add_entry(const struct router_conf *router, const struct split_entry_conf *entry,
                      struct text *out)
{
    const char *separator = "";
    char digits[12];

    text_add(out, "{\"level\": \"%s\", \"name\": ", level_words[entry->level]);
    text_add_json(out, entry->name);
    text_add_str(out, STR(", \"share\": {"));
    for (size_t s = 0; s < router->service_count; s++) {
        if (!router->services[s].is_split)
            continue;
        text_add(out, "%s", separator);
        text_add_json(out, router->services[s].name);
        struct str text = fraction(share_of_service(&entry->k8s, s), digits);
        text_add(out, ": %.*s", STR_FMT(text));
        separator = ", ";
    }
    text_add_str(out, STR("}}"));
}

void splits_print_status(const struct config *config, struct text *out)
{
    const char *separator = "";

    text_add_str(out, STR("{"));
    for (size_t i = 0; i < config->router_count; i++) {
        const struct router_conf *router = &config->routers[i];
        if (!has_split(router))
            continue;
        text_add(out, "%s\n    ", separator);
        text_add_json(out, router->name);
        text_add(out, ": {\"emergency\": \"%s\", \"entries\": [",
                 emergency_words[router->split.emergency]);
        for (size_t e = 0; e < router->split.entry_count; e++) {
            text_add(out, "%s", e > 0 ? ", " : "");
            add_entry(router, &router->split.entries[e], out);
        }
        text_add_str(out, STR("]}"));
        separator = ",";
    }
    text_add_str(out, STR("}"));
}

void splits_add(struct control_part *part, struct control *control)
{
    static const struct control_part_ops ops = {.name = "splits", .metrics = print};

    control_add(control, part, &ops);
}
