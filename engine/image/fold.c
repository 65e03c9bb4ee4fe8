/* A decoder that scales by 1/d gives, near enough, means of d x d squares. Resampling those with
 * the filter that the full picture would have met is not the same: near a residual scale of 1 it is
 * no filter at all. So ask for the weights c of block means that come closest to the wanted weights
 * w of pixels: minimise E[(sum w p - sum c B p)^2] for a picture in which neighbouring pixels
 * correlate by rho (first-order autoregressive, the usual model of photographs), with sum c = 1.
 * That is (B R B') c = B R w and one Lagrange multiplier: a tiny system per output, solved once per
 * picture. A block more at either end than w touches helps a little further. */
#include "engine/image/fold.h"

#include <math.h>
#include <string.h>

#define RHO 0.95

void eng_fold_init(struct eng_fold *f, int side)
{
    double power[(ENG_FOLD_BLOCKS + 1) * ENG_FOLD_SIDE];
    int reach = ENG_FOLD_BLOCKS * side;
    f->side = side;
    power[0] = 1;
    for (int i = 1; i < reach + side; i++)
        power[i] = power[i - 1] * RHO;
    for (int t = -reach; t < reach; t++) {
        double sum = 0;
        for (int y = 0; y < side; y++)
            sum += power[t > y ? t - y : y - t];
        f->pixel[t + reach] = sum / side;
    }
    for (int m = 0; m < ENG_FOLD_BLOCKS; m++) {
        double sum = 0;
        for (int y = 0; y < side; y++)
            sum += f->pixel[m * side + y + reach];
        f->block[m] = sum / side;
    }
}

struct square {
    double a[ENG_FOLD_BLOCKS][ENG_FOLD_BLOCKS];
};

/* Lower Cholesky factor of the k x k matrix of block covariances (positive definite). */
static void factor(struct square *l, const struct eng_fold *f, int k)
{
    for (int i = 0; i < k; i++)
        for (int j = 0; j <= i; j++) {
            double sum = f->block[i - j];
            for (int m = 0; m < j; m++)
                sum -= l->a[i][m] * l->a[j][m];
            l->a[i][j] = i == j ? sqrt(sum) : sum / l->a[j][j];
        }
}

static void solve(const struct square *l, int k, double *x)
{
    for (int i = 0; i < k; i++) {
        for (int m = 0; m < i; m++)
            x[i] -= l->a[i][m] * x[m];
        x[i] /= l->a[i][i];
    }
    for (int i = k - 1; i >= 0; i--) {
        for (int m = i + 1; m < k; m++)
            x[i] -= l->a[m][i] * x[m];
        x[i] /= l->a[i][i];
    }
}

/* A kernel so wide that a block is a small part of it: the sum of its weights per block will do. */
static int fold_wide(const double *w, int first, int n, int side, double *out, int *ret_first)
{
    int b0 = first / side, k = (first + n - 1) / side - b0 + 1;
    memset(out, 0, (size_t)k * sizeof(*out));
    for (int i = 0; i < n; i++)
        out[(first + i) / side - b0] += w[i];
    *ret_first = b0;
    return k;
}

int eng_fold_run(const struct eng_fold *f, const double *w, int first, int n, int blocks,
                 double *out, int *ret_first)
{
    int side = f->side, b0 = first / side - ENG_FOLD_EXTRA;
    int end = (first + n - 1) / side + 1 + ENG_FOLD_EXTRA;
    b0 = b0 < 0 ? 0 : b0;
    end = end > blocks ? blocks : end;
    int k = end - b0;
    if (k < 1 || k > ENG_FOLD_BLOCKS)
        return fold_wide(w, first, n, side, out, ret_first);
    const double *pixel = f->pixel + ENG_FOLD_BLOCKS * side + first - b0 * side;
    double even[ENG_FOLD_BLOCKS], sum = 1, weight = 0;
    for (int b = 0; b < k; b++) {
        out[b] = 0;
        even[b] = 1;
        for (int i = 0; i < n; i++)
            out[b] += w[i] * pixel[i - b * side];
    }
    struct square l;
    factor(&l, f, k);
    solve(&l, k, out);
    solve(&l, k, even);
    for (int b = 0; b < k; b++) {
        sum -= out[b];
        weight += even[b];
    }
    for (int b = 0; b < k; b++)
        out[b] += even[b] * sum / weight;
    *ret_first = b0;
    return k;
}
