/* Making and asking a plan: the lowering (lower.c) appends values and steps, then life spans turn
 * into offsets. */
#include "engine/plan/lower.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/plan/memory.h"

/* More than any machine that serves has: an arena for one image. */
static const size_t MAX_ARENA = (size_t)1 << 34;

void eng_plan_destroy(struct eng_plan *p)
{
    if (!p)
        return;
    eng_plan_free_slabs(p);
    free(p->values);
    free(p->steps);
    free(p->rep);
    free(p->node_step);
    free(p->node_kernel);
    free(p->tuning);
    free(p);
}

/* ---- offsets ---- */

static void see(struct eng_plan *p, int value, int step, int writes)
{
    if (value < 0)
        return;
    struct eng_value *v = &p->values[value];
    if (writes && v->first < 0)
        v->first = step;
    if (step > v->last)
        v->last = step;
}

static void find_life_spans(struct eng_plan *p)
{
    for (int i = 0; i < p->n_steps; i++) {
        const struct eng_step *s = &p->steps[i];
        for (int k = 0; k < s->n_in; k++)
            see(p, s->in[k], i, 0);
        see(p, s->mid, i, 1);
        see(p, s->out, i, 1);
    }
}

/* What is read past one slot, or around one tensor, is no other's: a member may be writing that. */
static int make_spans(struct eng_plan *p, struct eng_span *spans)
{
    for (int i = 0; i < p->n_values; i++) {
        struct eng_value *v = &p->values[i];
        if (v->keep) {
            v->bytes += ENG_OVERREAD;
            v->offset = p->kept_bytes;
            p->kept_bytes += v->bytes;
        } else {
            size_t around = v->bytes ? 2 * (size_t)ENG_OVERREAD : 0;
            spans[i] =
                (struct eng_span){.bytes = v->bytes + around, .first = v->first, .last = v->last};
        }
        if (p->kept_bytes > MAX_ARENA || v->bytes > MAX_ARENA)
            return ENG_E_LIMIT;
    }
    return 0;
}

static void take_offsets(struct eng_plan *p, const struct eng_span *spans)
{
    for (int i = 0; i < p->n_values; i++)
        if (!p->values[i].keep)
            p->values[i].offset = spans[i].offset + (p->values[i].bytes ? ENG_OVERREAD : 0);
    p->arena_bytes += ENG_OVERREAD;
}

static int assign_offsets(struct eng_plan *p, char *err, size_t errlen)
{
    struct eng_span *spans = calloc((size_t)p->n_values + 1, sizeof(*spans));
    int rc = spans ? make_spans(p, spans) : -ENOMEM;
    if (rc == 0)
        rc = eng_memory_place(spans, p->n_values, MAX_ARENA, &p->arena_bytes);
    if (rc == 0)
        take_offsets(p, spans);
    free(spans);
    if (rc == ENG_E_LIMIT)
        return eng_fail(err, errlen, rc, "one image needs more memory than any machine has");
    return rc < 0 ? eng_fail(err, errlen, rc, "out of memory") : 0;
}

/* ---- create ---- */

static int make_tuning(struct eng_plan *p)
{
    size_t steps = (size_t)p->n_steps + 1;
    p->tuning = calloc(1, sizeof(*p->tuning) + 2 * steps * sizeof(atomic_uchar));
    if (!p->tuning)
        return -ENOMEM;
    p->tuning->choice[ENG_ALONE] = p->tuning->choices;
    p->tuning->choice[ENG_TOGETHER] = p->tuning->choices + steps;
    return 0;
}

/* What runs each node. */
static void note_steps(struct eng_plan *p)
{
    for (int i = 0; i < p->n_steps; i++) {
        const struct eng_step *s = &p->steps[i];
        if (s->node >= 0) {
            p->node_step[s->node] = i;
            p->node_kernel[s->node] = s->kernel;
        }
        if (s->node2 >= 0) {
            p->node_step[s->node2] = i;
            p->node_kernel[s->node2] = s->kernel2;
        }
    }
}

static int allocate(struct eng_plan *p)
{
    size_t tensors = (size_t)p->g->n_tensors + 1, nodes = (size_t)p->g->n_nodes + 1;
    p->rep = calloc(tensors, sizeof(*p->rep));
    p->node_step = calloc(nodes, sizeof(*p->node_step));
    p->node_kernel = calloc(nodes, sizeof(*p->node_kernel));
    if (!p->rep || !p->node_step || !p->node_kernel)
        return -ENOMEM;
    for (size_t i = 0; i < tensors; i++)
        for (int r = 0; r < ENG_REP_COUNT; r++)
            p->rep[i][r] = -1;
    for (size_t i = 0; i < nodes; i++) {
        p->node_step[i] = -1;
        p->node_kernel[i] = "";
    }
    return 0;
}

int eng_plan_create(struct eng_plan **ret, const struct eng_graph *g,
                    const struct eng_plan_options *opts, char *err, size_t errlen)
{
    struct eng_plan *p = calloc(1, sizeof(*p));
    if (!p)
        return eng_fail(err, errlen, -ENOMEM, "out of memory");
    p->g = g;
    p->door = p->door_value = -1;
    p->cpu_bits = opts->reference ? 0 : opts->cpu_bits;
    p->reference = opts->reference;
    p->bf16 = opts->bf16 && !opts->reference;
    p->f32x = opts->f32x && !opts->reference;
    eng_kernels_choose(&p->kernels, p->cpu_bits);
    int rc = allocate(p);
    if (rc == 0)
        rc = eng_lower(p, opts, err, errlen);
    if (rc == 0)
        rc = make_tuning(p);
    if (rc == -ENOMEM)
        eng_fail(err, errlen, rc, "out of memory");
    if (rc == 0) {
        note_steps(p);
        find_life_spans(p);
        rc = assign_offsets(p, err, errlen);
    }
    if (rc < 0) {
        eng_plan_destroy(p);
        return rc;
    }
    *ret = p;
    return 0;
}

/* ---- ask ---- */

size_t eng_plan_weight_bytes(const struct eng_plan *p)
{
    return p->weight_bytes;
}

const char *eng_plan_isa(const struct eng_plan *p)
{
    uint32_t bits = 0;
#define X(op) bits |= p->kernels.op->cpu_bits;
    ENG_KERNEL_OPS(X)
#undef X
    return eng_cpu_least(bits);
}

int eng_plan_steps(const struct eng_plan *p)
{
    return p->n_steps;
}

int eng_plan_node_step(const struct eng_plan *p, int node)
{
    return node >= 0 && node < p->g->n_nodes ? p->node_step[node] : -1;
}

const char *eng_plan_node_kernel(const struct eng_plan *p, int node)
{
    return node >= 0 && node < p->g->n_nodes ? p->node_kernel[node] : "";
}

double eng_plan_node_density(const struct eng_plan *p, int node)
{
    int at = eng_plan_node_step(p, node);
    const struct eng_step *s = at < 0 ? NULL : &p->steps[at];
    if (!s || s->driver != &eng_drive_gemm || (s->node2 >= 0 ? s->node2 : s->node) != node)
        return 1;
    const struct eng_pw *pw = &((const struct eng_gemm_params *)s->params)->pw;
    return pw->spw ? (double)pw->taps / pw->k : 1;
}

int eng_plan_door(const struct eng_plan *p)
{
    return p->door;
}

struct eng_tuning *eng_plan_tuning(const struct eng_plan *p)
{
    return p->tuning;
}

const struct eng_graph *eng_plan_graph(const struct eng_plan *p)
{
    return p->g;
}

int eng_plan_needs_constants(const struct eng_plan *p)
{
    return p->reference;
}
