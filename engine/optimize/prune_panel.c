/* See prune_parts.h. Taking input j away costs |w_j|^2 / inverse_jj; the others then change by
 * -inverse_ij / inverse_jj * w_j, and the inverse loses what it has in common with row j. */
#include "engine/optimize/prune_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { OUTPUTS = ENG_PRUNE_OUTPUTS };

/* to[0 .. n-1] -= f * from[] */
static void subtract(double *restrict to, const double *restrict from, double f, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] -= f * from[i];
}

/* Gauss-Jordan; a positive definite matrix needs no pivoting. */
int eng_prune_invert(double *m, size_t n)
{
    for (size_t p = 0; p < n; p++) {
        double *row = m + p * n, pivot = row[p];
        if (!(pivot > 0))
            return -1;
        row[p] = 1;
        for (size_t i = 0; i < n; i++)
            row[i] /= pivot;
        for (size_t r = 0; r < n; r++) {
            double f = m[r * n + p];
            if (r == p || (f <= 0 && f >= 0))
                continue;
            m[r * n + p] = 0;
            subtract(m + r * n, row, f, n);
        }
    }
    return 0;
}

struct work {
    double *a, *w;  /* rows of those that are left first */
    size_t n, left; /* n: floats from row to row */
    double *row;    /* a copy */
    int *input;     /* which one stands there */
};

static size_t cheapest(const struct work *k, double *ret_cost)
{
    size_t best = 1;
    *ret_cost = -1;
    for (size_t i = 1; i < k->left; i++) {
        double sum = 0, diagonal = k->a[i * k->n + i];
        for (int o = 0; o < OUTPUTS; o++)
            sum += k->w[i * OUTPUTS + (size_t)o] * k->w[i * OUTPUTS + (size_t)o];
        double cost = diagonal > 0 ? sum / diagonal : 0;
        if (*ret_cost < 0 || cost < *ret_cost) {
            *ret_cost = cost;
            best = i;
        }
    }
    return best;
}

static void take(struct work *k, size_t j)
{
    double diagonal = k->a[j * k->n + j], gone[OUTPUTS];
    memcpy(k->row, k->a + j * k->n, k->left * sizeof(*k->row));
    memcpy(gone, k->w + j * OUTPUTS, sizeof(gone));
    for (size_t i = 0; diagonal > 0 && i < k->left; i++) {
        double f = k->row[i] / diagonal;
        if (i == j)
            continue;
        subtract(k->w + i * OUTPUTS, gone, f, OUTPUTS);
        subtract(k->a + i * k->n, k->row, f, k->left);
    }
    size_t last = --k->left;
    if (j == last)
        return;
    k->input[j] = k->input[last];
    memcpy(k->w + j * OUTPUTS, k->w + last * OUTPUTS, OUTPUTS * sizeof(*k->w));
    memcpy(k->a + j * k->n, k->a + last * k->n, k->left * sizeof(*k->a));
    for (size_t i = 0; i < last; i++)
        k->a[i * k->n + j] = k->a[(i == j ? last : i) * k->n + last];
}

int eng_prune_panel(double *w, double *inverse, size_t n, size_t count, double *errors)
{
    struct work k = {.a = inverse, .n = n, .left = n};
    k.row = malloc(n * sizeof(*k.row));
    k.w = malloc(n * OUTPUTS * sizeof(*k.w));
    k.input = malloc(n * sizeof(*k.input));
    int rc = k.row && k.w && k.input ? 0 : -ENOMEM;
    if (rc == 0) {
        memcpy(k.w, w, n * OUTPUTS * sizeof(*k.w));
        for (size_t i = 0; i < n; i++)
            k.input[i] = (int)i;
        for (size_t i = 0; i < count && k.left > 1; i++) {
            double cost;
            size_t j = cheapest(&k, &cost);
            if (errors)
                errors[i] += cost;
            take(&k, j);
        }
        memset(w, 0, n * OUTPUTS * sizeof(*w));
        for (size_t i = 0; i < k.left; i++)
            memcpy(w + (size_t)k.input[i] * OUTPUTS, k.w + i * OUTPUTS, OUTPUTS * sizeof(*w));
    }
    free(k.row);
    free(k.w);
    free(k.input);
    return rc;
}
