/* Complaints about a configuration, for every subcommand that loads one. */
#include "cli/complain.h"

#include "cli/excerpt.h"

#include <stdio.h>

enum { LINE_MAX_BYTES = 2048 };

void complaints_print(const struct complaints *complaints)
{
    char line[LINE_MAX_BYTES];

    for (size_t i = 0; i < complaints->count; i++) {
        if (complaints->items[i].severity != SEVERITY_ERROR)
            continue;
        fprintf(stderr, "%s\n", complaint_line(&complaints->items[i], line, sizeof(line)));
        excerpt_print(stderr, complaints->items[i].place);
    }
    if (complaints->left_out > 0)
        fprintf(stderr, "%zu more are not shown\n", complaints->left_out);
}

struct config *config_load_or_complain(const char *path)
{
    struct complaints complaints;

    complaints_init(&complaints);
    struct config *config = config_load(path, &complaints);
    complaints_print(&complaints);
    complaints_deinit(&complaints);
    return config;
}
