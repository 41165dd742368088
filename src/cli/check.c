/* weir check: load the configuration, tell every mistake, look into the files it names as a start
 * or a reload would. */
#include "cli/check.h"

#include "cli/check_tests.h"
#include "cli/complain.h"
#include "server/snapshot.h"

#include <getopt.h>
#include <stdio.h>

static const char help[] =
    "Usage: weir check -c FILE [--tests CASES [--coverage]]\n"
    "\n"
    "Validates a configuration without starting anything: syntax, names, references, shares that\n"
    "contradict each other, rules that can never match, certificates, keys, CA bundles. Every\n"
    "mistake is printed as file:line:column: what is wrong; what is only worth knowing is marked\n"
    "\"note:\".\n"
    "\n"
    "  -c, --config FILE   the configuration\n"
    "  -t, --tests CASES   requests and what should become of them, as YAML; may be repeated\n"
    "      --coverage      tell which rules, lists and debug backends no case reaches\n"
    "      --no-certificates  do not look at certificates, keys and CA bundles: they are "
    "elsewhere\n"
    "  -q, --quiet         print errors only\n"
    "  -h, --help          this page\n"
    "\n"
    "A case says what is asked and what is expected; weir(1) has all of it:\n"
    "  cases:\n"
    "    - name: closed wikis are on Kubernetes\n"
    "      request: GET https://aa.wikipedia.org/wiki/X\n"
    "      expect: { group: mw-web, side: k8s, share: 100% }\n"
    "\n"
    "Exit status: 0 the configuration is good and every case holds, 1 not so, 2 the command line\n"
    "is wrong.\n";

enum { TESTS_MAX = 64 };

struct options {
    const char *config;
    bool is_quiet, coverage, skips_certificates;
    const char *tests[TESTS_MAX];
    size_t test_count;
};

static int wrong(const char *what)
{
    fprintf(stderr, "weir check: %s\n", what);
    return 2;
}

/* -1: go on; else the exit status. */
static int parse_options(int argc, char **argv, struct options *options)
{
    enum { OPTION_COVERAGE = 256, OPTION_NO_CERTIFICATES };
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"tests", required_argument, NULL, 't'},
        {"coverage", no_argument, NULL, OPTION_COVERAGE},
        {"no-certificates", no_argument, NULL, OPTION_NO_CERTIFICATES},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    optind = 0;
    while ((option = getopt_long(argc, argv, "c:t:qh", longs, NULL)) != -1) {
        switch (option) {
        case 'c':
            options->config = optarg;
            break;
        case 't':
            if (options->test_count == TESTS_MAX)
                return wrong("too many files of cases");
            options->tests[options->test_count++] = optarg;
            break;
        case OPTION_COVERAGE:
            options->coverage = true;
            break;
        case OPTION_NO_CERTIFICATES:
            options->skips_certificates = true;
            break;
        case 'q':
            options->is_quiet = true;
            break;
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            fputs("Try \"weir check --help\".\n", stderr);
            return 2;
        }
    }
    if (options->config == NULL && optind == argc - 1)
        options->config = argv[optind++];
    if (options->config == NULL || optind != argc)
        return wrong("one configuration is needed: weir check -c FILE");
    if (options->coverage && options->test_count == 0)
        return wrong("--coverage needs --tests");
    return -1;
}

/* --- the whole ------------------------------------------------------------------------------- */

static void print_report(void *arg, bool is_error, const char *line)
{
    const struct options *options = arg;

    if (is_error || !options->is_quiet)
        fprintf(stderr, "%s\n", line);
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static void print_summary(const struct config *config)
{
    size_t hosts = 0;

    for (size_t i = 0; i < config->router_count; i++)
        hosts += config->routers[i].split.host_count;
    printf("%s: ok (%zu listener%s, %zu group%s, %zu router%s, %zu host%s with a share)\n",
           config->file.ptr, config->listener_count, plural(config->listener_count),
           config->group_count, plural(config->group_count), config->router_count,
           plural(config->router_count), hosts, plural(hosts));
}

int cli_check(int argc, char **argv)
{
    struct options options = {0};
    int status = parse_options(argc, argv, &options);

    if (status >= 0)
        return status;
    struct config *config = config_load_or_complain(
        options.config, options.is_quiet ? COMPLAINTS_ERRORS_ONLY : COMPLAINTS_WITH_NOTES);
    if (config == NULL)
        return 1;
    int errors = options.skips_certificates ? 0 : snapshot_check(config, print_report, &options);
    if (errors == 0 && !options.is_quiet)
        print_summary(config);
    struct tests_options tests = {
        .files = options.tests,
        .file_count = options.test_count,
        .is_quiet = options.is_quiet,
        .coverage = options.coverage,
    };
    if (check_tests(config, &tests) > 0) /* whatever is wrong with certificates */
        errors++;
    config_free(config);
    return errors == 0 ? 0 : 1;
}
