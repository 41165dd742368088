/* weir demo: the edge of conf/demo.yaml with everything around it made here: five backends, a
 * certificate of its own, free ports. What it prints is meant to be pasted into another terminal.
 */
#include "cli/cli.h"
#include "cli/demo_backends.h"
#include "cli/demo_table.h"

#include "base/log.h"
#include "server/server.h"
#include "tls/server.h"

#include "weir/demo_yaml.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char help[] =
    "Usage: weir demo [--port PORT] [--seconds N] [--quiet]\n"
    "\n"
    "An edge with backends of its own (legacy, k8s and mw-debug) and a certificate made on the "
    "spot:\n"
    "prints where it listens and what to try, then shows how requests divide while they come.\n"
    "\n"
    "  -p, --port PORT    where to listen for HTTPS, on 127.0.0.1; default: a free port\n"
    "  -s, --seconds N    end after so many seconds; default: when interrupted\n"
    "  -q, --quiet        print only where it listens and what to try\n";

enum { TABLE_MS = 1000, LINE_MS = 3000, DEMO_CONNECTIONS = 1000 };

struct demo_options {
    unsigned port, seconds;
    bool is_quiet;
};

struct demo {
    struct demo_options options;
    struct demo_backends *backends; /* owns */
    char *chain_pem, *key_pem;      /* own */
    struct server *server;          /* owns */
    struct demo_table table;
    struct deadline show, end;
    bool is_tty, is_announced;
};

/* The backends, and the variable of conf/demo.yaml that says where each is. */
static const char *const backend_names[] = {"legacy-web", "legacy-api", "k8s-web", "k8s-api",
                                            "mw-debug"};
static const char *const backend_variables[] = {"WEIR_DEMO_LEGACY_WEB", "WEIR_DEMO_LEGACY_API",
                                                "WEIR_DEMO_K8S_WEB", "WEIR_DEMO_K8S_API",
                                                "WEIR_DEMO_MW_DEBUG"};

static const char *const certificate_names[] = {
    "localhost",       "*.wikipedia.org", "*.m.wikipedia.org", "*.wikibooks.org",  "*.wikidata.org",
    "*.wikimedia.org", "*.mediawiki.org", "*.wikinews.org",    "*.wiktionary.org",
};

/* --- arguments ------------------------------------------------------------------------------- */

static int parse_number(const char *name, const char *word, unsigned max, unsigned *number)
{
    uint64_t value;

    if (str_to_u64(str_of(word), &value) < 0 || value > max)
        return cli_usage_error("demo", "%s must be 0 to %u, got \"%s\"", name, max, word);
    *number = (unsigned)value;
    return 0;
}

/* 0, or the exit code + 1 when there is nothing to run. */
static int parse(int argc, char **argv, struct demo_options *options)
{
    static const struct option longs[] = {
        {"port", required_argument, NULL, 'p'},
        {"seconds", required_argument, NULL, 's'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option, rc = 0;

    opterr = 0;
    optind = 1;
    while (rc == 0 && (option = getopt_long(argc, argv, ":p:s:qh", longs, NULL)) != -1) {
        switch (option) {
        case 'p':
            rc = parse_number("the port", optarg, 65535, &options->port);
            break;
        case 's':
            rc = parse_number("the seconds", optarg, 7 * 86400, &options->seconds);
            break;
        case 'q':
            options->is_quiet = true;
            break;
        case 'h':
            fputs(help, stdout);
            return 1;
        case ':':
            rc = cli_usage_error("demo", "%s wants a value", argv[optind - 1]);
            break;
        default:
            rc = cli_usage_error("demo", "there is no option %s", argv[optind - 1]);
            break;
        }
    }
    if (rc == 0 && optind < argc)
        rc = cli_usage_error("demo", "what is \"%s\"?", argv[optind]);
    return rc == 0 ? 0 : rc + 1;
}

/* --- the configuration ----------------------------------------------------------------------- */

static void set_address(const char *variable, unsigned port)
{
    char address[32];

    snprintf(address, sizeof(address), "127.0.0.1:%u", port);
    setenv(variable, address, 1);
}

/* What conf/demo.yaml leaves open. */
static void set_variables(const struct demo *demo)
{
    for (unsigned i = 0; i < ARRAY_LEN(backend_names); i++)
        set_address(backend_variables[i], demo_backends_port(demo->backends, i));
    set_address("WEIR_DEMO_TLS", demo->options.port);
    set_address("WEIR_DEMO_PLAIN", 0);
    set_address("WEIR_DEMO_ADMIN", 0);
}

/* The certificate is in memory, and the access log would only cover the table. */
static void adapt(const struct demo *demo, struct config *config)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        struct tls_server_conf *tls = config->listeners[i].tls;
        for (size_t c = 0; tls != NULL && c < tls->certificate_count; c++) {
            struct certificate_conf *certificate = &tls->certificates[c];
            certificate->chain = certificate->key = STR("");
            certificate->chain_pem = str_of(demo->chain_pem);
            certificate->key_pem = str_of(demo->key_pem);
        }
    }
    config->access_log.enabled = false;
    config->max_connections = DEMO_CONNECTIONS;
}

static struct config *load(void *arg, struct complaints *complaints)
{
    struct config *config = config_load_text(str_of(demo_yaml), "demo.yaml", complaints);

    if (config != NULL)
        adapt(arg, config);
    return config;
}

/* --- what is shown --------------------------------------------------------------------------- */

static void print_commands(unsigned port)
{
    printf("  # a closed wiki: all of it is on k8s\n"
           "  curl -sk --resolve aa.wikipedia.org:%u:127.0.0.1 "
           "https://aa.wikipedia.org:%u/wiki/Main_Page\n\n",
           port, port);
    printf("  # 4 %% of the clients of the others are: how many of 200?\n"
           "  for i in $(seq 200); do curl -sk --resolve de.wikipedia.org:%u:127.0.0.1 \\\n"
           "    --header \"Cookie: WMF-Uniq=$i\" https://de.wikipedia.org:%u/wiki/Wehr; done | "
           "grep -c "
           "'k8s-web answered'\n\n",
           port, port);
    printf("  # a developer asks for mw-debug\n"
           "  curl -sk --resolve de.wikipedia.org:%u:127.0.0.1 --header 'X-Wikimedia-Debug: "
           "backend=k8s-experimental' https://de.wikipedia.org:%u/wiki/Wehr\n\n",
           port, port);
    printf("  # the API has servers of its own\n"
           "  curl -sk --resolve de.wikipedia.org:%u:127.0.0.1 "
           "'https://de.wikipedia.org:%u/w/api.php?action=query'\n\n",
           port, port);
    printf("  # the mobile site goes where its wiki goes\n"
           "  curl -sk --resolve aa.m.wikipedia.org:%u:127.0.0.1 "
           "https://aa.m.wikipedia.org:%u/wiki/Main_Page\n\n",
           port, port);
}

static unsigned port_of(const struct addr *addr)
{
    return addr != NULL ? addr_port(addr) : 0;
}

static void announce(const struct demo *demo)
{
    unsigned port = port_of(server_listener_address(demo->server, STR("tls")));

    printf("weir demo\n\n"
           "  https://127.0.0.1:%u    HTTP/1.1 and HTTP/2, certificate made just now\n"
           "  http://127.0.0.1:%u     the same without TLS\n"
           "  http://127.0.0.1:%u     admin: /metrics /ready /config/status\n\n"
           "Try in another terminal:\n\n",
           port, port_of(server_listener_address(demo->server, STR("plain"))),
           port_of(server_admin_address(demo->server)));
    print_commands(port);
    printf("Ctrl-C ends it.\n\n");
    fflush(stdout);
}

static void on_show(struct deadline *deadline)
{
    struct demo *demo = CONTAINER_OF(deadline, struct demo, show);

    if (!server_is_ready(demo->server)) {
        deadline_set(server_loop(demo->server), deadline, 20); /* not yet, or not any more */
        return;
    }
    if (!demo->is_announced)
        announce(demo);
    demo->is_announced = true;
    if (demo->options.is_quiet)
        return;
    if (demo->is_tty)
        demo_table_draw(&demo->table, stdout);
    else
        demo_table_line(&demo->table, stdout);
    deadline_set(server_loop(demo->server), deadline, demo->is_tty ? TABLE_MS : LINE_MS);
}

static void on_end(struct deadline *deadline)
{
    server_stop(CONTAINER_OF(deadline, struct demo, end)->server);
}

static void on_entry(void *arg, const struct access_entry *entry)
{
    demo_table_count(arg, entry);
}

/* --- life ------------------------------------------------------------------------------------ */

static int prepare(struct demo *demo, struct err *err)
{
    demo->backends = demo_backends_start(backend_names, ARRAY_LEN(backend_names), err);
    if (demo->backends == NULL)
        return -1;
    if (tls_self_signed(certificate_names, ARRAY_LEN(certificate_names), &demo->chain_pem,
                        &demo->key_pem, err) < 0)
        return -1;
    set_variables(demo);
    for (unsigned i = 0; i < ARRAY_LEN(backend_names); i++)
        demo_table_add_group(&demo->table, backend_names[i]);
    return 0;
}

static int run(struct demo *demo)
{
    struct loop *loop = server_loop(demo->server);

    if (server_start(demo->server) < 0)
        return 1;
    demo->is_tty = isatty(STDOUT_FILENO) == 1;
    deadline_init(&demo->show, on_show);
    deadline_init(&demo->end, on_end);
    deadline_set(loop, &demo->show, 0);
    if (demo->options.seconds > 0)
        deadline_set(loop, &demo->end, (int64_t)demo->options.seconds * 1000);
    int rc = server_run(demo->server);
    deadline_deinit(&demo->show);
    deadline_deinit(&demo->end);
    return rc;
}

static int fail(const struct err *err)
{
    char line[ERR_TEXT_MAX + 300];

    fprintf(stderr, "weir demo: %s\n", err_line(err, line, sizeof(line)));
    return 1;
}

int cli_demo(int argc, char **argv)
{
    static struct demo demo;
    const struct server_options options = {
        .source = load,
        .source_arg = &demo,
        .hangup_stops = true,
        .watch = on_entry,
        .watch_arg = &demo.table,
    };
    struct err err;
    int rc = parse(argc, argv, &demo.options);

    if (rc != 0)
        return rc - 1;
    log_set_level(LOG_LEVEL_WARN);      /* the table speaks for the rest */
    demo.server = server_new(&options); /* first: it blocks signals for all threads to come */
    rc = prepare(&demo, &err) < 0 ? fail(&err) : run(&demo);
    server_free(demo.server);
    demo_backends_stop(demo.backends);
    if (rc == 0 && !demo.options.is_quiet)
        demo_table_line(&demo.table, stdout);
    free(demo.chain_pem);
    free(demo.key_pem);
    return rc;
}
