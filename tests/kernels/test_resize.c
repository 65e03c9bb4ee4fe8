/* Every kernel of resize.def against the C one, bit for bit, next to a guard page. Here and not
 * with the unit tests, so that the emulated processors run it, too. */
#include "engine/image/resize.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "engine/image/source.h"

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
    printf("# %s, seed %u\n", k->name, seed);
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
    assert_true(eng_resize_kernels_choose(needs) == &eng_resize_##isa);                            \
    if ((bits & (needs)) == (needs)) {                                                             \
        check_kernels(&eng_resize_##isa);                                                          \
        run++;                                                                                     \
    }
#include "engine/image/resize.def"
#undef RESIZE_KERNELS
    printf("# rows run %d of %d\n", run, listed);
    assert_true(run >= 1 && run <= listed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {{.name = "resize kernels", .test_func = kernels_equal_c}};
    return _cmocka_run_group_tests("resize", tests, 1, NULL, NULL);
}
