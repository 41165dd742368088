/* Hosts by name, filled once. A hash says the row, tags say which of its eight records to look at,
 * and a record has its name in its own cache line: a look-up reads two lines, whatever the number
 * of hosts, and decide.c asks for both before it needs them. Full rows go on in the next one. */
#include "route/route_impl.h"

#include <stdlib.h>

_Static_assert(sizeof(struct host_record) == HOST_RECORD_BYTES, "a record is one cache line");

struct str host_record_name(const struct host_record *record)
{
    const char *name = record->name;

    if (UNLIKELY(record->len > HOST_NAME_INLINE))
        memcpy(&name, record->name, sizeof(name));
    return str_make(name, record->len);
}

static bool has_free_place(uint64_t tags)
{
    return (~tags & 0x8080808080808080u) != 0;
}

static uint32_t row_behind(const struct host_table *table, uint32_t row)
{
    return row + 1 < table->rows ? row + 1 : 0;
}

const struct host_record *host_table_find(const struct host_table *table, struct str host,
                                          uint64_t hash)
{
    if (table->count == 0)
        return NULL;
    for (uint32_t row = host_table_row(table, hash);; row = row_behind(table, row)) {
        uint64_t tags = table->tags[row];
        for (uint64_t like = host_tags_like(tags, hash); like != 0; like &= like - 1) {
            const struct host_record *record =
                &table->records[row * TABLE_ROW + (unsigned)__builtin_ctzll(like) / 8];
            if (record->hash == (uint32_t)hash && str_eq(host_record_name(record), host))
                return record;
        }
        if (LIKELY(has_free_place(tags)))
            return NULL;
    }
}

/* A free record, tagged; somewhere there is one. */
static struct host_record *take_place(struct host_table *table, uint64_t hash)
{
    uint32_t row = host_table_row(table, hash);

    while (!has_free_place(table->tags[row]))
        row = row_behind(table, row);
    unsigned at = (unsigned)__builtin_ctzll(~table->tags[row] & 0x8080808080808080u) / 8;
    table->tags[row] |= ((hash & 127) | 128) << (8 * at);
    return &table->records[row * TABLE_ROW + at];
}

static void resize(struct host_table *table, uint32_t rows)
{
    struct host_table old = *table;
    size_t size = rows * TABLE_ROW * sizeof(*table->records);

    table->tags = mem_new(rows * sizeof(*table->tags));
    table->records = aligned_alloc(HOST_RECORD_BYTES, size);
    ASSERT(table->records != NULL);
    memset(table->records, 0, size);
    table->rows = rows;
    for (uint32_t i = 0; i < old.rows * TABLE_ROW; i++) {
        const struct host_record *record = &old.records[i];
        if (record->len != 0)
            *take_place(table, host_hash(host_record_name(record))) = *record;
    }
    free(old.tags);
    free(old.records);
}

struct host_record *host_table_next(const struct host_table *table, uint32_t *at)
{
    while (*at < table->rows * TABLE_ROW) {
        struct host_record *record = &table->records[(*at)++];
        if (record->len != 0)
            return record;
    }
    return NULL;
}

/* Three quarters full: few look-ups go on into another row. */
static bool is_full(const struct host_table *table)
{
    return table->count >= table->rows * (TABLE_ROW / 4 * 3);
}

struct host_record *host_table_add(struct host_table *table, struct str host)
{
    uint64_t hash = host_hash(host);
    const struct host_record *found = host_table_find(table, host, hash);

    if (found != NULL)
        return (struct host_record *)found;
    ASSERT(host.len > 0 && host.len <= UINT8_MAX);
    if (is_full(table))
        resize(table, MAX(table->rows * 2, 1));
    struct host_record *record = take_place(table, hash);
    *record = (struct host_record){.hash = (uint32_t)hash,
                                   .split_host = -1,
                                   .candidates = -1,
                                   .dc_host = -1,
                                   .alias = -1,
                                   .len = (uint8_t)host.len};
    if (host.len <= HOST_NAME_INLINE)
        memcpy(record->name, host.ptr, host.len);
    else
        memcpy(record->name, &host.ptr, sizeof(host.ptr));
    table->count++;
    return record;
}

void host_table_trim(struct host_table *table)
{
    uint32_t rows = table->count / (TABLE_ROW / 4 * 3) + 1;

    if (rows < table->rows)
        resize(table, rows);
}

void host_table_deinit(struct host_table *table)
{
    free(table->tags);
    free(table->records);
    *table = (struct host_table){0};
}
