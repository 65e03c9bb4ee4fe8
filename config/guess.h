/* "Did you mean …?": the nearest of some words by edit distance with adjacent transpositions. Case,
 * '-' and '_' do not count. Any thread. */
#ifndef CFG_GUESS_H
#define CFG_GUESS_H

#include <stddef.h>

struct cfg_guess {
    const char *word; /* what was written */
    size_t word_len;
    const char *best; /* a span of what was offered; NULL: nothing is near enough */
    size_t best_len;
    int distance;
};

void cfg_guess_start(struct cfg_guess *g, const char *word, size_t len);
/* Spans: neither needs a NUL, and both must live as long as the guess. */
void cfg_guess_offer(struct cfg_guess *g, const char *candidate, size_t len);

#endif
