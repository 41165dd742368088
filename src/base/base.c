/* Assertions and the allocator of small things: both end the process, loudly, when they cannot go
 * on. */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

void assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "weir: assertion failed: %s (%s:%d)\n", what, file, line);
    abort();
}

void *mem_new(size_t size)
{
    void *mem = calloc(1, size > 0 ? size : 1);
    if (mem == NULL)
        assert_failed("out of memory", __FILE__, __LINE__);
    return mem;
}

void *mem_resize(void *old, size_t size)
{
    void *mem = realloc(old, size > 0 ? size : 1);
    if (mem == NULL)
        assert_failed("out of memory", __FILE__, __LINE__);
    return mem;
}
