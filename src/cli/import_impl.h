/* What import_read.c finds and import_write.c tells. */
#pragma once

#include "base/str.h"
#include "cli/import.h"

enum { IMPORT_BYTES_MAX = 16 << 20 };

/* A line of the Lua table. */
struct import_entry {
    struct str host, value; /* as written */
    struct str comment;     /* what stood above */
    const char *path;
    int line;
    uint32_t share;
    bool is_dropped;
};

struct import_list {
    const char *path, *share; /* share NULL: unknown */
    struct str text;
};

struct import_wiki {
    struct str name, host, mobile;
};

struct import {
    struct arena arena;
    struct import_entry *entries; /* owns */
    size_t entry_count;
    struct import_list *lists; /* owns */
    size_t list_count;
    struct import_wiki *wikis; /* owns: by name */
    size_t wiki_count;
    struct str *doubts; /* owns */
    size_t doubt_count;
};

void import_doubt(struct import *import, struct str text);
