/* Quantised depthwise of other windows than 3x3 in the fast plan: equal to the reference in every
 * bit, with strides, dilations, one scale or one a channel, and more and fewer channels than a
 * block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/plan_pair.h"
#include "tests/unit/tiny_graph.h"

static void fill(const struct eng_graph *g, void *to, int image, const void *arg)
{
    unsigned seed = 5 + (unsigned)image;
    (void)arg;
    for (size_t i = 0; i < eng_tensor_elements(&g->tensors[g->input]); i++) {
        seed = seed * 1664525u + 1013904223u;
        ((uint8_t *)to)[i] = (uint8_t)(seed >> 24);
    }
}

static void check(enum eng_type type, int channels, int k, int stride, int dilation, unsigned seed)
{
    struct tiny t;
    tiny_begin(&t, type, 13, 11, channels, seed);
    tiny_depthwise(&t, k, stride, 1, (int)(seed % 2));
    struct eng_node *n = &t.g->nodes[t.g->n_nodes - 1];
    n->win.dh = n->win.dw = dilation;
    n->win.top += (dilation - 1) * (k - 1) / 2;
    n->win.left += (dilation - 1) * (k - 1) / 2;
    n->win.bottom += (dilation - 1) * (k - 1) - (dilation - 1) * (k - 1) / 2;
    n->win.right += (dilation - 1) * (k - 1) - (dilation - 1) * (k - 1) / 2;
    tiny_end(&t);
    plan_pair_compare(t.g, fill, NULL, "dwk_u8");
    eng_graph_destroy(t.g);
}

static void windows(void **state)
{
    static const enum eng_type types[] = {ENG_U8, ENG_I8};
    unsigned seed = 1;
    (void)state;
    for (int type = 0; type < 2; type++)
        for (int channels = 3; channels < 50; channels += 15)
            for (int k = 2; k < 8; k++)
                for (int stride = 1; stride < 3; stride++)
                    for (int dilation = 1; dilation < 4; dilation++)
                        if (k != 3 || dilation > 1)
                            check(types[type], channels, k, stride, dilation, seed++);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
