/* weir check: load the configuration, report every mistake, look into the files that it names as a
 * start or a reload would, and review what is right but probably not meant. */
#include "cli/check/check.h"

#include "cli/check/check_report.h"
#include "cli/check/check_tests.h"
#include "cli/cli.h"
#include "config/review.h"
#include "server/snapshot.h"

#include <getopt.h>
#include <stdio.h>

static const char help[] =
    "Usage: weir check -c FILE [--strict] [--tests CASES] [--coverage] [--json]\n"
    "\n"
    "Validates a configuration without starting anything: syntax, names, references, shares that\n"
    "contradict each other, certificates, keys, CA bundles. Every error is printed as\n"
    "file:line:column: what is wrong. \"warning:\" marks what probably does not do what was "
    "meant,\n"
    "such as a rule that can never match; \"note:\" what is worth knowing.\n"
    "\n"
    "  -c, --config FILE   the configuration\n"
    "  -t, --tests CASES   requests and what should become of them, as YAML; may be repeated\n"
    "      --coverage      report which rules, lists and debug backends no case reaches, and "
    "which\n"
    "                      hosts of the table of wikis no rule and no list names\n"
    "      --strict        exit with 1 when there is a warning\n"
    "      --no-certificates  do not look at certificates, keys and CA bundles: they are "
    "elsewhere\n"
    "      --json          print one JSON object on standard output, and nothing else\n"
    "  -q, --quiet         print errors only\n"
    "  -h, --help          this page\n"
    "\n"
    "A case says what is asked and what is expected; weir(1) has all of it:\n"
    "  cases:\n"
    "    - name: closed wikis are on Kubernetes\n"
    "      request: GET https://aa.wikipedia.org/wiki/X\n"
    "      expect: { group: mw-web, side: k8s, share: 100% }\n"
    "\n"
    "Exit status: 0: no errors, and every case passed; 1: errors, or a test case failed; 2: usage\n"
    "error.\n";

enum { TESTS_MAX = 64 };

struct options {
    const char *config;
    bool is_quiet, is_strict, is_json, coverage, skips_certificates;
    const char *tests[TESTS_MAX];
    size_t test_count;
};

/* -1: go on; else the exit status. */
static int parse_options(int argc, char **argv, struct options *options)
{
    enum { OPTION_COVERAGE = 256, OPTION_NO_CERTIFICATES, OPTION_STRICT, OPTION_JSON };
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"tests", required_argument, NULL, 't'},
        {"coverage", no_argument, NULL, OPTION_COVERAGE},
        {"no-certificates", no_argument, NULL, OPTION_NO_CERTIFICATES},
        {"strict", no_argument, NULL, OPTION_STRICT},
        {"json", no_argument, NULL, OPTION_JSON},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    opterr = 0;
    optind = 0;
    while ((option = getopt_long(argc, argv, ":c:t:qh", longs, NULL)) != -1) {
        switch (option) {
        case 'c':
            options->config = optarg;
            break;
        case 't':
            if (options->test_count == TESTS_MAX)
                return cli_usage_error("check", "more than %d files of cases", TESTS_MAX);
            options->tests[options->test_count++] = optarg;
            break;
        case OPTION_COVERAGE:
            options->coverage = true;
            break;
        case OPTION_NO_CERTIFICATES:
            options->skips_certificates = true;
            break;
        case OPTION_STRICT:
            options->is_strict = true;
            break;
        case OPTION_JSON:
            options->is_json = true;
            break;
        case 'q':
            options->is_quiet = true;
            break;
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            return cli_option_error("check", argv, option);
        }
    }
    if (options->config == NULL && optind == argc - 1)
        options->config = argv[optind++];
    if (options->config == NULL)
        return cli_usage_error("check", "missing option: -c FILE");
    if (optind != argc)
        return cli_usage_error("check", "unexpected argument \"%s\"", argv[optind]);
    return -1;
}

/* --- the whole ------------------------------------------------------------------------------- */

static void on_snapshot_report(void *arg, bool is_error, const char *line)
{
    check_report_line(arg, is_error, line);
}

static void on_unnamed_host(void *arg, const struct wiki_conf *wiki)
{
    check_report_add(arg, REPORT_COVERAGE, wiki->place, "no rule and no list names %s (%s)",
                     wiki->host.ptr, wiki->name.ptr);
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

static void check_coverage_of_hosts(const struct config *config, struct check_report *report)
{
    size_t count = config_review_hosts(config, on_unnamed_host, report);

    if (!report->is_json && config->wiki_count > 0)
        printf("%s: rules and lists name %zu of %zu wikis\n", config->file.ptr,
               config->wiki_count - count, config->wiki_count);
}

static struct config *load(const char *path, struct check_report *report)
{
    struct complaints complaints;

    complaints_init(&complaints);
    struct config *config = config_load(path, &complaints);
    if (config != NULL)
        config_review(config, &complaints);
    check_report_complaints(report, &complaints);
    complaints_deinit(&complaints);
    return config;
}

static void check(struct config *config, const struct options *options, struct check_report *report)
{
    const struct tests_options tests = {
        .files = options->tests,
        .file_count = options->test_count,
        .is_quiet = options->is_quiet,
        .coverage = options->coverage,
    };

    if (!options->skips_certificates)
        snapshot_check(config, on_snapshot_report, report);
    if (report->counts[REPORT_ERROR] == 0 && !options->is_quiet && !options->is_json)
        print_summary(config);
    check_tests(config, &tests, report); /* whatever is wrong with certificates */
    if (options->coverage)
        check_coverage_of_hosts(config, report);
}

int cli_check(int argc, char **argv)
{
    struct options options = {0};
    int status = parse_options(argc, argv, &options);

    if (status >= 0)
        return status;
    struct check_report report = {.is_json = options.is_json, .is_quiet = options.is_quiet};
    struct config *config = load(options.config, &report);
    if (config != NULL)
        check(config, &options, &report);
    bool is_ok = report.counts[REPORT_ERROR] == 0 && report.counts[REPORT_CASE] == 0 &&
                 !(options.is_strict && report.counts[REPORT_WARNING] > 0);
    check_report_print(&report, options.config, is_ok);
    check_report_deinit(&report);
    config_free(config);
    return is_ok ? 0 : 1;
}
