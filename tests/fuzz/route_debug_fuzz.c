/* The debug header: whatever it holds, the name is a piece of it, and reading it twice agrees. */
#include "route/route_impl.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct debug_conf debug = {.enabled = true, .cookie = STR("D")};
    struct str value = str_make(data, size), decoded;
    char *text = malloc(size + 1);

    struct str name = debug_backend_name(value);
    if (name.len > 0) {
        ASSERT(name.ptr >= value.ptr && name.ptr + name.len <= value.ptr + value.len);
        ASSERT(str_find(value, name) >= 0);
    }
    if (route_debug_cookie(&debug, value, text, size, &decoded)) {
        ASSERT(decoded.len <= size);
        debug_backend_name(decoded);
    }
    free(text);
    return 0;
}
