/* Any bytes from any upstream: the h2 client keeps its promises to users and owner, and its
 * memory. */
#include "h2_rig_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void open_streams(struct fuzz *f, unsigned count)
{
    for (size_t i = 0; i < count; i++) {
        arena_init(&f->arenas[i], &f->pool);
        f->streams[i] =
            session_open(f->session, &f->arenas[i], &fuzz_handler, (void *)(uintptr_t)i);
        if (f->streams[i] != NULL)
            fuzz_send_head(f->streams[i], 0, i & 1 ? MORE : END);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct fuzz fuzz;
    static const struct session_limits limits = {0};
    static const char settings[] = "\0\0\0\4\0\0\0\0\0";

    memset(&fuzz, 0, sizeof(fuzz));
    buf_pool_init(&fuzz.pool);
    bufq_init(&fuzz.out, &fuzz.pool);
    fuzz.session = h2_client_new(&fuzz_owner, &fuzz, &fuzz.out, &fuzz.pool, &limits);
    open_streams(&fuzz, 8);
    if (len > 0 && data[0] & 0x80)
        session_feed(fuzz.session, (struct slice){NULL, settings, sizeof(settings) - 1});
    if (len > 0)
        fuzz_run(&fuzz, data + 1, len - 1);
    fuzz_end(&fuzz);
    return 0;
}
