/* The words of a Lua program, of any version from 5.1 to 5.4: names, strings and numbers in all
 * their forms, and single characters. Comments are skipped; the last short one that stood alone in
 * its line is remembered. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

enum lua_kind { LUA_END, LUA_NAME, LUA_STRING, LUA_NUMBER, LUA_SYMBOL };

struct lua_token {
    enum lua_kind kind;
    struct str raw;  /* as written */
    struct str text; /* of a string: what it means */
    double number;   /* of a number */
    int line;
    const char *line_start; /* for its column */
};

struct lua_lexer {
    struct arena *arena; /* of strings with escapes */
    const char *path;
    struct str rest;
    const char *line_start;
    int line;
    bool is_line_empty; /* no word in this line so far */
    struct str comment; /* "" = none */
};

void lua_lexer_init(struct lua_lexer *lexer, struct arena *arena, const char *path,
                    struct str text);

/* -1, with the place, at what is not Lua. */
MUST_USE int lua_next(struct lua_lexer *lexer, struct lua_token *token, struct err *err);

/* Fills `err` with the place of `token`; always -1. */
int lua_error_at(const struct lua_lexer *lexer, const struct lua_token *token, struct err *err,
                 const char *fmt, ...) PRINTF(4, 5);
