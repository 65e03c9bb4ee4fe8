/* The plan: how a graph is run. Internal to engine/.
 *
 * A plan is a list of steps over one arena; a step is one or more graph nodes run by one driver
 * (steps.h). Two worlds share the machinery. The *reference plan* keeps the file's own types in
 * NHWC, runs the strict C operators of kernels/ref/, one step per node, and keeps every tensor. The
 * *fast plan* keeps activations in blocks of 16 channels (kernel.h), quantised ones always u8,
 * packs weights for the chosen micro-kernels, fuses depthwise into the pointwise behind it, and
 * falls back to reference operators, with layout conversions around them, for what it lacks: every
 * valid graph runs. Of a float graph the fast plan may keep blocked activations and weights in
 * bf16; what leaves the blocks (scores, embedding, operands of reference operators) is fp32.
 *
 * Immutable once made, any thread may read it. Results never depend on how a step was split. */
#ifndef ENG_PLAN_PLAN_H
#define ENG_PLAN_PLAN_H

#include "engine/graph/graph.h"
#include "engine/team.h"

struct eng_plan;

struct eng_plan_options {
    uint32_t cpu_bits; /* kernels may use these */
    int reference;
    int bf16;        /* fast plan: float activations in blocks and pointwise weights are bf16 */
    int f32x;        /* fast plan: products of float pointwise are made of bf16 parts */
    const int *keep; /* computed tensors that a fast plan keeps beside its results */
    int n_keep;
    /* Called (unless NULL) when nodes 0 .. node are packed: constants that no later node reads may
     * go, if it is no reference plan. */
    void (*packed)(void *arg, int node);
    void *arg;
};

/* The graph passed eng_graph_check() and stays alive and unchanged as long as the plan.
 * ENG_E_UNSUPPORTED, ENG_E_DATA (scales whose quotient is no float), ENG_E_LIMIT, -ENOMEM, with a
 * sentence that names the node. */
int eng_plan_create(struct eng_plan **ret, const struct eng_graph *g,
                    const struct eng_plan_options *opts, char *err, size_t errlen);
void eng_plan_destroy(struct eng_plan *p);

size_t eng_plan_weight_bytes(const struct eng_plan *p); /* packed copies only */
const char *eng_plan_isa(const struct eng_plan *p);     /* level of the kernels: eng_cpu_name() */
int eng_plan_steps(const struct eng_plan *p);
/* Step that runs a graph node, -1 for one that costs nothing (an alias), and the kernel in it. */
int eng_plan_node_step(const struct eng_plan *p, int node);
const char *eng_plan_node_kernel(const struct eng_plan *p, int node);
/* Share of a node's multiply-adds that its kernel does: less than 1 with block-sparse weights. */
double eng_plan_node_density(const struct eng_plan *p, int node);
/* The quantised tensor that the network makes of its float input before anything else, and of which
 * a run takes the quanta themselves (eng_run_picture()); -1: none. */
int eng_plan_door(const struct eng_plan *p);
/* The mutable part of a plan: which cuts its runs take (steps.h). */
struct eng_tuning;
struct eng_tuning *eng_plan_tuning(const struct eng_plan *p);
const struct eng_graph *eng_plan_graph(const struct eng_plan *p);
/* 0: the plan holds all that it needs of the constants (eng_graph_drop_constants() may follow). */
int eng_plan_needs_constants(const struct eng_plan *p);

/* Memory of one run: arena for up to max_batch images, scratch for up to max_members members. One
 * caller at a time; the plan must outlive it. */
struct eng_run;
int eng_run_create(struct eng_run **ret, const struct eng_plan *p, int max_batch, int max_members,
                   char *err, size_t errlen);
void eng_run_destroy(struct eng_run *r);
size_t eng_run_bytes(const struct eng_run *r);

/* The graph's input for image `slot`: NHWC, the file's own type; stays where it is. Asking says
 * that the slot holds it from now on. */
void *eng_run_input(struct eng_run *r, int slot);
/* The same of eng_plan_door(), in its own type: the run goes on from there. Without a door, the
 * input. */
void *eng_run_picture(struct eng_run *r, int slot);
/* What slot `from` holds, of either kind, goes to slot `to`. */
void eng_run_copy(struct eng_run *r, int to, int from);

/* Runs images 0 .. batch-1. Allocates nothing. -EINVAL: not 1 <= batch <= max_batch, or a team with
 * room for more than max_members. */
int eng_run_exec(struct eng_run *r, int batch, struct eng_team *team);

/* A graph tensor after a run, NHWC, in the file's own type; NULL if the plan did not keep it.
 * Always kept: input, logits, output, embedding, and what the options ask for. */
const void *eng_run_tensor(const struct eng_run *r, int tensor, int slot);

/* Until called with choice < 0: every step is cut in the cost model's choice-th way, and strips are
 * used or not, whatever measurement chose (tune.h). */
void eng_run_try(struct eng_run *r, int choice, int no_strips);
/* What a way to run (ENG_ALONE, ENG_TOGETHER) would do in strips; NULL: nothing. */
struct eng_strips;
const struct eng_strips *eng_run_strips(const struct eng_run *r, int way);
void eng_run_profile(struct eng_run *r, int enable);
/* Nanoseconds of a step in the last profiled run; -ERANGE, or -ENODATA before one. */
int eng_run_step_ns(const struct eng_run *r, int step, uint64_t *ret_ns);

#endif
