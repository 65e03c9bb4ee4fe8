/* Logistic regression by accelerated gradient descent (Nesterov 1983) with the step that the
 * Lipschitz constant of the loss allows, in doubles: few pictures, a convex loss, no settings.
 *
 * Embeddings are centred and brought to a mean square of 1 first, which makes one strength of the
 * penalty good for every backbone; the result is folded back into w and b. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/teach.h"

enum { STEPS = 400, POWER_STEPS = 20 };
static const double PENALTY = 1e-3;

struct fit {
    const struct eng_teach_data *data;
    size_t n, d, k, columns; /* columns: d and a one, for the bias */
    double *x;               /* [n][columns], normalised */
    double *mean, scale;
    double *weight;            /* [n]: classes weigh the same */
    double *w, *ahead, *slope; /* [k][columns] */
    double *p, *v;             /* [k], [columns] */
};

static void drop(struct fit *f)
{
    free(f->x);
    free(f->mean);
    free(f->weight);
    free(f->w);
    free(f->ahead);
    free(f->slope);
    free(f->p);
    free(f->v);
}

static int allocate(struct fit *f)
{
    size_t all = f->k * f->columns;
    f->x = calloc(f->n * f->columns, sizeof(*f->x));
    f->mean = calloc(f->d, sizeof(*f->mean));
    f->weight = calloc(f->n, sizeof(*f->weight));
    f->w = calloc(all, sizeof(*f->w));
    f->ahead = calloc(all, sizeof(*f->ahead));
    f->slope = calloc(all, sizeof(*f->slope));
    f->p = calloc(f->k, sizeof(*f->p));
    f->v = calloc(f->columns, sizeof(*f->v));
    return f->x && f->mean && f->weight && f->w && f->ahead && f->slope && f->p && f->v ? 0
                                                                                        : -ENOMEM;
}

static void normalise(struct fit *f)
{
    const float *x = f->data->x;
    double square = 0;
    for (size_t i = 0; i < f->n; i++)
        for (size_t c = 0; c < f->d; c++)
            f->mean[c] += (double)x[i * f->d + c] / (double)f->n;
    for (size_t i = 0; i < f->n; i++)
        for (size_t c = 0; c < f->d; c++) {
            double v = (double)x[i * f->d + c] - f->mean[c];
            f->x[i * f->columns + c] = v;
            square += v * v / (double)f->n;
        }
    f->scale = square > 0 ? 1 / sqrt(square) : 1;
    for (size_t i = 0; i < f->n; i++) {
        for (size_t c = 0; c < f->d; c++)
            f->x[i * f->columns + c] *= f->scale;
        f->x[i * f->columns + f->d] = 1;
    }
}

static int weigh(struct fit *f)
{
    size_t *count = calloc(f->k, sizeof(*count));
    if (!count)
        return -ENOMEM;
    for (size_t i = 0; i < f->n; i++)
        count[f->data->label[i]]++;
    for (size_t i = 0; i < f->n; i++)
        f->weight[i] = 1 / (double)(f->k * count[f->data->label[i]]);
    free(count);
    return 0;
}

/* Largest eigenvalue of the weighted second moment, by powers; half of it bounds the curvature. */
static double lipschitz(struct fit *f)
{
    double size = 1;
    for (size_t c = 0; c < f->columns; c++)
        f->v[c] = 1 / sqrt((double)f->columns);
    for (int step = 0; step < POWER_STEPS; step++) {
        memset(f->slope, 0, f->columns * sizeof(*f->slope));
        for (size_t i = 0; i < f->n; i++) {
            const double *x = f->x + i * f->columns;
            double dot = 0;
            for (size_t c = 0; c < f->columns; c++)
                dot += x[c] * f->v[c];
            for (size_t c = 0; c < f->columns; c++)
                f->slope[c] += f->weight[i] * dot * x[c];
        }
        size = 0;
        for (size_t c = 0; c < f->columns; c++)
            size += f->slope[c] * f->slope[c];
        size = sqrt(size);
        for (size_t c = 0; c < f->columns && size > 0; c++)
            f->v[c] = f->slope[c] / size;
    }
    return 0.5 * size * 1.1 + PENALTY; /* powers come from below */
}

/* Slope of the loss at `ahead`. */
static void gradient(struct fit *f)
{
    for (size_t i = 0; i < f->k * f->columns; i++)
        f->slope[i] = (i + 1) % f->columns == 0 ? 0 : PENALTY * f->ahead[i];
    for (size_t i = 0; i < f->n; i++) {
        const double *x = f->x + i * f->columns;
        double most = -INFINITY, sum = 0;
        for (size_t k = 0; k < f->k; k++) {
            const double *w = f->ahead + k * f->columns;
            double z = 0;
            for (size_t c = 0; c < f->columns; c++)
                z += w[c] * x[c];
            f->p[k] = z;
            most = fmax(most, z);
        }
        for (size_t k = 0; k < f->k; k++)
            sum += f->p[k] = exp(f->p[k] - most);
        for (size_t k = 0; k < f->k; k++) {
            double *g = f->slope + k * f->columns;
            double e = f->weight[i] * (f->p[k] / sum - ((size_t)f->data->label[i] == k));
            for (size_t c = 0; c < f->columns; c++)
                g[c] += e * x[c];
        }
    }
}

static void descend(struct fit *f)
{
    double step = 1 / lipschitz(f), t = 1;
    for (int i = 0; i < STEPS; i++) {
        double next = (1 + sqrt(1 + 4 * t * t)) / 2, momentum = (t - 1) / next;
        gradient(f);
        for (size_t c = 0; c < f->k * f->columns; c++) {
            double w = f->ahead[c] - step * f->slope[c];
            f->ahead[c] = w + momentum * (w - f->w[c]);
            f->w[c] = w;
        }
        t = next;
    }
}

static int valid(const struct eng_teach_data *data)
{
    if (data->n < 1 || data->d < 1 || data->classes < 2)
        return 0;
    for (int i = 0; i < data->n; i++)
        if (data->label[i] < 0 || data->label[i] >= data->classes)
            return 0;
    return 1;
}

int eng_teach_fit(const struct eng_teach_data *data, float *ret_w, float *ret_b)
{
    struct fit f = {.data = data};
    if (!valid(data))
        return -EINVAL;
    f.n = (size_t)data->n;
    f.d = (size_t)data->d;
    f.k = (size_t)data->classes;
    f.columns = f.d + 1;
    int rc = allocate(&f);
    if (rc == 0) {
        normalise(&f);
        rc = weigh(&f);
    }
    if (rc == 0) {
        descend(&f);
        for (size_t k = 0; k < f.k; k++) {
            double b = f.w[k * f.columns + f.d];
            for (size_t c = 0; c < f.d; c++) {
                double w = f.w[k * f.columns + c] * f.scale;
                ret_w[k * f.d + c] = (float)w;
                b -= w * f.mean[c];
            }
            ret_b[k] = (float)b;
        }
    }
    drop(&f);
    return rc;
}

int eng_teach_best(const struct eng_teach_data *data, const float *w, const float *b,
                   const float *x)
{
    int best = 0;
    double most = -INFINITY;
    for (int k = 0; k < data->classes; k++) {
        double z = (double)b[k];
        for (int c = 0; c < data->d; c++)
            z += (double)w[(size_t)k * (size_t)data->d + (size_t)c] * (double)x[c];
        if (z > most) {
            most = z;
            best = k;
        }
    }
    return best;
}
