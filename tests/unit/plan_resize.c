/* RESIZE in the fast plan: equal to the reference operator in every bit, larger, smaller, by each
 * way of placing pixels, with more and fewer channels than a block. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/plan/plan.h"
#include "tests/unit/plan_pair.h"
#include "tests/unit/tiny_graph.h"

static void fill(const struct eng_graph *g, void *to, int image, const void *arg)
{
    const struct eng_tensor *t = &g->tensors[g->input];
    unsigned seed = 5 + (unsigned)image;
    (void)arg;
    for (size_t i = 0; i < eng_tensor_elements(t); i++) {
        seed = seed * 1664525u + 1013904223u;
        if (t->type == ENG_F32)
            ((float *)to)[i] = (float)(int32_t)seed / 1e6f;
        else
            ((uint8_t *)to)[i] = (uint8_t)(seed >> 24);
    }
}

static void check(enum eng_type type, int h, int w, int c, int to_h, int to_w, unsigned mode)
{
    struct tiny t;
    tiny_begin(&t, type, h, w, c, 1);
    tiny_resize(&t, to_h, to_w, mode);
    tiny_end(&t);
    plan_pair_compare(t.g, fill, NULL, type == ENG_F32 ? "resize_f32" : "resize_u8");
    eng_graph_destroy(t.g);
}

static void resizes(void **state)
{
    static const int sizes[][4] = {
        {5, 7, 17, 30}, {33, 9, 4, 5}, {1, 1, 6, 3}, {8, 6, 16, 12}, {9, 2, 9, 2}};
    static const enum eng_type types[] = {ENG_U8, ENG_I8, ENG_F32};
    (void)state;
    for (size_t k = 0; k < 3; k++)
        for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++)
            for (unsigned mode = 0; mode < 4; mode++)
                for (int c = 3; c < 40; c += 17)
                    check(types[k], sizes[s][0], sizes[s][1], c, sizes[s][2], sizes[s][3], mode);
}

/* The steepest steps between quanta, so that a sum reaches its ends. */
static void fill_ends(const struct eng_graph *g, void *to, int image, const void *arg)
{
    (void)arg;
    for (size_t i = 0; i < eng_tensor_elements(&g->tensors[g->input]); i++)
        ((uint8_t *)to)[i] = (i + (size_t)image) % 2 ? 255 : 0;
}

static void ends_of_the_quanta(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < 3; mode++) {
        struct tiny t;
        tiny_begin(&t, ENG_U8, 7, 9, 1, 1);
        tiny_resize(&t, 61, 53, mode);
        tiny_end(&t);
        plan_pair_compare(t.g, fill_ends, NULL, "resize_u8");
        eng_graph_destroy(t.g);
    }
}

/* Maps of bf16 go through scratch, as floats: beside the rows that are kept there. */
static void maps_of_bf16(void **state)
{
    (void)state;
    char err[256] = "";
    struct tiny t;
    struct eng_plan *plan[2];
    struct eng_run *run[2];
    const float *out[2];
    tiny_begin(&t, ENG_F32, 6, 9, 20, 1);
    tiny_conv(&t, 20, 1, 1, 1, 1, 0);
    tiny_resize(&t, 17, 31, 0);
    tiny_conv(&t, 20, 1, 1, 1, 1, 0);
    tiny_end(&t);
    for (int k = 0; k < 2; k++) {
        const struct eng_plan_options opts = {
            .cpu_bits = eng_cpu_detect(), .reference = k, .bf16 = !k};
        if (eng_plan_create(&plan[k], t.g, &opts, err, sizeof(err)) < 0 ||
            eng_run_create(&run[k], plan[k], 1, 1, err, sizeof(err)) < 0)
            fail_msg("%s", err);
        float *in = eng_run_input(run[k], 0);
        for (int i = 0; i < 6 * 9 * 20; i++)
            in[i] = (float)(i * 37 % 101) / 101;
        assert_int_equal(eng_run_exec(run[k], 1, NULL), 0);
        out[k] = eng_run_tensor(run[k], t.g->output, 0);
    }
    float largest = 0, off = 0;
    for (int i = 0; i < 17 * 31 * 20; i++) {
        largest = fmaxf(largest, fabsf(out[1][i]));
        off = fmaxf(off, fabsf(out[0][i] - out[1][i]));
    }
    if (!(largest > 0 && off < largest / 32)) /* a few roundings to 8 bits */
        fail_msg("off by %g of %g", (double)off, (double)largest);
    for (int k = 0; k < 2; k++) {
        eng_run_destroy(run[k]);
        eng_plan_destroy(plan[k]);
    }
    eng_graph_destroy(t.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resizes),
        cmocka_unit_test(ends_of_the_quanta),
        cmocka_unit_test(maps_of_bf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
