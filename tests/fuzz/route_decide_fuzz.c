/* Decisions of a router that has one of everything, on requests of lines: method, host, target,
 * cookie, debug header, a header field. Every request gets exactly one of a group and a status; the
 * same request gets the same; rewriting gives a path and a host that could be received. */
#include "route/route.h"

static const char text[] =
    "datacenters: { local: codfw, primary: eqiad }\n"
    "listeners: [{ name: a, bind: '127.0.0.1:0', router: r }]\n"
    "groups:\n"
    "  old: { port: 443, hosts: { ro: web-ro, rw: web-rw } }\n"
    "  new: { port: 4450, hosts: { codfw: web.codfw, eqiad: web.eqiad } }\n"
    "  misc: { endpoints: ['misc:1'] }\n"
    "routers:\n"
    "  r:\n"
    "    services: { web: { legacy: old, k8s: new }, mixed: { groups: { misc: 90%, new: 10% } } }\n"
    "    rules:\n"
    "      - { name: up, host: health.org, path: '=/up', answer: 200 }\n"
    "      - { host: ['*.misc.org', misc.org], group: misc }\n"
    "      - { path: /r/*, group: misc, rewrite: { path: '/${host}/v1/${rest}' } }\n"
    "      - { path: /mixed, unless_query: { a: b }, service: mixed }\n"
    "      - { cookie: { php: next, '*Token': '*' }, service: mixed }\n"
    "      - { method: [CONNECT, BREW], answer: 405 }\n"
    "      - service: web\n"
    "        normalize: { methods: [PURGE], decode: ':/@', encode: '[]' }\n"
    "        rewrite:\n"
    "          - { when: { header: { X-H: '*' } }, host: '${header:x-h}' }\n"
    "          - { when: { host: w.wiki }, host: meta.org, path: '/x${path}' }\n"
    "    debug: { cookie: D, backends: { k8s: new, here: { group: misc, hosts: [a.org] } } }\n"
    "    split:\n"
    "      default: 4%\n"
    "      wikis: [{ hosts: [on.org], k8s: 100% }, { hosts: [de.m.off.org], k8s: 0% }]\n"
    "    sticky: { key: ['cookie:U', 'header:X-H', 'client-ip/24'], salt: s }\n"
    "    multi_dc:\n"
    "      mode: local-anon\n"
    "      share: 50%\n"
    "      primary_if:\n"
    "        - { name: a, method: POST, unless_header: { X-H: 'true' } }\n"
    "        - { name: b, cookie: { UseDC: master } }\n"
    "        - { name: c, query: { action: rollback } }\n"
    "        - { name: d, host: login.org }\n"
    "        - { name: e, path: /wiki/Special:CentralAutoLogin }\n";

static struct router *router;

static void set_up(void)
{
    struct complaints complaints;
    struct err err;

    complaints_init(&complaints);
    struct config *config = config_load_text(STR(text), "t", &complaints);
    complaints_deinit(&complaints);
    ASSERT(config != NULL);
    router = router_new(config, 0, &err);
    ASSERT(router != NULL);
}

/* The lines of one field, a line end between them. */
static struct str field(const void *arg, struct str name, unsigned *from)
{
    const struct str *value = arg;
    struct str rest, line;

    if (value->len == 0)
        return (struct str){NULL, 0};
    rest = str_skip(*value, MIN(*from, value->len));
    if (!str_eq(name, STR("x-h")) || !str_next(&rest, '\n', &line))
        return (struct str){NULL, 0};
    *from += (unsigned)line.len + 1;
    return line;
}

static void try_rewrite(const struct facts *facts, const struct decision *decision)
{
    static char out[ROUTE_REWRITE_MAX];
    struct rewritten rewritten;
    char canonical[256];
    struct str host;

    if (route_rewrite(router, facts, decision, out, sizeof(out), &rewritten) < 0)
        return;
    if (rewritten.host.ptr != NULL)
        ASSERT(host_canonical(rewritten.host, canonical, sizeof(canonical), &host) == 0);
    if (rewritten.target.ptr != NULL)
        ASSERT(rewritten.target.ptr[0] == '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_make(data, size), lines[6] = {{NULL, 0}};

    if (router == NULL)
        set_up();
    for (size_t i = 0; i < ARRAY_LEN(lines) && str_next(&rest, '\n', &lines[i]); i++)
        ;
    struct facts facts = {
        .method = lines[0],
        .host = lines[1],
        .path = lines[2],
        .cookie = lines[3],
        .debug = lines[4],
        .has_debug = lines[4].len > 0,
        .field = field,
        .field_arg = &lines[5],
        .client_ip = {[10] = 0xff, [11] = 0xff, [15] = 7},
        .random = 1,
    };
    struct decision first = route_decide(router, router_weights(router), &facts),
                    second = route_decide(router, router_weights(router), &facts);
    ASSERT(first.group == second.group && first.status == second.status &&
           first.bucket == second.bucket && first.rule == second.rule);
    ASSERT((first.group >= 0) == (first.status == 0));
    ASSERT(first.share <= SHARE_MAX);
    if (first.group >= 0)
        try_rewrite(&facts, &first);
    return 0;
}
