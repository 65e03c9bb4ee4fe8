/* Pictures are seeded: a slope of colours under noise, each in its own mixture, so that neither
 * flat nor wild input alone decides. */
#include "server/cli/accuracy.h"

#include <math.h>
#include <string.h>

#include "engine/context.h"
#include "engine/peak.h"
#include "server/cli/chosen_model.h"

enum { IMAGES = 16 };

struct pair {
    struct eng_context *c[2]; /* rounded, exact */
    double error, size;       /* sums of squares */
};

static void fill(float *to, const struct eng_preprocess *p, int image)
{
    uint32_t x = 2463534242u + (uint32_t)image;
    float noise = (float)image / IMAGES;
    for (int row = 0; row < p->height; row++)
        for (int i = 0; i < p->width * 3; i++) {
            x = x * 1664525u + 1013904223u;
            float slope = sinf((float)(row * (i % 3 + 1) + i * (image + 1)) * 0.01f);
            *to++ = slope * (1 - noise) + (float)(int32_t)x * 0x1p-31f * noise;
        }
}

static int best(const float *x, int n)
{
    int at = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[at])
            at = i;
    return at;
}

static int compare(struct pair *p, const struct eng_model_info *info, int image,
                   struct srv_accuracy *a)
{
    const float *logits[2], *probabilities[2];
    for (int k = 0; k < 2; k++) {
        fill(eng_context_input(p->c[k], 0), &info->preprocess, image);
        int rc = eng_context_run(p->c[k], 1, NULL);
        if (rc < 0)
            return rc;
        logits[k] = eng_context_logits(p->c[k], 0);
        probabilities[k] = eng_context_probabilities(p->c[k], 0);
    }
    a->images++;
    a->same_top += best(logits[0], info->outputs) == best(logits[1], info->outputs);
    for (int i = 0; i < info->outputs; i++) {
        double off = (double)logits[0][i] - (double)logits[1][i];
        double dp = fabs((double)probabilities[0][i] - (double)probabilities[1][i]);
        p->error += off * off;
        p->size += (double)logits[1][i] * (double)logits[1][i];
        a->max_probability = dp > a->max_probability ? dp : a->max_probability;
    }
    return 0;
}

static int compare_all(struct srv_accuracy *ret, struct eng_model *rounded, struct eng_model *exact,
                       char *err, size_t errlen)
{
    struct pair p = {0};
    struct srv_accuracy a = {0};
    int rc = eng_context_create(&p.c[0], rounded, 1, 1, err, errlen);
    if (rc == 0)
        rc = eng_context_create(&p.c[1], exact, 1, 1, err, errlen);
    for (int i = 0; i < IMAGES; i++) {
        if (rc < 0)
            break;
        rc = compare(&p, eng_model_info(rounded), i, &a);
    }
    eng_context_destroy(p.c[0]);
    eng_context_destroy(p.c[1]);
    if (rc < 0)
        return rc;
    a.logit_error = p.size > 0 ? sqrt(p.error / p.size) : 0;
    *ret = a;
    return 0;
}

int srv_accuracy_run(struct srv_accuracy *ret, struct eng_model *m, const struct cfg *cfg,
                     char *err, size_t errlen)
{
    struct cfg exact_cfg = *cfg;
    struct eng_model *exact = NULL;
    *ret = (struct srv_accuracy){0};
    enum eng_precision precision = srv_precision(eng_model_info(m)->precision);
    if (precision != ENG_PRECISION_BF16 && precision != ENG_PRECISION_FP32X)
        return 0;
    exact_cfg.precision = "fp32";
    int rc = srv_chosen_model(&exact, &exact_cfg, err, errlen);
    if (rc == 0)
        rc = compare_all(ret, m, exact, err, errlen);
    eng_model_unref(exact);
    if (rc == 0 && precision == ENG_PRECISION_FP32X &&
        (rc = eng_exactness_measure(&ret->sums, srv_allowed_cpu(cfg))) < 0)
        snprintf(err, errlen, "not enough memory");
    if (rc == 0 && eng_peak_pays(precision, srv_allowed_cpu(cfg), &ret->ops, &ret->fp32_ops))
        ret->ops = ret->fp32_ops = 0;
    return rc;
}

void srv_accuracy_print(const struct srv_accuracy *a, int json, FILE *out)
{
    if (a->images == 0)
        return;
    const struct eng_exactness *s = &a->sums;
    fprintf(out,
            json ? ",\"fp32_images\":%d,\"fp32_same_top\":%d,\"fp32_logit_error\":%.6f,"
                   "\"fp32_max_probability_error\":%.6f"
                 : "  against fp32, on %d pictures: same best class on %d, logits off by %.2g of "
                   "their size, probabilities by at most %.5f\n",
            a->images, a->same_top, a->logit_error, a->max_probability);
    if (s->products)
        fprintf(out,
                json ? ",\"double_products\":%d,\"double_error\":%.3g,\"double_error_fma\":%.3g"
                     : "  against double: sums of %d products off by at most %.2g, by FMAs %.2g\n",
                s->products, s->fp32x, s->fma);
    if (json)
        fprintf(out, ",\"auto\":%s", a->ops > 0 ? "false" : "true");
    else if (a->ops > 0)
        fprintf(out,
                "  slower than fp32 here: multiply-adds at %.0f GOP/s a thread, in fp32 %.0f; "
                "where a manifest wishes it, fp32 is taken\n",
                a->ops / 1e9, a->fp32_ops / 1e9);
}
