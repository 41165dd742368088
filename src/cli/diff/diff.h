/* weir diff: what a new configuration would change, and for which hosts and requests. */
#pragma once

#include "cli/question.h"
#include "observe/metrics.h"

#include <stdio.h>

/* The share of k8s in force by the configuration, for requests of `host` (canonical) to `service`
 * (an index). */
uint32_t share_of_host(const struct router *router, struct str host, int service);

/* The service of that name, or -1. */
int service_find(const struct router_conf *conf, struct str name);

/* One router of a configuration; all borrowed. */
struct weighing {
    const struct config *config;
    const struct router_conf *conf;
    const struct router *router;
};

/* Prints which hosts have another share than before, those of the tables of wikis included. At most
 * `max_hosts` of each kind are named. With `json`, objects separated by commas are added to it
 * instead, with all hosts. Returns how many hosts have another share. */
size_t diff_shares(FILE *out, const struct weighing *before, const struct weighing *after,
                   size_t max_hosts, struct text *json);

/* A key and its value, "" between them: ,"key":"value". */
void diff_json_str(struct text *json, const char *key, struct str value);

struct diff_log_options {
    const char *file;  /* "-": standard input */
    struct str host;   /* of lines that have none; "" = skip them */
    bool only_shares;  /* apart from shares both routers are the same */
    bool same_buckets; /* a client is in the same bucket in both */
    struct text *json; /* gets one object instead of what is printed; NULL */
};

/* Reads a log and prints which requests would move. How many; -1 after an error message. */
int64_t diff_log(FILE *out, struct judge *before, struct judge *after,
                 const struct diff_log_options *options);
