/* PROXY headers: whatever comes, and however it is cut, the answer is the same; what we write
 * ourselves is read as it was meant. */
#include "net/proxy_header.h"

static void check_cut(struct str bytes, enum proxy_header_answer whole, size_t len)
{
    struct proxy_header header;

    for (size_t i = 0; i < bytes.len; i++) {
        enum proxy_header_answer part = proxy_header_parse(str_make(bytes.ptr, i), &header);
        if (part == PROXY_HEADER_MORE)
            continue;
        ASSERT(part == whole && (part != PROXY_HEADER_DONE || header.len == len));
        return;
    }
}

static void check_again(const struct proxy_header *header)
{
    char text[PROXY_HEADER_V1_MAX + 1];
    struct proxy_header again;

    for (int version = 1; version <= 2; version++) {
        size_t len = proxy_header_write(version, &header->client, &header->server, text);
        ASSERT(len <= PROXY_HEADER_V1_MAX);
        ASSERT(proxy_header_parse(str_make(text, len), &again) == PROXY_HEADER_DONE);
        ASSERT(again.len == len && again.has_addrs && addr_eq(&again.client, &header->client));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = str_make((const char *)data, size);
    struct proxy_header header;
    enum proxy_header_answer answer = proxy_header_parse(bytes, &header);

    if (answer == PROXY_HEADER_DONE) {
        ASSERT(header.len <= size && header.len <= PROXY_HEADER_MAX);
        if (header.has_addrs)
            check_again(&header);
    }
    if (answer == PROXY_HEADER_MORE)
        ASSERT(size < PROXY_HEADER_MAX);
    check_cut(bytes, answer, header.len);
    return 0;
}
