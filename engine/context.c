/* A run context: a run of the model's plan plus the float views of its results. */
#include "engine/context.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/graph/quant.h"
#include "engine/inside.h"
#include "engine/plan/plan.h"

enum { HAS_LOGITS = 1, HAS_PROBABILITIES = 2, HAS_EMBEDDING = 4 };

struct eng_context {
    struct eng_model *model;
    const struct eng_graph *g;
    const struct eng_plan *plan;
    struct eng_run *run;
    int max_batch, batch; /* batch: of the last run, 0 before one */
    size_t outputs, embedding_len;
    float *logits, *probabilities, *embedding; /* [max_batch][...] */
    unsigned char *made;                       /* [max_batch]: which views exist */
};

static int allocate_views(struct eng_context *c)
{
    size_t batch = (size_t)c->max_batch, n = batch * c->outputs;
    c->logits = calloc(n, sizeof(*c->logits));
    c->probabilities = calloc(n, sizeof(*c->probabilities));
    c->embedding = calloc(batch * c->embedding_len + 1, sizeof(*c->embedding));
    c->made = calloc(batch, 1);
    return c->logits && c->probabilities && c->embedding && c->made ? 0 : -ENOMEM;
}

int eng_context_create(struct eng_context **ret, struct eng_model *model_ref, int max_batch,
                       int max_members, char *err, size_t errlen)
{
    struct eng_context *c = calloc(1, sizeof(*c));
    if (!c)
        return eng_fail(err, errlen, -ENOMEM, "out of memory");
    c->model = eng_model_ref(model_ref);
    c->plan = eng_model_plan(model_ref);
    c->g = eng_plan_graph(c->plan);
    c->max_batch = max_batch;
    c->outputs = eng_tensor_elements(&c->g->tensors[c->g->logits]);
    if (c->g->embedding >= 0)
        c->embedding_len = eng_tensor_elements(&c->g->tensors[c->g->embedding]);
    int rc = eng_run_create(&c->run, c->plan, max_batch, max_members, err, errlen);
    if (rc == 0 && (rc = allocate_views(c)) < 0)
        eng_fail(err, errlen, rc, "out of memory");
    if (rc < 0) {
        eng_context_destroy(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void eng_context_destroy(struct eng_context *c)
{
    if (!c)
        return;
    eng_run_destroy(c->run);
    free(c->logits);
    free(c->probabilities);
    free(c->embedding);
    free(c->made);
    eng_model_unref(c->model);
    free(c);
}

size_t eng_context_bytes(const struct eng_context *c)
{
    size_t views = (size_t)c->max_batch * (2 * c->outputs + c->embedding_len) * sizeof(float);
    return eng_run_bytes(c->run) + views;
}

struct eng_run *eng_context_run_inside(struct eng_context *c)
{
    return c->run;
}

void *eng_context_input(struct eng_context *c, int slot)
{
    return slot >= 0 && slot < c->max_batch ? eng_run_input(c->run, slot) : NULL;
}

void *eng_context_picture(struct eng_context *c, int slot)
{
    return slot >= 0 && slot < c->max_batch ? eng_run_picture(c->run, slot) : NULL;
}

void eng_context_copy(struct eng_context *c, int to, int from)
{
    eng_run_copy(c->run, to, from);
}

int eng_context_run(struct eng_context *c, int batch, struct eng_team *team)
{
    int rc = eng_run_exec(c->run, batch, team);
    if (rc == 0) {
        c->batch = batch;
        memset(c->made, 0, (size_t)c->max_batch);
    }
    return rc;
}

/* ---- float views ---- */

static void dequantise(const struct eng_tensor *t, const void *data, float *out, size_t n)
{
    if (t->type == ENG_F32) {
        memcpy(out, data, n * sizeof(*out));
        return;
    }
    float scale = eng_quant_scale(t, 0);
    int32_t zero = eng_quant_zero(t, 0);
    for (size_t i = 0; i < n; i++) {
        int32_t q = t->type == ENG_I8 ? ((const int8_t *)data)[i] : ((const uint8_t *)data)[i];
        out[i] = scale * (float)(q - zero);
    }
}

/* The slot's row of a view, filled when first asked for; NULL if the slot was not run. */
static float *view(struct eng_context *c, int slot, int which, float *rows, int tensor, size_t n)
{
    if (slot < 0 || slot >= c->batch || tensor < 0)
        return NULL;
    float *row = rows + (size_t)slot * n;
    if (c->made[slot] & which)
        return row;
    dequantise(&c->g->tensors[tensor], eng_run_tensor(c->run, tensor, slot), row, n);
    c->made[slot] |= (unsigned char)which;
    return row;
}

const void *eng_context_output(const struct eng_context *c, int slot, int output)
{
    if (slot < 0 || slot >= c->batch || output < 0 || output >= c->g->n_outputs)
        return NULL;
    return eng_run_tensor(c->run, c->g->outputs[output].tensor, slot);
}

int eng_context_output_floats(const struct eng_context *c, int slot, int output, float *ret)
{
    const void *data = eng_context_output(c, slot, output);
    if (!data)
        return -ERANGE;
    const struct eng_tensor *t = &c->g->tensors[c->g->outputs[output].tensor];
    dequantise(t, data, ret, eng_tensor_elements(t));
    return 0;
}

const float *eng_context_logits(struct eng_context *c, int slot)
{
    return view(c, slot, HAS_LOGITS, c->logits, c->g->logits, c->outputs);
}

const float *eng_context_embedding(struct eng_context *c, int slot)
{
    return view(c, slot, HAS_EMBEDDING, c->embedding, c->g->embedding, c->embedding_len);
}

static void softmax(const float *logits, float beta, float *p, size_t n)
{
    float max = -INFINITY;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        max = logits[i] > max ? logits[i] : max;
    for (size_t i = 0; i < n; i++) {
        p[i] = expf((logits[i] - max) * beta);
        sum += p[i];
    }
    for (size_t i = 0; i < n; i++)
        p[i] = (float)(p[i] / sum);
}

static void activate(const struct eng_context *c, const float *logits, float *p)
{
    switch (eng_model_info(c->model)->activation) {
    case ENG_ACTIVATION_SOFTMAX:
        softmax(logits, c->g->end_beta, p, c->outputs);
        return;
    case ENG_ACTIVATION_SIGMOID:
        for (size_t i = 0; i < c->outputs; i++)
            p[i] = 1.0f / (1.0f + expf(-logits[i]));
        return;
    case ENG_ACTIVATION_NONE:
        memcpy(p, logits, c->outputs * sizeof(*p));
        return;
    }
}

const float *eng_context_probabilities(struct eng_context *c, int slot)
{
    const float *logits = eng_context_logits(c, slot);
    if (!logits)
        return NULL;
    float *p = c->probabilities + (size_t)slot * c->outputs;
    if (!(c->made[slot] & HAS_PROBABILITIES))
        activate(c, logits, p);
    c->made[slot] |= HAS_PROBABILITIES;
    return p;
}

int eng_context_topk(struct eng_context *c, int slot, int k, struct eng_prediction *ret)
{
    const float *logits = eng_context_logits(c, slot), *p = eng_context_probabilities(c, slot);
    if (!logits || !p || k < 1)
        return 0;
    return eng_topk(logits, p, (int)c->outputs, eng_model_info(c->model)->class_offset, k, ret);
}

/* ---- profile ---- */

void eng_context_profile(struct eng_context *c, int enable)
{
    eng_run_profile(c->run, enable);
}

int eng_context_step_ns(const struct eng_context *c, int step, uint64_t *ret_ns)
{
    return eng_run_step_ns(c->run, step, ret_ns);
}
