/* Pictures straight to the quanta that a network makes of its float input first: all 256 values of
 * each channel give what QUANTIZE gives, on grids full of ties too; slots that hold quanta and
 * slots that hold floats run side by side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "engine/image.h"
#include "engine/plan/plan.h"
#include "tests/unit/tiny_graph.h"

enum { SIDE = 32, PIXELS = SIDE * SIDE, BATCH = 3 };

struct grid {
    enum eng_type type;
    float mean[3], scale, q_scale;
    int zero_point, bgr;
};
static const struct grid grids[] = {
    /* every value of a pixel lies half between two quanta */
    {ENG_U8, {127.5f, 127.5f, 127.5f}, 1 / 127.5f, 2 / 255.0f, 128, 0},
    {ENG_I8, {127.5f, 127.5f, 127.5f}, 1 / 127.5f, 1 / 127.5f, -1, 0},
    /* the pixel itself */
    {ENG_U8, {128, 128, 128}, 1 / 127.5f, 1 / 127.5f, 128, 0},
    /* channels that differ, some beyond the range */
    {ENG_U8, {123.675f, 116.28f, 103.53f}, 0.0171f, 0.0186f, 114, 0},
    {ENG_I8, {103.939f, 116.779f, 123.68f}, 1, 1.5f, 5, 1},
};

static struct eng_preprocess of_floats(const struct grid *g)
{
    struct eng_preprocess p = {.height = SIDE, .width = SIDE, .type = ENG_F32, .bgr = g->bgr};
    memcpy(p.mean, g->mean, sizeof(p.mean));
    p.scale[0] = p.scale[1] = p.scale[2] = g->scale;
    return p;
}

static struct eng_preprocess of_quanta(const struct grid *g)
{
    struct eng_preprocess p = of_floats(g);
    p.type = g->type;
    p.q_scale = g->q_scale;
    p.q_zero_point = g->zero_point;
    p.q_fp32 = 1;
    return p;
}

/* Each value once, then again with the channels in other company. */
static void make_picture(uint8_t *rgb, int image)
{
    for (int i = 0; i < PIXELS; i++)
        for (int c = 0; c < 3; c++)
            rgb[3 * i + c] = (uint8_t)(i + (85 + i / 256) * c + image);
}

struct world {
    struct tiny t;
    struct eng_plan *plan;
    struct eng_run *run;
};

/* A convolution behind the QUANTIZE, as all networks have; `quanta`: it ends at the QUANTIZE. */
static void open_world(struct world *w, const struct grid *g, int quanta)
{
    char err[256] = "";
    struct eng_plan_options opts = {.cpu_bits = eng_cpu_detect()};
    tiny_begin(&w->t, ENG_F32, SIDE, SIDE, 3, 1);
    w->t.type = g->type;
    tiny_quantize_to(&w->t, g->type, g->q_scale, g->zero_point);
    if (!quanta)
        tiny_conv(&w->t, 16, 3, 2, 1, 1, 0);
    tiny_end(&w->t);
    if (eng_plan_create(&w->plan, w->t.g, &opts, err, sizeof(err)) < 0 ||
        eng_run_create(&w->run, w->plan, BATCH, 1, err, sizeof(err)) < 0)
        fail_msg("%s", err);
}

static void close_world(struct world *w)
{
    eng_run_destroy(w->run);
    eng_plan_destroy(w->plan);
    eng_graph_destroy(w->t.g);
}

static void put(struct world *w, const struct grid *g, int slot, int image, int by_door)
{
    uint8_t rgb[PIXELS * 3];
    struct eng_preprocess p = by_door ? of_quanta(g) : of_floats(g);
    make_picture(rgb, image);
    eng_preprocess_pixels(&p, rgb,
                          by_door ? eng_run_picture(w->run, slot) : eng_run_input(w->run, slot));
}

static size_t output_bytes(const struct world *w)
{
    const struct eng_tensor *t = &w->t.g->tensors[w->t.g->output];
    return eng_tensor_elements(t) * eng_type_size(t->type);
}

static const void *output(const struct world *w, int slot)
{
    return eng_run_tensor(w->run, w->t.g->output, slot);
}

static void quanta_are_those_of_quantize(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof(grids) / sizeof(*grids); k++) {
        struct world w;
        uint8_t rgb[PIXELS * 3], want[PIXELS * 3];
        struct eng_preprocess p = of_quanta(&grids[k]);
        open_world(&w, &grids[k], 1);
        put(&w, &grids[k], 0, 0, 0);
        assert_int_equal(eng_run_exec(w.run, 1, NULL), 0);
        make_picture(rgb, 0);
        eng_preprocess_pixels(&p, rgb, want);
        assert_int_equal(output_bytes(&w), sizeof(want));
        assert_memory_equal(output(&w, 0), want, sizeof(want));
        close_world(&w);
    }
}

static void floats_and_pictures_in_one_batch(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof(grids) / sizeof(*grids); k++)
        for (int which = 0; which < 8; which++) { /* a bit a slot */
            struct world w, want;
            open_world(&w, &grids[k], 0);
            open_world(&want, &grids[k], 0);
            assert_int_equal(eng_plan_door(w.plan), w.t.g->nodes[0].out);
            for (int i = 0; i < BATCH; i++) {
                put(&want, &grids[k], i, i, 0);
                put(&w, &grids[k], i, 7, !(which >> i & 1)); /* what no longer holds */
                put(&w, &grids[k], i, i, which >> i & 1);
            }
            assert_int_equal(eng_run_exec(want.run, BATCH, NULL), 0);
            for (int again = 0; again < 2; again++) {
                assert_int_equal(eng_run_exec(w.run, BATCH, NULL), 0);
                for (int i = 0; i < BATCH; i++)
                    assert_memory_equal(output(&w, i), output(&want, i), output_bytes(&w));
            }
            eng_run_copy(w.run, 0, 2);
            assert_int_equal(eng_run_exec(w.run, 1, NULL), 0);
            assert_memory_equal(output(&w, 0), output(&want, 2), output_bytes(&w));
            close_world(&w);
            close_world(&want);
        }
}

/* Floats that somebody else reads, too, must come as floats. */
static void no_door_beside_other_readers(void **state)
{
    (void)state;
    struct tiny t;
    char err[256] = "";
    struct eng_plan *plan;
    struct eng_plan_options opts = {.cpu_bits = eng_cpu_detect()};
    tiny_begin(&t, ENG_F32, SIDE, SIDE, 3, 1);
    int input = t.t;
    tiny_quantize_to(&t, ENG_U8, 0.5f, 3);
    int reals = tiny_typed(&t, ENG_F32, 0, 0);
    t.type = ENG_F32;
    tiny_node(&t, tiny_op(ENG_OP_DEQUANTIZE), &t.t, 1, reals);
    tiny_add(&t, input);
    tiny_end(&t);
    if (eng_plan_create(&plan, t.g, &opts, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    assert_int_equal(eng_plan_door(plan), -1);
    eng_plan_destroy(plan);
    eng_graph_destroy(t.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quanta_are_those_of_quantize),
        cmocka_unit_test(floats_and_pictures_in_one_batch),
        cmocka_unit_test(no_door_beside_other_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
