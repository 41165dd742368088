/* One request, one decision: rule, debug backend, datacenter, side, in this order. Everything
 * stands on the stack; nothing here can fail, wait or allocate. */
#include "route/route_impl.h"
#include "route/weights_impl.h"

const struct decision undecided = {
    .group = -1,
    .target = -1,
    .service = -1,
    .rule = -1,
    .datacenter = -1,
    .entry = -1,
    .host = -1,
    .dc_rule = -1,
    .backend = -1,
};

static void answer(struct decision *decision, int status, enum why why)
{
    decision->status = status;
    decision->why = why;
    decision->group = decision->target = -1;
}

struct decision route_refuse(enum why why)
{
    struct decision decision = undecided;

    answer(&decision, 400, why);
    return decision;
}

/* --- rules ----------------------------------------------------------------------------------- */

const struct host_record *suffix_find(const struct router *router, struct str host)
{
    for (size_t i = 0; i < router->suffix_length_count; i++) {
        size_t len = router->suffix_lengths[i];
        if (host.len <= len + 1 || host.ptr[host.len - len - 1] != '.')
            continue;
        struct str suffix = str_skip(host, host.len - len);
        const struct host_record *record =
            host_table_find(&router->suffixes, suffix, host_hash(suffix));
        if (record != NULL)
            return record;
    }
    return NULL;
}

static const struct test_set *candidates_for(const struct router *router,
                                             const struct host_record *record, struct str host)
{
    if (LIKELY(record != NULL))
        return &router->candidates[record->candidates];
    record = suffix_find(router, host);
    return &router->candidates[record != NULL ? record->candidates : 0];
}

/* --- debug ----------------------------------------------------------------------------------- */

static const struct debug_backend_conf *backend_find(const struct debug_conf *debug,
                                                     struct str name)
{
    for (size_t i = 0; i < debug->backend_count; i++) {
        if (str_eq(debug->backends[i].name, name))
            return &debug->backends[i];
    }
    return NULL;
}

static bool backend_allows(const struct debug_backend_conf *backend, struct str host)
{
    for (size_t i = 0; i < backend->host_count; i++) {
        if (host_match(&backend->hosts[i], host))
            return true;
    }
    return backend->host_count == 0;
}

/* The group's target in the backend's datacenter, else the one that stands for all. */
static int backend_target(const struct router *router, const struct debug_backend_conf *backend)
{
    const struct group_conf *group = &router->config->groups[backend->group];

    for (size_t i = 0; backend->datacenter >= 0 && i < group->target_count; i++) {
        if (group->targets[i].datacenter == backend->datacenter)
            return (int)i;
    }
    return router->groups[backend->group].debug;
}

static void decide_debug(const struct router *router, const struct request *request,
                         struct decision *decision)
{
    const struct debug_conf *debug = &router->conf->debug;
    const struct debug_backend_conf *backend =
        backend_find(debug, debug_backend_name(request->facts->debug));

    if (backend == NULL) {
        answer(decision, debug->unknown_status, WHY_DEBUG_UNKNOWN);
        return;
    }
    decision->backend = (int)(backend - debug->backends);
    if (!backend_allows(backend, request->host)) {
        answer(decision, backend->refused_status, WHY_DEBUG_REFUSED);
        return;
    }
    decision->group = backend->group;
    decision->target = backend_target(router, backend);
    decision->datacenter =
        router->config->groups[backend->group].targets[decision->target].datacenter;
    if (decision->datacenter < 0)
        decision->datacenter = router->config->datacenters.local;
    decision->why = WHY_DEBUG;
    decision->dc_why = DC_WHY_DEBUG;
}

/* --- drawing lots ---------------------------------------------------------------------------- */

static bool is_zero(const uint8_t ip[16])
{
    static const uint8_t zero[16];

    return memcmp(ip, zero, sizeof(zero)) == 0;
}

static bool is_ipv4(const uint8_t ip[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(ip, mapped, sizeof(mapped)) == 0;
}

/* As much of the client's address as counts; empty when it is not known. */
static struct str client_prefix(const struct sticky_key_conf *key, struct request *request)
{
    const uint8_t *ip = request->facts->client_ip;
    unsigned bits = is_ipv4(ip) ? 96u + key->ipv4_bits : key->ipv6_bits;

    if (is_zero(ip))
        return str_make(ip, 0);
    if (LIKELY(bits == 128))
        return str_make(ip, 16);
    memset(request->client, 0, sizeof(request->client));
    memcpy(request->client, ip, (bits + 7) / 8);
    if (bits % 8 > 0)
        request->client[bits / 8] &= (uint8_t)(0xff00u >> (bits % 8));
    return str_make(request->client, 16);
}

static struct str cookie_value(const struct router *router, size_t index, struct request *request)
{
    uint32_t bit = router->sticky_bits[index];
    struct str none = {NULL, 0};

    if (request->facts->cookie.len == 0)
        return none;
    if (bit == 0)
        return cookie_find(request->facts->cookie, router->conf->sticky.keys[index].name);
    request_see_cookies(request);
    return (request->cookies & bit) != 0 ? request->cookie[__builtin_ctz(bit)] : none;
}

/* Each host has a salt of its own, so that two hosts with the same share do not move the same
 * users. */
static uint64_t lot_of(struct hash_key salt, struct str key, uint64_t host)
{
    salt.k0 ^= host;
    return hash_sip13(salt, key.ptr, key.len);
}

/* The first key that the request has, its bytes in `*value`; -1: the dice. */
static inline int sticky_find(const struct router *router, struct request *request,
                              struct str *value)
{
    const struct sticky_conf *sticky = &router->conf->sticky;

    for (size_t i = 0; i < sticky->count; i++) {
        const struct sticky_key_conf *key = &sticky->keys[i];
        *value = (struct str){NULL, 0};
        switch (key->kind) {
        case STICKY_COOKIE:
            *value = cookie_value(router, i, request);
            break;
        case STICKY_HEADER:
            *value = request_field(request, key->name);
            break;
        case STICKY_CLIENT_IP:
            *value = client_prefix(key, request);
            break;
        case STICKY_NONE:
            return -1;
        }
        if (value->len > 0)
            return (int)i;
    }
    return -1;
}

int route_sticky_key(const struct router *router, const struct facts *facts)
{
    char text[HOST_BYTES_MAX];
    struct request request;
    struct str value;
    bool is_mobile;

    request.facts = facts;
    request.router = router;
    request.cookies_seen = false;
    request.cookies = request.cookies_repeated = 0;
    if (host_read(facts->host, text, &request.name, &is_mobile) < 0)
        request.name = STR("");
    return sticky_find(router, &request, &value);
}

/* 64 bits that stay the same for this client and host, as far as it can be recognised. The upper
 * half is the bucket, the lower half chooses among the groups of a side. */
static uint64_t draw(const struct router *router, struct hash_key salt, struct request *request)
{
    struct str value;

    if (sticky_find(router, request, &value) < 0)
        return request->facts->random;
    return lot_of(salt, value, request->host_hash);
}

static bool is_below(uint32_t bucket, uint32_t share)
{
    return bucket < ((uint64_t)share << 32) / SHARE_MAX;
}

static int choose(const struct choice_conf *choice, uint32_t bucket)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < choice->count; i++) {
        sum += choice->weights[i].share;
        if (is_below(bucket, sum))
            return choice->weights[i].group;
    }
    return choice->weights[choice->count - 1].group;
}

/* --- datacenter ------------------------------------------------------------------------------ */

/* GET, HEAD, OPTIONS, TRACE */
static bool is_read(struct shape shape)
{
    return (BIT(shape.method) & (BIT(0) | BIT(2) | BIT(4) | BIT(8))) != 0;
}

static bool has_session(const struct multi_dc_conf *multi_dc, const struct request *request)
{
    if (request->facts->cookie.len == 0)
        return false;
    for (size_t i = 0; i < multi_dc->session_count; i++) {
        if (field_match(&multi_dc->sessions[i], request))
            return true;
    }
    return false;
}

/* The first rule that sends the request to the primary; -1 when it may stay. */
static int primary_rule(const struct router *router, struct request *request)
{
    const struct test_set *rules = &router->dc_tests;
    int found = test_set_find(rules, 0, request);

    /* Not indexed by host, so the hosts are checked here. */
    while (found >= 0 && rules->tests[found].host_patterns == NULL &&
           !hosts_match(rules->tests[found].match, request->host))
        found = test_set_find(rules, (uint32_t)found + 1, request);
    return found;
}

/* `request->host` is the folded one, `record` what is known about it. LOCAL, or what sends the
 * request to the primary. */
static enum dc_why datacenter_why(const struct router *router, struct request *request,
                                  const struct host_record *record, struct decision *decision)
{
    const struct multi_dc_conf *multi_dc = &router->conf->multi_dc;
    enum dc_mode mode = multi_dc->mode;
    uint32_t share = request->weights->dc_share;

    if (record != NULL && record->dc_host >= 0) {
        mode = multi_dc->hosts[record->dc_host].mode;
        share = request->weights->dc_hosts[record->dc_host];
    }
    if (mode == DC_PRIMARY)
        return DC_WHY_MODE;
    if (multi_dc->writes_to_primary && !is_read(request->shape))
        return DC_WHY_METHOD;
    request->shape.lacks |= record != NULL && record->is_dc_named ? 0 : LACKS_DC_RULE;
    decision->dc_rule = primary_rule(router, request);
    if (decision->dc_rule >= 0)
        return DC_WHY_RULE;
    if (mode == DC_LOCAL_ANON && has_session(multi_dc, request))
        return DC_WHY_SESSION;
    if (share == SHARE_MAX)
        return DC_WHY_LOCAL;
    uint64_t lot = draw(router, router->dc_salt, request);
    return is_below((uint32_t)(lot >> 32), share) ? DC_WHY_LOCAL : DC_WHY_SHARE;
}

/* --- side ------------------------------------------------------------------------------------ */

static void place(const struct router *router, struct decision *decision, bool is_local)
{
    const struct group_route *route = &router->groups[decision->group];

    decision->target = is_local ? route->local : route->primary;
    decision->datacenter = is_local ? route->local_dc : route->primary_dc;
}

/* HTTP/1.0 without Host: nothing to split by; among the groups of a side the sticky key counts. */
static void decide_without_host(const struct router *router, struct request *request,
                                struct decision *decision)
{
    const struct service_conf *service = &router->conf->services[decision->service];
    const struct choice_conf *choice = service->is_split ? &service->legacy : &service->all;

    decision->side = service->is_split ? SIDE_LEGACY : SIDE_NONE;
    decision->group = choose(choice, (uint32_t)draw(router, router->salt, request));
    decision->why = WHY_NO_HOST;
    decision->dc_why = DC_WHY_NO_HOST;
    place(router, decision, false);
}

/* The wiki that a mobile host stands for becomes request->host; its record. */
static const struct host_record *fold(const struct router *router, const struct host_record *record,
                                      bool is_mobile, char *out, struct request *request)
{
    if (record != NULL && record->alias >= 0)
        request->host = router->conf->split.aliases[record->alias].host;
    else if (is_mobile)
        request->host = mobile_drop_labels(request->host, out);
    else
        return record;
    request->host_hash = host_hash(request->host);
    return host_table_find(&router->hosts, request->host, request->host_hash);
}

static void decide_service(const struct router *router, struct request *request,
                           const struct host_record *record, bool is_mobile,
                           struct decision *decision)
{
    const struct service_conf *service = &router->conf->services[decision->service];
    char text[FOLD_MAX];

    const struct host_record *folded = fold(router, record, is_mobile, text, request);
    if (service->multi_dc)
        decision->dc_why = datacenter_why(router, request, folded, decision);
    bool is_local = decision->dc_why <= DC_WHY_LOCAL;

    if (!service->is_split && service->all.count == 1) {
        decision->group = service->all.weights[0].group;
        decision->why = WHY_PLAIN;
        place(router, decision, is_local);
        return;
    }
    uint64_t lot = draw(router, router->salt, request);
    if (!service->is_split) {
        decision->bucket = (uint32_t)lot;
        decision->group = choose(&service->all, (uint32_t)lot);
        decision->why = WHY_WEIGHTS;
        place(router, decision, is_local);
        return;
    }
    /* The side is as good as random: found without a branch, which would often be guessed wrong. */
    const struct choice_conf *choices[] = {
        [SIDE_LEGACY] = &service->legacy, [SIDE_K8S] = &service->k8s};
    struct weighed weighed = weigh(request->weights, record, folded, decision->service);
    decision->share = weighed.weight.share;
    decision->why = weighed.weight.why;
    decision->entry = weighed.entry;
    decision->host = weighed.host;
    decision->bucket = (uint32_t)(lot >> 32);
    decision->side = SIDE_LEGACY + is_below(decision->bucket, decision->share);
    decision->group = choose(choices[decision->side], (uint32_t)lot);
    place(router, decision, is_local);
}

/* --- the door -------------------------------------------------------------------------------- */

static void decide_rule(const struct router *router, struct request *request,
                        const struct host_record *record, bool is_mobile, struct decision *decision)
{
    const struct rule_conf *rule = &router->conf->rules[decision->rule];

    if (rule->answer != NULL) {
        answer(decision, rule->answer->status, WHY_ANSWER);
        return;
    }
    decision->service = rule->service;
    if (request->facts->has_debug && router->conf->debug.enabled &&
        router->conf->services[rule->service].debug)
        decide_debug(router, request, decision);
    else if (UNLIKELY(request->host.len == 0))
        decide_without_host(router, request, decision);
    else
        decide_service(router, request, record, is_mobile, decision);
}

static void request_begin(struct request *request, const struct router *router,
                          const struct weights *weights, const struct facts *facts)
{
    request->facts = facts;
    request->router = router;
    request->weights = weights;
    request->host = request->name = facts->host;
    request->path_head = request->host_hash = 0;
    request->shape = (struct shape){.method = method_shape(facts->method),
                                    .lacks = facts->cookie.len == 0 ? LACKS_COOKIE : 0};
    request->cookies_seen = request->params_seen = false;
    request->limits = 0;
    request->cookies = request->params = 0;
    request->cookies_repeated = request->params_repeated = 0;
}

/* Is the host, or the wiki whose mobile host it is, named anywhere in the configuration? */
static bool host_is_known(const struct router *router, const struct host_record *record,
                          bool is_mobile, struct str host)
{
    char text[FOLD_MAX];

    if (record != NULL || suffix_find(router, host) != NULL)
        return true;
    if (!is_mobile)
        return false;
    struct str wiki = mobile_drop_labels(host, text);
    return host_table_find(&router->hosts, wiki, host_hash(wiki)) != NULL;
}

/* A host that stands in the table as it was received needs no reading. Else it is read, and looked
 * for once more if that changed anything. `*record` NULL: it is in no table. -1: it is no host. */
static int host_settle(const struct router *router, struct request *request, char *text,
                       const struct host_record **record, bool *is_mobile)
{
    struct str received = request->host;

    *record = host_table_find(&router->hosts, received, request->host_hash);
    if (LIKELY(*record != NULL && (*record)->is_canonical)) {
        *is_mobile = (*record)->is_mobile;
        return 0;
    }
    if (host_read(received, text, &request->host, is_mobile) < 0)
        return -1;
    request->name = request->host;
    request->host_hash = host_hash(request->host);
    *record = host_table_find(&router->hosts, request->host, request->host_hash);
    return 0;
}

struct decision route_decide(const struct router *router, const struct weights *weights,
                             const struct facts *facts)
{
    char host_text[HOST_BYTES_MAX], path_text[PATH_TEXT_BYTES];
    const struct host_record *record = NULL;
    struct decision decision = undecided;
    struct request request;
    bool is_mobile = false;

    request_begin(&request, router, weights, facts);
    request.host_hash = host_hash(request.host);
    host_table_expect(&router->hosts, request.host_hash);
    /* Read while the table's memory is on its way, though some hosts' rules do not look at it. */
    bool is_path_good = target_read(facts->path, path_text, &request) == 0;
    if (LIKELY(request.host.len > 0) &&
        host_settle(router, &request, host_text, &record, &is_mobile) < 0) {
        answer(&decision, 400, WHY_BAD_HOST);
        return decision;
    }
    if (router->conf->unknown_host_status != 0 &&
        !host_is_known(router, record, is_mobile, request.host)) {
        answer(&decision, router->conf->unknown_host_status, WHY_UNKNOWN_HOST);
        return decision;
    }
    const struct test_set *candidates = candidates_for(router, record, request.host);
    if (candidates->needs_path || router->conf->multi_dc.primary_if_count > 0) {
        if (!is_path_good) {
            answer(&decision, 414, WHY_BAD_PATH);
            return decision;
        }
        request.path_head = path_head(request.path);
        request.shape.path =
            LIKELY(request.undone.ptr == NULL) ? path_shape(request.path_head) : SHAPE_PATH_ANY;
        request.shape.lacks |= request.query.len == 0 ? LACKS_QUERY : 0;
    }
    int found = test_set_find(candidates, 0, &request);
    if (found < 0) {
        answer(&decision, 404, WHY_NO_RULE);
    } else {
        decision.rule = candidates->tests[found].index;
        decide_rule(router, &request, record, is_mobile, &decision);
    }
    decision.limits = request.limits;
    return decision;
}
