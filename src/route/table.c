/* Hosts by name: open addressing with linear probing, at most half full, filled once. A slot holds
 * the hash, so that a look-up reads one record and only when it is the right one; a record holds
 * its name, so that comparing reads the line that was wanted anyway. The names are the operator's,
 * so a plain hash is enough: nobody else can put two of them into one slot. */
#include "route/route_impl.h"

#include <stdlib.h>

enum { RECORD_ALIGN = 4, SLOTS_MIN = 32 };

/* Eight bytes at a time; the last ones overlap instead of being counted out. */
uint32_t host_hash(struct str host)
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

static struct host_record *record_at(const struct host_table *table, uint32_t at)
{
    return (struct host_record *)(table->records + (size_t)(at - 1) * RECORD_ALIGN);
}

void host_table_expect(const struct host_table *table, struct str host)
{
    if (table->count > 0)
        __builtin_prefetch(&table->slots[host_hash(host) & table->mask]);
}

const struct host_record *host_table_find(const struct host_table *table, struct str host)
{
    if (table->count == 0)
        return NULL;
    uint32_t hash = host_hash(host);
    for (uint32_t i = hash & table->mask; table->slots[i].at != 0; i = (i + 1) & table->mask) {
        if (table->slots[i].hash != hash)
            continue;
        const struct host_record *record = record_at(table, table->slots[i].at);
        if (record->len == host.len && memcmp(record->name, host.ptr, host.len) == 0)
            return record;
    }
    return NULL;
}

static void insert(struct host_table *table, struct host_slot slot)
{
    uint32_t i = slot.hash & table->mask;

    while (table->slots[i].at != 0)
        i = (i + 1) & table->mask;
    table->slots[i] = slot;
}

static void grow_slots(struct host_table *table)
{
    struct host_slot *old = table->slots;
    uint32_t old_size = old != NULL ? table->mask + 1 : 0;
    uint32_t size = old_size > 0 ? old_size * 2 : SLOTS_MIN;

    table->slots = mem_new(size * sizeof(*table->slots));
    table->mask = size - 1;
    for (uint32_t i = 0; i < old_size; i++) {
        if (old[i].at != 0)
            insert(table, old[i]);
    }
    free(old);
}

static struct host_record *add_record(struct host_table *table, struct str host)
{
    size_t size = offsetof(struct host_record, name) + host.len;

    size = (size + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
    if (table->used + size > table->cap) {
        table->cap = MAX(table->cap + table->cap / 2, table->used + size + 1024);
        table->records = mem_resize(table->records, table->cap);
    }
    struct host_record *record = (struct host_record *)(table->records + table->used);
    *record = (struct host_record){
        .split_host = -1, .candidates = -1, .dc_host = -1, .alias = -1, .len = (uint8_t)host.len};
    memcpy(record->name, host.ptr, host.len);
    table->used += size;
    return record;
}

struct host_record *host_table_add(struct host_table *table, struct str host)
{
    const struct host_record *found = host_table_find(table, host);

    if (found != NULL)
        return (struct host_record *)found;
    ASSERT(host.len <= UINT8_MAX);
    if (table->slots == NULL || table->count * 2 > table->mask)
        grow_slots(table);
    uint32_t at = (uint32_t)(table->used / RECORD_ALIGN) + 1;
    struct host_record *record = add_record(table, host);
    table->count++;
    insert(table, (struct host_slot){host_hash(host), at});
    return record;
}

void host_table_trim(struct host_table *table)
{
    if (table->used == table->cap)
        return;
    table->cap = table->used;
    table->records = mem_resize(table->records, MAX(table->cap, 1));
}

void host_table_deinit(struct host_table *table)
{
    free(table->slots);
    free(table->records);
    *table = (struct host_table){0};
}
