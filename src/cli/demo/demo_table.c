/* See demo_table.h. */
#include "cli/demo/demo_table.h"

static bool is_named(const char *have, struct str name)
{
    return str_eq(str_of(have), name);
}

static void copy_name(char *out, size_t size, struct str name)
{
    snprintf(out, size, "%.*s", STR_FMT(name));
}

static struct demo_group *group_get(struct demo_table *table, struct str name)
{
    for (unsigned i = 0; i < table->group_count; i++) {
        if (is_named(table->groups[i].name, name))
            return &table->groups[i];
    }
    if (table->group_count == DEMO_GROUPS_MAX || name.len == 0)
        return NULL;
    struct demo_group *group = &table->groups[table->group_count++];
    copy_name(group->name, sizeof(group->name), name);
    return group;
}

static struct demo_service *service_get(struct demo_table *table, struct str name)
{
    for (unsigned i = 0; i < table->service_count; i++) {
        if (is_named(table->services[i].name, name))
            return &table->services[i];
    }
    if (table->service_count == DEMO_SERVICES_MAX || name.len == 0)
        return NULL;
    struct demo_service *service = &table->services[table->service_count++];
    copy_name(service->name, sizeof(service->name), name);
    return service;
}

void demo_table_add_group(struct demo_table *table, const char *name)
{
    (void)group_get(table, str_of(name));
}

void demo_table_count(struct demo_table *table, const struct access_entry *entry)
{
    struct demo_group *group = group_get(table, entry->group);

    table->requests++;
    table->errors += entry->status >= 500 || entry->status == 0;
    if (group != NULL)
        group->requests++;
    if (!str_starts(entry->why, STR("split_")))
        return;
    struct demo_service *service = service_get(table, entry->service);
    if (service == NULL)
        return;
    service->requests++;
    service->k8s += str_eq(entry->side, STR("k8s"));
    service->shares += entry->share;
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

/* Shares count in 0.001 %. */
static double expected_percent(const struct demo_service *service)
{
    return service->requests > 0 ? (double)service->shares / 1000 / (double)service->requests : 0;
}

void demo_table_draw(struct demo_table *table, FILE *out)
{
    unsigned lines = 0;

    if (table->lines_shown > 0)
        fprintf(out, "\033[%uA", table->lines_shown);
    fprintf(out, "\033[K  requests %llu, errors %llu\n", (unsigned long long)table->requests,
            (unsigned long long)table->errors);
    fprintf(out, "\033[K  %-14s %10s %9s\n", "group", "requests", "of all");
    lines += 2;
    for (unsigned i = 0; i < table->group_count; i++, lines++)
        fprintf(out, "\033[K  %-14s %10llu %7.1f %%\n", table->groups[i].name,
                (unsigned long long)table->groups[i].requests,
                percent(table->groups[i].requests, table->requests));
    fprintf(out, "\033[K  %-14s %10s %13s %13s\n", "split", "requests", "k8s observed",
            "k8s expected");
    lines += 1;
    for (unsigned i = 0; i < table->service_count; i++, lines++)
        fprintf(out, "\033[K  %-14s %10llu %11.1f %% %11.1f %%\n", table->services[i].name,
                (unsigned long long)table->services[i].requests,
                percent(table->services[i].k8s, table->services[i].requests),
                expected_percent(&table->services[i]));
    fflush(out);
    table->lines_shown = lines;
}

void demo_table_line(struct demo_table *table, FILE *out)
{
    if (table->requests == table->requests_shown)
        return;
    table->requests_shown = table->requests;
    fprintf(out, "requests=%llu errors=%llu", (unsigned long long)table->requests,
            (unsigned long long)table->errors);
    for (unsigned i = 0; i < table->group_count; i++)
        fprintf(out, " %s=%llu", table->groups[i].name,
                (unsigned long long)table->groups[i].requests);
    for (unsigned i = 0; i < table->service_count; i++)
        fprintf(out, " %s-on-k8s=%.1f%% (expected %.1f%%)", table->services[i].name,
                percent(table->services[i].k8s, table->services[i].requests),
                expected_percent(&table->services[i]));
    fputc('\n', out);
    fflush(out);
}
