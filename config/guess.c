/* "Did you mean …?": the nearest known word by edit distance with adjacent transpositions (optimal
 * string alignment). Near means at most a third of the word, or a proper beginning of the other. */
#include "config/table.h"

#include <string.h>

#define CFG_GUESS_MAX 48 /* no key or value of the table is longer */

static int lower(char ch)
{
    if (ch == '-')
        return '_';
    return ch >= 'A' && ch <= 'Z' ? ch - 'A' + 'a' : (unsigned char)ch;
}

static int min3(int a, int b, int c)
{
    int m = a < b ? a : b;
    return m < c ? m : c;
}

static int edit_distance(const char *a, size_t alen, const char *b, size_t blen)
{
    int row[3][CFG_GUESS_MAX + 1];
    int *before = row[0], *last = row[1], *now = row[2];
    for (size_t j = 0; j <= blen; j++)
        last[j] = (int)j;
    for (size_t i = 1; i <= alen; i++) {
        now[0] = (int)i;
        for (size_t j = 1; j <= blen; j++) {
            int differ = lower(a[i - 1]) != lower(b[j - 1]);
            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + differ);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1]) && before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
        int *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[blen];
}

static int begins_with(const char *s, size_t len, const char *start, size_t start_len)
{
    if (start_len < 3 || start_len > len)
        return 0;
    for (size_t i = 0; i < start_len; i++) {
        if (lower(s[i]) != lower(start[i]))
            return 0;
    }
    return 1;
}

void cfg_guess_start(struct cfg_guess *g, const char *word, size_t len)
{
    *g = (struct cfg_guess){.word = word, .word_len = len, .distance = CFG_GUESS_MAX};
}

void cfg_guess_offer(struct cfg_guess *g, const char *candidate, size_t len)
{
    if (!g->word_len || g->word_len > CFG_GUESS_MAX || len > CFG_GUESS_MAX)
        return;
    int distance = edit_distance(g->word, g->word_len, candidate, len);
    int allowed = (int)g->word_len / 3 > 1 ? (int)g->word_len / 3 : 1;
    if (begins_with(candidate, len, g->word, g->word_len))
        distance = distance < allowed ? distance : allowed;
    if (distance > allowed || distance >= g->distance)
        return;
    g->best = candidate;
    g->best_len = len;
    g->distance = distance;
}

int cfg_guess_row(const char *word, size_t len, int command)
{
    struct cfg_guess g;
    int best = -1;
    cfg_guess_start(&g, word, len);
    for (int i = 0; i < CFG_N_ROWS; i++) {
        const struct cfg_row *row = &cfg_rows[i];
        int before = g.distance;
        if (!(command ? cfg_row_is_flag_of(row, command) : cfg_row_is_shared(row)))
            continue;
        cfg_guess_offer(&g, row->key, strlen(row->key));
        if (g.distance < before)
            best = i;
    }
    return best;
}
