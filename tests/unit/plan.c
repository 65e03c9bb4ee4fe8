/* The fast plan against the reference plan on random graphs: equal bits for quantised types, a
 * tolerance for float; and equal bits for every batch, slot, team and kernel set. */
#include "engine/plan/plan.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/plan/bands.h"
#include "tests/unit/tiny_graph.h"

/* What the fast plans may use. The tiles of a program built with ENG_AMX_EMULATED are C, which runs
 * anywhere; nothing else may ask for more than C beside them. */
static uint32_t test_bits(void)
{
#ifdef ENG_AMX_EMULATED
    return ENG_CPU_C | ENG_CPU_AMXINT8 | ENG_CPU_AMXBF16;
#else
    return eng_cpu_detect();
#endif
}

enum { MAX_BATCH = 5, MAX_THREADS = 4 };
#ifdef __SANITIZE_THREAD__
enum { RACES = 1 }; /* are looked for: what runs on one thread has none */
#else
enum { RACES = 0 };
#endif

/* An instrumented build, or emulated tiles: a part of the cases. */
static int is_quick(void)
{
#ifdef ENG_AMX_EMULATED
    return 1;
#else
    return getenv("MOBILENETD_QUICK") != NULL;
#endif
}

static unsigned some_of(unsigned all)
{
    unsigned part = RACES ? 20 : 6;
    return is_quick() ? (all + part - 1) / part : all;
}

/* ---- runs ---- */

struct world {
    struct eng_plan *plan;
    struct eng_run *run;
};

static void open_plan(struct world *w, const struct eng_graph *g,
                      const struct eng_plan_options *opts)
{
    char err[256] = "";
    if (eng_plan_create(&w->plan, g, opts, err, sizeof(err)) < 0 ||
        eng_run_create(&w->run, w->plan, MAX_BATCH, MAX_THREADS, err, sizeof(err)) < 0)
        fail_msg("%s", err);
}

static void open_world(struct world *w, const struct eng_graph *g, int reference, uint32_t bits)
{
    open_plan(w, g, &(struct eng_plan_options){.cpu_bits = bits, .reference = reference});
}

static void close_world(struct world *w)
{
    eng_run_destroy(w->run);
    eng_plan_destroy(w->plan);
}

/* Image number `image` of a graph's input. */
static void fill_input(const struct eng_graph *g, void *to, int image)
{
    const struct eng_tensor *t = &g->tensors[g->input];
    size_t n = eng_tensor_elements(t);
    unsigned seed = 77 + (unsigned)image;
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        if (t->type == ENG_F32)
            ((float *)to)[i] = (float)(seed >> 8 & 1023) / 512.0f - 1.0f;
        else
            ((unsigned char *)to)[i] = (unsigned char)(seed >> 16);
    }
}

static void run_images(const struct world *w, int first, int batch, struct eng_team *team)
{
    for (int i = 0; i < batch; i++)
        fill_input(eng_plan_graph(w->plan), eng_run_input(w->run, i), first + i);
    assert_int_equal(eng_run_exec(w->run, batch, team), 0);
}

static size_t output_bytes(const struct eng_graph *g)
{
    return eng_tensor_elements(&g->tensors[g->output]) * eng_type_size(g->tensors[g->output].type);
}

static void assert_close(const float *have, const float *want, size_t n, float tolerance,
                         unsigned seed)
{
    float most = 0;
    for (size_t i = 0; i < n; i++)
        most = fabsf(want[i]) > most ? fabsf(want[i]) : most;
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(have[i] - want[i]) <= tolerance * (most + 1.0f)))
            fail_msg("graph %u: output %zu is %g, reference %g (largest %g)", seed, i,
                     (double)have[i], (double)want[i], (double)most);
}

static void assert_agrees(const struct eng_graph *g, const void *have, const void *want,
                          unsigned seed)
{
    size_t bytes = output_bytes(g);
    if (g->tensors[g->output].type == ENG_F32) {
        assert_close(have, want, bytes / sizeof(float), 2e-5f, seed);
        return;
    }
    for (size_t i = 0; i < bytes; i++)
        if (((const unsigned char *)have)[i] != ((const unsigned char *)want)[i])
            fail_msg("graph %u: output %zu is %d, reference %d", seed, i,
                     ((const unsigned char *)have)[i], ((const unsigned char *)want)[i]);
}

/* The three outputs of images 0..MAX_BATCH-1 as the reference plan makes them, then the fast plan
 * with two kernel sets. */
static void check_graph(const struct eng_graph *g, unsigned seed)
{
    struct world ref, fast[2];
    open_world(&ref, g, 1, 0);
    open_world(&fast[0], g, 0, 0);
    open_world(&fast[1], g, 0, test_bits());
    run_images(&ref, 0, MAX_BATCH, NULL);
    for (int k = 0; k < 2; k++) {
        run_images(&fast[k], 0, MAX_BATCH, NULL);
        for (int i = 0; i < MAX_BATCH; i++)
            assert_agrees(g, eng_run_tensor(fast[k].run, g->output, i),
                          eng_run_tensor(ref.run, g->output, i), seed);
        close_world(&fast[k]);
    }
    close_world(&ref);
}

/* ---- random graphs ---- */

static void random_layer(struct tiny *t)
{
    int clamp = (int)tiny_random(t, 2), stride = 1 + (int)tiny_random(t, 2);
    int before = t->t, c = t->c;
    switch (tiny_random(t, 15)) {
    case 0:
    case 1:
        tiny_conv(t, 1 + (int)tiny_random(t, 70), 1, 1, 1, 1, clamp);
        break;
    case 2:
    case 3:
        tiny_depthwise(t, 3, stride, 1, clamp);
        if (tiny_random(t, 4))
            tiny_conv(t, 1 + (int)tiny_random(t, 40), 1, 1, 1, 1, clamp);
        break;
    case 4:
        tiny_conv(t, 1 + (int)tiny_random(t, 30), 2 + (int)tiny_random(t, 4), stride,
                  1 + (int)tiny_random(t, 2), 1, clamp);
        break;
    case 5:
        tiny_conv(t, c * 2, 3, 1, 1, c, clamp); /* grouped */
        break;
    case 6:
        tiny_depthwise(t, 5, stride, 1 + (int)tiny_random(t, 2), clamp);
        break;
    case 7:
        tiny_conv(t, c, 1, 1, 1, 1, clamp);
        tiny_add(t, before);
        break;
    case 8:
        tiny_unary(t, (enum eng_unary)tiny_random(t, 7));
        break;
    case 9:
        tiny_pool(t, tiny_random(t, 2) ? ENG_OP_AVGPOOL : ENG_OP_MAXPOOL,
                  2 + (int)tiny_random(t, 2), stride);
        break;
    case 10:
        if (tiny_random(t, 2))
            tiny_concat(t, before, c);
        else
            tiny_pad(t, 1, 0, 2, 1);
        break;
    case 11:
        tiny_excite(t);
        break;
    case 13:
        tiny_gather(t, 1 + (int)tiny_random(t, 40));
        break;
    case 14:
        tiny_resize(t, 1 + (int)tiny_random(t, 30), 1 + (int)tiny_random(t, 30), tiny_random(t, 4));
        break;
    case 12:
        if (t->type == ENG_F32 && tiny_random(t, 2))
            tiny_channels(t, tiny_random(t, 2) ? ENG_OP_BATCHNORM : ENG_OP_PRELU);
        else
            tiny_mul_channels(t);
        break;
    }
}

static void random_graph(struct tiny *t, enum eng_type type, unsigned seed)
{
    struct tiny dice = {.seed = seed};
    int h = 5 + (int)tiny_random(&dice, 21), w = 5 + (int)tiny_random(&dice, 21);
    int c = tiny_random(&dice, 3) ? 3 : 1 + (int)tiny_random(&dice, 40);
    tiny_begin(t, type, h, w, c, seed);
    if (c == 3 && tiny_random(t, 2))
        tiny_conv(t, 1 + (int)tiny_random(t, 40), 3, 1 + (int)tiny_random(t, 2), 1, 1, 1);
    for (int n = 1 + (int)tiny_random(t, 5); n > 0; n--)
        random_layer(t);
    if (tiny_random(t, 2)) {
        tiny_pool(t, tiny_random(t, 2) ? ENG_OP_AVGPOOL : ENG_OP_MEAN, 0, 1);
        if (tiny_random(t, 2))
            tiny_reshape_flat(t);
        tiny_fc(t, 1 + (int)tiny_random(t, 50));
        tiny_softmax(t);
    } else if (tiny_random(t, 3) == 0) {
        tiny_fc(t, 1 + (int)tiny_random(t, 20)); /* over the whole map */
    }
    tiny_end(t);
}

static void agree_on(enum eng_type type)
{
    unsigned n = some_of(300);
    for (unsigned seed = 1; seed <= n; seed++) {
        struct tiny t;
        random_graph(&t, type, seed);
        check_graph(t.g, seed);
        eng_graph_destroy(t.g);
    }
}

static void u8_equals_reference(void **state)
{
    (void)state;
    agree_on(ENG_U8);
}

static void i8_equals_reference(void **state)
{
    (void)state;
    agree_on(ENG_I8);
}

static void f32_is_close_to_reference(void **state)
{
    (void)state;
    agree_on(ENG_F32);
}

/* bf16 has 8 bits: each of a few layers adds half a unit in its last place. fp32x is as fp32. */
static void bf16_is_near_reference(void **state)
{
    (void)state;
    unsigned in_parts = 0;
    for (unsigned seed = 1; seed <= some_of(150); seed++) {
        struct tiny t;
        struct world ref, w;
        random_graph(&t, ENG_F32, seed);
        open_world(&ref, t.g, 1, 0);
        run_images(&ref, 0, MAX_BATCH, NULL);
        for (int k = 0; k < 4; k++) {
            struct eng_plan_options opts = {.bf16 = k < 2, .f32x = k >= 2};
            opts.cpu_bits = k % 2 ? test_bits() : ENG_CPU_C;
            open_plan(&w, t.g, &opts);
            in_parts += strstr(eng_plan_node_kernel(w.plan, 1), "f32x") != NULL;
            run_images(&w, 0, MAX_BATCH, NULL);
            for (int i = 0; i < MAX_BATCH; i++)
                assert_close(eng_run_tensor(w.run, t.g->output, i),
                             eng_run_tensor(ref.run, t.g->output, i),
                             output_bytes(t.g) / sizeof(float), k < 2 ? 0.03f : 2e-5f, seed);
            close_world(&w);
        }
        close_world(&ref);
        eng_graph_destroy(t.g);
    }
    assert_true(in_parts > 0);
}

/* What the post-training quantiser puts at both ends: u8 pixels, int8 inside, u8 out. */
static void mixed_types(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed < 20; seed++) {
        struct tiny t;
        tiny_begin(&t, ENG_U8, 11, 9, 3, seed);
        float scale = t.g->tensors[t.t].quant.scale[0];
        int zero = t.g->tensors[t.t].quant.zero_point[0];
        int pure = seed % 2; /* a pure change of sign, or a change of scale too */
        tiny_quantize_to(&t, ENG_I8, pure ? scale : scale * 1.25f, zero - 128);
        tiny_conv(&t, 9, 3, 2, 1, 1, 0);
        tiny_depthwise(&t, 3, 1, 1, 0);
        tiny_conv(&t, 21, 1, 1, 1, 1, 0);
        tiny_pool(&t, ENG_OP_MEAN, 0, 1);
        tiny_conv(&t, 17, 1, 1, 1, 1, 0);
        tiny_reshape_flat(&t);
        tiny_softmax(&t);
        tiny_quantize_to(&t, ENG_U8, 1.0f / 256, 0);
        tiny_end(&t);
        check_graph(t.g, seed);
        eng_graph_destroy(t.g);
    }
}

static void multiplies_and_flattens(void **state)
{
    (void)state;
    static const enum eng_type types[] = {ENG_U8, ENG_F32};
    for (unsigned seed = 1; seed < 20; seed++) {
        struct tiny t;
        tiny_begin(&t, types[seed % 2], 6, 7, 5, seed);
        tiny_conv(&t, 18, 1, 1, 1, 1, 1);
        tiny_mul_channels(&t);
        tiny_depthwise(&t, 3, 2, 1, 1);
        tiny_reshape_flat(&t);
        tiny_fc(&t, 10);
        tiny_end(&t);
        check_graph(t.g, seed);
        eng_graph_destroy(t.g);
    }
}

/* ---- teams and batches ---- */

struct helper {
    pthread_t thread;
    struct eng_team *team;
    _Atomic int *stop;
};

static void *help(void *arg)
{
    struct helper *h = arg;
    while (!atomic_load(h->stop))
        if (eng_team_help(h->team) < 0)
            sched_yield();
    return NULL;
}

/* Runs images 0..batch-1 with a team of `threads`; bits must be those of `want`. */
static void check_team(const struct world *w, int threads, int batch, unsigned char *const *want)
{
    const struct eng_graph *g = eng_plan_graph(w->plan);
    struct helper helpers[MAX_THREADS];
    struct eng_team *team;
    _Atomic int stop = 0;
    assert_int_equal(eng_team_create(&team, threads), 0);
    for (int i = 1; i < threads; i++) {
        helpers[i] = (struct helper){.team = team, .stop = &stop};
        assert_int_equal(pthread_create(&helpers[i].thread, NULL, help, &helpers[i]), 0);
    }
    for (int repeat = is_quick(); repeat < 3; repeat++) {
        eng_team_begin(team);
        run_images(w, 0, batch, team);
        eng_team_end(team);
        for (int i = 0; i < batch; i++)
            assert_memory_equal(eng_run_tensor(w->run, g->output, i), want[i], output_bytes(g));
    }
    atomic_store(&stop, 1);
    for (int i = 1; i < threads; i++)
        pthread_join(helpers[i].thread, NULL);
    eng_team_destroy(team);
}

/* A network of the shape that all paths of the gemm driver see: maps large and small, many
 * channels, one pixel at the end. */
static void small_net(struct tiny *t, enum eng_type type)
{
    tiny_begin(t, type, 33, 31, 3, 5);
    tiny_conv(t, 24, 3, 2, 1, 1, 1);
    for (int i = 0; i < 5; i++) {
        tiny_depthwise(t, 3, i == 1 || i == 3 ? 2 : 1, 1, 1);
        tiny_conv(t, 40 + 60 * i, 1, 1, 1, 1, 1);
    }
    int skip = t->t;
    tiny_conv(t, 280, 1, 1, 1, 1, 0);
    tiny_add(t, skip);
    tiny_conv(t, 33, 3, 1, 1, 1, 1);
    tiny_pool(t, ENG_OP_AVGPOOL, 0, 1);
    tiny_conv(t, 1001, 1, 1, 1, 1, 0);
    tiny_reshape_flat(t);
    tiny_softmax(t);
    tiny_end(t);
}

/* Every way to cut the steps that the cost model knows, in strips and without. */
static void check_choices(const struct world *w, struct eng_team *team, unsigned char *const *want)
{
    const struct eng_graph *g = eng_plan_graph(w->plan);
    for (int k = 0; k < 2 * ENG_CHOICES; k++) {
        eng_run_try(w->run, k / 2, k % 2);
        eng_team_begin(team);
        run_images(w, 0, 1, team);
        eng_team_end(team);
        assert_memory_equal(eng_run_tensor(w->run, g->output, 0), want[0], output_bytes(g));
        run_images(w, 0, 1, NULL);
        assert_memory_equal(eng_run_tensor(w->run, g->output, 0), want[0], output_bytes(g));
    }
    eng_run_try(w->run, -1, 0);
}

/* The last two in bf16 and in fp32x. */
static const enum eng_type types[] = {ENG_U8, ENG_I8, ENG_F32, ENG_F32, ENG_F32};

static void same_bits_everywhere(void **state)
{
    (void)state;
    const int step = is_quick() ? 2 : 1;
    for (int k = 0; k < 5; k++) {
        struct tiny t;
        struct world w;
        unsigned char *want[MAX_BATCH];
        small_net(&t, types[k]);
        open_plan(
            &w, t.g,
            &(struct eng_plan_options){.cpu_bits = test_bits(), .bf16 = k == 3, .f32x = k == 4});
        size_t bytes = output_bytes(t.g);
        for (int i = 0; i < MAX_BATCH; i++) { /* each image alone, in slot 0 */
            run_images(&w, i, 1, NULL);
            want[i] = malloc(bytes);
            assert_non_null(want[i]);
            memcpy(want[i], eng_run_tensor(w.run, t.g->output, 0), bytes);
        }
        for (int threads = step; threads <= MAX_THREADS; threads += step) {
            struct world own = {.plan = w.plan}; /* bands for as many members */
            char err[256];
            assert_int_equal(eng_run_create(&own.run, w.plan, MAX_BATCH, threads, err, sizeof(err)),
                             0);
            struct eng_team *empty;
            assert_int_equal(eng_team_create(&empty, threads), 0);
            if (!RACES && (threads == 2 || !is_quick()))
                check_choices(&own, empty, want);
            eng_team_destroy(empty);
            for (int batch = 1; batch <= MAX_BATCH; batch += step) {
                check_team(&w, threads, batch, want);
                check_team(&own, threads, batch, want);
            }
            eng_run_destroy(own.run);
        }
        for (int i = 0; i < MAX_BATCH; i++)
            free(want[i]);
        check_graph(t.g, 0);
        close_world(&w);
        eng_graph_destroy(t.g);
    }
}

/* Bands of rows in the members' own memory, for teams of any size: the bits of a member alone. A
 * team without helpers takes the same paths, in an order that never changes. */
static void bands_change_no_bit(void **state)
{
    (void)state;
    unsigned with_bands = 0, seeds = some_of(200);
    for (unsigned seed = 1; seed <= seeds; seed++) {
        struct tiny t;
        struct world alone;
        char err[256];
        struct eng_plan_options opts = {
            .cpu_bits = test_bits(), .bf16 = seed % 5 == 3, .f32x = seed % 5 == 4};
        random_graph(&t, types[seed % 5], seed);
        open_plan(&alone, t.g, &opts);
        run_images(&alone, 0, 1, NULL);
        for (int members = 2; members <= 11; members += 3) {
            struct world w = {.plan = alone.plan};
            struct eng_team *team;
            assert_int_equal(eng_team_create(&team, members), 0);
            assert_int_equal(eng_run_create(&w.run, w.plan, 1, members, err, sizeof(err)), 0);
            with_bands += w.run->bands != NULL;
            eng_team_begin(team);
            run_images(&w, 0, 1, team);
            eng_team_end(team);
            if (memcmp(eng_run_tensor(w.run, t.g->output, 0),
                       eng_run_tensor(alone.run, t.g->output, 0), output_bytes(t.g)) != 0)
                fail_msg("graph %u: %d members, other bits", seed, members);
            eng_run_destroy(w.run);
            eng_team_destroy(team);
        }
        close_world(&alone);
        eng_graph_destroy(t.g);
    }
    assert_true(with_bands > seeds / 4);
}

/* A float network whose first maps leave L2: windows of both strides, a shortcut, odd shapes. */
static void large_net(struct tiny *t, unsigned seed)
{
    tiny_begin(t, ENG_F32, 131 + (int)(seed * 7 % 30), 126 + (int)(seed * 5 % 20), 3, seed);
    tiny_conv(t, 90, 3, 2, 1, 1, 1);
    for (unsigned i = 0; i < 5; i++) {
        int skip = t->t;
        tiny_depthwise(t, 3, i > 0 && (seed + i) % 3 == 0 ? 2 : 1, 1, (int)(seed >> 1 & 1));
        if ((seed + i) % 4 != 0)
            tiny_conv(t, 90, 1, 1, 1, 1, 0);
        if (i == 0 || (seed + i) % 3 != 0)
            tiny_add(t, skip);
    }
    tiny_conv(t, 33, 1, 1, 1, 1, 1);
    tiny_pool(t, ENG_OP_AVGPOOL, 0, 1);
    tiny_reshape_flat(t);
    tiny_end(t);
}

/* Strips, alone and for each member, against two images by three members layer by layer. */
static void strips_change_no_bit(void **state)
{
    (void)state;
    unsigned with_strips = 0, seeds = RACES ? 1 : is_quick() ? 3 : 12;
    for (unsigned seed = 1; seed <= seeds; seed++) {
        struct tiny t;
        struct world whole;
        char err[256];
        struct eng_plan_options opts = {
            .cpu_bits = test_bits(), .bf16 = seed % 3 == 1, .f32x = seed % 3 == 2};
        struct eng_team *three;
        large_net(&t, seed);
        open_plan(&whole, t.g, &opts);
        assert_int_equal(eng_team_create(&three, 3), 0);
        run_images(&whole, 0, 2, three);
        eng_team_destroy(three);
        for (int members = 1; members <= 4; members++) {
            struct world w = {.plan = whole.plan};
            struct eng_team *team;
            assert_int_equal(eng_team_create(&team, members), 0);
            assert_int_equal(eng_run_create(&w.run, w.plan, 1, members, err, sizeof(err)), 0);
            with_strips += (members == 1 ? w.run->strips_alone : w.run->strips_together) != NULL;
            eng_team_begin(team);
            run_images(&w, 0, 1, team);
            eng_team_end(team);
            if (memcmp(eng_run_tensor(w.run, t.g->output, 0),
                       eng_run_tensor(whole.run, t.g->output, 0), output_bytes(t.g)) != 0)
                fail_msg("graph %u: strips of %d members, other bits", seed, members);
            eng_run_destroy(w.run);
            eng_team_destroy(team);
        }
        close_world(&whole);
        eng_graph_destroy(t.g);
    }
    assert_true(with_strips > seeds * 2);
}

/* ---- contracts ---- */

static void refuses_and_reports(void **state)
{
    (void)state;
    struct tiny t;
    struct world w;
    char err[256];
    struct eng_run *run = NULL;
    uint64_t ns = 5;
    small_net(&t, ENG_U8);
    open_world(&w, t.g, 0, test_bits());
    assert_int_equal(eng_run_exec(w.run, 0, NULL), -EINVAL);
    assert_int_equal(eng_run_exec(w.run, MAX_BATCH + 1, NULL), -EINVAL);
    assert_int_equal(eng_run_create(&run, w.plan, 0, 1, err, sizeof(err)), -EINVAL);
    assert_int_equal(eng_run_create(&run, w.plan, 1, 0, err, sizeof(err)), -EINVAL);
    assert_null(run);
    assert_int_equal(eng_run_step_ns(w.run, 0, &ns), -ENODATA);
    eng_run_profile(w.run, 1);
    run_images(&w, 0, 1, NULL);
    for (int i = 0; i < eng_plan_steps(w.plan); i++) {
        assert_int_equal(eng_run_step_ns(w.run, i, &ns), 0);
        assert_true(ns > 0 && ns < 10000000000u);
    }
    assert_int_equal(eng_run_step_ns(w.run, eng_plan_steps(w.plan), &ns), -ERANGE);
    /* Depthwise and the pointwise behind it share a step; a middle tensor is not kept. */
    assert_int_equal(eng_plan_node_step(w.plan, 1), eng_plan_node_step(w.plan, 2));
    assert_null(eng_run_tensor(w.run, t.g->nodes[1].out, 0));
    assert_non_null(eng_run_tensor(w.run, t.g->logits, 0));
    assert_non_null(eng_run_tensor(w.run, t.g->embedding, 0));
    assert_true(eng_plan_weight_bytes(w.plan) > 100000);
    close_world(&w);
    eng_graph_destroy(t.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(u8_equals_reference),       cmocka_unit_test(i8_equals_reference),
        cmocka_unit_test(f32_is_close_to_reference), cmocka_unit_test(mixed_types),
        cmocka_unit_test(multiplies_and_flattens),   cmocka_unit_test(same_bits_everywhere),
        cmocka_unit_test(bands_change_no_bit),       cmocka_unit_test(refuses_and_reports),
        cmocka_unit_test(strips_change_no_bit),      cmocka_unit_test(bf16_is_near_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
