/* What the rows of the table of conditions (conditions.c) are made of. */
#pragma once

#include "config/loader_impl.h"

/* --- load_conditions.c ----------------------------------------------------------------------- */

/* Each loads one kind out of the mapping `node` into `match`; 0 when it is not given. */
int load_host_condition(struct loader *loader, const struct node *node, struct match_conf *match);
int load_path_condition(struct loader *loader, const struct node *node, struct match_conf *match);
int load_method_condition(struct loader *loader, const struct node *node, struct match_conf *match);
int load_field_condition(struct loader *loader, const struct node *node, struct match_conf *match);

/* --- conditions.c ---------------------------------------------------------------------------- */

/* The conditions of a rule, with its hosts made ready for searching: a rule may have 100,000, and
 * each of thousands of rules is compared with all before it. */
struct host_set {
    const struct match_conf *match; /* borrows */
    uint64_t bits;                  /* one for each exact name: rules that differ need no search */
    struct str *exact;              /* owns: sorted */
    size_t exact_count;
};

void host_set_init(struct host_set *set, const struct match_conf *match);
void host_set_deinit(struct host_set *set);

/* Quickly, for nearly all pairs of rules: has `narrow` a host that `wide` cannot have? */
bool host_set_differs(const struct host_set *wide, const struct host_set *narrow);

/* Does `wide` hold for every request for which `narrow` holds? */
bool match_covers(const struct host_set *wide, const struct host_set *narrow);
