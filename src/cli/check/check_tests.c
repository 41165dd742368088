/* Each case is decided as the proxy would. When the dice would have a say, every side of them is
 * looked at: what is expected is the set of all outcomes, so that a case neither needs luck nor
 * hides behind it. */
#include "cli/check/check_tests.h"

#include "cli/question.h"
#include "config/cases.h"
#include "config/units.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    DRAWS = 16,        /* of each half of the dice: both ends, and evenly between */
    OUTCOMES_MAX = 64, /* different values of one thing in one case */
};

/* --- coverage -------------------------------------------------------------------------------- */

/* What some case reached, of one router. */
struct coverage {
    bool is_used;
    bool *rules, *entries, *backends, *dc_rules; /* own */
};

static void coverage_init(struct coverage *coverage, const struct router_conf *conf)
{
    coverage->rules = mem_new(conf->rule_count + 1);
    coverage->entries = mem_new(conf->split.entry_count + 1);
    coverage->backends = mem_new(conf->debug.backend_count + 1);
    coverage->dc_rules = mem_new(conf->multi_dc.primary_if_count + 1);
}

static void coverage_deinit(struct coverage *coverage)
{
    free(coverage->rules);
    free(coverage->entries);
    free(coverage->backends);
    free(coverage->dc_rules);
}

static void coverage_count(struct coverage *coverage, const struct decision *decision)
{
    if (decision->rule >= 0)
        coverage->rules[decision->rule] = true;
    if (decision->entry >= 0)
        coverage->entries[decision->entry] = true;
    if (decision->backend >= 0)
        coverage->backends[decision->backend] = true;
    if (decision->dc_rule >= 0)
        coverage->dc_rules[decision->dc_rule] = true;
}

static size_t uncovered(struct check_report *report, struct place place, const char *what,
                        struct str name, bool is_reached)
{
    if (is_reached)
        return 0;
    check_report_add(report, REPORT_COVERAGE, place, "no case reaches %s %.*s", what,
                     STR_FMT(name));
    return 1;
}

/* A list by its file, the hosts of an entry by the line that has them. */
static size_t uncovered_entry(struct check_report *report, const struct split_entry_conf *entry,
                              bool is_reached)
{
    if (entry->place.line == 0)
        return 0;
    switch (entry->level) {
    case SPLIT_LIST:
        return uncovered(report, entry->place, "list", entry->name, is_reached);
    case SPLIT_HOST:
        return uncovered(report, entry->place, "the share of these", entry->name, is_reached);
    case SPLIT_DEFAULT:
        return uncovered(report, entry->place, "the share", entry->name, is_reached);
    }
    UNREACHABLE("uncovered_entry");
}

static void coverage_print(const struct coverage *coverage, const struct router_conf *conf,
                           struct check_report *report)
{
    size_t missing = 0, total = conf->rule_count + conf->split.entry_count +
                                conf->debug.backend_count + conf->multi_dc.primary_if_count;

    for (size_t i = 0; i < conf->rule_count; i++)
        missing += uncovered(report, conf->rules[i].place, "rule", conf->rules[i].name,
                             coverage->rules[i]);
    for (size_t i = 0; i < conf->split.entry_count; i++)
        missing += uncovered_entry(report, &conf->split.entries[i], coverage->entries[i]);
    for (size_t i = 0; i < conf->debug.backend_count; i++)
        missing += uncovered(report, conf->debug.backends[i].place, "debug backend",
                             conf->debug.backends[i].name, coverage->backends[i]);
    for (size_t i = 0; i < conf->multi_dc.primary_if_count; i++)
        missing += uncovered(report, conf->multi_dc.primary_if[i].place, "multi_dc rule",
                             conf->multi_dc.primary_if[i].name, coverage->dc_rules[i]);
    if (report->is_json)
        return;
    printf("router %.*s: the cases reach %zu of %zu rules, shares, debug backends and multi_dc "
           "rules\n",
           STR_FMT(conf->name), total - missing, total);
}

/* --- outcomes -------------------------------------------------------------------------------- */

struct outcomes {
    struct str values[OUTCOMES_MAX]; /* borrow from the configuration or the arena */
    size_t count;
};

struct runner {
    struct judge judge;
    struct coverage *coverage; /* borrows: of the judge's router */
    struct question question;
    struct arena arena;          /* texts of outcomes; of one case */
    struct check_report *report; /* borrows */
    size_t failed, ran;
};

static bool outcomes_have(const struct outcomes *outcomes, struct str value)
{
    for (size_t i = 0; i < outcomes->count; i++) {
        if (str_eq(outcomes->values[i], value))
            return true;
    }
    return false;
}

static void outcomes_add(struct outcomes *outcomes, struct str value)
{
    if (outcomes->count < OUTCOMES_MAX && !outcomes_have(outcomes, value))
        outcomes->values[outcomes->count++] = value;
}

static struct str share_text(struct runner *runner, const struct decision *decision)
{
    char text[SHARE_TEXT_MAX];

    if (decision->entry < 0)
        return STR("none");
    return arena_str(&runner->arena, str_of(share_format(decision->share, text)));
}

/* What the upstream would get: the rule's rewrites done. */
static struct str sent_of(struct runner *runner, const struct decision *decision, bool is_host)
{
    const struct facts *facts = &runner->question.facts;
    char *text = arena_alloc_aligned(&runner->arena, ROUTE_REWRITE_MAX, 1);
    struct rewritten rewritten;
    struct str same = is_host ? facts->host : facts->path;

    if (decision->group < 0 || route_rewrite(runner->judge.router, facts, decision, text,
                                             ROUTE_REWRITE_MAX, &rewritten) < 0)
        return STR("none");
    struct str changed = is_host ? rewritten.host : rewritten.target;
    return changed.ptr != NULL ? changed : same;
}

static struct str value_of(struct runner *runner, const struct decision *decision,
                           enum expectation what)
{
    const struct config *config = runner->judge.config;
    const struct router_conf *conf = runner->judge.conf;
    struct str none = STR("none");

    switch (what) {
    case EXPECT_STATUS:
        return decision->status > 0 ? arena_printf(&runner->arena, "%d", decision->status) : none;
    case EXPECT_SERVICE:
        return decision->service >= 0 ? conf->services[decision->service].name : none;
    case EXPECT_SIDE:
        return decision->side != SIDE_NONE ? str_of(side_word(decision->side)) : none;
    case EXPECT_GROUP:
        return decision->group >= 0 ? config->groups[decision->group].name : none;
    case EXPECT_TARGET:
        return decision->group >= 0 ? config->groups[decision->group].targets[decision->target].name
                                    : none;
    case EXPECT_DATACENTER:
        return decision->datacenter >= 0 ? config->datacenters.names[decision->datacenter] : none;
    case EXPECT_SHARE:
        return share_text(runner, decision);
    case EXPECT_RULE:
        return decision->rule >= 0 ? conf->rules[decision->rule].name : none;
    case EXPECT_BACKEND:
        return decision->backend >= 0 ? conf->debug.backends[decision->backend].name : none;
    case EXPECT_WHY:
        return str_of(why_word(decision->why));
    case EXPECT_PATH_SENT:
        return sent_of(runner, decision, false);
    case EXPECT_HOST_SENT:
        return sent_of(runner, decision, true);
    case EXPECT_COUNT:
        break;
    }
    UNREACHABLE("value_of");
}

static uint64_t die(unsigned i)
{
    return i + 1 == DRAWS ? UINT32_MAX : (uint64_t)i * (UINT32_MAX / (DRAWS - 1));
}

static void look_at(struct runner *runner, const struct case_conf *wanted,
                    struct outcomes outcomes[EXPECT_COUNT])
{
    struct decision decision = judge_decide(&runner->judge, &runner->question);

    coverage_count(runner->coverage, &decision);
    for (unsigned what = 0; what < EXPECT_COUNT; what++) {
        if (wanted->expect[what].count > 0)
            outcomes_add(&outcomes[what], value_of(runner, &decision, (enum expectation)what));
    }
}

static void look_at_all(struct runner *runner, const struct case_conf *wanted,
                        struct outcomes outcomes[EXPECT_COUNT])
{
    struct facts *facts = &runner->question.facts;

    if (route_sticky_key(runner->judge.router, facts) >= 0) {
        look_at(runner, wanted, outcomes); /* the dice have no say */
        return;
    }
    for (unsigned high = 0; high < DRAWS; high++) {
        for (unsigned low = 0; low < DRAWS; low++) {
            facts->random = die(high) << 32 | die(low);
            look_at(runner, wanted, outcomes);
        }
    }
}

/* --- comparing ------------------------------------------------------------------------------- */

/* "split" is both sides. */
static struct outcomes expected_of(const struct expect_conf *expect, enum expectation what)
{
    struct outcomes expected = {.count = 0};

    for (size_t i = 0; i < expect->count; i++) {
        if (what == EXPECT_SIDE && str_eq(expect->values[i], STR("split"))) {
            outcomes_add(&expected, STR("legacy"));
            outcomes_add(&expected, STR("k8s"));
        } else {
            outcomes_add(&expected, expect->values[i]);
        }
    }
    return expected;
}

static bool outcomes_eq(const struct outcomes *a, const struct outcomes *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (!outcomes_have(b, a->values[i]))
            return false;
    }
    return true;
}

static struct str outcomes_text(struct arena *arena, const struct outcomes *outcomes)
{
    struct str text = {"", 0};

    for (size_t i = 0; i < outcomes->count; i++)
        text = arena_printf(arena, "%.*s%s%.*s", STR_FMT(text), i > 0 ? " or " : "",
                            STR_FMT(outcomes->values[i]));
    return text;
}

static void print_head(const struct case_conf *wanted)
{
    printf("%s:%d:%d: FAILED %.*s\n", wanted->place.file, wanted->place.line, wanted->place.column,
           STR_FMT(wanted->name));
    if (!str_eq(wanted->name, wanted->request))
        printf("    %.*s\n", STR_FMT(wanted->request));
}

static void report_difference(struct runner *runner, const struct case_conf *wanted,
                              enum expectation what, const struct outcomes *expected,
                              const struct outcomes *got)
{
    const struct expect_conf *expect = &wanted->expect[what];
    struct str want = outcomes_text(&runner->arena, expected);
    struct str have = outcomes_text(&runner->arena, got);

    check_report_add(runner->report, REPORT_CASE, expect->place,
                     "case \"%.*s\": %s: expected %.*s, got %.*s", STR_FMT(wanted->name),
                     expectation_word(what), STR_FMT(want), STR_FMT(have));
    if (runner->report->is_json)
        return;
    printf("  %s  (%s:%d:%d)\n", expectation_word(what), expect->place.file, expect->place.line,
           expect->place.column);
    printf("    expected %.*s\n    got      %.*s\n", STR_FMT(want), STR_FMT(have));
}

static bool compare(struct runner *runner, const struct case_conf *wanted,
                    const struct outcomes got[EXPECT_COUNT])
{
    bool is_good = true;

    for (unsigned what = 0; what < EXPECT_COUNT; what++) {
        const struct expect_conf *expect = &wanted->expect[what];
        if (expect->count == 0)
            continue;
        struct outcomes expected = expected_of(expect, (enum expectation)what);
        if (outcomes_eq(&expected, &got[what]))
            continue;
        if (is_good && !runner->report->is_json)
            print_head(wanted);
        is_good = false;
        report_difference(runner, wanted, (enum expectation)what, &expected, &got[what]);
    }
    return is_good;
}

/* --- cases ----------------------------------------------------------------------------------- */

static const char *add_fields(struct question *question, const struct case_conf *wanted)
{
    const char *error = NULL;

    for (size_t i = 0; i < wanted->field_count && error == NULL; i++) {
        const struct case_field *field = &wanted->fields[i];
        if (!field->is_absent)
            error = question_add_field(question, field->name, field->value);
        else if (str_eq_nocase(field->name, STR("host")))
            question->lacks_host = true;
    }
    return error;
}

static const char *ask(struct runner *runner, const struct case_conf *wanted)
{
    static const enum trust trusts[] = {
        [CASE_TRUST_BY_CLIENT] = TRUST_BY_CLIENT,
        [CASE_TRUSTED] = TRUST_YES,
        [CASE_UNTRUSTED] = TRUST_NO,
    };
    struct question *question = &runner->question;
    const char *error;

    question_reset(question);
    question->trust = trusts[wanted->trust];
    question->client = wanted->client;
    error = question_set_method(question, wanted->method);
    if (error == NULL)
        error = question_set_url(question, wanted->url);
    if (error == NULL && wanted->http.len > 0)
        error = question_set_http(question, wanted->http);
    if (error == NULL)
        error = add_fields(question, wanted);
    return error != NULL ? error : judge_facts(&runner->judge, question);
}

static void run_case(struct runner *runner, const struct case_conf *wanted)
{
    static struct outcomes outcomes[EXPECT_COUNT]; /* 12 KiB; one thread */
    const char *error = ask(runner, wanted);

    runner->ran++;
    if (error != NULL) {
        check_report_add(runner->report, REPORT_CASE, wanted->place, "case \"%.*s\": %s",
                         STR_FMT(wanted->name), error);
        if (!runner->report->is_json) {
            print_head(wanted);
            printf("    %s\n", error);
        }
        runner->failed++;
        return;
    }
    for (unsigned what = 0; what < EXPECT_COUNT; what++)
        outcomes[what].count = 0;
    look_at_all(runner, wanted, outcomes);
    if (!compare(runner, wanted, outcomes))
        runner->failed++;
    arena_reset(&runner->arena);
}

/* --- files ----------------------------------------------------------------------------------- */

static int find_datacenter(const struct config *config, struct str name)
{
    for (size_t i = 0; i < config->datacenters.count; i++) {
        if (str_eq(config->datacenters.names[i], name))
            return (int)i;
    }
    return -1;
}

static int runner_init(struct runner *runner, struct config *config, const struct cases_conf *cases,
                       struct err *err)
{
    if (cases->datacenter.len > 0) {
        int index = find_datacenter(config, cases->datacenter);
        if (index < 0)
            return err_set(err, "there is no datacenter \"%s\"", cases->datacenter.ptr);
        config->datacenters.local = index;
    }
    if (judge_init(&runner->judge, config, cases->router.len > 0 ? cases->router.ptr : NULL, err) <
        0)
        return -1;
    question_init(&runner->question);
    arena_init(&runner->arena, NULL);
    runner->coverage += runner->judge.conf - config->routers;
    runner->coverage->is_used = true;
    return 0;
}

static void runner_deinit(struct runner *runner)
{
    arena_reset(&runner->arena);
    question_deinit(&runner->question);
    judge_deinit(&runner->judge);
}

static void run_cases(struct config *config, const struct cases_conf *cases, const char *file,
                      const struct tests_options *options, struct coverage *coverage,
                      struct check_report *report)
{
    struct runner runner = {.coverage = coverage, .report = report};
    int configured = config->datacenters.local;
    struct err err = {0};

    if (runner_init(&runner, config, cases, &err) < 0) {
        check_report_add(report, REPORT_ERROR, (struct place){.file = file}, "%s", err.text);
        config->datacenters.local = configured;
        return;
    }
    for (size_t i = 0; i < cases->count; i++)
        run_case(&runner, &cases->items[i]);
    if (runner.failed > 0 && !report->is_json)
        printf("%s: %zu of %zu cases failed\n", file, runner.failed, runner.ran);
    else if (!options->is_quiet && !report->is_json)
        printf("%s: ok (%zu cases)\n", file, runner.ran);
    runner_deinit(&runner);
    config->datacenters.local = configured;
}

static void run_file(struct config *config, const char *file, const struct tests_options *options,
                     struct coverage *coverage, struct check_report *report)
{
    struct complaints complaints;

    complaints_init(&complaints);
    struct cases_conf *cases = cases_load(file, &complaints);
    check_report_complaints(report, &complaints);
    complaints_deinit(&complaints);
    if (cases != NULL)
        run_cases(config, cases, file, options, coverage, report);
    cases_free(cases);
}

void check_tests(struct config *config, const struct tests_options *options,
                 struct check_report *report)
{
    struct coverage *coverage = mem_new((config->router_count + 1) * sizeof(*coverage));

    for (size_t i = 0; i < config->router_count; i++)
        coverage_init(&coverage[i], &config->routers[i]);
    for (size_t i = 0; i < options->file_count; i++)
        run_file(config, options->files[i], options, coverage, report);
    for (size_t i = 0; i < config->router_count; i++) {
        if (options->coverage && coverage[i].is_used)
            coverage_print(&coverage[i], &config->routers[i], report);
        coverage_deinit(&coverage[i]);
    }
    free(coverage);
}
