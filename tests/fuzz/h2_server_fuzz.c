/* Any bytes from any client: the h2 server keeps its promises to users and owner, and its
 * memory. */
#include "h2_rig_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct fuzz fuzz;
    static const struct session_limits limits = {.max_body_bytes = 100000, .max_requests = 200};

    memset(&fuzz, 0, sizeof(fuzz));
    buf_pool_init(&fuzz.pool);
    bufq_init(&fuzz.out, &fuzz.pool);
    fuzz.session = h2_server_new(&fuzz_owner, &fuzz, &fuzz.out, &fuzz.pool, &limits);

    /* Half of all inputs need not discover the preface. */
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    if (len > 0 && data[0] & 0x80)
        session_feed(fuzz.session, (struct slice){NULL, preface, sizeof(preface) - 1});
    if (len > 0)
        fuzz_run(&fuzz, data + 1, len - 1);
    fuzz_end(&fuzz);
    return 0;
}
