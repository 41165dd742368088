/* Weir's HTTP/1 reader, which is llhttp with checks around it, against the oracle, which is a
 * parser of its own. Weir may never be laxer, it may be stricter for listed reasons only, and what
 * both accept must mean the same. The first byte chooses what is read, the second the cuts. */
#include "h1_compare.h"

#include <stdio.h>

static const struct session_limits wide = {
    .max_header_bytes = 65536,
    .max_header_count = 128,
    .max_line_bytes = 16384,
    .max_uri_bytes = 8192,
    .max_chunk_extension_bytes = 4096,
    .allow_websocket = true,
};

static const struct session_limits narrow = {
    .max_header_bytes = 300,
    .max_header_count = 4,
    .max_line_bytes = 60,
    .max_uri_bytes = 30,
    .max_chunk_extension_bytes = 20,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;

    if (size < 2)
        return 0;
    struct str text = str_make(data + 2, size - 2);
    enum h1_kind kind = data[0] & 1 ? H1_RESPONSE : H1_REQUEST;
    enum method method = data[0] & 2 ? METHOD_HEAD : METHOD_GET;
    if (text.len == 0 || text.ptr[0] == '\r' || text.ptr[0] == '\n')
        return 0; /* empty lines are the session's business */
    arena_init(&arena, NULL);
    struct h1_comparison c =
        h1_compare(kind, text, method, data[0] & 4 ? &narrow : &wide, data[1], &arena);
    if (c.verdict != H1_SAME && c.verdict != H1_STRICTER) {
        fprintf(stderr, "verdict %d (%s): weir %s, oracle %s\n", (int)c.verdict,
                c.what != NULL ? c.what : "-", reason_word(c.ours), reason_word(c.theirs));
        ASSERT(c.verdict == H1_SAME);
    }
    return 0;
}
