/* What import_read.c finds and import_write.c tells. */
#pragma once

#include "base/str.h"
#include "cli/import/import.h"
#include "config/place.h"

/* A line of the Lua table. */
struct import_entry {
    struct str host, value; /* the value as written */
    double number;          /* what it counts as; NAN: not a share */
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

void import_add(struct import *import, struct import_entry entry);
void import_doubt(struct import *import, struct str text);
#define DOUBT(import, ...) import_doubt((import), arena_printf(&(import)->arena, __VA_ARGS__))

/* The entries of a Lua table. Nothing is run: what is no table of texts and shares is an error. */
MUST_USE int import_lua(struct import *import, const char *path, struct str text, struct err *err);

/* Always -1. */
int import_fail(struct err *err, const struct place *place, const char *fmt, ...) PRINTF(3, 4);
