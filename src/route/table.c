/* Hosts by name: open addressing with linear probing, at most half full, filled once. The names are
 * the operator's, so a plain hash is enough: nobody else can put two of them into one slot. */
#include "route/route_impl.h"

#include <stdlib.h>

/* Eight bytes at a time; the last ones overlap instead of being counted out. */
static uint32_t host_hash(struct str host)
{
    uint64_t hash = host.len * 0x9e3779b97f4a7c15u, word = 0;
    size_t at = 0;

    for (; at + 8 < host.len; at += 8) {
        memcpy(&word, host.ptr + at, 8);
        hash = (hash ^ word) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 32;
    }
    if (host.len >= 8)
        memcpy(&word, host.ptr + host.len - 8, 8);
    else if (host.len > 0)
        memcpy(&word, host.ptr, host.len);
    hash = (hash ^ word) * 0xc4ceb9fe1a85ec53u;
    return (uint32_t)(hash >> 32);
}

const struct host_record *host_table_find(const struct host_table *table, struct str host)
{
    if (table->count == 0)
        return NULL;
    for (uint32_t i = host_hash(host) & table->mask; table->slots[i] != 0;
         i = (i + 1) & table->mask) {
        const struct host_record *record = &table->records[table->slots[i] - 1];
        if (str_eq(record->name, host))
            return record;
    }
    return NULL;
}

static void insert(struct host_table *table, uint32_t index)
{
    uint32_t i = host_hash(table->records[index].name) & table->mask;

    while (table->slots[i] != 0)
        i = (i + 1) & table->mask;
    table->slots[i] = index + 1;
}

static void grow(struct host_table *table)
{
    table->cap = table->cap > 0 ? table->cap * 2 : 16;
    table->records = mem_resize(table->records, table->cap * sizeof(*table->records));
    free(table->slots);
    table->slots = mem_new((size_t)table->cap * 2 * sizeof(*table->slots));
    table->mask = table->cap * 2 - 1;
    for (uint32_t i = 0; i < table->count; i++)
        insert(table, i);
}

struct host_record *host_table_add(struct host_table *table, struct str host)
{
    const struct host_record *found = host_table_find(table, host);

    if (found != NULL)
        return &table->records[found - table->records];
    if (table->count == table->cap)
        grow(table);
    struct host_record *record = &table->records[table->count];
    *record = (struct host_record){.name = host, .split_host = -1, .candidates = -1, .dc_host = -1};
    insert(table, table->count++);
    return record;
}

void host_table_deinit(struct host_table *table)
{
    free(table->slots);
    free(table->records);
    *table = (struct host_table){0};
}
