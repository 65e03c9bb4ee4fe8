/* RESIZE in the fast plan: equal to the reference operator in every bit, larger, smaller, by each
 * way of placing pixels, with more and fewer channels than a block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resizes),
        cmocka_unit_test(ends_of_the_quanta),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
