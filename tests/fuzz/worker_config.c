/* Short timeouts and low limits, so that a short input reaches them. */
#include "worker_config_impl.h"

#include "worker_judge_impl.h"

#include <stdio.h>
#include <stdlib.h>

/* The first %s is the address of the upstream, the second its protocol. */
static const char config_text[] =
    "max_connections: 64\n"
    "listeners:\n"
    "  - &edge\n"
    "    name: edge\n"
    "    bind: '127.0.0.1:1'\n"
    "    router: r\n"
    "    timeouts: { header: 2s, body: 2s, body_grace: 1s, write: 2s, idle: 4s }\n"
    "    limits: { max_body_bytes: 100000, max_requests: 20 }\n"
    "    headers: { request: { set: { X-From: '${client_ip}' }, remove: [X-Secret] } }\n"
    "  - name: trusted\n"
    "    bind: '127.0.0.1:2'\n"
    "    router: r\n"
    "    trusted_proxies: [192.0.2.0/24]\n"
    "    odd_names: keep\n"
    "    timeouts: { header: 2s, body: 2s, write: 2s, idle: 4s }\n"
    "    limits: { min_body_rate: 0, max_body_bytes: 1000 }\n"
    "  - name: proxied\n"
    "    bind: '127.0.0.1:3'\n"
    "    group: up\n"
    "    proxy_protocol: { from: [192.0.2.0/24] }\n"
    "    odd_names: reject\n"
    "    timeouts: { header: 2s, body: 2s, write: 2s, idle: 4s }\n"
    "  - name: small\n"
    "    bind: '127.0.0.1:4'\n"
    "    router: r\n"
    "    websocket: false\n"
    "    show_group: true\n"
    "    per_client: { max_connections: 2, new_per_second: 3 }\n"
    "    rate_limit: { rate: 5/s, burst: 6, key: 'header:X-Key' }\n"
    "    timeouts: { header: 500ms, body: 500ms, write: 500ms, idle: 1s }\n"
    "    limits: { max_header_bytes: 2048, max_header_count: 12, max_line_bytes: 512,\n"
    "              max_uri_bytes: 128, max_body_bytes: 100, max_streams: 3, max_requests: 5 }\n"
    "groups:\n"
    "  up: &up\n"
    "    endpoints: ['unix:%s']\n"
    "    protocol: %s\n"
    "    timeouts: { connect: 1s, response: 3s, idle: 3s, total: 20s, pool_idle: 1s }\n"
    "    max_connections: 4\n"
    "    max_pending: 4\n"
    "    max_idle: 2\n"
    "    max_requests: 8\n"
    "    max_response_header_bytes: 4096\n"
    "  half:\n"
    "    endpoints: ['unix:%s', 'unix:/nonexistent/up']\n"
    "    protocol: %s\n"
    "    balance: round_robin\n"
    "    timeouts: { connect: 1s, response: 3s, idle: 3s, pool_idle: 1s }\n"
    "    retries: 2\n"
    "  gone: { endpoints: ['unix:/nonexistent/up'] }\n"
    "routers:\n"
    "  r:\n"
    "    rules:\n"
    "      - { path: '=/answer', answer: 200 }\n"
    "      - { path: '=/teapot', answer: { status: 418, body: short } }\n"
    "      - { path: /rw/*, group: up, rewrite: { path: '/x${path}' },\n"
    "          headers: { response: { set: { X-Seen: '${path}' }, remove: [X-Powered-By] } } }\n"
    "      - { path: /half, group: half }\n"
    "      - { path: /gone, group: gone }\n"
    "      - { path: /limited, group: up, rate_limit: { rate: 1/s, burst: 2 } }\n"
    "      - { group: up }\n";

static struct config *load(const char *socket_path, const char *protocol)
{
    struct complaints complaints;
    char text[sizeof(config_text) + 512], line[512];

    snprintf(text, sizeof(text), config_text, socket_path, protocol, socket_path, protocol);
    complaints_init(&complaints);
    struct config *config = config_load_text(str_of(text), "worker_config", &complaints);
    if (config == NULL)
        fail("the configuration is good", complaint_line(&complaints.items[0], line, sizeof(line)));
    complaints_deinit(&complaints);
    return config;
}

void served_init(struct served *served, const char *socket_path, const char *protocol)
{
    struct err err;

    served->config = load(socket_path, protocol);
    served->routers = (struct routers){
        .items = mem_new(served->config->router_count * sizeof(struct router *)),
    };
    for (size_t i = 0; i < served->config->router_count; i++)
        served->routers.items[served->routers.count++] = router_new(served->config, i, &err);
}

void served_deinit(struct served *served)
{
    for (size_t i = 0; i < served->routers.count; i++)
        router_free(served->routers.items[i]);
    free(served->routers.items);
    config_free(served->config);
}
