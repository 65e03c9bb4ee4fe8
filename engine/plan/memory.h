/* Buffers that live for a span of steps, laid into one arena. Internal to engine/. */
#ifndef ENG_PLAN_MEMORY_H
#define ENG_PLAN_MEMORY_H

#include <stddef.h>

struct eng_span {
    size_t bytes;    /* 0: takes no part */
    int first, last; /* steps, both inside; first < 0: takes no part */
    size_t offset;   /* result */
};

/* Spans that share a step never overlap. *ret_bytes: size of the arena. -ENOMEM; ENG_E_LIMIT if it
 * would be larger than `most` (whose sum with any bytes must not overflow). */
int eng_memory_place(struct eng_span *spans, int n, size_t most, size_t *ret_bytes);

#endif
