/* weir demo: the edge of conf/demo.yaml with everything around it made here: five backends, a
 * certificate of its own, free ports. It runs from files in a directory of its own, so that a
 * change of them can be tried, and what it prints is meant to be pasted into another terminal. */
#include "cli/cli.h"
#include "cli/demo/demo_backends.h"
#include "cli/demo/demo_files.h"
#include "cli/demo/demo_table.h"

#include "base/log.h"
#include "server/server.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char help[] =
    "Usage: weir demo [--port PORT] [--seconds N] [--quiet]\n"
    "       weir demo --write DIR\n"
    "\n"
    "An edge with backends of its own (legacy, k8s and mw-debug) and a certificate made on the "
    "spot:\n"
    "prints where it listens and what to try, then shows how requests divide while they come. Its\n"
    "configuration is a file, whose name it prints: change it, and SIGHUP reloads it.\n"
    "\n"
    "  -p, --port PORT    where to listen for HTTPS, on 127.0.0.1; default: a free port\n"
    "  -s, --seconds N    end after so many seconds; default: when interrupted\n"
    "  -q, --quiet        print only where it listens and what to try\n"
    "  -w, --write DIR    write the files of the demo into DIR, for weir check and weir run, and "
    "end:\n"
    "                     configuration, list, certificate, key, and a configuration that serves\n"
    "                     the backends; files that exist are not overwritten\n"
    "  -h, --help         this page\n";

enum { TABLE_MS = 1000, LINE_MS = 3000, DEMO_CONNECTIONS = 1000 };

struct demo_options {
    unsigned port, seconds;
    bool is_quiet;
    const char *directory; /* --write; NULL */
};

struct demo {
    struct demo_options options;
    char directory[DEMO_PATH_MAX];  /* of its files; "" = none yet */
    struct demo_backends *backends; /* owns */
    struct server *server;          /* owns */
    pthread_mutex_t table_mutex;    /* the log thread counts, the control thread shows */
    struct demo_table table;
    struct deadline show, end;
    bool is_tty;
    bool has_terminal; /* at the start: when it goes, the demo ends */
};

/* The backends, and the variable of conf/demo.yaml that says where each is. */
static const char *const backend_names[] = {"legacy-web", "legacy-api", "k8s-web", "k8s-api",
                                            "mw-debug"};
static const char *const backend_variables[] = {"WEIR_DEMO_LEGACY_WEB", "WEIR_DEMO_LEGACY_API",
                                                "WEIR_DEMO_K8S_WEB", "WEIR_DEMO_K8S_API",
                                                "WEIR_DEMO_MW_DEBUG"};

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
        {"port", required_argument, NULL, 'p'}, {"seconds", required_argument, NULL, 's'},
        {"quiet", no_argument, NULL, 'q'},      {"write", required_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0},
    };
    int option, rc = 0;

    opterr = 0;
    optind = 1;
    while (rc == 0 && (option = getopt_long(argc, argv, ":p:s:qw:h", longs, NULL)) != -1) {
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
        case 'w':
            options->directory = optarg;
            break;
        case 'h':
            fputs(help, stdout);
            return 1;
        default:
            rc = cli_option_error("demo", argv, option);
            break;
        }
    }
    if (rc == 0 && optind < argc)
        rc = cli_usage_error("demo", "unexpected argument \"%s\"", argv[optind]);
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

static void path_of(const struct demo *demo, char *path)
{
    snprintf(path, DEMO_PATH_MAX, "%.4000s/demo.yaml", demo->directory);
}

/* The access log would only cover the table. */
static struct config *load(void *arg, struct complaints *complaints)
{
    char path[DEMO_PATH_MAX];

    path_of(arg, path);
    struct config *config = config_load(path, complaints);
    if (config != NULL) {
        config->access_log.enabled = false;
        config->max_connections = DEMO_CONNECTIONS;
    }
    return config;
}

/* --- what is shown --------------------------------------------------------------------------- */

/* All of it, with the table below, fits a terminal of 80 columns and 24 lines. */
static void print_commands(unsigned port)
{
    char curl[64];

    snprintf(curl, sizeof(curl), "curl -sk --connect-to ::127.0.0.1:%u", port);
    printf("Try in another terminal (a closed wiki, 4 %% of a split, debug, API, mobile):\n");
    printf("  %s https://aa.wikipedia.org/wiki/X\n", curl);
    printf("  for i in $(seq 200); do %s \\\n"
           "    -b WMF-Uniq=$i https://de.wikipedia.org/wiki/X; done | grep -c 'k8s-web a'\n",
           curl);
    printf("  %s -H 'X-Wikimedia-Debug: 1' \\\n    https://de.wikipedia.org/wiki/X\n", curl);
    printf("  %s https://de.wikipedia.org/w/api.php\n", curl);
    printf("  %s https://aa.m.wikipedia.org/wiki/X\n", curl);
}

static unsigned port_of(const struct addr *addr)
{
    return addr != NULL ? addr_port(addr) : 0;
}

static void announce(const struct demo *demo)
{
    unsigned port = port_of(server_listener_address(demo->server, STR("tls")));
    char path[DEMO_PATH_MAX];

    path_of(demo, path);
    printf("weir demo: https://127.0.0.1:%u and http://127.0.0.1:%u; Ctrl-C ends it\n", port,
           port_of(server_listener_address(demo->server, STR("plain"))));
    printf("admin: http://127.0.0.1:%u/metrics, /ready, /config/status\n",
           port_of(server_admin_address(demo->server)));
    printf("configuration: %s; reload it with: kill -HUP %d\n", path, (int)getpid());
    print_commands(port);
    printf("\n");
    fflush(stdout);
}

static void on_show(struct deadline *deadline)
{
    struct demo *demo = CONTAINER_OF(deadline, struct demo, show);

    if (!server_is_ready(demo->server))
        return; /* it ends */
    pthread_mutex_lock(&demo->table_mutex);
    if (demo->is_tty)
        demo_table_draw(&demo->table, stdout);
    else
        demo_table_line(&demo->table, stdout);
    pthread_mutex_unlock(&demo->table_mutex);
    deadline_set(server_loop(demo->server), deadline, demo->is_tty ? TABLE_MS : LINE_MS);
}

static void on_ready(void *arg)
{
    struct demo *demo = arg;

    announce(demo);
    if (!demo->options.is_quiet)
        deadline_set(server_loop(demo->server), &demo->show, 0);
}

static void on_end(struct deadline *deadline)
{
    server_stop(CONTAINER_OF(deadline, struct demo, end)->server);
}

static void on_entry(void *arg, const struct access_entry *entry)
{
    struct demo *demo = arg;

    pthread_mutex_lock(&demo->table_mutex);
    demo_table_count(&demo->table, entry);
    pthread_mutex_unlock(&demo->table_mutex);
}

/* --- life ------------------------------------------------------------------------------------ */

/* A process without a terminal cannot open this. */
static bool has_terminal(void)
{
    int fd = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* SIGHUP reloads, but it also comes when the terminal is closed. */
static bool terminal_is_gone(void *arg)
{
    const struct demo *demo = arg;

    return demo->has_terminal && !has_terminal();
}

/* Whether the port can be had for ourselves: other weirs would share theirs (SO_REUSEPORT). */
static int try_bind(const struct addr *addr)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    int result = bind(fd, &addr->sa, addr->len);
    int saved = errno;
    close(fd);
    errno = saved;
    return result;
}

/* Looked at here, because the server would report a line of a file that its user did not write. */
static int check_port(const struct demo *demo, struct err *err)
{
    char text[32];
    struct addr addr;

    snprintf(text, sizeof(text), "127.0.0.1:%u", demo->options.port);
    if (demo->options.port == 0 || addr_parse(str_of(text), &addr) < 0 || try_bind(&addr) == 0)
        return 0;
    return err_set(err,
                   "cannot listen on %s: %s; choose another port with --port PORT (without "
                   "it, a free one is taken)",
                   text, strerror(errno));
}

static int prepare(struct demo *demo, struct err *err)
{
    if (check_port(demo, err) < 0)
        return -1;
    demo->backends = demo_backends_start(backend_names, ARRAY_LEN(backend_names), err);
    if (demo->backends == NULL || demo_files_make_directory(demo->directory, err) < 0 ||
        demo_files_write(demo->directory, err) < 0)
        return -1;
    set_variables(demo);
    for (unsigned i = 0; i < ARRAY_LEN(backend_names); i++)
        demo_table_add_group(&demo->table, backend_names[i]);
    return 0;
}

static int run(struct demo *demo)
{
    struct loop *loop = server_loop(demo->server);

    deadline_init(&demo->show, on_show);
    deadline_init(&demo->end, on_end);
    demo->is_tty = isatty(STDOUT_FILENO) == 1;
    if (server_start(demo->server) < 0)
        return 1;
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

/* --write */
static int write_files(const char *directory)
{
    struct err err;

    if (demo_files_write(directory, &err) < 0)
        return fail(&err);
    printf("The demo is in %s. To run it, with its backends:\n\n"
           "  weir run -c %s/demo-backends.yaml &\n"
           "  weir run -c %s/demo.yaml &\n"
           "  curl -sk --connect-to ::127.0.0.1:8443 https://aa.wikipedia.org/wiki/X\n\n"
           "After a change:\n\n"
           "  weir check -c %s/demo.yaml && kill -HUP %%2\n",
           directory, directory, directory, directory);
    return 0;
}

int cli_demo(int argc, char **argv)
{
    static struct demo demo = {.table_mutex = PTHREAD_MUTEX_INITIALIZER};
    const struct server_options options = {
        .source = load,
        .source_arg = &demo,
        .hangup_is_end = terminal_is_gone,
        .hangup_arg = &demo,
        .ready = on_ready,
        .ready_arg = &demo,
        .watch = on_entry,
        .watch_arg = &demo,
    };
    struct err err;
    int rc = parse(argc, argv, &demo.options);

    if (rc != 0)
        return rc - 1;
    if (demo.options.directory != NULL)
        return write_files(demo.options.directory);
    demo.has_terminal = has_terminal();
    log_set_level(LOG_LEVEL_ERROR);     /* the table speaks for the rest */
    demo.server = server_new(&options); /* first: it blocks signals for all threads to come */
    rc = prepare(&demo, &err) < 0 ? fail(&err) : run(&demo);
    server_free(demo.server);
    demo_backends_stop(demo.backends);
    if (demo.directory[0] != '\0')
        demo_files_remove(demo.directory);
    if (rc == 0 && !demo.options.is_quiet)
        demo_table_line(&demo.table, stdout);
    return rc;
}
