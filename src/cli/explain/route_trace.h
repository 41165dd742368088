/* A decision as a trace that a person reads: every step, with the line of the file that decided. */
#pragma once

#include "cli/question.h"

#include <stdio.h>

/* TRACE_NUMBERS: the bucket and its threshold as numbers, too. */
enum trace_detail { TRACE_PLAIN, TRACE_NUMBERS };

void route_trace(FILE *out, const struct judge *judge, const struct question *question,
                 const struct decision *decision, enum trace_detail detail);
