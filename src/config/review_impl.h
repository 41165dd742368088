/* The parts of a review, and finding the rules that are about a host. */
#pragma once

#include "config/review.h"

void complaints_warn(struct complaints *complaints, struct place place, const char *fmt, ...)
    PRINTF(3, 4);

/* Rules that can never match. */
void review_rules(const struct router_conf *router, struct complaints *complaints);

/* Conditions on fields that never arrive. */
void review_fields(const struct config *config, const struct router_conf *router,
                   struct complaints *complaints);

/* Shares that never apply, and hosts that no wiki has. */
void review_split(const struct config *config, const struct router_conf *router,
                  struct complaints *complaints);

/* The hosts that rules name, sorted: exact ones and those of "*.name". Patterns are not in it. */
struct host_index {
    struct host_entry *items; /* owns */
    size_t count;
};
struct host_entry {
    struct str name;
    bool is_suffix;
    uint32_t rule;
};

void host_index_init(struct host_index *index, const struct router_conf *router);
void host_index_deinit(struct host_index *index);

/* Calls `visit` with each rule that names `host` or a domain above it, in no order. */
typedef void host_visit(void *arg, uint32_t rule);
void host_index_find(const struct host_index *index, struct str host, host_visit *visit, void *arg);
