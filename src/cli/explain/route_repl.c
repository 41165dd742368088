/* The router's own debug shell. What a line may say is what curl users have in their fingers. */
#include "cli/explain/route_repl.h"

#include "cli/answer.h"
#include "cli/explain/line_edit.h"
#include "cli/explain/route_trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WORDS_MAX = 300 };

static const char help[] = "One request per line:\n"
                           "  https://en.wikipedia.org/wiki/Earth\n"
                           "  POST en.wikipedia.org/w/api.php -H 'X-Wikimedia-Debug: backend=1'\n"
                           "  GET en.wikipedia.org/ --client 192.0.2.1 --untrusted --http1.0\n"
                           "\n"
                           "  json on|off   answers as JSON, or as a trace\n"
                           "  help          this page\n"
                           "  quit          the end (so is control-D)\n"
                           "Tab completes the hosts of the configuration.\n";

/* --- words ----------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* One word from `*in` to `out`; the end of what was written, NULL when a quote does not end. */
static char *word_copy(char **in, char *out)
{
    char quote = '\0', *at = *in;

    for (; *at != '\0' && (quote != '\0' || !is_blank(*at)); at++) {
        if (quote == '\0' && (*at == '\'' || *at == '"')) {
            quote = *at;
        } else if (*at == quote) {
            quote = '\0';
        } else {
            if (*at == '\\' && quote != '\'' && at[1] != '\0')
                at++;
            *out++ = *at;
        }
    }
    *in = at;
    return quote == '\0' ? out : NULL;
}

int words_split(char *line, char **words, int max)
{
    char *in = line, *out = line;
    int count = 0;

    while (true) {
        while (is_blank(*in))
            in++;
        if (*in == '\0')
            return count;
        if (count == max)
            return -1;
        words[count++] = out;
        out = word_copy(&in, out);
        if (out == NULL)
            return -1;
        bool is_last = *in == '\0'; /* before the NUL is written there */
        *out++ = '\0';
        if (is_last)
            return count;
        in++;
    }
}

static bool is(const char *word, const char *a, const char *b)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

static bool is_method(const char *word)
{
    for (const char *at = word; *at != '\0'; at++) {
        if (*at < 'A' || *at > 'Z')
            return false;
    }
    return *word != '\0';
}

/* An option with its argument, or without; how many words it took, 0 with `*error`. */
static int read_option(struct question *question, char **words, int count, const char **error)
{
    const char *argument = count > 1 ? words[1] : NULL;

    *error = NULL;
    if (is(words[0], "--trusted", "--untrusted")) {
        question->trust = words[0][2] == 't' ? TRUST_YES : TRUST_NO;
        return 1;
    }
    if (strcmp(words[0], "--http1.0") == 0) {
        question->is_http10 = true;
        return 1;
    }
    if (argument == NULL)
        *error = "unknown option, or its argument is missing";
    else if (is(words[0], "-H", "--header"))
        *error = question_add_line(question, str_of(argument));
    else if (is(words[0], "-X", "--request"))
        *error = question_set_method(question, str_of(argument));
    else if (strcmp(words[0], "--client") == 0)
        question->client = str_of(argument);
    else
        *error = "unknown option (known: -H, -X, --client, --trusted, --untrusted, --http1.0)";
    return *error == NULL ? 2 : 0;
}

const char *question_read_words(struct question *question, char **words, int count)
{
    const char *url = NULL, *error = NULL;
    int at = 0;

    if (count > 1 && is_method(words[0]))
        error = question_set_method(question, str_of(words[at++]));
    while (error == NULL && at < count) {
        if (words[at][0] == '-') {
            at += read_option(question, words + at, count - at, &error);
        } else if (url != NULL) {
            error = "one URL at a time";
        } else {
            url = words[at++];
            error = question_set_url(question, str_of(url));
        }
    }
    if (error == NULL && url == NULL)
        error = "there is no URL";
    return error;
}

/* --- completion ------------------------------------------------------------------------------ */

/* Hosts with a share, then hosts of the table of wikis. */
static const char *host_at(const struct judge *judge, size_t index)
{
    const struct split_conf *split = &judge->conf->split;

    if (index < split->host_count)
        return split->hosts[index].host.ptr;
    index -= split->host_count;
    return index < judge->config->wiki_count ? judge->config->wikis[index].host.ptr : NULL;
}

static const char *complete_host(void *arg, const char *text, size_t n)
{
    const struct judge *judge = arg;
    const char *host;

    for (size_t i = 0; (host = host_at(judge, i)) != NULL; i++) {
        if (strncmp(host, text, strlen(text)) == 0 && n-- == 0)
            return host;
    }
    return NULL;
}

/* --- the loop -------------------------------------------------------------------------------- */

struct repl {
    struct judge *judge;
    struct repl_options options;
    struct answer_names *names;
    struct question question;
    bool is_over, has_failed;
};

static const char *answer_question(struct repl *repl, char **words, int count)
{
    struct question *question = &repl->question;

    question_reset(question);
    question->trust = repl->options.trust;
    if (repl->options.client != NULL)
        question->client = str_of(repl->options.client);
    const char *error = question_read_words(question, words, count);
    if (error == NULL)
        error = judge_facts(repl->judge, question);
    if (error != NULL)
        return error;
    struct decision decision = judge_decide(repl->judge, question);
    if (!repl->options.is_json) {
        route_trace(stdout, repl->judge, question, &decision, repl->options.detail);
        return NULL;
    }
    struct text out = {0};
    answer_json(repl->names, &decision, &out);
    fwrite(out.ptr, 1, out.len, stdout);
    text_free(&out);
    return NULL;
}

static void obey(struct repl *repl, char *line)
{
    char *words[WORDS_MAX];
    int count = words_split(line, words, WORDS_MAX);
    const char *error = NULL;

    if (count == 0 || (count > 0 && words[0][0] == '#'))
        return;
    if (count < 0)
        error = "a quote does not end";
    else if (count == 1 && is(words[0], "quit", "exit"))
        repl->is_over = true;
    else if (count == 1 && is(words[0], "help", "?"))
        fputs(help, stdout);
    else if (count == 2 && strcmp(words[0], "json") == 0)
        repl->options.is_json = strcmp(words[1], "on") == 0;
    else
        error = answer_question(repl, words, count);
    if (error == NULL)
        return;
    repl->has_failed = true;
    fflush(stdout);
    fprintf(stderr, "weir route: %s (\"help\" explains)\n", error);
}

static char *history_file(void)
{
    const char *home = getenv("HOME");
    char *path = NULL;

    if (home == NULL || asprintf(&path, "%s/.weir_history", home) < 0)
        return NULL;
    return path;
}

int route_repl(struct judge *judge, const struct repl_options *options)
{
    bool is_terminal = isatty(STDIN_FILENO) != 0;
    struct repl repl = {.judge = judge, .options = *options, .names = answer_names_new(judge)};
    char *history = history_file(), *line;
    struct line_edit *edit = line_edit_new("weir> ", history, complete_host, judge);

    question_init(&repl.question);
    if (is_terminal)
        printf("%s, router %.*s. \"help\" explains.\n", judge->config->file.ptr,
               STR_FMT(judge->conf->name));
    while (!repl.is_over && (line = line_edit_read(edit)) != NULL) {
        obey(&repl, line);
        free(line);
    }
    question_deinit(&repl.question);
    line_edit_free(edit);
    free(history);
    answer_names_free(repl.names);
    return repl.has_failed && !is_terminal ? 1 : 0;
}
