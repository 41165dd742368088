/* weir run: the proxy. */
#include "cli/cli.h"

#include "base/base.h"
#include "base/log.h"
#include "base/str.h"
#include "server/server.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "Usage: weir run -c FILE [-w N] [--log-level LEVEL]\n"
    "\n"
    "Runs the proxy in the foreground, as FILE says; weir.yaml(5) describes it.\n"
    "\n"
    "  -c, --config FILE       the configuration\n"
    "  -w, --workers N         worker threads; default: `workers` in FILE, else the CPU quota\n"
    "      --log-level LEVEL   error, warn, info (default) or debug\n"
    "\n"
    "Signals:\n"
    "  SIGHUP            load FILE again and reopen the access log. A configuration with an error\n"
    "                    changes nothing: the log says what is wrong, the old one stays in force\n"
    "  SIGTERM, SIGINT,  end gracefully: /ready says no, new connections are refused after\n"
    "  SIGQUIT           drain_grace, what is in flight finishes within drain_timeout; a second\n"
    "                    one ends at once\n"
    "  SIGUSR1           reopen the access log\n"
    "\n"
    "The process log goes to standard error, the access log where FILE says. With errors in FILE,\n"
    "all of them are printed, nothing is started, and the exit code is 1.\n";

struct run_options {
    const char *config;
    unsigned workers;
};

static int parse_level(const char *word)
{
    static const char *const words[] = {"error", "warn", "info", "debug"};

    for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
        if (str_eq(str_of(word), str_of(words[i]))) {
            log_set_level((enum log_level)i);
            return 0;
        }
    }
    return cli_usage_error("run", "unknown log level \"%s\"; expected error, warn, info or debug",
                           word);
}

static int parse_workers(const char *word, unsigned *workers)
{
    uint64_t number;

    if (str_to_u64(str_of(word), &number) < 0 || number < 1 || number > WORKERS_MAX)
        return cli_usage_error("run", "workers must be 1 to %d, got \"%s\"", WORKERS_MAX, word);
    *workers = (unsigned)number;
    return 0;
}

/* 0, or the exit code + 1 when there is nothing to run. */
static int parse(int argc, char **argv, struct run_options *options)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"workers", required_argument, NULL, 'w'},
        {"log-level", required_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option, rc = 0;

    opterr = 0;
    optind = 1;
    while (rc == 0 && (option = getopt_long(argc, argv, ":c:w:h", longs, NULL)) != -1) {
        switch (option) {
        case 'c':
            options->config = optarg;
            break;
        case 'w':
            rc = parse_workers(optarg, &options->workers);
            break;
        case 'l':
            rc = parse_level(optarg);
            break;
        case 'h':
            fputs(help, stdout);
            return 1;
        default:
            rc = cli_option_error("run", argv, option);
            break;
        }
    }
    if (rc == 0 && optind < argc)
        rc = cli_usage_error("run", "unexpected argument \"%s\"", argv[optind]);
    if (rc == 0 && options->config == NULL)
        rc = cli_usage_error("run", "missing option: -c FILE");
    return rc == 0 ? 0 : rc + 1;
}

static struct config *load_file(void *arg, struct complaints *complaints)
{
    return config_load(arg, complaints);
}

int cli_run(int argc, char **argv)
{
    struct run_options options = {0};
    int rc = parse(argc, argv, &options);

    if (rc != 0)
        return rc - 1;
    struct server_options server_options = {
        .source = load_file, .source_arg = (void *)options.config, .workers = options.workers};
    struct server *server = server_new(&server_options);
    rc = server_start(server) < 0 ? 1 : server_run(server);
    server_free(server);
    return rc;
}
