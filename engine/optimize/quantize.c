/* The quantiser's passes. Two networks run beside each other in the reference plan, which keeps
 * every tensor: the float one (folded, later equalised), and its quantised twin. What is compared
 * in the end are the original model's answers, of the fast plan. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/context.h"
#include "engine/graph/quant.h"
#include "engine/inside.h"
#include "engine/optimize/quantize_parts.h"
#include "engine/plan/plan.h"
#include "engine/quantize.h"

enum { PEAKS, HISTOGRAMS, COMPARE, DONE };
enum {
    PEAK_PICTURES = 64,  /* channels' ranges are known after so many */
    LAYER_PICTURES = 16, /* for the table of layers */
    FIVE = 5,
};

/* A graph in one plan, and a run of it. */
struct network {
    struct eng_plan *plan;
    struct eng_run *run;
};

struct eng_quantizer {
    struct eng_quantize_options opts;
    struct eng_model *fast, *whole; /* whole: the reference form, whose constants g points to */
    struct eng_context *context;    /* of fast; its input slots are the caller's */
    struct eng_graph *g, *q;        /* float, quantised */
    struct eng_quantize_input input;
    struct network layers, q_layers, q_fast;
    struct eng_qstat *stats; /* by tensor of g */
    int *twin;               /* by tensor of g: that of q */
    double *signal, *noise;  /* by tensor of g */
    int slots, pass, fed;
    double logit_signal, logit_noise;
    struct eng_quantize_report report;
};

/* ---- beginning and end ---- */

static int make_network(struct network *n, const struct eng_graph *g, int reference, int slots,
                        uint32_t cpu_bits, char *err, size_t errlen)
{
    struct eng_plan_options o = {.cpu_bits = cpu_bits ? cpu_bits : eng_cpu_detect(),
                                 .reference = reference};
    int rc = eng_plan_create(&n->plan, g, &o, err, errlen);
    return rc < 0 ? rc : eng_run_create(&n->run, n->plan, slots, slots, err, errlen);
}

static void drop_network(struct network *n)
{
    eng_run_destroy(n->run);
    eng_plan_destroy(n->plan);
    *n = (struct network){0};
}

void eng_quantizer_destroy(struct eng_quantizer *q)
{
    if (!q)
        return;
    drop_network(&q->layers);
    drop_network(&q->q_layers);
    drop_network(&q->q_fast);
    for (int i = 0; q->stats && i < q->g->n_tensors; i++)
        eng_qstat_finish(&q->stats[i]);
    free(q->stats);
    free(q->twin);
    free(q->signal);
    free(q->noise);
    eng_graph_destroy(q->q);
    eng_graph_destroy(q->g);
    eng_context_destroy(q->context);
    eng_model_unref(q->fast);
    eng_model_unref(q->whole);
    free(q);
}

static int no_memory(char *err, size_t errlen)
{
    return eng_fail(err, errlen, -ENOMEM, "not enough memory to quantise the model");
}

static int allocate(struct eng_quantizer *q)
{
    size_t n = (size_t)q->g->n_tensors;
    q->stats = calloc(n, sizeof(*q->stats));
    q->twin = calloc(n, sizeof(*q->twin));
    q->signal = calloc(n, sizeof(*q->signal));
    q->noise = calloc(n, sizeof(*q->noise));
    if (!q->stats || !q->twin || !q->signal || !q->noise)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct eng_tensor *t = &q->g->tensors[i];
        int made = t->producer >= 0 || (int)i == q->g->input;
        if (made && eng_qstat_init(&q->stats[i], t->rank > 0 ? t->dim[t->rank - 1] : 1) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int load(struct eng_quantizer *q, const char *dir, char *err, size_t errlen)
{
    struct eng_model_options o = {.cpu_bits = q->opts.cpu_bits};
    int rc = eng_model_load(&q->fast, dir, &o, err, errlen);
    if (rc < 0)
        return rc;
    if (strcmp(eng_model_info(q->fast)->precision, "fp32") != 0)
        return eng_fail(err, errlen, -EINVAL, "the model is %s: only a float model is quantised",
                        eng_model_info(q->fast)->precision);
    if (eng_model_info(q->fast)->open)
        return eng_fail(err, errlen, ENG_E_UNSUPPORTED,
                        "the model has %d outputs: only one with a main output is quantised",
                        eng_model_info(q->fast)->n_outputs);
    o.reference = 1;
    rc = eng_model_load(&q->whole, dir, &o, err, errlen);
    if (rc >= 0)
        rc = eng_context_create(&q->context, q->fast, q->slots, q->slots, err, errlen);
    if (rc < 0)
        return rc;
    if (eng_graph_clone(&q->g, eng_plan_graph(eng_model_plan(q->whole))) < 0)
        return no_memory(err, errlen);
    rc = eng_graph_check(q->g, err, errlen);
    if (rc >= 0)
        rc = eng_graph_fold(q->g, err, errlen);
    if (rc < 0)
        return rc;
    if (allocate(q) < 0)
        return no_memory(err, errlen);
    eng_quantize_input_init(&q->input, &eng_model_info(q->fast)->preprocess);
    return make_network(&q->layers, q->g, 1, q->slots, q->opts.cpu_bits, err, errlen);
}

int eng_quantizer_create(struct eng_quantizer **ret, const char *dir,
                         const struct eng_quantize_options *opts, int slots, char *err,
                         size_t errlen)
{
    struct eng_quantizer *q = calloc(1, sizeof(*q));
    if (!q)
        return no_memory(err, errlen);
    q->opts = *opts;
    q->slots = slots;
    q->pass = opts->equalise ? PEAKS : HISTOGRAMS;
    int rc = load(q, dir, err, errlen);
    if (rc < 0) {
        eng_quantizer_destroy(q);
        return rc;
    }
    *ret = q;
    return 0;
}

const struct eng_model_info *eng_quantizer_info(const struct eng_quantizer *q)
{
    return eng_model_info(q->fast);
}

void *eng_quantizer_input(struct eng_quantizer *q, int slot)
{
    return eng_context_input(q->context, slot);
}

/* ---- the passes ---- */

static size_t input_values(const struct eng_quantizer *q)
{
    return eng_tensor_elements(&q->g->tensors[q->g->input]);
}

static int run_network(struct eng_quantizer *q, const struct network *net, int n, float shift,
                       struct eng_team *team)
{
    size_t values = input_values(q);
    for (int slot = 0; slot < n; slot++) {
        const float *from = eng_context_input(q->context, slot);
        float *to = eng_run_input(net->run, slot);
        for (size_t i = 0; i < values; i++)
            to[i] = from[i] + shift;
    }
    return eng_run_exec(net->run, n, team);
}

struct gather {
    struct eng_quantizer *q;
    int n;
};

static void gather(void *arg, int begin, int end, int member)
{
    const struct gather *a = arg;
    struct eng_quantizer *q = a->q;
    (void)member;
    for (int t = begin; t < end; t++) {
        size_t n = eng_tensor_elements(&q->g->tensors[t]);
        for (int slot = 0; q->stats[t].peak && slot < a->n; slot++) {
            const float *v = eng_run_tensor(q->layers.run, t, slot);
            if (v && q->pass == PEAKS)
                eng_qstat_peaks(&q->stats[t], v, n);
            else if (v)
                eng_qstat_add(&q->stats[t], v, n);
        }
    }
}

static void compare_layers(void *arg, int begin, int end, int member)
{
    const struct gather *a = arg;
    struct eng_quantizer *q = a->q;
    (void)member;
    for (int t = begin; t < end; t++) {
        if (q->twin[t] < 0 || t == q->g->input || q->g->tensors[t].data)
            continue;
        const struct eng_tensor *u8 = &q->q->tensors[q->twin[t]];
        float scale = eng_quant_scale(u8, 0);
        int32_t zero = eng_quant_zero(u8, 0);
        size_t n = eng_tensor_elements(u8);
        for (int slot = 0; slot < a->n; slot++) {
            const float *v = eng_run_tensor(q->layers.run, t, slot);
            const uint8_t *w = eng_run_tensor(q->q_layers.run, q->twin[t], slot);
            for (size_t i = 0; v && w && i < n; i++) {
                double d = (double)v[i] - (double)(scale * (float)(w[i] - zero));
                q->signal[t] += (double)v[i] * (double)v[i];
                q->noise[t] += d * d;
            }
        }
    }
}

static void compare_answer(struct eng_quantizer *q, int slot)
{
    const float *want = eng_context_logits(q->context, slot);
    const float *have = eng_run_tensor(q->q_fast.run, q->q->logits, slot);
    int outputs = eng_model_info(q->fast)->outputs, shared = 0;
    int offset = eng_model_info(q->fast)->class_offset;
    struct eng_prediction a[FIVE], b[FIVE];
    int n = eng_topk(want, want, outputs, offset, FIVE, a);
    eng_topk(have, have, outputs, offset, FIVE, b);
    for (int i = 0; i < outputs; i++) {
        double d = (double)want[i] - (double)have[i];
        q->logit_signal += (double)want[i] * (double)want[i];
        q->logit_noise += d * d;
    }
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < n; k++)
            shared += a[i].class_number == b[k].class_number;
        q->report.top1_in_top5 += a[0].class_number == b[i].class_number;
    }
    q->report.same_top1 += a[0].class_number == b[0].class_number;
    q->report.top5_shared += shared;
    q->report.images++;
}

static int compare(struct eng_quantizer *q, int n, struct eng_team *team)
{
    struct gather a = {q, n};
    int rc = eng_context_run(q->context, n, team);
    if (rc == 0)
        rc = run_network(q, &q->q_fast, n, q->input.shift, team);
    if (rc < 0)
        return rc;
    for (int i = 0; i < n; i++)
        compare_answer(q, i);
    if (q->fed > LAYER_PICTURES)
        return 0;
    rc = run_network(q, &q->layers, n, 0, team);
    if (rc == 0)
        rc = run_network(q, &q->q_layers, n, q->input.shift, team);
    if (rc == 0)
        eng_team_for(team, q->g->n_tensors, compare_layers, &a);
    return rc;
}

int eng_quantizer_feed(struct eng_quantizer *q, int n, struct eng_team *team)
{
    struct gather a = {q, n};
    if (n < 1 || n > q->slots || q->pass == DONE)
        return -EINVAL;
    q->fed += n;
    if (q->pass == COMPARE)
        return compare(q, n, team);
    if (q->pass == PEAKS && q->fed > PEAK_PICTURES + n)
        return 0;
    int rc = run_network(q, &q->layers, n, 0, team);
    if (rc == 0)
        eng_team_for(team, q->g->n_tensors, gather, &a);
    return rc;
}

/* The float network with its channels scaled; its plan holds the old weights. */
static int end_peaks(struct eng_quantizer *q, char *err, size_t errlen)
{
    int pairs = eng_quantize_equalise(q->g, q->stats);
    if (pairs < 0)
        return no_memory(err, errlen);
    q->report.equalised = pairs;
    drop_network(&q->layers);
    return make_network(&q->layers, q->g, 1, q->slots, q->opts.cpu_bits, err, errlen);
}

static int end_histograms(struct eng_quantizer *q, char *err, size_t errlen)
{
    struct eng_quantize_job job = {q->g, q->stats, &q->opts, q->input, err, errlen};
    int rc = eng_quantize_graph(&q->q, q->twin, &job);
    if (rc == 0)
        rc = make_network(&q->q_layers, q->q, 1, q->slots, q->opts.cpu_bits, err, errlen);
    if (rc == 0)
        rc = make_network(&q->q_fast, q->q, 0, q->slots, q->opts.cpu_bits, err, errlen);
    return rc;
}

int eng_quantizer_next(struct eng_quantizer *q, char *err, size_t errlen)
{
    int rc = 0;
    if (q->fed == 0)
        return eng_fail(err, errlen, ENG_E_DATA, "there are no pictures to quantise with");
    if (q->pass == PEAKS)
        rc = end_peaks(q, err, errlen);
    else if (q->pass == HISTOGRAMS)
        rc = end_histograms(q, err, errlen);
    if (rc < 0)
        return rc;
    q->pass++;
    q->fed = 0;
    return 0;
}

/* ---- what was found ---- */

static double decibel(double signal, double noise)
{
    return noise > 0 ? 10 * log10(signal / noise) : INFINITY;
}

void eng_quantizer_report(const struct eng_quantizer *q, struct eng_quantize_report *ret)
{
    *ret = q->report;
    ret->top5_shared = q->report.images ? q->report.top5_shared / q->report.images : 0;
    ret->logit_sqnr = decibel(q->logit_signal, q->logit_noise);
}

int eng_quantizer_layers(const struct eng_quantizer *q)
{
    return q->g->n_nodes;
}

int eng_quantizer_layer(const struct eng_quantizer *q, int index, struct eng_quantize_layer *ret)
{
    if (index < 0 || index >= q->g->n_nodes)
        return -ERANGE;
    const struct eng_node *n = &q->g->nodes[index];
    if (q->signal[n->out] <= 0)
        return -ENODATA;
    *ret = (struct eng_quantize_layer){n->name, eng_node_kind(n),
                                       decibel(q->signal[n->out], q->noise[n->out])};
    return 0;
}

const struct eng_graph *eng_quantizer_graph(const struct eng_quantizer *q)
{
    return q->q;
}

const struct eng_model *eng_quantizer_model(const struct eng_quantizer *q)
{
    return q->fast;
}

float eng_quantizer_shift(const struct eng_quantizer *q)
{
    return q->input.shift;
}
