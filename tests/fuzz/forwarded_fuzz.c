/* Forwarding fields: whatever a client has begun a list with, the address that a trusted peer adds
 * at its end is the client's. */
#include "proxy/forwarded.h"

#include <stdlib.h>

static struct str with(char *out, struct str head, struct str tail)
{
    memcpy(out, head.ptr, head.len);
    memcpy(out + head.len, tail.ptr, tail.len);
    return str_make(out, head.len + tail.len);
}

static void check_added(const struct listener_conf *conf, struct str x_forwarded_for,
                        struct str forwarded)
{
    struct forwarded_client got = forwarded_client(conf, x_forwarded_for, forwarded);
    struct addr added;

    ASSERT(addr_parse_ip(STR("192.0.2.1"), 0, &added) == 0);
    ASSERT(got.is_known && !got.is_unreadable && addr_eq(&got.addr, &added));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { ADDED_MAX = 32 };
    struct cidr trusted;
    struct str text = str_make(data, size), first, second;
    struct str none = {"", 0};

    ASSERT(cidr_parse(STR("10.0.0.0/8"), &trusted) == 0);
    struct listener_conf conf = {.trusted_proxies = &trusted, .trusted_proxy_count = 1};
    str_cut(text, '\n', &first, &second);
    (void)forwarded_client(&conf, first, second);
    (void)forwarded_client(&conf, none, first);
    (void)forwarded_proto(first, second);

    char *out = mem_new(size + ADDED_MAX);
    check_added(&conf, with(out, text, STR(", 192.0.2.1:80, 10.0.0.1")), none);
    check_added(&conf, none, with(out, text, STR(",for=192.0.2.1")));
    free(out);
    return 0;
}
