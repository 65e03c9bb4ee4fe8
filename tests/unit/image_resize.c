/* Resampling: every kernel of resize.def against the C one, bit for bit, next to a guard page;
 * weights; the resize modes. */
#include "engine/image/resize.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "engine/image/source.h"
#include "tests/unit/image_support.h"

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* n bytes that end where the readable memory ends. */
struct guarded {
    uint8_t *map, *data;
    size_t mapped;
};

static struct guarded guard(size_t n)
{
    struct guarded g;
    g.mapped = ((n + 4095) & ~(size_t)4095) + 4096;
    g.map = mmap(NULL, g.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.map != MAP_FAILED);
    assert_int_equal(mprotect(g.map + g.mapped - 4096, 4096, PROT_NONE), 0);
    g.data = g.map + g.mapped - 4096 - n;
    return g;
}

static void unguard(struct guarded *g)
{
    munmap(g->map, g->mapped);
}

/* Noise, or the extremes that make sums largest. */
static void fill(uint8_t *p, size_t n, uint32_t *seed, int extreme)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t r = next_random(seed);
        p[i] = (uint8_t)(extreme ? (r & 1 ? 255 : 0) : r);
    }
}

static void check_across(const struct eng_resize_kernels *k, const struct eng_taps *t, uint32_t in,
                         int channels, uint32_t *seed)
{
    size_t n = (size_t)in * (size_t)channels, out = (size_t)t->count * (size_t)channels;
    struct guarded src = guard(n + ENG_ROW_SLACK), dst = guard(out + 64);
    uint8_t *want = malloc(out + 64);
    fill(src.data, n + ENG_ROW_SLACK, seed, (int)(next_random(seed) & 1));
    struct eng_buffer packed = {0};
    if (k->pack) {
        assert_int_equal(eng_buffer_reserve(&packed, k->packed_bytes(t, channels)), 0);
        k->pack(packed.data, t, channels);
    }
    eng_resize_c.across(want, src.data, t, NULL, channels);
    k->across(dst.data, src.data, t, packed.data, channels);
    if (memcmp(dst.data, want, out) != 0)
        fail_msg("%s: across %u -> %d, %d channels", k->name, in, t->count, channels);
    eng_buffer_finish(&packed);
    free(want);
    unguard(&src);
    unguard(&dst);
}

static void check_down(const struct eng_resize_kernels *k, const struct eng_taps *t, size_t n,
                       uint32_t *seed)
{
    struct guarded rows[64], dst = guard(n + 64);
    const uint8_t *pointers[64];
    uint8_t *want = malloc(n + 64);
    int used = t->used[0];
    for (int j = 0; j < t->stride; j++) {
        rows[j] = guard(n + ENG_ROW_SLACK);
        fill(rows[j].data, n + ENG_ROW_SLACK, seed, (int)(next_random(seed) & 1));
        pointers[j] = rows[j].data;
    }
    eng_resize_c.down(want, pointers, t->coef, used, n);
    k->down(dst.data, pointers, t->coef, used, n);
    if (memcmp(dst.data, want, n) != 0)
        fail_msg("%s: down %d taps, %zu bytes", k->name, used, n);
    for (int j = 0; j < t->stride; j++)
        unguard(&rows[j]);
    free(want);
    unguard(&dst);
}

static void check_kernels(const struct eng_resize_kernels *k)
{
    static const enum eng_filter filters[] = {ENG_FILTER_BILINEAR, ENG_FILTER_BICUBIC,
                                              ENG_FILTER_NEAREST, ENG_FILTER_AREA};
    uint32_t seed = 20261124;
    print_message("# %s, seed %u\n", k->name, seed);
    for (int round = 0; round < 400; round++) {
        struct eng_taps t = {0};
        uint32_t in = 1 + next_random(&seed) % (round % 2 ? 40 : 400);
        int count = 1 + (int)(next_random(&seed) % 70);
        int d = round % 5 == 4 ? 1 << next_random(&seed) % 4 : 1;
        struct eng_span span = {0, in, (uint64_t)count, 0, count, 0};
        enum eng_filter f = filters[round % 4];
        assert_int_equal(eng_taps_build(&t, &span, in, d, round & 1, f), 0);
        in = (in + (uint32_t)d - 1) / (uint32_t)d;
        check_across(k, &t, in, 1, &seed);
        check_across(k, &t, in, 3, &seed);
        if (t.stride <= 64)
            check_down(k, &t, 1 + next_random(&seed) % 300, &seed);
        eng_taps_finish(&t);
    }
}

static void kernels_equal_c(void **state)
{
    (void)state;
    uint32_t bits = eng_cpu_detect();
    int run = 0, listed = 0;
#define RESIZE_KERNELS(isa, needs)                                                                 \
    listed++;                                                                                      \
    assert_int_equal(eng_resize_##isa.cpu_bits, needs);                                            \
    assert_ptr_equal(eng_resize_kernels_choose(needs), &eng_resize_##isa);                         \
    if ((bits & (needs)) == (needs)) {                                                             \
        check_kernels(&eng_resize_##isa);                                                          \
        run++;                                                                                     \
    }
#include "engine/image/resize.def"
#undef RESIZE_KERNELS
    print_message("# %d of %d kernels run\n", run, listed);
    assert_in_range(run, 1, listed);
}

/* Weights are those of a filter: they sum to 1, and a flat picture stays flat. */
static void weights_sum_to_one(void **state)
{
    (void)state;
    for (int f = ENG_FILTER_BILINEAR; f <= ENG_FILTER_TF_BILINEAR; f++)
        for (int d = 1; d <= 8; d *= 2)
            for (uint32_t in = 1; in < 3000; in = in * 3 / 2 + 1)
                for (int flip = 0; flip < 2; flip++) {
                    struct eng_taps t = {0};
                    struct eng_span span = {0, in, 224, 0, 224, 0};
                    assert_int_equal(eng_taps_build(&t, &span, in, d, flip, (enum eng_filter)f), 0);
                    assert_true(t.hi <= (in + (uint32_t)d - 1) / (uint32_t)d);
                    for (int i = 0; i < t.count; i++) {
                        int32_t sum = 0;
                        for (int j = 0; j < t.stride; j++)
                            sum += t.coef[i * t.stride + j];
                        assert_in_range(sum, (1 << ENG_TAPS_BITS) - t.stride,
                                        (1 << ENG_TAPS_BITS) + t.stride);
                        assert_true(t.used[i] >= 1 && t.used[i] <= t.longest);
                    }
                    eng_taps_finish(&t);
                }
}

/* Flipping the stored order flips the source pixels that an output looks at, and nothing else. */
static void flip_mirrors(void **state)
{
    (void)state;
    struct eng_taps a = {0}, b = {0};
    struct eng_span span = {0, 375, 256, 16, 224, 0};
    assert_int_equal(eng_taps_build(&a, &span, 375, 1, 0, ENG_FILTER_BICUBIC), 0);
    assert_int_equal(eng_taps_build(&b, &span, 375, 1, 1, ENG_FILTER_BICUBIC), 0);
    for (int i = 0; i < 224; i++) {
        assert_int_equal(a.used[i], b.used[i]);
        assert_int_equal(a.first[i], 375 - b.first[i] - b.used[i]);
        for (int j = 0; j < a.used[i]; j++)
            assert_int_equal(a.coef[i * a.stride + j], b.coef[i * b.stride + b.used[i] - 1 - j]);
    }
    eng_taps_finish(&a);
    eng_taps_finish(&b);
}

static void short_side_geometry(void **state)
{
    (void)state;
    static const struct {
        uint32_t w, h;
        int size;
        uint64_t nw, nh, x, y;
    } cases[] = {
        {500, 375, 224, 341, 256, 58, 16},    {375, 500, 224, 256, 341, 16, 58},
        {320, 240, 96, 147, 110, 25, 7},      {1, 1, 224, 256, 256, 16, 16},
        {320, 1, 224, 81920, 256, 40848, 16}, {1, 65500, 128, 146, 9563000, 9, 4781436},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct eng_geometry g;
        struct eng_preprocess p = image_plain(cases[i].size);
        assert_int_equal(eng_geometry_plan(&g, cases[i].w, cases[i].h, &p), 0);
        assert_int_equal(g.x.full, cases[i].nw);
        assert_int_equal(g.y.full, cases[i].nh);
        assert_int_equal(g.x.first, cases[i].x);
        assert_int_equal(g.y.first, cases[i].y);
        assert_int_equal(g.x.count, cases[i].size);
        assert_int_equal(g.y.count, cases[i].size);
    }
}

static void other_geometries(void **state)
{
    (void)state;
    struct eng_geometry g;
    struct eng_preprocess p = image_plain(224);
    p.resize = ENG_RESIZE_CENTRAL_CROP;
    assert_int_equal(eng_geometry_plan(&g, 500, 375, &p), 0);
    assert_int_equal(g.x.in0, 31);
    assert_int_equal(g.x.in1, 469);
    assert_int_equal(g.y.in0, 23);
    assert_int_equal(g.y.in1, 352);
    p.resize = ENG_RESIZE_LETTERBOX;
    assert_int_equal(eng_geometry_plan(&g, 500, 375, &p), 0);
    assert_int_equal(g.x.count, 224);
    assert_int_equal(g.y.count, 168);
    assert_int_equal(g.y.place, 28);
    assert_int_equal(eng_geometry_plan(&g, 1, 60000, &p), 0);
    assert_int_equal(g.x.count, 1);
    assert_int_equal(g.x.place, 111);
    p.resize = ENG_RESIZE_SHORT_SIDE;
    p.width = 112;
    assert_int_equal(eng_geometry_plan(&g, 100, 100, &p), 0);
    assert_int_equal(g.y.full, 256);
    assert_int_equal(g.x.full, 256);
    p.width = 0;
    assert_true(eng_geometry_plan(&g, 100, 100, &p) < 0);
    p.width = 1 << 20;
    assert_true(eng_geometry_plan(&g, 100, 100, &p) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_equal_c),  cmocka_unit_test(weights_sum_to_one),
        cmocka_unit_test(flip_mirrors),     cmocka_unit_test(short_side_geometry),
        cmocka_unit_test(other_geometries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
