/* Every row of kernels.def that multiplies fp32 by bf16 parts, against a naive sum in double.
 *
 * Parts are those of parts.h in every bit, and together the float that they were. Sums keep to what
 * kernel.h promises, (k / 4 + 48) units of 2^-24 of the magnitudes, and on long sums are nearer to
 * the truth than FMAs one after the other. Their bits do not depend on how pixels and panels are
 * split over calls. Inputs end at guard pages; outputs carry a sentinel in every gap. */
#include <math.h>

#include "engine/kernels/parts.h"
#include "tests/kernels/kernel_test.h"

enum { SENTINEL = 0xa5, GROUP = ENG_PART_GROUP * ENG_BLOCK };

static float value(float scale)
{
    return kt_range(0, 15) ? (2.0f * kt_unit() - 1.0f) * scale : 0.0f;
}

static float *values(size_t n)
{
    float *p = test_malloc(n * sizeof(*p)), scale = ldexpf(1.0f, kt_range(-6, 6));
    for (size_t i = 0; i < n; i++)
        p[i] = value(scale);
    return p;
}

/* Every byte that may be read but not used is 0xff: no number, as float or bf16. */
static void *alloc_filled(struct kt_buf *b, size_t bytes, size_t slack, int byte)
{
    void *p = kt_alloc(b, bytes, slack, ENG_ALIGN);
    memset(b->body, byte, b->body_bytes);
    return p;
}

static void outside_untouched(const struct kt_buf *b, size_t bytes)
{
    for (const uint8_t *p = b->body; p < b->body + b->body_bytes; p++)
        if ((p < b->at || p >= b->at + bytes) && *p != SENTINEL)
            fail_msg("a byte outside of the output changed, at %td", p - b->at);
}

/* ---- the A-panel ---- */

static void parts_one(const struct eng_pw_f32x_kernel *kernel, int pixels, int blocks, size_t gap)
{
    size_t a_part = ((size_t)pixels + gap) * GROUP, size = 2 * a_part + (size_t)pixels * GROUP;
    size_t block = (size_t)pixels * ENG_BLOCK;
    struct kt_buf bufs[2];
    float *in = alloc_filled(&bufs[0], 2 * block * sizeof(*in), 0, 0xff);
    uint16_t *to = alloc_filled(&bufs[1], size * sizeof(*to), 0, SENTINEL);
    for (size_t i = 0; i < 2 * block; i++)
        in[i] = kt_range(0, 3) ? value(ldexpf(1.0f, kt_range(-60, 60))) : value(1.0f);
    in[0] = 0x1.fffffep0f; /* rounds up to the next power of two */
    in[block - 1] = -0x1.01p0f;
    kernel->parts(in, blocks == 2 ? in + block : NULL, pixels, to, a_part);
    for (int p = 0; p < pixels; p++)
        for (int k = 0; k < GROUP; k++) {
            uint16_t want[ENG_PARTS] = {0}, got[ENG_PARTS];
            float x = k / ENG_BLOCK < blocks
                          ? in[k / ENG_BLOCK * (int)block + p * ENG_BLOCK + k % ENG_BLOCK]
                          : 0;
            parts_of(x, want);
            for (int i = 0; i < ENG_PARTS; i++)
                got[i] = to[(size_t)i * a_part + (size_t)(p * GROUP + k)];
            assert_memory_equal(got, want, sizeof(want));
            float sum = eng_bf16_to_f32(got[1]) + eng_bf16_to_f32(got[2]);
            assert_true(eng_bf16_to_f32(got[0]) + sum == x);
        }
    for (int i = 0; i + 1 < ENG_PARTS; i++)
        for (size_t k = (size_t)pixels * GROUP; k < a_part; k++)
            assert_int_equal(to[(size_t)i * a_part + k], SENTINEL << 8 | SENTINEL);
    outside_untouched(&bufs[1], size * sizeof(*to));
    kt_free(&bufs[0]);
    kt_free(&bufs[1]);
}

/* ---- the product ---- */

struct product {
    const struct eng_pw_f32x_kernel *kernel;
    int k, n, pixels;
    float *x, *w, *bias; /* [pixels][k], [n][k], [n] */
};

/* A group of the A-panel at a time, as a driver makes it. */
static void lay_out(const struct product *c, uint16_t *a, size_t a_stride, size_t a_part)
{
    int k_blocks = (c->k + 15) / 16;
    size_t block = (size_t)c->pixels * ENG_BLOCK;
    float *in = aligned_alloc(ENG_ALIGN, 2 * block * sizeof(*in));
    assert_non_null(in);
    for (int b = 0; b < k_blocks; b += 2) {
        for (size_t i = 0; i < 2 * block; i++) {
            int at = b * 16 + (int)(i / block * 16 + i % 16), p = (int)(i % block / 16);
            in[i] = at < c->k ? c->x[p * c->k + at] : 7.5f; /* a pad lane */
        }
        c->kernel->parts(in, b + 1 < k_blocks ? in + block : NULL, c->pixels,
                         a + (size_t)(b / 2) * a_stride, a_part);
    }
    free(in);
}

static void check_sum(const struct product *c, int p, int n, const struct eng_pw_f32x_args *g,
                      float got)
{
    double sum = c->bias ? c->bias[n] : 0, magnitude = fabs(sum);
    for (int k = 0; k < c->k; k++) {
        double v = (double)c->w[n * c->k + k] * c->x[p * c->k + k];
        sum += v;
        magnitude += fabs(v);
    }
    double want = sum < g->lo ? g->lo : sum > g->hi ? g->hi : sum;
    double tolerance = (c->k / 4 + 48) * 0x1p-24 * magnitude + 0x1p-120;
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s, k %d: got %.9g, want %.9g +- %.3g", c->kernel->name, c->k, got, want,
                 tolerance);
}

static void run_split(const struct product *c, const struct eng_pw_f32x_args *whole)
{
    int step = kt_range(1, whole->n_panels), blocks = c->kernel->nr / ENG_BLOCK;
    for (int j = 0; j < whole->n_panels; j += step)
        for (int p = 0, rows; p < c->pixels; p += rows) {
            struct eng_pw_f32x_args g = *whole;
            rows = kt_range(1, c->pixels - p);
            g.a += p * GROUP;
            g.pixels = rows;
            g.panels = (const char *)g.panels + (size_t)j * c->kernel->panel_bytes(g.k_blocks * 16);
            g.n_panels = g.n_panels - j < step ? g.n_panels - j : step;
            g.n_blocks -= j * blocks;
            if (g.n_blocks > g.n_panels * blocks)
                g.n_blocks = g.n_panels * blocks;
            g.out += (size_t)(j * blocks) * g.out_stride + (size_t)p * ENG_BLOCK;
            c->kernel->run(&g);
        }
}

static void pick_clamp(float *lo, float *hi)
{
    int kind = kt_range(0, 2);
    *lo = kind ? 0.0f : -INFINITY;
    *hi = kind == 2 ? 6.0f : INFINITY;
}

static void product_one(struct product c)
{
    int k_blocks = (c.k + 15) / 16, panels = (c.n + c.kernel->nr - 1) / c.kernel->nr;
    size_t groups = (size_t)(k_blocks + 1) / 2, gap = (size_t)kt_range(0, 3);
    size_t a_part = ((size_t)c.pixels + gap) * GROUP, a_stride = 3 * a_part + gap * GROUP;
    size_t a_size = (groups - 1) * a_stride + 2 * a_part + (size_t)c.pixels * GROUP;
    struct eng_pw_f32x_args g = {.a_stride = a_stride,
                                 .a_part = a_part,
                                 .pixels = c.pixels,
                                 .k_blocks = k_blocks,
                                 .n_panels = panels,
                                 .n_blocks = (c.n + 15) / 16,
                                 .out_stride = ((size_t)c.pixels + gap) * ENG_BLOCK};
    size_t out_size = (size_t)g.n_blocks * g.out_stride;
    struct eng_pw_f32_weights w = {.k = c.k, .n = c.n};
    struct kt_buf bufs[4];
    uint16_t *a = alloc_filled(&bufs[0], a_size * sizeof(*a), ENG_OVERREAD, 0xff);
    void *packed =
        alloc_filled(&bufs[1], (size_t)panels * c.kernel->panel_bytes(c.k), ENG_OVERREAD, 0xff);
    float *out = alloc_filled(&bufs[2], out_size * sizeof(*out), 0, SENTINEL);
    float *again = alloc_filled(&bufs[3], out_size * sizeof(*out), 0, SENTINEL);
    c.x = values((size_t)c.pixels * (size_t)c.k);
    w.w = c.w = values((size_t)c.n * (size_t)c.k);
    w.bias = c.bias = kt_range(0, 3) ? values((size_t)c.n) : NULL;
    pick_clamp(&g.lo, &g.hi);
    assert_int_equal(c.kernel->panel_bytes(c.k) % ENG_ALIGN, 0);
    c.kernel->pack(&w, packed);
    lay_out(&c, a, a_stride, a_part);
    g.a = a;
    g.panels = packed;
    g.out = out;
    c.kernel->run(&g);
    for (int n = 0; n < c.n; n++)
        for (int p = 0; p < c.pixels; p++)
            check_sum(&c, p, n, &g,
                      out[(size_t)(n / 16) * g.out_stride + (size_t)(p * 16 + n % 16)]);
    for (int b = 0; b < g.n_blocks; b++)
        for (size_t i = (size_t)c.pixels * 16 * sizeof(float); i < g.out_stride * sizeof(float);
             i++)
            assert_int_equal(((uint8_t *)(out + (size_t)b * g.out_stride))[i], SENTINEL);
    outside_untouched(&bufs[2], out_size * sizeof(*out));
    g.out = again;
    run_split(&c, &g);
    assert_memory_equal(out, again, out_size * sizeof(*out));
    test_free(c.x);
    test_free(c.w);
    if (c.bias)
        test_free(c.bias);
    for (int i = 0; i < 4; i++)
        kt_free(&bufs[i]);
}

/* ---- how exact ---- */

/* Root mean squares of what 1,024 sums of k products are off by: [0] FMAs in their order, [1] the
 * kernel's. Inputs as ReLU6 leaves them. */
static void errors(const struct eng_pw_f32x_kernel *kernel, int k, double rms[2])
{
    struct product c = {.kernel = kernel, .k = k, .n = 32, .pixels = 32};
    size_t a_part = 32 * GROUP, a_stride = 3 * a_part, groups = (size_t)k / GROUP;
    int panels = (32 + kernel->nr - 1) / kernel->nr;
    uint16_t *a = aligned_alloc(ENG_ALIGN, groups * a_stride * sizeof(*a));
    void *packed = aligned_alloc(ENG_ALIGN, (size_t)panels * kernel->panel_bytes(k));
    float *out = aligned_alloc(ENG_ALIGN, 32 * 32 * sizeof(*out));
    assert_true(a && packed && out);
    c.x = test_malloc((size_t)(32 * k) * sizeof(float));
    c.w = test_malloc((size_t)(32 * k) * sizeof(float));
    for (int i = 0; i < 32 * k; i++) {
        c.x[i] = kt_range(0, 2) ? 6 * kt_unit() : 0;
        c.w[i] = 2 * kt_unit() - 1;
    }
    kernel->pack(&(struct eng_pw_f32_weights){.k = k, .n = 32, .w = c.w}, packed);
    lay_out(&c, a, a_stride, a_part);
    kernel->run(&(struct eng_pw_f32x_args){.a = a,
                                           .a_stride = a_stride,
                                           .a_part = a_part,
                                           .pixels = 32,
                                           .k_blocks = k / 16,
                                           .panels = packed,
                                           .n_panels = panels,
                                           .n_blocks = 2,
                                           .out = out,
                                           .out_stride = 32 * 16,
                                           .lo = -INFINITY,
                                           .hi = INFINITY});
    double off[2] = {0};
    for (int i = 0; i < 32 * 32; i++) {
        int n = i / 32, p = i % 32;
        double exact = 0;
        float fma = 0;
        for (int j = 0; j < k; j++) {
            exact += (double)c.x[p * k + j] * c.w[n * k + j];
            fma = fmaf(c.x[p * k + j], c.w[n * k + j], fma);
        }
        off[0] += pow(fma - exact, 2);
        off[1] += pow(out[n / 16 * 512 + p * 16 + n % 16] - exact, 2);
    }
    rms[0] = sqrt(off[0] / 1024);
    rms[1] = sqrt(off[1] / 1024);
    free(a);
    free(packed);
    free(out);
    test_free(c.x);
    test_free(c.w);
}

static void check(const void *row)
{
    const struct eng_pw_f32x_kernel *kernel = row;
    static const int ks[] = {1, 3, 15, 16, 17, 32, 33, 40, 48, 64, 129};
    static const int ns[] = {1, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 97};
    for (int pixels = 1; pixels <= 40; pixels++) {
        parts_one(kernel, pixels, kt_range(1, 2), (size_t)kt_range(0, 2));
        product_one((struct product){.kernel = kernel,
                                     .pixels = pixels,
                                     .k = ks[kt_range(0, sizeof(ks) / sizeof(*ks) - 1)],
                                     .n = ns[kt_range(0, sizeof(ns) / sizeof(*ns) - 1)]});
    }
    for (int pixels = 49; pixels <= 196; pixels += 49)
        product_one((struct product){.kernel = kernel, .pixels = pixels, .k = 176, .n = 40});
    for (int k = 128; k <= 1024; k *= 2) {
        double rms[2];
        errors(kernel, k, rms);
        printf("# %s: %d products off by %.2g, FMAs by %.2g\n", kernel->name, k, rms[1], rms[0]);
        assert_true(rms[1] < rms[0]);
    }
}

#define ROW_pw_u8(isa, bits)
#define ROW_sum_u8(isa, bits)
#define ROW_dw_u8(isa, bits)
#define ROW_conv3_u8(isa, bits)
#define ROW_gap_u8(isa, bits)
#define ROW_add_u8(isa, bits)
#define ROW_mul_u8(isa, bits)
#define ROW_dwk_u8(isa, bits)
#define ROW_quant_f32(isa, bits)
#define ROW_act_f32(isa, bits)
#define ROW_pw_f32(isa, bits)
#define ROW_spw_f32(isa, bits)
#define ROW_dw_f32(isa, bits)
#define ROW_dwk_f32(isa, bits)
#define ROW_conv3_f32(isa, bits)
#define ROW_pw_f32x(isa, bits) {"pw_f32x " #isa, bits, &eng_pw_f32x_##isa, check},
#define ROW_pw_bf16(isa, bits)
#define ROW_dw_bf16(isa, bits)
#define ROW_conv3_bf16(isa, bits)
#define KERNEL(op, isa, bits) ROW_##op(isa, bits)

int main(void)
{
    static const struct kt_row rows[] = {
#include "engine/kernels/kernels.def"
    };

    return kt_main("kernels_f32x", rows, sizeof(rows) / sizeof(rows[0]));
}
