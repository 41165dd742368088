/* weir completion: the completion of a shell, for systems without a package that installs it. */
#include "cli/cli.h"

#include "base/base.h"

#include "weir/completions.h"

#include <stdio.h>
#include <string.h>

static const char help[] = "Usage: weir completion bash|fish|zsh\n"
                           "\n"
                           "Prints the completion of weir's commands and options for this shell:\n"
                           "\n"
                           "  source <(weir completion bash)\n"
                           "  source <(weir completion zsh)\n"
                           "  weir completion fish | source\n";

int cli_completion(int argc, char **argv)
{
    static const struct {
        const char *shell, *text;
    } shells[] = {{"bash", completion_bash}, {"fish", completion_fish}, {"zsh", completion_zsh}};

    if (argc != 2)
        return cli_usage_error("completion", "missing argument: bash, fish or zsh");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        fputs(help, stdout);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
        if (strcmp(argv[1], shells[i].shell) == 0) {
            fputs(shells[i].text, stdout);
            return 0;
        }
    }
    return cli_usage_error("completion", "unknown shell \"%s\"; expected bash, fish or zsh",
                           argv[1]);
}
