/* One request as the operator's tools are given it (command line, JSON lines, cases, logs), and the
 * decision that the proxy would make on it. */
#pragma once

#include "base/arena.h"
#include "route/route.h"

enum { QUESTION_FIELDS_MAX = 128 };

/* Whether the debug header of this request counts. */
enum trust {
    TRUST_BY_CLIENT, /* as the listener would have it: by the client's address; without one: yes */
    TRUST_YES,
    TRUST_NO,
};

/* All text is borrowed until the next question_reset(). */
struct question {
    struct str method;    /* default GET */
    struct str authority; /* of the URL */
    struct str path;      /* with query, never empty; raw UTF-8 is encoded */
    struct str raw_path;  /* as it was given; "" when none was */
    struct str client;    /* address as text; "" = unknown */
    enum trust trust;
    bool is_http10;
    bool lacks_host; /* no Host field is sent at all */
    struct question_field {
        struct str name, value;
    } fields[QUESTION_FIELDS_MAX];
    unsigned field_count;
    struct arena arena; /* owns: what has to be joined */

    struct facts facts; /* filled by judge_facts */
    enum why refusal;   /* WHY_NONE, or why no router is asked at all */
};

void question_init(struct question *question);
void question_reset(struct question *question);
void question_deinit(struct question *question);

/* "https://host/path", "host/path" or "/path"; a fragment is never sent. NULL, or what is wrong.
 * Like the others below it keeps `url` borrowed. */
const char *question_set_url(struct question *question, struct str url);
const char *question_set_method(struct question *question, struct str method);
const char *question_add_field(struct question *question, struct str name, struct str value);

/* "Name: value"; "Host:" alone sends none. */
const char *question_add_line(struct question *question, struct str line);

/* "1.0" or "1.1". */
const char *question_set_http(struct question *question, struct str version);

/* A router, and the listener in front of it. */
struct judge {
    const struct config *config;          /* borrows */
    const struct router_conf *conf;       /* borrows */
    const struct listener_conf *listener; /* borrows: the first that asks this router; NULL: none */
    struct router *router;                /* owns */
    uint64_t dice;
};

/* The router `name`, or the first one when NULL. */
MUST_USE int judge_init(struct judge *judge, const struct config *config, const char *name,
                        struct err *err);
void judge_deinit(struct judge *judge);

/* Fills question.facts and question.refusal; fields that the proxy would take from a client it does
 * not trust are gone. NULL, or what is wrong with the question. */
const char *judge_facts(struct judge *judge, struct question *question);

/* What the proxy would do; after judge_facts. */
struct decision judge_decide(const struct judge *judge, const struct question *question);
