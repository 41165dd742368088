/* Cases beside a configuration: requests, and what should become of them. Plain data, read by
 * `weir check --tests`; what they are compared with is not this room's business.
 *
 *     datacenter: codfw             # optional: stand here
 *     router: mediawiki             # optional: the first one
 *     cases:
 *       - name: closed wikis are on Kubernetes
 *         request: GET https://aa.wikipedia.org/wiki/X
 *         headers: { Cookie: [a=1, b=2], Host: null }
 *         client: 192.0.2.1
 *         trusted: false
 *         http: "1.0"
 *         expect: { group: mw-web, side: k8s, share: 100% }
 */
#pragma once

#include "config/config.h"

#define EXPECTATIONS(X)                                                                            \
    X(STATUS, "status")                                                                            \
    X(SERVICE, "service")                                                                          \
    X(SIDE, "side")                                                                                \
    X(GROUP, "group")                                                                              \
    X(TARGET, "target")                                                                            \
    X(DATACENTER, "datacenter")                                                                    \
    X(SHARE, "share")                                                                              \
    X(RULE, "rule")                                                                                \
    X(BACKEND, "backend")                                                                          \
    X(WHY, "why")                                                                                  \
    X(PATH_SENT, "path_sent")                                                                      \
    X(HOST_SENT, "host_sent")

enum expectation {
#define X(name, word) EXPECT_##name,
    EXPECTATIONS(X)
#undef X
        EXPECT_COUNT
};
const char *expectation_word(enum expectation what);

/* All of the values must occur and no other, whatever is drawn; "none" stands for null. */
struct expect_conf {
    struct place place;
    struct str *values;
    size_t count; /* 0: nothing is expected of this */
};

struct case_field {
    struct str name, value;
    bool is_absent; /* null: not sent */
};

enum case_trust { CASE_TRUST_BY_CLIENT, CASE_TRUSTED, CASE_UNTRUSTED };

struct case_conf {
    struct place place;
    struct str name; /* default: the request */
    struct str request, method, url;
    struct case_field *fields;
    size_t field_count;
    struct str client, http; /* "" = not given */
    enum case_trust trust;
    struct expect_conf expect[EXPECT_COUNT];
};

struct cases_conf {
    struct arena arena;    /* owns all of the below */
    struct str router;     /* "" = the first */
    struct str datacenter; /* "" = as configured */
    struct case_conf *items;
    size_t count;
};

/* NULL after a complaint. */
struct cases_conf *cases_load(const char *path, struct complaints *complaints);
void cases_free(struct cases_conf *cases);
