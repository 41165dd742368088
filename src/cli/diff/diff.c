/* weir diff: first what is written differently, then what that does to each host, then what it
 * would have done to the requests of a log. */
#include "cli/diff/diff.h"

#include "cli/cli.h"
#include "cli/complain.h"
#include "config/flat.h"

#include <getopt.h>
#include <stdlib.h>

enum { HOSTS_NAMED = 10, VALUE_SHOWN = 160, EXIT_TROUBLE = EXIT_USAGE };

static const char help[] =
    "Usage: weir diff [options] OLD.yaml NEW.yaml\n"
    "\n"
    "Shows what a new configuration changes: keys of the file, shares of hosts\n"
    "(before -> after, whatever list or default they come from), and with a log which of its\n"
    "requests would go elsewhere.\n"
    "\n"
    "  -l, --log FILE      an access log: weir's JSON or the combined format, with or without the\n"
    "                      virtual host in front; \"-\" is standard input\n"
    "      --host NAME     the host of log lines that have none\n"
    "  -r, --router NAME   the router whose requests the log has (default: the first)\n"
    "  -a, --all           name every host, not the first 10 of each kind\n"
    "      --json          print one JSON object, with every host\n"
    "  -h, --help          this page\n"
    "\n"
    "Exit status: 0 nothing changes, 1 something does, 2 a file could not be read.\n";

struct options {
    const char *old, *new, *log, *router;
    struct str host;
    bool shows_all, is_json;
};

/* One of the two. */
struct side_conf {
    struct config *config; /* owns */
    struct flat *flat;     /* owns */
};

/* --- the command line ------------------------------------------------------------------------ */

static int parse_options(int argc, char **argv, struct options *options)
{
    enum { OPTION_HOST = 256, OPTION_JSON };
    static const struct option longs[] = {
        {"log", required_argument, NULL, 'l'},
        {"host", required_argument, NULL, OPTION_HOST},
        {"router", required_argument, NULL, 'r'},
        {"all", no_argument, NULL, 'a'},
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    opterr = 0;
    optind = 0;
    while ((option = getopt_long(argc, argv, ":l:r:ah", longs, NULL)) != -1) {
        switch (option) {
        case 'l':
            options->log = optarg;
            break;
        case OPTION_HOST:
            options->host = str_of(optarg);
            break;
        case 'r':
            options->router = optarg;
            break;
        case 'a':
            options->shows_all = true;
            break;
        case OPTION_JSON:
            options->is_json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            return cli_option_error("diff", argv, option);
        }
    }
    if (argc - optind != 2)
        return cli_usage_error("diff", "expected two arguments, OLD and NEW, got %d",
                               argc - optind);
    options->old = argv[optind];
    options->new = argv[optind + 1];
    return -1;
}

/* --- keys ------------------------------------------------------------------------------------ */

/* Shares are reported by their effect on hosts. */
static bool is_share(struct str path)
{
    ptrdiff_t split = str_find(path, STR(".split."));

    if (!str_starts(path, STR("routers.")) || split < 0)
        return false;
    struct str rest = str_skip(path, (size_t)split + 7);
    return str_starts(rest, STR("wikis")) || str_starts(rest, STR("default")) ||
           str_starts(rest, STR("emergency"));
}

/* What no decision depends on. */
static bool is_beside_routing(struct str path)
{
    static const struct str beside[] = {
        STR_INIT("admin"),         STR_INIT("access_log"),  STR_INIT("workers"),
        STR_INIT("drain_timeout"), STR_INIT("drain_grace"), STR_INIT("max_connections"),
        STR_INIT("dns_"),          STR_INIT("listeners"),
    };

    for (size_t i = 0; i < ARRAY_LEN(beside); i++) {
        if (str_starts(path, beside[i]))
            return true;
    }
    return false;
}

static bool is_order(const struct flat_item *item)
{
    return str_ends(item->path, STR("[]"));
}

static void print_value(struct str value)
{
    printf("%.*s%s", (int)MIN(value.len, (size_t)VALUE_SHOWN), value.ptr,
           value.len > VALUE_SHOWN ? "…" : "");
}

static void print_one(char sign, const struct flat_item *item)
{
    if (is_order(item))
        return; /* of a list that is there as a whole or not at all */
    printf("  %c %.*s", sign, STR_FMT(item->path));
    if (item->value.len > 0) {
        printf(": ");
        print_value(item->value);
    }
    printf("  (%s:%d)\n", item->place.file, item->place.line);
}

static void print_changed(const struct flat_item *old, const struct flat_item *new)
{
    if (is_order(new)) {
        printf("  ~ %.*s: the list or its order  (%s:%d)\n", (int)new->path.len - 2, new->path.ptr,
               new->place.file, new->place.line);
        return;
    }
    printf("  ~ %.*s: ", STR_FMT(new->path));
    print_value(old->value);
    printf(" -> ");
    print_value(new->value);
    printf("  (%s:%d)\n", new->place.file, new->place.line);
}

struct key_changes {
    size_t shown;
    bool routing, buckets; /* something beside shares that decides, or that draws buckets */
    struct text *json;     /* gets objects, separated by commas; NULL: printed */
};

static void add_key(struct text *json, const struct flat_item *old, const struct flat_item *new)
{
    const struct flat_item *item = new != NULL ? new : old;
    const char *what = old == NULL ? "added" : new == NULL ? "removed" : "changed";

    text_add(json, "%s{\"change\":\"%s\"", json->len > 0 ? "," : "", what);
    diff_json_str(json, "key", item->path);
    if (old != NULL)
        diff_json_str(json, "before", old->value);
    if (new != NULL)
        diff_json_str(json, "after", new->value);
    diff_json_str(json, "file", str_of(item->place.file));
    text_add(json, ",\"line\":%d}", item->place.line);
}

static void key_changed(struct key_changes *changes, const struct flat_item *old,
                        const struct flat_item *new)
{
    ASSERT(old != NULL || new != NULL);
    struct str path = old != NULL ? old->path : new->path;

    if (is_share(path))
        return;
    if (changes->shown++ == 0 && changes->json == NULL)
        printf("keys (- before, + after, ~ changed):\n");
    changes->routing = changes->routing || !is_beside_routing(path);
    changes->buckets = changes->buckets || str_find(path, STR(".sticky")) >= 0;
    if (changes->json != NULL)
        add_key(changes->json, old, new);
    else if (old == NULL)
        print_one('+', new);
    else if (new == NULL)
        print_one('-', old);
    else
        print_changed(old, new);
}

/* Both lists are sorted by path. */
static struct key_changes diff_keys(const struct flat *old, const struct flat *new,
                                    struct text *json)
{
    struct key_changes changes = {.json = json};
    size_t i = 0, j = 0;

    while (i < old->count || j < new->count) {
        int order = i == old->count   ? 1
                    : j == new->count ? -1
                                      : str_cmp(old->items[i].path, new->items[j].path);
        const struct flat_item *before = order <= 0 ? &old->items[i++] : NULL;
        const struct flat_item *after = order >= 0 ? &new->items[j++] : NULL;
        if (order != 0 || !str_eq(before->value, after->value))
            key_changed(&changes, before, after);
    }
    return changes;
}

/* --- shares and requests --------------------------------------------------------------------- */

/* The configuration was loaded without errors, so its routers compile. */
static struct router *compiled(const struct config *config, size_t router)
{
    struct err err;
    struct router *made = router_new(config, router, &err);

    ASSERT(made != NULL);
    return made;
}

static size_t diff_router(const struct config *old, size_t i, const struct config *new, size_t j,
                          size_t max_hosts, struct text *json)
{
    struct router *routers[] = {compiled(old, i), compiled(new, j)};
    const struct weighing before = {old, &old->routers[i], routers[0]};
    const struct weighing after = {new, &new->routers[j], routers[1]};
    size_t changed = diff_shares(stdout, &before, &after, max_hosts, json);

    router_free(routers[0]);
    router_free(routers[1]);
    return changed;
}

static size_t diff_all_shares(const struct config *old, const struct config *new, bool shows_all,
                              struct text *json)
{
    size_t changed = 0;

    for (size_t i = 0; i < old->router_count; i++) {
        for (size_t j = 0; j < new->router_count; j++) {
            if (str_eq(old->routers[i].name, new->routers[j].name))
                changed += diff_router(old, i, new, j, shows_all ? SIZE_MAX : HOSTS_NAMED, json);
        }
    }
    return changed;
}

static int64_t replay(const struct options *options, const struct side_conf sides[2],
                      const struct key_changes *keys, struct text *json)
{
    struct diff_log_options log = {
        .json = json,
        .file = options->log,
        .host = options->host,
        .only_shares = !keys->routing,
        .same_buckets = !keys->buckets,
    };
    struct judge before = {0}, after = {0};
    struct err err = {0};
    int64_t moved = -1;

    if (judge_init(&before, sides[0].config, options->router, &err) < 0 ||
        judge_init(&after, sides[1].config, options->router, &err) < 0)
        fprintf(stderr, "weir diff: %s\n", err.text);
    else
        moved = diff_log(stdout, &before, &after, &log);
    judge_deinit(&before);
    judge_deinit(&after);
    return moved;
}

/* --- the whole ------------------------------------------------------------------------------- */

static int side_load(struct side_conf *side, const char *path)
{
    struct complaints complaints;

    side->config = config_load_or_complain(path);
    if (side->config == NULL)
        return -1;
    complaints_init(&complaints);
    side->flat = flat_load(path, &complaints);
    complaints_print(&complaints);
    complaints_deinit(&complaints);
    return side->flat != NULL ? 0 : -1;
}

/* The parts of the JSON object; all NULL when a person reads. */
struct parts {
    struct text *keys, *shares, *log;
};

/* 0 nothing changes, 1 something does, EXIT_TROUBLE. */
static int diff(const struct options *options, const struct side_conf sides[2], struct parts parts)
{
    struct key_changes keys = diff_keys(sides[0].flat, sides[1].flat, parts.keys);
    size_t shares =
        diff_all_shares(sides[0].config, sides[1].config, options->shows_all, parts.shares);
    int64_t moved = options->log != NULL ? replay(options, sides, &keys, parts.log) : 0;

    if (moved < 0)
        return EXIT_TROUBLE;
    return keys.shown > 0 || shares > 0 || moved > 0 ? 1 : 0;
}

static int diff_for_person(const struct options *options, const struct side_conf sides[2])
{
    int status = diff(options, sides, (struct parts){NULL, NULL, NULL});

    if (status == 0)
        printf("nothing changes\n");
    return status;
}

static int diff_as_json(const struct options *options, const struct side_conf sides[2])
{
    struct text keys = {0}, shares = {0}, log = {0};
    int status = diff(options, sides, (struct parts){&keys, &shares, &log});

    if (status != EXIT_TROUBLE)
        printf("{\"changes\":%s,\"keys\":[%.*s],\"shares\":[%.*s],\"log\":%.*s}\n",
               status == 1 ? "true" : "false", STR_FMT(str_make(keys.ptr, keys.len)),
               STR_FMT(str_make(shares.ptr, shares.len)),
               STR_FMT(log.len > 0 ? str_make(log.ptr, log.len) : STR("null")));
    text_free(&keys);
    text_free(&shares);
    text_free(&log);
    return status;
}

int cli_diff(int argc, char **argv)
{
    struct options options = {.host = {"", 0}};
    struct side_conf sides[2] = {{0}};
    int status = parse_options(argc, argv, &options);

    if (status >= 0)
        return status;
    status = EXIT_TROUBLE;
    if (side_load(&sides[0], options.old) == 0 && side_load(&sides[1], options.new) == 0)
        status = options.is_json ? diff_as_json(&options, sides) : diff_for_person(&options, sides);
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        config_free(sides[i].config);
        flat_free(sides[i].flat);
    }
    return status;
}
