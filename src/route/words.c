/* What decisions are called in logs, metrics and `weir route`. */
#include "route/route.h"

const char *why_word(enum why why)
{
    static const char *const words[WHY_COUNT] = {
#define X(name, word) word,
        WHYS(X)
#undef X
    };

    ASSERT(why < WHY_COUNT);
    return words[why];
}

const char *side_word(enum side side)
{
    static const char *const words[] = {"-", "legacy", "k8s"};

    ASSERT((size_t)side < ARRAY_LEN(words));
    return words[side];
}

const char *dc_why_word(enum dc_why why)
{
    static const char *const words[DC_WHY_COUNT] = {
#define X(name, word) [DC_WHY_##name] = word,
        DC_WHYS(X)
#undef X
    };

    return words[why];
}
