/* Any text as a configuration: it loads, or it has errors at places that exist. A configuration
 * that loads also compiles and decides. Includes and lists can name files, so the fuzzer runs in an
 * empty directory. */
#include "route/route.h"

static void try_router(const struct config *config, size_t index)
{
    struct facts facts = {
        .method = STR("GET"),
        .host = STR("de.m.wikipedia.org"),
        .path = STR("/w/api.php?action=rollback&a=%41"),
        .cookie = STR("a=b; UseDC=master"),
        .debug = STR("backend=1"),
        .has_debug = true,
    };
    struct rewritten rewritten;
    char text[4096];
    struct err err;

    struct router *router = router_new(config, index, &err);
    ASSERT(router != NULL);
    for (int i = 0; i < 2; i++) {
        struct decision decision = route_decide(router, router_weights(router), &facts);
        ASSERT((decision.group >= 0) == (decision.status == 0));
        if (decision.group >= 0 &&
            route_rewrite(router, &facts, &decision, text, sizeof(text), &rewritten) == 0)
            ASSERT(rewritten.target.ptr == NULL || rewritten.target.ptr[0] == '/');
        facts.has_debug = false;
    }
    router_free(router);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct complaints complaints;

    if (size > 65536)
        return 0;
    complaints_init(&complaints);
    struct config *config =
        config_load_text(str_make(data, size), "/nonexistent/fuzz.yaml", &complaints);
    ASSERT((config == NULL) == (complaints.error_count > 0));
    for (size_t i = 0; i < complaints.count; i++) {
        char line[1024];
        ASSERT(complaint_line(&complaints.items[i], line, sizeof(line)) == line);
    }
    complaints_deinit(&complaints);
    for (size_t i = 0; config != NULL && i < config->router_count; i++)
        try_router(config, i);
    config_free(config);
    return 0;
}
