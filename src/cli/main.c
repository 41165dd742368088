/* weir: finds the subcommand and lets it do the rest. */
#include "cli/cli.h"
#include "cli/help.h"

#include "base/base.h"

#include <string.h>

static const struct command commands[] = {
    {"run", cli_run, "run the proxy:                  weir run -c edge.yaml"},
    {"check", cli_check, "check a configuration:          weir check -c edge.yaml"},
    {"route", cli_route, "who would serve this, and why:  weir route -c edge.yaml URL"},
    {"diff", cli_diff, "what a change would change:     weir diff old.yaml new.yaml"},
    {"import", cli_import, "from Lua table and dblists:     weir import closed.dblist=100%"},
    {"demo", cli_demo, "an edge with its own backends and certificate, ready to be tried"},
    {"completion", cli_completion, "completion for a shell:         weir completion bash"},
};

static const struct command *find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static int unknown(const char *name)
{
    const struct command *near = help_suggest(name, commands, ARRAY_LEN(commands));

    fprintf(stderr, "weir: unknown command \"%s\"", name);
    if (near != NULL)
        fprintf(stderr, "; did you mean \"%s\"?", near->name);
    fprintf(stderr, "\nTry \"weir --help\".\n");
    return EXIT_USAGE;
}

static int help_of(char *name)
{
    const struct command *command = find(name);
    char flag[] = "--help", *argv[] = {name, flag, NULL};

    if (command != NULL)
        return command->run(2, argv);
    if (strcmp(name, "help") != 0)
        return unknown(name);
    help_print(stdout, commands, ARRAY_LEN(commands));
    return 0;
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";

    if (argc < 2) {
        help_print(stderr, commands, ARRAY_LEN(commands));
        return EXIT_USAGE;
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0 || strcmp(word, "version") == 0) {
        version_print(stdout);
        return 0;
    }
    bool is_help = strcmp(word, "help") == 0;
    if (is_help && argc > 2)
        return help_of(argv[2]);
    if (is_help || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        help_print(stdout, commands, ARRAY_LEN(commands));
        return 0;
    }
    const struct command *command = find(word);
    return command != NULL ? command->run(argc - 1, argv + 1) : unknown(word);
}
