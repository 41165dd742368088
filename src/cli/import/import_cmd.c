/* weir import: the command line. */
#include "cli/cli.h"
#include "cli/import/import.h"
#include "config/units.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: weir import [--wikis FILE] FILE[=SHARE]...\n"
    "\n"
    "Prints `split` of a router as YAML, made of the Lua table of the original split\n"
    "(mw-on-k8s.lua.conf) and of lists of database names (closed.dblist=100%). Save it as\n"
    "split.yaml and write `include: split.yaml` in the router. What does not mean the same here, "
    "or\n"
    "meant nothing there, stands in comments that begin with DOUBT: keys that are given twice,\n"
    "entries that were never found, hosts that no table has. The Lua table is read, not run: when\n"
    "something in it is no table of constants, nothing is printed but its place.\n"
    "\n"
    "  -w, --wikis FILE   the table of wikis: database name, host, mobile host in each line\n"
    "  -h, --help         this page\n"
    "\n"
    "Exit status: 0 nothing is in doubt, 1 something is or a file cannot be read, 2 the command\n"
    "line is wrong. Nothing is printed on standard output when a file cannot be read.\n";

static int wrong_share(const char *share)
{
    char better[SUGGESTION_MAX];

    if (share_suggest(str_of(share), better))
        return cli_usage_error("import",
                               "invalid share: \"%s\"; expected 0%% to 100%%; did you mean \"%s\"?",
                               share, better);
    return cli_usage_error("import", "invalid share: \"%s\"; expected 0%% to 100%%", share);
}

static int fail(const struct err *err)
{
    char line[ERR_TEXT_MAX + 300];

    fprintf(stderr, "weir import: %s\n", err_line(err, line, sizeof(line)));
    return 1;
}

static int import_one(struct import *import, char *word)
{
    char *share = strrchr(word, '=');
    struct err err = {0};
    uint32_t value;

    if (share != NULL) {
        *share++ = '\0';
        if (share_parse(str_of(share), &value) < 0)
            return wrong_share(share);
    }
    if (import_file(import, word, share, &err) == 0)
        return 0;
    return fail(&err);
}

int cli_import(int argc, char **argv)
{
    static const struct option longs[] = {
        {"wikis", required_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct import *import = import_new();
    struct err err = {0};
    int option, status = 0;

    opterr = 0;
    optind = 0;
    while (status == 0 && (option = getopt_long(argc, argv, ":w:h", longs, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            import_free(import);
            return 0;
        }
        if (option != 'w')
            status = cli_option_error("import", argv, option);
        else if (import_wikis(import, optarg, &err) < 0) {
            status = fail(&err);
        }
    }
    if (status == 0 && optind == argc)
        status = cli_usage_error("import", "missing argument: a file to import");
    for (int i = optind; status == 0 && i < argc; i++)
        status = import_one(import, argv[i]);
    if (status == 0)
        status = import_print(import, stdout) > 0 ? 1 : 0;
    import_free(import);
    return status;
}
