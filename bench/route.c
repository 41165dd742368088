/* bench_route: what one decision costs, for tables of 10, 1,000 and 100,000 hosts, and what a host
 * costs in memory. The configuration is conf/edge.yaml with its list of closed wikis replaced by
 * one of so many hosts; the first row is conf/edge.yaml as it stands.
 *
 *     bench_route [conf/edge.yaml]
 *
 * A batch is BATCH decisions between two looks at the clock; median and p99 are over batches, so
 * p99 says how bad a bad moment is, not how long one slow decision takes. Hosts, paths and clients
 * are drawn before the clock starts, and the requests of a batch are looked at once more before it
 * does, as the parser would have done; the hosts of a row are all in the table, and mixed. */
#include "route/route.h"
#include "base/clock.h"
#include "config/config.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { REQUESTS = 1 << 16, BATCH = 64, BATCHES = 16384, COOKIE_BYTES = 4096 };

struct row {
    const char *name;
    size_t hosts; /* 0: the file as it is */
    bool debug, cookie;
};

static void die(const char *what)
{
    fprintf(stderr, "bench_route: %s\n", what);
    exit(1);
}

/* --- the configuration ----------------------------------------------------------------------- */

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 1 << 20);

    if (file == NULL || text == NULL || fread(text, 1, (1 << 20) - 1, file) == 0)
        die("cannot read the configuration");
    fclose(file);
    return text;
}

static size_t host_name(size_t i, char *out, size_t size)
{
    static const char *const families[] = {"wikipedia", "wiktionary", "wikibooks", "wikisource"};

    return (size_t)snprintf(out, size, "w%zx.%s.org", i * 7919, families[i % 4]);
}

static void write_hosts(const char *path, size_t count)
{
    FILE *file = fopen(path, "w");
    char name[64];

    if (file == NULL)
        die("cannot write the list of hosts");
    for (size_t i = 0; i < count; i++) {
        host_name(i, name, sizeof(name));
        fprintf(file, "%s\n", name);
    }
    fclose(file);
}

/* The text with the list of closed wikis replaced by `list`. */
static char *with_list(const char *text, const char *list)
{
    static const char marker[] = "lists/closed.txt, k8s: 100%";
    const char *at = strstr(text, marker);
    char *out = calloc(1, strlen(text) + 256);

    if (at == NULL || out == NULL)
        die("the configuration has no list of closed wikis");
    sprintf(out, "%.*s%s, k8s: 50%%%s", (int)(at - text), text, list, at + strlen(marker));
    return out;
}

static struct config *load(const char *path, const char *text)
{
    struct complaints complaints;
    char line[1024];

    complaints_init(&complaints);
    struct config *config = config_load_text(str_of(text), path, &complaints);
    for (size_t i = 0; config == NULL && i < complaints.count; i++)
        fprintf(stderr, "%s\n", complaint_line(&complaints.items[i], line, sizeof(line)));
    complaints_deinit(&complaints);
    if (config == NULL)
        die("the configuration does not load");
    return config;
}

/* --- requests -------------------------------------------------------------------------------- */

struct request {
    struct facts facts;
    char host[48];
};

/* As a browser sends them; none of these is one that a rule asks for, which is the usual case. */
static struct str field_absent(const void *arg UNUSED, struct str name UNUSED,
                               unsigned *from UNUSED)
{
    return (struct str){NULL, 0};
}

static struct str path_of(uint64_t dice)
{
    static const struct str paths[] = {
        STR_INIT("/wiki/Special:Search"),
        STR_INIT("/wiki/Earth"),
        STR_INIT("/wiki/List_of_cities_and_towns_in_Germany"),
        STR_INIT("/w/load.php?lang=en&modules=startup&only=scripts&raw=1&skin=vector-2022"),
        STR_INIT("/wiki/Talk:Main_Page"),
        STR_INIT("/w/api.php?action=query&format=json&prop=extracts&titles=Earth"),
        STR_INIT("/w/index.php?title=Earth&action=history"),
        STR_INIT("/w/rest.php/v1/page/Earth"),
    };
    return paths[dice % ARRAY_LEN(paths)];
}

static struct str big_cookie(void)
{
    static char text[COOKIE_BYTES + 128];
    size_t len = 0;

    for (int i = 0; len < COOKIE_BYTES - 64; i++)
        len += (size_t)sprintf(text + len, "enwikimwuser-pref%d=%032x; ", i, i * 40503);
    len += (size_t)sprintf(text + len, "WMF-Uniq=abcdefghijklmnopqrstuv");
    return str_make(text, len);
}

static struct request *make_requests(const struct row *row, const struct config *config)
{
    struct request *requests = calloc(REQUESTS, sizeof(*requests));
    const struct split_conf *split = &config->routers[0].split;
    struct str cookie = row->cookie ? big_cookie() : (struct str){NULL, 0};
    uint64_t dice = 1;

    if (requests == NULL)
        die("no memory");
    for (size_t i = 0; i < REQUESTS; i++) {
        struct request *request = &requests[i];
        size_t pick =
            (size_t)(rand_next(&dice) % (row->hosts > 0 ? row->hosts : split->host_count));
        size_t len = row->hosts > 0 ? host_name(pick, request->host, sizeof(request->host))
                                    : (size_t)snprintf(request->host, sizeof(request->host), "%.*s",
                                                       STR_FMT(split->hosts[pick].host));
        uint32_t client = (uint32_t)rand_next(&dice);
        request->facts = (struct facts){
            .method = STR("GET"),
            .host = str_make(request->host, MIN(len, sizeof(request->host) - 1)),
            .path = path_of(rand_next(&dice)),
            .cookie = cookie,
            .field = field_absent,
            .debug = row->debug ? STR("backend=k8s-experimental; log") : (struct str){NULL, 0},
            .has_debug = row->debug,
            .client_ip = {[10] = 0xff, [11] = 0xff},
            .random = rand_next(&dice),
        };
        memcpy(request->facts.client_ip + 12, &client, sizeof(client));
    }
    return requests;
}

/* --- measuring ------------------------------------------------------------------------------- */

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static volatile int sink;

static void measure(const struct row *row, const struct router *router,
                    const struct request *requests, double bytes_per_host)
{
    static double batches[BATCHES];
    double sum = 0;
    size_t at = 0;

    for (int i = 0; i < BATCHES; i++) {
        struct request batch[BATCH];
        for (int j = 0; j < BATCH; j++) {
            batch[j] = requests[at];
            batch[j].facts.host.ptr = batch[j].host;
            at = (at + 1) % REQUESTS;
        }
        int64_t start = now_ns();
        for (int j = 0; j < BATCH; j++)
            sink += route_decide(router, router_weights(router), &batch[j].facts).group;
        batches[i] = (double)(now_ns() - start) / BATCH;
        sum += batches[i];
    }
    qsort(batches, BATCHES, sizeof(*batches), compare);
    printf("%-22s %10.1f %10.1f %14.0f", row->name, batches[BATCHES / 2],
           batches[BATCHES - BATCHES / 100], 1e9 * BATCHES / sum);
    if (bytes_per_host > 0)
        printf(" %12.0f", bytes_per_host);
    printf("\n");
}

static size_t used_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* What configuration and router of `hosts` hosts take more than those of one host, for each. */
static void run(const char *path, const char *text, const char *list, const struct row *row,
                size_t *base_bytes)
{
    struct err err;
    char *changed = NULL;
    size_t before = used_bytes();

    if (row->hosts > 0) {
        write_hosts(list, row->hosts);
        changed = with_list(text, list);
    }
    size_t text_bytes = used_bytes() - before;
    struct config *config = load(path, changed != NULL ? changed : text);
    struct router *router = router_new(config, 0, &err);
    if (router == NULL)
        die(err.text);
    size_t bytes = used_bytes() - before - text_bytes;
    if (row->hosts == 10 && *base_bytes == 0)
        *base_bytes = bytes;
    struct request *requests = make_requests(row, config);
    measure(row, router, requests,
            row->hosts > 10 ? (double)(bytes - *base_bytes) / (double)(row->hosts - 10) : 0);
    free(requests);
    router_free(router);
    config_free(config);
    free(changed);
}

int main(int argc, char **argv)
{
    static const struct row rows[] = {
        {"edge.yaml", 0, false, false},
        {"edge.yaml debug", 0, true, false},
        {"edge.yaml cookie", 0, false, true},
        {"10 hosts", 10, false, false},
        {"1000 hosts", 1000, false, false},
        {"1000 hosts debug", 1000, true, false},
        {"1000 hosts cookie", 1000, false, true},
        {"100000 hosts", 100000, false, false},
        {"100000 hosts debug", 100000, true, false},
        {"100000 hosts cookie", 100000, false, true},
    };
    const char *path = argc > 1 ? argv[1] : "conf/edge.yaml";
    char list[] = "/tmp/weir-bench-hosts-XXXXXX";
    char *text = read_file(path);
    size_t base_bytes = 0;
    int fd = mkstemp(list);

    if (fd < 0)
        die("no place for the list of hosts");
    close(fd);
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    printf("%-22s %10s %10s %14s %12s\n", "", "median ns", "p99 ns", "decisions/s", "bytes/host");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        run(path, text, list, &rows[i], &base_bytes);
    unlink(list);
    free(text);
    return 0;
}
