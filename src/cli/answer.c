/* Half a million of these a second: everything that can be known before is quoted before, the rest
 * is copied into room that was made once. */
#include "cli/answer.h"

#include "config/units.h"

#include <stdlib.h>

enum { NUMBERS_ROOM = 128 }; /* status, share and bucket with their keys */

struct names {
    struct str *items; /* [0]: null; then one for each index */
};

struct answer_names {
    struct arena arena;
    struct names services, groups, datacenters, rules, sides, whys, dc_whys, primary_ifs;
    struct names *targets; /* one for each group */
    size_t longest;        /* no line takes more, NUMBERS_ROOM aside */
};

/* --- names ----------------------------------------------------------------------------------- */

static struct str quoted(struct answer_names *names, const char *key, const struct str *value)
{
    struct text text = {0};

    text_add(&text, ",\"%s\":", key);
    if (value != NULL)
        text_add_json(&text, *value);
    else
        text_add(&text, "null");
    struct str kept = arena_str(&names->arena, str_make(text.ptr, text.len));
    text_free(&text);
    return kept;
}

static struct names names_room(struct answer_names *names, const char *key, size_t count)
{
    struct names made = {ARENA_NEW_N(&names->arena, struct str, count + 1)};

    made.items[0] = quoted(names, key, NULL);
    return made;
}

/* `first` is the name of the first of `count` items of `size` bytes. */
static struct names names_of(struct answer_names *names, const char *key, const struct str *first,
                             size_t count, size_t size)
{
    struct names made = names_room(names, key, count);

    for (size_t i = 0; i < count; i++)
        made.items[i + 1] = quoted(names, key, (const void *)((const char *)first + i * size));
    return made;
}
#define NAMES_OF(names, key, items, count)                                                         \
    names_of((names), (key), (count) > 0 ? &(items)[0].name : NULL, (count), sizeof((items)[0]))

static void sides_and_whys(struct answer_names *names)
{
    names->sides = names_room(names, "side", SIDE_K8S);
    for (enum side side = SIDE_LEGACY; side <= SIDE_K8S; side++) {
        struct str word = str_of(side_word(side));
        names->sides.items[side] = quoted(names, "side", &word);
    }
    names->whys = names_room(names, "why", WHY_COUNT);
    for (unsigned why = 0; why < WHY_COUNT; why++) {
        struct str word = str_of(why_word((enum why)why));
        names->whys.items[why] = quoted(names, "why", &word);
    }
    names->dc_whys = names_room(names, "dc_why", DC_WHY_COUNT);
    for (unsigned why = 0; why < DC_WHY_COUNT; why++) {
        struct str word = str_of(dc_why_word((enum dc_why)why));
        names->dc_whys.items[why] = quoted(names, "dc_why", &word);
    }
}

static size_t longest_of(struct names names, size_t count)
{
    size_t longest = 0;

    for (size_t i = 0; i <= count; i++)
        longest = MAX(longest, names.items[i].len);
    return longest;
}

struct answer_names *answer_names_new(const struct judge *judge)
{
    const struct config *config = judge->config;
    const struct router_conf *conf = judge->conf;
    struct answer_names *names = mem_new(sizeof(*names));
    size_t longest_target = 0;

    arena_init(&names->arena, NULL);
    names->services = NAMES_OF(names, "service", conf->services, conf->service_count);
    names->rules = NAMES_OF(names, "rule", conf->rules, conf->rule_count);
    names->primary_ifs =
        NAMES_OF(names, "primary_if", conf->multi_dc.primary_if, conf->multi_dc.primary_if_count);
    names->groups = NAMES_OF(names, "group", config->groups, config->group_count);
    names->datacenters = names_of(names, "datacenter", config->datacenters.names,
                                  config->datacenters.count, sizeof(struct str));
    names->targets = ARENA_NEW_N(&names->arena, struct names, config->group_count + 1);
    names->targets[0] = names_room(names, "target", 0);
    for (size_t i = 0; i < config->group_count; i++) {
        const struct group_conf *group = &config->groups[i];
        names->targets[i + 1] = NAMES_OF(names, "target", group->targets, group->target_count);
        longest_target =
            MAX(longest_target, longest_of(names->targets[i + 1], group->target_count));
    }
    sides_and_whys(names);
    names->longest = longest_of(names->services, conf->service_count) +
                     longest_of(names->rules, conf->rule_count) +
                     longest_of(names->groups, config->group_count) +
                     longest_of(names->primary_ifs, conf->multi_dc.primary_if_count) +
                     longest_of(names->dc_whys, DC_WHY_COUNT - 1) +
                     longest_of(names->datacenters, config->datacenters.count) + longest_target +
                     longest_of(names->sides, SIDE_K8S) + longest_of(names->whys, WHY_COUNT - 1) +
                     NUMBERS_ROOM;
    return names;
}

void answer_names_free(struct answer_names *names)
{
    if (names == NULL)
        return;
    arena_reset(&names->arena);
    free(names);
}

/* --- the line -------------------------------------------------------------------------------- */

static char *put(char *out, struct str text)
{
    memcpy(out, text.ptr, text.len);
    return out + text.len;
}

static char *put_number(char *out, struct str key, bool is_set, uint64_t value)
{
    out = put(out, key);
    return is_set ? out + u64_to_dec(value, out) : put(out, STR("null"));
}

void answer_json(const struct answer_names *names, const struct decision *decision,
                 struct text *text)
{
    char *out = text_room(text, names->longest);

    out = put_number(out, STR("{\"status\":"), decision->status > 0, (uint64_t)decision->status);
    out = put(out, names->services.items[decision->service + 1]);
    out = put(out, names->sides.items[decision->side]);
    out = put(out, names->groups.items[decision->group + 1]);
    out = put(out, names->targets[decision->group + 1].items[decision->target + 1]);
    out = put(out, names->datacenters.items[decision->datacenter + 1]);
    out = put(out, STR(",\"share\":"));
    if (decision_has_share(decision))
        out += fraction_to_dec(decision->share, out);
    else
        out = put(out, STR("null"));
    out = put_number(out, STR(",\"bucket\":"), decision_has_bucket(decision), decision->bucket);
    out = put(out, names->rules.items[decision->rule + 1]);
    out = put(out, names->whys.items[decision->why]);
    out = put(out, names->dc_whys.items[decision->dc_why]);
    out = put(out, names->primary_ifs.items[decision->dc_rule + 1]);
    out = put(out, STR("}\n"));
    text->len = (size_t)(out - text->ptr);
}

void answer_error(struct text *out, const char *error)
{
    text_add(out, "{\"error\":");
    text_add_json(out, str_of(error));
    text_add(out, "}\n");
}
