/* `split`: how much of each wiki is on k8s. Every host that is mentioned anywhere becomes a member;
 * sorted by host they show which entry is in force (host > list > default), and which entries
 * contradict or override each other. */
#include "config/fold.h"
#include "config/loader_impl.h"
#include "config/text_file.h"
#include "config/units.h"

#include <stdlib.h>

enum { ALIASES_MAX = 64, ENTRIES_MAX = 65536, GUESSES_MAX = 100 };

struct member {
    struct str host;
    struct place place;
    uint32_t entry;
    uint32_t order; /* as read: keeps sorting stable */
};

struct members {
    struct member *items; /* owns */
    size_t count, cap;
};

static void member_add(struct members *members, struct str host, struct place place, uint32_t entry)
{
    if (members->count == members->cap) {
        members->cap = members->cap > 0 ? members->cap * 2 : 256;
        members->items = mem_resize(members->items, members->cap * sizeof(*members->items));
    }
    members->items[members->count] = (struct member){host, place, entry, (uint32_t)members->count};
    members->count++;
}

/* --- shares ---------------------------------------------------------------------------------- */

static int load_share_of_service(struct loader *loader, const struct node *key,
                                 const struct node *node, uint32_t *by_service)
{
    const struct router_conf *router = loader->router;
    struct guess guess = guess_for(key->text);

    for (size_t i = 0; i < router->service_count; i++) {
        guess_try(&guess, router->services[i].name);
        if (str_eq(router->services[i].name, key->text))
            return load_share(loader, node, &by_service[i]);
    }
    if (loader->reader->is_incomplete)
        return -1;
    return complain(loader, key, "unknown service: \"%s\"%s", key->text.ptr,
                    guess_words(loader, &guess));
}

/* `4%`, or `{ default: 4%, api: 10% }` where services differ. */
static int load_k8s(struct loader *loader, const struct node *node, void *out)
{
    struct share_conf *share = out;
    int result = 0;

    share->place = node->place;
    if (node->kind != NODE_MAP)
        return load_share(loader, node, &share->share);
    const struct node *usual = node_find(node, "default");
    if (usual == NULL)
        return complain(loader, node, "\"default\" is missing: the share of the other services");
    if (load_share(loader, usual, &share->share) < 0)
        return -1;
    uint32_t *by_service = ARENA_NEW_N(loader->arena, uint32_t, loader->router->service_count + 1);
    for (size_t i = 0; i < loader->router->service_count; i++)
        by_service[i] = share->share;
    for (size_t i = 0; i < node->count; i++) {
        if (node->items[i] != usual &&
            load_share_of_service(loader, node->keys[i], node->items[i], by_service) < 0)
            result = -1;
    }
    share->by_service = by_service;
    return result;
}

static bool shares_equal(const struct loader *loader, const struct share_conf *a,
                         const struct share_conf *b)
{
    if (a->by_service == NULL && b->by_service == NULL)
        return a->share == b->share;
    for (size_t i = 0; i < loader->router->service_count; i++) {
        uint32_t left = a->by_service != NULL ? a->by_service[i] : a->share;
        uint32_t right = b->by_service != NULL ? b->by_service[i] : b->share;
        if (left != right)
            return false;
    }
    return true;
}

/* --- who is meant ---------------------------------------------------------------------------- */

static const struct wiki_conf *wiki_find(const struct config *config, struct str name)
{
    size_t low = 0, high = config->wiki_count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = str_cmp(config->wikis[middle].name, name);
        if (order == 0)
            return &config->wikis[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static int complain_wiki(struct loader *loader, struct place place, struct str name)
{
    struct guess guess = guess_for(name);

    if (loader->is_wiki_table_broken)
        return -1;
    if (!loader->has_wiki_table) {
        if (loader->tableless_count++ == 0) {
            loader->tableless_place = place;
            loader->tableless_name = arena_str(loader->arena, name);
        }
        return -1;
    }
    bool is_worth_it = loader->complaints->error_count < GUESSES_MAX; /* each looks at all wikis */
    for (size_t i = 0; is_worth_it && i < loader->config->wiki_count; i++)
        guess_try(&guess, loader->config->wikis[i].name);
    return complain_place(loader, place, "unknown wiki: \"%.*s\"%s", STR_FMT(name),
                          guess_words(loader, &guess));
}

/* A database name means its host, and its mobile host when folding would not find that. */
static int add_wiki(struct loader *loader, struct members *members, struct str name,
                    struct place place, uint32_t entry)
{
    const struct wiki_conf *wiki = wiki_find(loader->config, name);
    char folded[FOLD_MAX];

    if (wiki == NULL)
        return complain_wiki(loader, place, name);
    member_add(members, wiki->host, place, entry);
    if (wiki->mobile.len > 0 &&
        !str_eq(mobile_fold(&loader->router->split, wiki->mobile, folded), wiki->host))
        member_add(members, wiki->mobile, place, entry);
    return 0;
}

/* What has a dot is a host, everything else a database name. */
static int add_name(struct loader *loader, struct members *members, struct str name,
                    struct place place, uint32_t entry)
{
    if (str_find_char(name, '.') < 0 && (name.len == 0 || name.ptr[0] != '['))
        return add_wiki(loader, members, name, place, entry);
    if (!is_host_name(name))
        return complain_place(loader, place, "\"%.*s\" is not a host name%s", STR_FMT(name),
                              str_find_char(name, ':') >= 0 ? " (it is written without a port)"
                                                            : "");
    member_add(members, canonical_host(loader->arena, name), place, entry);
    return 0;
}

static int add_names(struct loader *loader, const struct node *node, struct members *members,
                     uint32_t entry)
{
    size_t count;
    struct node *const *items = node_items(&node, &count);
    int result = 0;

    for (size_t i = 0; i < count; i++) {
        if (!expect_scalar(loader, items[i], "a host or a database name") ||
            add_name(loader, members, items[i]->text, items[i]->place, entry) < 0)
            result = -1;
    }
    if (count == 0)
        return complain(loader, node, "at least one name is needed");
    return result;
}

static int add_list_file(struct loader *loader, const struct node *node, bool may_be_empty,
                         struct members *members, uint32_t entry)
{
    struct split_entry_conf *conf = &loader->router->split.entries[entry];
    struct text_items lines = {0};
    struct str text, line;
    int result = 0;

    if (!expect_scalar(loader, node, "the name of a list file"))
        return -1;
    if (reader_slurp(loader->reader, node->text, &node->place, &text, &lines.place.file) < 0)
        return -1;
    lines.rest = text;
    for (; text_items_next(&lines, &line); conf->name_count++) {
        if (add_name(loader, members, line, lines.place, entry) < 0)
            result = -1;
    }
    if (conf->name_count == 0 && !may_be_empty)
        return complain_empty(loader, node, lines.place.file);
    return result;
}

/* --- entries --------------------------------------------------------------------------------- */

/* `{ list: file, k8s: 100% }`, `{ hosts: [...], k8s: 0% }`, `{ wikis: [...], k8s: 0% }`. */
static int load_entry(struct loader *loader, const struct node *node, struct members *members)
{
    static const struct key keys[] = {
        {"list", load_ignored, 0, false},
        {"hosts", load_ignored, 0, false},
        {"wikis", load_ignored, 0, false},
        {"empty", load_empty, 0, false},
        {"k8s", load_k8s, offsetof(struct split_entry_conf, k8s), true},
    };
    struct split_conf *split = &loader->router->split;
    uint32_t index = (uint32_t)split->entry_count++;
    struct split_entry_conf *entry = &split->entries[index];
    int result = LOAD_KEYS(loader, node, keys, entry);

    entry->place = node->place;
    entry->level = SPLIT_HOST;
    entry->name = STR("hosts");
    if (node->kind != NODE_MAP)
        return -1;
    const struct node *list = node_find(node, "list");
    const struct node *hosts = node_find(node, "hosts");
    const struct node *wikis = node_find(node, "wikis");
    if ((list != NULL) + (hosts != NULL) + (wikis != NULL) != 1)
        return complain(loader, node, "an entry needs one of \"list\", \"hosts\" and \"wikis\"");
    if (list == NULL)
        return add_names(loader, hosts != NULL ? hosts : wikis, members, index) < 0 ? -1 : result;
    entry->level = SPLIT_LIST;
    entry->name = arena_str(loader->arena, list->text);
    bool may_be_empty = node_find(node, "empty") != NULL;
    return add_list_file(loader, list, may_be_empty, members, index) < 0 ? -1 : result;
}

static int load_entries(struct loader *loader, const struct node *node, struct members *members)
{
    size_t count;
    struct node *const *items = node_items(&node, &count);
    int result = 0;

    for (size_t i = 0; i < count; i++) {
        if (load_entry(loader, items[i], members) < 0)
            result = -1;
    }
    return result;
}

/* --- who wins -------------------------------------------------------------------------------- */

static const struct split_entry_conf *entry_of(const struct split_conf *split,
                                               const struct member *member)
{
    return &split->entries[member->entry];
}

/* qsort has no argument to pass the entries in, so the level travels with the member. */
struct sortable {
    struct member member;
    enum split_level level;
};

static int compare_members(const void *left, const void *right)
{
    const struct sortable *a = left, *b = right;
    int order = str_cmp(a->member.host, b->member.host);

    if (order != 0)
        return order;
    if (a->level != b->level)
        return a->level > b->level ? -1 : 1;
    return (a->member.order > b->member.order) - (a->member.order < b->member.order);
}

/* `other` came after `first` on the same level: the same share is untidy, another one is an
 * error. */
static void tell_twice(struct loader *loader, const struct member *first,
                       const struct member *other)
{
    const struct split_conf *split = &loader->router->split;
    const struct share_conf *a = &entry_of(split, first)->k8s, *b = &entry_of(split, other)->k8s;
    char before[SHARE_TEXT_MAX], after[SHARE_TEXT_MAX];

    share_format(a->share, before);
    share_format(b->share, after);
    if (shares_equal(loader, a, b))
        note_place(loader, other->place, "\"%s\" is listed twice at %s, first at %s:%d:%d",
                   other->host.ptr, after, first->place.file, first->place.line,
                   first->place.column);
    else
        complain_place(loader, other->place,
                       "\"%s\" has two different shares: %s here, %s at %s:%d:%d", other->host.ptr,
                       after, before, first->place.file, first->place.line, first->place.column);
}

static void tell_override(struct loader *loader, const struct member *winner,
                          const struct member *loser)
{
    const struct split_conf *split = &loader->router->split;
    const struct share_conf *a = &entry_of(split, winner)->k8s, *b = &entry_of(split, loser)->k8s;
    char now[SHARE_TEXT_MAX], was[SHARE_TEXT_MAX];

    if (shares_equal(loader, a, b))
        return;
    note_place(loader, winner->place, "\"%s\" is at %s, which overrides %s of list \"%s\" (%s:%d)",
               winner->host.ptr, share_format(a->share, now), share_format(b->share, was),
               entry_of(split, loser)->name.ptr, loser->place.file, loser->place.line);
}

static void settle_host(struct loader *loader, const struct sortable *items, size_t count)
{
    struct split_conf *split = &loader->router->split;
    const struct sortable *level = &items[0];

    split->hosts[split->host_count++] = (struct split_host_conf){
        .host = items[0].member.host,
        .place = items[0].member.place,
        .entry = items[0].member.entry,
    };
    for (size_t i = 1; i < count; i++) {
        if (items[i].level == level->level) {
            tell_twice(loader, &level->member, &items[i].member);
            continue;
        }
        level = &items[i];
        tell_override(loader, &items[0].member, &level->member);
    }
}

static void settle(struct loader *loader, const struct members *members)
{
    struct split_conf *split = &loader->router->split;
    size_t count = members->count;

    split->hosts = ARENA_NEW_N(loader->arena, struct split_host_conf, MAX(count, 1));
    if (count == 0)
        return;
    struct sortable *sorted = mem_new(count * sizeof(*sorted));
    for (size_t i = 0; i < count; i++)
        sorted[i] =
            (struct sortable){members->items[i], entry_of(split, &members->items[i])->level};
    qsort(sorted, count, sizeof(*sorted), compare_members);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count; end++) {
            if (!str_eq(sorted[end].member.host, sorted[i].member.host))
                break;
        }
        settle_host(loader, &sorted[i], end - i);
    }
    free(sorted);
}

/* --- aliases, the brake ---------------------------------------------------------------------- */

static int load_aliases(struct loader *loader, const struct node *node, void *out)
{
    struct split_conf *split = out;
    int result = 0;

    if (!expect_map(loader, node, "mobile hosts with the hosts they stand for"))
        return -1;
    if (node->count > ALIASES_MAX)
        return complain(loader, node, "more than %d mobile aliases", ALIASES_MAX);
    split->alias_count = 0;
    split->aliases = ARENA_NEW_N(loader->arena, struct mobile_alias_conf, MAX(node->count, 1));
    for (size_t i = 0; i < node->count; i++) {
        struct mobile_alias_conf *alias = &split->aliases[split->alias_count++];
        alias->place = node->keys[i]->place;
        if (load_host_name(loader, node->keys[i], &alias->mobile) < 0 ||
            load_host_name(loader, node->items[i], &alias->host) < 0)
            result = -1;
    }
    return result;
}

static int load_emergency(struct loader *loader, const struct node *node, void *out)
{
    static const char *const words[] = {"none", "all-legacy", "all-k8s"};
    int word = LOAD_WORD(loader, node, words);

    if (word < 0)
        return -1;
    *(enum emergency *)out = (enum emergency)word;
    if (word != EMERGENCY_NONE)
        note_place(loader, node->place, "the emergency brake is on: %s, whatever the shares say",
                   words[word]);
    return 0;
}

static int load_default(struct loader *loader, const struct node *node, void *out)
{
    struct split_conf *split = out;

    split->entries[0].place = node->place;
    return load_k8s(loader, node, &split->entries[0].k8s);
}

static void split_defaults(struct loader *loader, struct split_conf *split, size_t entries)
{
    static struct mobile_alias_conf aliases[] = {
        {{NULL, 0, 0}, STR_INIT("m.mediawiki.org"), STR_INIT("www.mediawiki.org")},
        {{NULL, 0, 0}, STR_INIT("m.wikidata.org"), STR_INIT("www.wikidata.org")},
        {{NULL, 0, 0}, STR_INIT("m.wikifunctions.org"), STR_INIT("www.wikifunctions.org")},
    };

    split->aliases = aliases;
    split->alias_count = ARRAY_LEN(aliases);
    split->entries = ARENA_NEW_N(loader->arena, struct split_entry_conf, entries + 1);
    split->entries[0].level = SPLIT_DEFAULT;
    split->entries[0].name = STR("default");
    split->entries[0].place = loader->router->place;
    split->entry_count = 1;
}

void complain_tableless(struct loader *loader)
{
    if (loader->tableless_count == 0)
        return;
    complain_place(loader, loader->tableless_place,
                   "\"%s\" is a database name (a host has a dot), and there is no \"wikis: FILE\" "
                   "that says which host it stands for (of %zu name%s in all)",
                   loader->tableless_name.ptr, loader->tableless_count,
                   loader->tableless_count == 1 ? "" : "s");
}

int load_split(struct loader *loader, const struct node *node, struct split_conf *split)
{
    static const struct key keys[] = {
        {"default", load_default, 0, false},
        {"wikis", load_ignored, 0, false},
        {"mobile_aliases", load_aliases, 0, false},
        {"emergency", load_emergency, offsetof(struct split_conf, emergency), false},
    };
    const struct node *wikis = node != NULL ? node_find(node, "wikis") : NULL;
    size_t count = 0;
    int result = 0;

    if (wikis != NULL)
        node_items(&wikis, &count);
    if (count > ENTRIES_MAX)
        return complain(loader, wikis, "more than %d entries", ENTRIES_MAX);
    split_defaults(loader, split, count);
    if (node == NULL)
        return 0;
    if (LOAD_KEYS(loader, node, keys, split) < 0)
        result = -1;
    struct members members = {0};
    if (wikis != NULL && load_entries(loader, wikis, &members) < 0)
        result = -1;
    settle(loader, &members);
    free(members.items);
    return result;
}
