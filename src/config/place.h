/* Where an item of a configuration stands; for messages and for the trace of a decision. */
#pragma once

struct place {
    const char *file; /* borrows from the configuration */
    int line, column; /* 1-based; 0 when the item is a default */
};
