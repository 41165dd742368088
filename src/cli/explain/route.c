/* weir route: one request from the command line, many from a person or a program; the same router
 * as the hot path answers all of them. */
#include "cli/explain/route.h"

#include "cli/answer.h"
#include "cli/cli.h"
#include "cli/complain.h"
#include "cli/explain/route_repl.h"
#include "cli/explain/route_stdin.h"
#include "cli/explain/route_trace.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

static const char help[] =
    "Usage: weir route -c FILE [options] URL\n"
    "       weir route -c FILE [options] -w WIKI [PATH]\n"
    "       weir route -c FILE [options] --stdin\n"
    "       weir route -c FILE [options]\n"
    "\n"
    "Tells which group would serve a request, and why. The URL may be whole\n"
    "(https://en.wikipedia.org/wiki/Earth) or begin with the host (en.wikipedia.org/wiki/Earth).\n"
    "Without a URL it asks for requests, one per line, with editing, history and completion.\n"
    "\n"
    "  -c, --config FILE      the configuration\n"
    "  -X, --request METHOD   the method (default GET)\n"
    "  -H, --header 'K: V'    a header field; may be repeated; \"Host:\" sends none\n"
    "  -w, --wiki NAME        the host of this database name, as enwiki, from the table of wikis\n"
    "  -d, --datacenter NAME  pretend that this is the local datacenter\n"
    "      --http1.0          the request is HTTP/1.0: it may come without Host\n"
    "      --client IP        the client's address\n"
    "      --trusted          the client may use the debug header, whatever its address; so may\n"
    "                         one without an address\n"
    "      --untrusted        it may not\n"
    "      --router NAME      the router to ask (default: the first)\n"
    "  -v, --verbose          bucket and threshold as numbers, too\n"
    "      --json             print the decision as one line of JSON\n"
    "      --stdin            read one request per line as JSON, print one decision per line:\n"
    "                           "
    "{\"method\":\"GET\",\"url\":\"https://…\",\"headers\":{},\"client\":\"…\"}\n"
    "                         and optionally \"trusted\": true|false and \"http\": "
    "\"1.0\"|\"1.1\"; a\n"
    "                         header may be a list (sent once for each) or null (not sent)\n"
    "  -h, --help             this page\n"
    "\n"
    "Exit status: 0 a decision was made, 1 the configuration has errors or, with --stdin or a\n"
    "pipe, something could not be read, 2 the command line is wrong.\n";

struct options {
    const char *config, *router, *wiki, *datacenter, *client, *url;
    enum trust trust;
    bool is_json, is_stdin;
    enum trace_detail detail;
    struct question *question; /* borrows: what -X and -H say */
};

/* --- the command line ------------------------------------------------------------------------ */

static int usage_error(const char *what, const char *value)
{
    if (value == NULL)
        return cli_usage_error("route", "%s", what);
    return cli_usage_error("route", "%s: \"%s\"", what, value);
}

enum {
    OPTION_CLIENT = 256,
    OPTION_ROUTER,
    OPTION_JSON,
    OPTION_HTTP10,
    OPTION_TRUSTED,
    OPTION_UNTRUSTED,
    OPTION_STDIN,
};

/* -1: go on; else the exit status. */
static int take_option(struct options *options, int option)
{
    const char *error = NULL;

    switch (option) {
    case 'c':
        options->config = optarg;
        break;
    case 'X':
        error = question_set_method(options->question, str_of(optarg));
        break;
    case 'H':
        error = question_add_line(options->question, str_of(optarg));
        break;
    case 'w':
        options->wiki = optarg;
        break;
    case 'd':
        options->datacenter = optarg;
        break;
    case OPTION_CLIENT:
        options->client = optarg;
        break;
    case OPTION_ROUTER:
        options->router = optarg;
        break;
    case OPTION_HTTP10:
        options->question->is_http10 = true;
        break;
    case OPTION_TRUSTED:
    case OPTION_UNTRUSTED:
        options->trust = option == OPTION_TRUSTED ? TRUST_YES : TRUST_NO;
        break;
    case OPTION_JSON:
        options->is_json = true;
        break;
    case OPTION_STDIN:
        options->is_stdin = true;
        break;
    case 'v':
        options->detail = TRACE_NUMBERS;
        break;
    case 'h':
        fputs(help, stdout);
        return 0;
    }
    return error != NULL ? usage_error(error, optarg) : -1;
}

static int parse_options(int argc, char **argv, struct options *options)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"request", required_argument, NULL, 'X'},
        {"header", required_argument, NULL, 'H'},
        {"wiki", required_argument, NULL, 'w'},
        {"datacenter", required_argument, NULL, 'd'},
        {"client", required_argument, NULL, OPTION_CLIENT},
        {"router", required_argument, NULL, OPTION_ROUTER},
        {"json", no_argument, NULL, OPTION_JSON},
        {"http1.0", no_argument, NULL, OPTION_HTTP10},
        {"trusted", no_argument, NULL, OPTION_TRUSTED},
        {"untrusted", no_argument, NULL, OPTION_UNTRUSTED},
        {"stdin", no_argument, NULL, OPTION_STDIN},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option, status;

    opterr = 0;
    optind = 0;
    while ((option = getopt_long(argc, argv, ":c:X:H:w:d:vh", longs, NULL)) != -1) {
        if (option == '?' || option == ':')
            return cli_option_error("route", argv, option);
        if ((status = take_option(options, option)) >= 0)
            return status;
    }
    if (options->config == NULL)
        return usage_error("missing option: -c FILE", NULL);
    if (optind < argc - 1)
        return usage_error("unexpected argument", argv[optind + 1]);
    if (optind < argc && options->is_stdin)
        return usage_error("--stdin cannot be combined with a URL", argv[optind]);
    if (optind < argc)
        options->url = argv[optind];
    return -1;
}

/* --- the request ----------------------------------------------------------------------------- */

static const struct wiki_conf *wiki_find(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->wiki_count; i++) {
        if (str_eq(config->wikis[i].name, str_of(name)))
            return &config->wikis[i];
    }
    return NULL;
}

/* The URL, or the path behind the wiki's host. */
static const char *read_url(const struct options *options, const struct config *config)
{
    struct question *question = options->question;
    const char *url = options->url != NULL ? options->url : "";

    if (options->wiki == NULL)
        return question_set_url(question, str_of(url));
    const struct wiki_conf *wiki = wiki_find(config, options->wiki);
    if (wiki == NULL)
        return config->wiki_count > 0 ? "the table of wikis does not know this name"
                                      : "the configuration has no table of wikis";
    const char *error = question_set_url(question, str_of(url));
    if (question->authority.len > 0)
        return "with --wiki only a path is needed";
    question->authority = wiki->host;
    return error;
}

static int answer_one(const struct options *options, struct judge *judge)
{
    struct question *question = options->question;
    const char *error = read_url(options, judge->config);

    question->trust = options->trust;
    if (options->client != NULL)
        question->client = str_of(options->client);
    if (error == NULL)
        error = judge_facts(judge, question);
    if (error != NULL)
        return usage_error(error, options->wiki != NULL ? options->wiki : options->url);
    struct decision decision = judge_decide(judge, question);
    if (!options->is_json) {
        route_trace(stdout, judge, question, &decision, options->detail);
        return 0;
    }
    struct answer_names *names = answer_names_new(judge);
    struct text out = {0};
    answer_json(names, &decision, &out);
    fwrite(out.ptr, 1, out.len, stdout);
    text_free(&out);
    answer_names_free(names);
    return 0;
}

/* --- the whole ------------------------------------------------------------------------------- */

static int pretend_datacenter(struct config *config, const char *name)
{
    for (size_t i = 0; i < config->datacenters.count; i++) {
        if (str_eq(config->datacenters.names[i], str_of(name))) {
            config->datacenters.local = (int)i;
            return -1;
        }
    }
    return usage_error("unknown datacenter", name);
}

static int route(const struct options *options, struct config *config)
{
    struct judge judge;
    struct err err = {0};
    char line[ERR_TEXT_MAX + 320];
    int status = -1;

    if (options->datacenter != NULL)
        status = pretend_datacenter(config, options->datacenter);
    if (status >= 0)
        return status;
    if (judge_init(&judge, config, options->router, &err) < 0)
        return usage_error(err_line(&err, line, sizeof(line)), NULL);
    if (options->is_stdin) {
        status = route_stdin(&judge, options->trust, STDIN_FILENO, STDOUT_FILENO);
    } else if (options->url != NULL || options->wiki != NULL) {
        status = answer_one(options, &judge);
    } else {
        struct repl_options repl = {options->trust, options->is_json, options->client,
                                    options->detail};
        status = route_repl(&judge, &repl);
    }
    judge_deinit(&judge);
    return status;
}

int cli_route(int argc, char **argv)
{
    struct question question;
    struct options options = {.question = &question};

    question_init(&question);
    int status = parse_options(argc, argv, &options);
    if (status < 0) {
        struct config *config = config_load_or_complain(options.config);
        status = config != NULL ? route(&options, config) : 1;
        config_free(config);
    }
    question_deinit(&question);
    return status;
}
