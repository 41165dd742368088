/* What the demo shows while it runs: which group answered how often, and how the observed split
 * compares with what was to be expected of the requests that came. */
#pragma once

#include "observe/access_log.h"

#include <stdio.h>

enum { DEMO_GROUPS_MAX = 8, DEMO_SERVICES_MAX = 4 };

struct demo_table {
    uint64_t requests, errors;
    struct demo_group {
        char name[32];
        uint64_t requests;
    } groups[DEMO_GROUPS_MAX];
    unsigned group_count;
    struct demo_service {
        char name[32];
        uint64_t requests, k8s,
            shares; /* of requests that the split decided; sum of their shares */
    } services[DEMO_SERVICES_MAX];
    unsigned service_count;

    unsigned lines_shown;
    uint64_t requests_shown;
};

/* A group that is shown even before it has answered anything. */
void demo_table_add_group(struct demo_table *table, const char *name);

void demo_table_count(struct demo_table *table, const struct access_entry *entry);

/* In place, over what was drawn before (a terminal). */
void demo_table_draw(struct demo_table *table, FILE *out);

/* One line, if something has happened since the last one. */
void demo_table_line(struct demo_table *table, FILE *out);
