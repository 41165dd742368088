/* libedit under its readline face, when both ends are a terminal. Its state is the process', so one
 * editor at a time. It is loaded for an interactive prompt, not with the program: a proxy has no
 * use for an editor and the three libraries behind it, in memory or in a peer's reach. Without it
 * lines are read as they come. */
#include "cli/explain/line_edit.h"

#include <dlfcn.h>
#include <editline/readline.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HISTORY_LINES = 1000 };

struct line_edit {
    const char *prompt; /* borrows */
    char *history;      /* owns: the file; NULL */
    line_complete *complete;
    void *arg;
    bool is_terminal;
};

static struct line_edit *active;

/* --- the library ----------------------------------------------------------------------------- */

#define SYMBOLS(X)                                                                                 \
    X(readline)                                                                                    \
    X(add_history)                                                                                 \
    X(using_history)                                                                               \
    X(stifle_history)                                                                              \
    X(read_history)                                                                                \
    X(write_history)                                                                               \
    X(rl_completion_matches)                                                                       \
    X(rl_readline_name)                                                                            \
    X(rl_basic_word_break_characters)                                                              \
    X(rl_attempted_completion_function)                                                            \
    X(rl_attempted_completion_over)                                                                \
    X(rl_completion_append_character)

/* Where each function and variable is. */
static struct {
#define X(name) __typeof__(name) *name;
    SYMBOLS(X)
#undef X
} libedit;

static bool libedit_load(void)
{
    void *library = dlopen("libedit.so.2", RTLD_NOW | RTLD_LOCAL);
    bool is_whole = library != NULL;

#define X(name)                                                                                    \
    if (is_whole)                                                                                  \
        is_whole = (*(void **)&libedit.name = dlsym(library, #name)) != NULL;
    SYMBOLS(X)
#undef X
    return is_whole;
}

/* --- on a terminal --------------------------------------------------------------------------- */

static char *next_completion(const char *text, int state)
{
    static size_t n;

    if (state == 0)
        n = 0;
    const char *word = active->complete(active->arg, text, n++);
    return word != NULL ? strdup(word) : NULL;
}

static char **complete(const char *text, int start UNUSED, int end UNUSED)
{
    *libedit.rl_attempted_completion_over = 1; /* never file names */
    return libedit.rl_completion_matches(text, next_completion);
}

static void terminal_setup(struct line_edit *edit)
{
    static char name[] = "weir", breaks[] = " \t\"'/";

    active = edit;
    *libedit.rl_readline_name = name;
    *libedit.rl_basic_word_break_characters = breaks;
    *libedit.rl_attempted_completion_function = complete;
    *libedit.rl_completion_append_character = '\0'; /* a path may follow */
    libedit.using_history();
    libedit.stifle_history(HISTORY_LINES);
    if (edit->history != NULL)
        libedit.read_history(edit->history);
}

/* --- doors ----------------------------------------------------------------------------------- */

struct line_edit *line_edit_new(const char *prompt, const char *history, line_complete *completer,
                                void *arg)
{
    struct line_edit *edit = mem_new(sizeof(*edit));

    *edit = (struct line_edit){
        .prompt = prompt,
        .history = history != NULL ? strdup(history) : NULL,
        .complete = completer,
        .arg = arg,
        .is_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && libedit_load(),
    };
    if (edit->is_terminal)
        terminal_setup(edit);
    return edit;
}

void line_edit_free(struct line_edit *edit)
{
    if (edit == NULL)
        return;
    if (edit->is_terminal && edit->history != NULL)
        libedit.write_history(edit->history);
    active = NULL;
    free(edit->history);
    free(edit);
}

static char *read_plain(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;

    fflush(stdout); /* answers before the next question is waited for */
    len = getline(&line, &cap, stdin);
    if (len < 0) {
        free(line);
        return NULL;
    }
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        line[--len] = '\0';
    return line;
}

char *line_edit_read(struct line_edit *edit)
{
    if (!edit->is_terminal)
        return read_plain();
    char *line = libedit.readline(edit->prompt);
    if (line != NULL && line[0] != '\0')
        libedit.add_history(line);
    return line;
}
