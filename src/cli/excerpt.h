/* The source line of a complaint with a caret under the place, as compilers show it. */
#pragma once

#include "config/place.h"
#include "observe/metrics.h"

#include <stdio.h>

/* Adds two lines to `out`: line `line` of `text` (from 1), and a mark under the token that begins at
 * `column` (from 1, in characters). Adds nothing when the text has no such line. Long lines are cut
 * around the token; control characters are shown as "?". */
void excerpt_add(struct text *out, struct str text, int line, int column);

/* Prints the excerpt for `place` to `stream` if that is a terminal and the file can be read. */
void excerpt_print(FILE *stream, struct place place);
