/* Pruning: the arithmetic of a panel against direct solutions; a network from folder to folder, run
 * without its zeroes; what must be refused. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/context.h"
#include "engine/optimize/folder.h"
#include "engine/graph/mobilenet.h"
#include "engine/importers/manifest.h"
#include "engine/inside.h"
#include "engine/prune.h"
#include "engine/optimize/prune_parts.h"
#include "engine/optimize/quantize_parts.h"

static char err[512], root[64];
static uint32_t seed;

static double uniform(void)
{
    seed = seed * 1664525 + 1013904223;
    return (double)(seed >> 8) / (double)(1 << 23) - 1;
}

/* ---- a panel ---- */

enum { N = 12, SAMPLES = 60, GO = 5, OUTPUTS = ENG_PRUNE_OUTPUTS };

/* Inputs that resemble each other, the first one 1. */
static void make_gram(double *g)
{
    memset(g, 0, sizeof(double) * N * N);
    for (int s = 0; s < SAMPLES; s++) {
        double x[N] = {1}, shared = uniform();
        for (int i = 1; i < N; i++)
            x[i] = uniform() + shared * i / N;
        for (int r = 0; r < N; r++)
            for (int c = 0; c < N; c++)
                g[r * N + c] += x[r] * x[c];
    }
}

static void make_weights(double *w)
{
    for (int i = 0; i < N * OUTPUTS; i++)
        w[i] = uniform();
}

/* Of the outputs, when w becomes v. */
static double squared_error(const double *g, const double *w, const double *v)
{
    double sum = 0;
    for (int r = 0; r < N; r++)
        for (int c = 0; c < N; c++)
            for (int o = 0; o < OUTPUTS; o++)
                sum += g[r * N + c] * (w[r * OUTPUTS + o] - v[r * OUTPUTS + o]) *
                       (w[c * OUTPUTS + o] - v[c * OUTPUTS + o]);
    return sum;
}

/* The best that `kept` inputs can do for w: (G of the kept)^-1 (G of kept x all) w. */
static void best_of(const double *g, const double *w, const int *kept, int n, double *v)
{
    double inner[N * N], right[N * OUTPUTS] = {0};
    for (int r = 0; r < n; r++) {
        for (int c = 0; c < n; c++)
            inner[r * n + c] = g[kept[r] * N + kept[c]];
        for (int c = 0; c < N; c++)
            for (int o = 0; o < OUTPUTS; o++)
                right[r * OUTPUTS + o] += g[kept[r] * N + c] * w[c * OUTPUTS + o];
    }
    assert_int_equal(eng_prune_invert(inner, (size_t)n), 0);
    memset(v, 0, sizeof(double) * N * OUTPUTS);
    for (int r = 0; r < n; r++)
        for (int c = 0; c < n; c++)
            for (int o = 0; o < OUTPUTS; o++)
                v[kept[r] * OUTPUTS + o] += inner[r * n + c] * right[c * OUTPUTS + o];
}

static void inverts(void **state)
{
    (void)state;
    double g[N * N], m[N * N];
    seed = 3;
    make_gram(g);
    memcpy(m, g, sizeof(m));
    assert_int_equal(eng_prune_invert(m, N), 0);
    for (int r = 0; r < N; r++)
        for (int c = 0; c < N; c++) {
            double sum = 0;
            for (int i = 0; i < N; i++)
                sum += g[r * N + i] * m[i * N + c];
            assert_true(fabs(sum - (r == c)) < 1e-9);
        }
    g[0] = -1;
    assert_int_equal(eng_prune_invert(g, N), -1);
    m[0] = NAN;
    assert_int_equal(eng_prune_invert(m, N), -1);
}

static int is_gone(const double *v, int input)
{
    for (int o = 0; o < OUTPUTS; o++)
        if (v[input * OUTPUTS + o] < 0 || v[input * OUTPUTS + o] > 0)
            return 0;
    return 1;
}

/* The weights that stay are the best ones for what stays, and what each step says it costs is what
 * it costs. */
static void corrects_the_rest(void **state)
{
    (void)state;
    double g[N * N], inverse[N * N], w[N * OUTPUTS], v[N * OUTPUTS], want[N * OUTPUTS];
    double errors[GO] = {0}, sum = 0;
    int kept[N], n = 0;
    for (seed = 1; seed < 40; seed += 2) {
        uint32_t here = seed;
        make_gram(g);
        make_weights(w);
        memcpy(inverse, g, sizeof(g));
        memcpy(v, w, sizeof(v));
        memset(errors, 0, sizeof(errors));
        assert_int_equal(eng_prune_invert(inverse, N), 0);
        assert_int_equal(eng_prune_panel(v, inverse, N, GO, errors), 0);
        n = 0;
        for (int i = 0; i < N; i++)
            if (!is_gone(v, i))
                kept[n++] = i;
        assert_int_equal(n, N - GO);
        assert_int_equal(kept[0], 0); /* the bias */
        best_of(g, w, kept, n, want);
        for (int i = 0; i < N * OUTPUTS; i++)
            assert_true(fabs(v[i] - want[i]) < 1e-8);
        sum = 0;
        for (int i = 0; i < GO; i++)
            sum += errors[i];
        assert_true(fabs(sum - squared_error(g, w, v)) < 1e-8 * sum);
        seed = here;
    }
}

static void takes_the_cheapest(void **state)
{
    (void)state;
    double g[N * N], inverse[N * N], w[N * OUTPUTS], v[N * OUTPUTS], best = 1e30;
    int cheapest = 0;
    seed = 9;
    make_gram(g);
    make_weights(w);
    for (int gone = 1; gone < N; gone++) {
        int kept[N], n = 0;
        for (int i = 0; i < N; i++)
            if (i != gone)
                kept[n++] = i;
        best_of(g, w, kept, n, v);
        double cost = squared_error(g, w, v);
        cheapest = cost < best ? gone : cheapest;
        best = cost < best ? cost : best;
    }
    memcpy(inverse, g, sizeof(g));
    memcpy(v, w, sizeof(v));
    assert_int_equal(eng_prune_invert(inverse, N), 0);
    assert_int_equal(eng_prune_panel(v, inverse, N, 1, NULL), 0);
    assert_true(is_gone(v, cheapest));
}

/* ---- a network ---- */

static void make_dir(char *ret, size_t len, const char *name)
{
    assert_true(snprintf(ret, len, "%s/%s", root, name) < (int)len);
    mkdir(ret, 0700);
    assert_true(snprintf(ret, len, "%s/%s/1", root, name) < (int)len);
    mkdir(ret, 0700);
}

/* A version folder of V1 0.25 for 64x64 pictures, seeded weights. */
static void make_model(const char *dir)
{
    struct eng_mobilenet_spec spec = {
        .generation = 1, .alpha = 0.25, .rho = 64, .classes = 10, .seed = 5};
    struct eng_model_options o = {.reference = 1};
    struct eng_model *m;
    void *bytes;
    size_t len;
    if (eng_model_build(&m, &spec, &o, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    const struct eng_model_info *info = eng_model_info(m);
    struct eng_folder_manifest f = {.format = "onnx",
                                    .file = "model.onnx",
                                    .source = "a test",
                                    .preprocess = &info->preprocess,
                                    .like = info};
    if (eng_onnx_write(&bytes, &len, eng_plan_graph(eng_model_plan(m)), err, sizeof(err)) < 0)
        fail_msg("%s", err);
    assert_int_equal(eng_folder_write(dir, f.file, bytes, len, err, sizeof(err)), 0);
    assert_int_equal(eng_folder_manifest(dir, &f, err, sizeof(err)), 0);
    free(bytes);
    eng_model_unref(m);
}

static void feed(struct eng_pruner *p, int pictures)
{
    seed = 77;
    for (int i = 0; i < pictures; i += 2) {
        for (int slot = 0; slot < 2; slot++) {
            float *x = eng_pruner_input(p, slot);
            for (int k = 0; k < 64 * 64 * 3; k++)
                x[k] = (float)uniform();
        }
        assert_int_equal(eng_pruner_feed(p, 2, NULL), 0);
    }
}

/* Inputs that a panel of a pointwise layer uses, at most. */
static int taps_of(const struct eng_graph *g, const struct eng_node *n)
{
    const struct eng_tensor *t = &g->tensors[n->in[1]];
    const float *w = t->data;
    int most = 0, inputs = t->dim[3];
    for (int o = 0; o < t->dim[0]; o += OUTPUTS) {
        int taps = 0;
        for (int k = 0; k < inputs; k++) {
            int used = 0;
            for (int r = o; r < o + OUTPUTS && r < t->dim[0]; r++)
                used |= w[r * inputs + k] < 0 || w[r * inputs + k] > 0;
            taps += used;
        }
        most = taps > most ? taps : most;
    }
    return most;
}

static int node_of(const struct eng_plan *plan, const char *name)
{
    const struct eng_graph *g = eng_plan_graph(plan);
    for (int i = 0; i < g->n_nodes; i++)
        if (strcmp(g->nodes[i].name, name) == 0)
            return i;
    fail_msg("no node is called %s", name);
    return -1;
}

/* The saved model: each layer keeps what it was said to keep, runs sparse if that is less, and the
 * fast plan answers as the reference does. */
static void check_saved(const char *to, const struct eng_pruner *p)
{
    struct eng_model *fast, *whole;
    struct eng_context *a, *b;
    struct eng_model_options o = {.reference = 1};
    int at = 0, sparse = 0;
    if (eng_model_load(&fast, to, NULL, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    assert_int_equal(eng_model_load(&whole, to, &o, err, sizeof(err)), 0);
    const struct eng_graph *g = eng_plan_graph(eng_model_plan(whole));
    for (int i = 0; i < g->n_nodes; i++) {
        const struct eng_node *n = &g->nodes[i];
        if (n->op != ENG_OP_CONV || n->win.kh != 1 || g->tensors[n->in[1]].dim[3] < 32 ||
            g->tensors[n->in[1]].dim[0] < 32)
            continue;
        struct eng_pruned_layer l;
        eng_pruner_layer(p, at++, &l);
        assert_int_equal(l.inputs, g->tensors[n->in[1]].dim[3]);
        assert_int_equal(taps_of(g, n), l.kept);
        const struct eng_plan *plan = eng_model_plan(fast);
        int same = node_of(plan, n->name);
        const char *kernel = eng_plan_node_kernel(plan, same);
        assert_int_equal(strncmp(kernel, "spw_f32", 7) == 0, l.kept < l.inputs);
        sparse += l.kept < l.inputs;
        double density = eng_plan_node_density(plan, same);
        assert_true(fabs(density - (double)l.kept / l.inputs) < 1e-9);
    }
    assert_int_equal(at, eng_pruner_layers(p));
    assert_true(sparse >= 3);
    assert_int_equal(eng_context_create(&a, fast, 1, 1, err, sizeof(err)), 0);
    assert_int_equal(eng_context_create(&b, whole, 1, 1, err, sizeof(err)), 0);
    float *x = eng_context_input(a, 0);
    for (int k = 0; k < 64 * 64 * 3; k++)
        x[k] = (float)uniform();
    memcpy(eng_context_input(b, 0), x, 64 * 64 * 3 * sizeof(*x));
    assert_int_equal(eng_context_run(a, 1, NULL), 0);
    assert_int_equal(eng_context_run(b, 1, NULL), 0);
    for (int i = 0; i < 10; i++)
        assert_true(fabsf(eng_context_logits(a, 0)[i] - eng_context_logits(b, 0)[i]) < 1e-4f);
    eng_context_destroy(a);
    eng_context_destroy(b);
    eng_model_unref(fast);
    eng_model_unref(whole);
}

static void a_network(void **state)
{
    (void)state;
    char from[128], to[128];
    struct eng_pruner *p;
    struct eng_compress_sizes sizes;
    make_dir(from, sizeof(from), "from");
    make_dir(to, sizeof(to), "to");
    make_model(from);
    if (eng_pruner_create(&p, from, 0.4, 2, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    assert_int_equal(eng_pruner_info(p)->preprocess.width, 64);
    feed(p, 8);
    for (int i = 0; i < eng_pruner_steps(p); i++)
        if (eng_pruner_step(p, i, NULL, err, sizeof(err)) < 0)
            fail_msg("%s", err);
    if (eng_pruner_save(&sizes, p, to, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    assert_true(sizes.after > 0 && sizes.after < sizes.before);
    double all = 0, gone = 0;
    for (int i = 0; i < eng_pruner_layers(p); i++) {
        struct eng_pruned_layer l;
        eng_pruner_layer(p, i, &l);
        all += l.mult_adds;
        gone += l.mult_adds * (l.inputs - l.kept) / l.inputs;
        assert_true(l.kept == l.inputs || l.kept <= l.inputs - l.inputs / 8);
        if (l.inputs > 32) /* of 4 pixels in 8 pictures */
            assert_true(l.kept < l.inputs || l.outputs >= 128 || l.error <= 0);
    }
    print_message("# %.1f %% of the multiply-adds are gone\n", 100 * gone / all);
    assert_true(gone / all > 0.35 && gone / all < 0.45);
    check_saved(to, p);
    eng_pruner_destroy(p);
}

static void refusals(void **state)
{
    (void)state;
    char from[128];
    struct eng_pruner *p;
    make_dir(from, sizeof(from), "empty");
    make_model(from);
    assert_int_equal(eng_pruner_create(&p, from, 0.4, 2, err, sizeof(err)), 0);
    assert_int_equal(eng_pruner_feed(p, 3, NULL), -EINVAL);
    assert_int_equal(eng_pruner_step(p, 0, NULL, err, sizeof(err)), ENG_E_DATA);
    assert_non_null(strstr(err, "no pictures"));
    eng_pruner_destroy(p);
}

static int remove_manifest(const char *dir)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/model.json", dir);
    return unlink(path);
}

/* What tools write reads as the model that they began with. */
static void manifest_of_a_new_folder(void **state)
{
    (void)state;
    char dir[128];
    const struct eng_preprocess p = {.height = 8, .width = 8, .scale = {1, 1, 1}};
    struct eng_model_info like = {
        .family = "f", .variant = "v", .licence = "l", .task = ENG_TASK_EMBEDDING, .shows_all = 1};
    const struct eng_folder_manifest want = {"onnx", "a.onnx", "s", 1, &p, &like};
    struct eng_manifest m;
    make_dir(dir, sizeof(dir), "manifest");
    for (int all = 1; all >= 0; all--) {
        like.shows_all = all;
        assert_int_equal(eng_folder_manifest(dir, &want, err, sizeof(err)), 0);
        assert_int_equal(eng_manifest_load(&m, dir, err, sizeof(err)), 0);
        assert_string_equal(m.family, "f");
        assert_int_equal(m.task, ENG_TASK_EMBEDDING);
        assert_int_equal(m.shows_all, all);
        assert_int_equal(m.class_offset, 1);
        eng_manifest_finish(&m);
        assert_int_equal(remove_manifest(dir), 0);
    }
}

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/tmp/mobilenetd-prune-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -r '%s'", root);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inverts),
        cmocka_unit_test(corrects_the_rest),
        cmocka_unit_test(takes_the_cheapest),
        cmocka_unit_test(a_network),
        cmocka_unit_test(refusals),
        cmocka_unit_test(manifest_of_a_new_folder),
    };
    return cmocka_run_group_tests_name("prune", tests, make_root, drop_root);
}
