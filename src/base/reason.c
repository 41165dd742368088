/* The table behind enum reason. */
#include "base/reason.h"

const struct reason_info reason_table[REASON_COUNT] = {
#define X(name, status_, word_, retry_) [REASON_##name] = {word_, status_, retry_},
    REASONS(X)
#undef X
};
