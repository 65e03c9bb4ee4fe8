/* Rows of kernels.def for quantised maps between and around convolutions, against their formulas:
 * mul_u8, dwk_u8, quant_f32; and of activations. */
#include "engine/graph/graph.h"
#include "tests/kernels/u8_values.h"

/* ---- product ---- */

static void mul_one(const struct eng_mul_u8_kernel *k, int pixels, int per_channel)
{
    struct kt_buf bufs[3];
    size_t n = (size_t)pixels * 16, nb = per_channel ? 16 : n;
    uint8_t *a = kt_alloc(&bufs[0], n, 0, 1), *b = kt_alloc(&bufs[1], nb, 0, 1);
    uint8_t *out = kt_alloc(&bufs[2], n, 0, 1);
    struct eng_requant rq = draw_requant();
    fill_u8(a, n, kt_range(0, 3));
    fill_u8(b, nb, kt_range(0, 3));
    struct eng_mul_u8_args g = {.a = a,
                                .b = b,
                                .out = out,
                                .pixels = pixels,
                                .per_channel = per_channel,
                                .za = draw_zero_point(),
                                .zb = draw_zero_point(),
                                .zero_point = rq.zero_point,
                                .lo = rq.lo,
                                .hi = rq.hi};
    fill_scale(&g.scale, 1, 1);
    k->run(&g);
    for (size_t i = 0; i < n; i++) {
        int64_t acc = (int64_t)(a[i] - g.za) * (b[per_channel ? i % 16 : i] - g.zb);
        if (out[i] != expected(acc, g.scale, &rq))
            fail_msg("%s: element %zu of %zu is %d, not %d", k->name, i, n, out[i],
                     expected(acc, g.scale, &rq));
    }
    for (int i = 0; i < 3; i++)
        kt_free(&bufs[i]);
}

static void check_mul(const void *row)
{
    for (int pixels = 1; pixels <= 70; pixels++)
        for (int i = 0; i < 6; i++)
            mul_one(row, pixels, i % 2);
}

/* ---- reals to quanta ---- */

/* What the contract says: a quotient in fp32, NaN below everything, half to even. */
static uint8_t quantum_of(const struct eng_quant_f32_args *g, float x)
{
    volatile float q = x / g->scale;
    double y = isnan(q) ? -INFINITY : nearbyint((double)q) + g->zero_point;
    return (uint8_t)(int)(y < g->lo ? g->lo : y > g->hi ? g->hi : y);
}

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* Halves of quanta and their neighbours, where one wrong bit of the quotient shows; whole numbers
 * of quanta; any float there is, NaN and infinities among them. */
static float draw_real(float scale)
{
    float half = ((float)kt_range(-300, 300) + 0.5f) * scale;
    switch (kt_range(0, 7)) {
    case 0:
        return float_of(kt_rand());
    case 1:
        return (float)kt_range(-300, 300) * scale;
    case 2:
        return half;
    case 3:
        return nextafterf(half, INFINITY);
    case 4:
        return nextafterf(half, -INFINITY);
    case 5:
        return nextafterf(nextafterf(half, INFINITY), INFINITY);
    case 6:
        return nextafterf(nextafterf(half, -INFINITY), -INFINITY);
    default:
        return (kt_unit() - 0.5f) * 600 * scale;
    }
}

static float draw_step(void)
{
    static const float known[] = {1,     1 / 127.5f,     2 / 255.0f,     0x1p-60f, 0x1p60f, 1e-30f,
                                  1e30f, 0x1.fffffep-7f, 0x1.000002p-5f, 1e-44f,   3e38f};
    int style = kt_range(0, 15);
    if (style < (int)(sizeof(known) / sizeof(*known)))
        return known[style];
    return ldexpf(0.5f + kt_unit(), kt_range(-12, 4));
}

static void quant_one(const struct eng_quant_f32_kernel *k, size_t n)
{
    struct kt_buf bufs[2];
    int is_signed = kt_range(0, 1);
    struct eng_quant_f32_args g = {.n = n,
                                   .scale = draw_step(),
                                   .zero_point = draw_zero_point() - (is_signed ? 128 : 0),
                                   .lo = is_signed ? -128 : 0,
                                   .hi = is_signed ? 127 : 255};
    float *in = kt_alloc(&bufs[0], n * sizeof(float), 0, sizeof(float));
    uint8_t *out = kt_alloc(&bufs[1], n, 0, 1);
    for (size_t i = 0; i < n; i++)
        in[i] = draw_real(g.scale);
    g.in = in;
    g.out = out;
    k->run(&g);
    for (size_t i = 0; i < n; i++)
        if (out[i] != quantum_of(&g, in[i]))
            fail_msg("%s: %a by %a and %d is %d, not %d", k->name, (double)in[i], (double)g.scale,
                     g.zero_point, out[i], quantum_of(&g, in[i]));
    for (int i = 0; i < 2; i++)
        kt_free(&bufs[i]);
}

static void check_quant(const void *row)
{
    for (size_t n = 1; n <= 200; n++)
        for (int i = 0; i < 10; i++)
            quant_one(row, n);
    for (int i = 0; i < 100; i++)
        quant_one(row, 5000);
}

/* ---- depthwise of any window ---- */

struct dwk_case {
    struct eng_dwk_u8_args g;
    struct weights w;
    int channels, block;
};

static uint8_t dwk_want(const struct dwk_case *c, int y, int x, int lane)
{
    const struct eng_dwk_u8_args *g = &c->g;
    int n = c->block * 16 + lane;
    int64_t acc = c->w.bias ? c->w.bias[n] : 0;
    for (int t = 0; t < g->kh * g->kw; t++) {
        int iy = y * g->sh - g->top + t / g->kw * g->dh;
        int ix = x * g->sw - g->left + t % g->kw * g->dw;
        if (iy >= 0 && iy < g->in_h && ix >= 0 && ix < g->in_w)
            acc += (g->in[(size_t)iy * g->in_row + (size_t)(ix * 16 + lane)] - g->zx) *
                   (c->w.w[t * c->channels + n] - c->w.zw[n]);
    }
    return expected(acc, c->w.scale[n], &g->rq);
}

static void dwk_compare(const struct dwk_case *c, const char *name, const uint8_t *out, int out_h)
{
    for (int y = 0; y < out_h; y++)
        for (int i = 0; i < c->g.out_w * 16 && i % 16 + c->block * 16 < c->channels; i++) {
            uint8_t have = out[(size_t)y * c->g.out_row + (size_t)i];
            if (have != dwk_want(c, y, i / 16, i % 16))
                fail_msg("%s: %dx%d over %dx%d, row %d, pixel %d, lane %d: %d, not %d", name,
                         c->g.kh, c->g.kw, c->g.in_h, c->g.in_w, y, i / 16, i % 16, have,
                         dwk_want(c, y, i / 16, i % 16));
        }
}

static void dwk_one(const struct eng_dwk_u8_kernel *k, struct eng_dwk_u8_args g, int out_h)
{
    struct dwk_case c = {.channels = kt_range(1, 40)};
    int taps = g.kh * g.kw;
    struct kt_buf bufs[4];
    c.block = kt_range(0, (c.channels - 1) / 16);
    c.w = draw_weights(c.channels, taps);
    g.in_row = (size_t)(g.in_w + kt_range(0, 2)) * 16;
    g.out_row = (size_t)(g.out_w + kt_range(0, 2)) * 16;
    g.zx = (uint8_t)c.w.zx;
    g.rq = draw_requant();
    g.y1 = out_h;
    size_t in_size = (size_t)(g.in_h - 1) * g.in_row + (size_t)g.in_w * 16;
    size_t out_size = (size_t)(out_h - 1) * g.out_row + (size_t)g.out_w * 16;
    uint8_t *in = kt_alloc(&bufs[0], in_size, OVER, 16);
    char *packed =
        kt_alloc(&bufs[1], (size_t)(c.channels + 15) / 16 * k->block_bytes(taps), OVER, 64);
    uint8_t *out = kt_alloc(&bufs[2], out_size, 0, 16);
    fill_u8(in, in_size, kt_range(0, 3));
    k->pack(&(struct eng_dwk_u8_weights){.channels = c.channels,
                                         .taps = taps,
                                         .w = c.w.w,
                                         .zw = c.w.zw,
                                         .bias = c.w.bias,
                                         .scale = c.w.scale},
            packed);
    g.in = in;
    g.block = packed + (size_t)c.block * k->block_bytes(taps);
    g.scratch = kt_alloc(&bufs[3], k->scratch_bytes(&g), 0, 64);
    for (int y = 0, rows; y < out_h; y += rows) { /* all rows, or some at a time */
        rows = kt_rand() & 1 ? out_h - y : kt_range(1, out_h - y);
        g.y0 = y;
        g.y1 = y + rows;
        g.out = out + (size_t)y * g.out_row;
        k->run(&g);
    }
    c.g = g;
    dwk_compare(&c, k->name, out, out_h);
    free_weights(&c.w);
    for (int i = 0; i < 4; i++)
        kt_free(&bufs[i]);
}

/* Of a map and paddings; nothing if no output follows. */
static void dwk_map(const struct eng_dwk_u8_kernel *k, struct eng_dwk_u8_args g, int bottom,
                    int right)
{
    int h = g.in_h + g.top + bottom - (g.kh - 1) * g.dh - 1;
    int w = g.in_w + g.left + right - (g.kw - 1) * g.dw - 1;
    if (h < 0 || w < 0)
        return;
    g.out_w = w / g.sw + 1;
    dwk_one(k, g, h / g.sh + 1);
}

/* Padding up to more than the window, so that some windows see nothing of the image; maps of
 * several bands; as many taps as there may be. */
static void check_dwk(const void *row)
{
    static const int sizes[] = {1, 2, 3, 5, 7, 11};
    for (int i = 0; i < 500; i++) {
        struct eng_dwk_u8_args g = {.in_h = kt_range(1, 12), .in_w = kt_range(1, 40)};
        g.kh = sizes[kt_range(0, 5)];
        g.kw = sizes[kt_range(0, 5)];
        g.sh = kt_range(1, 3);
        g.sw = kt_range(1, 3);
        g.dh = kt_range(1, 2);
        g.dw = kt_range(1, 3);
        g.top = kt_range(0, g.kh + 1);
        g.left = kt_range(0, g.kw + 1);
        dwk_map(row, g, kt_range(0, g.kh + 1), kt_range(0, g.kw + 1));
    }
    for (int i = 0; i < 6; i++) {
        struct eng_dwk_u8_args g = {.in_h = 40 + i, .in_w = i < 3 ? 150 : 2100};
        g.kh = g.kw = i % 2 ? 5 : 4;
        g.sh = g.sw = 1 + i % 3;
        g.dh = g.dw = 1;
        g.top = g.left = 2;
        dwk_map(row, g, 2, 2);
    }
    struct eng_dwk_u8_args most = {.in_h = 20, .in_w = 20, .kh = 16, .kw = 16};
    most.sh = most.sw = most.dh = most.dw = 1;
    for (int i = 0; i < 10; i++)
        dwk_map(row, most, 0, 0);
}

/* ---- activations ---- */

static double act_of(int unary, double v, double alpha, double beta)
{
    switch ((enum eng_unary)unary) {
    case ENG_UNARY_CLAMP:
        return v;
    case ENG_UNARY_LEAKY_RELU:
        return v < 0 ? v * alpha : v;
    case ENG_UNARY_SIGMOID:
        return 1 / (1 + exp(-v));
    case ENG_UNARY_HARD_SIGMOID:
        return fmin(fmax(alpha * v + beta, 0), 1);
    case ENG_UNARY_HARD_SWISH:
        return v * fmin(fmax(v / 6 + 0.5, 0), 1);
    case ENG_UNARY_SWISH:
        return v / (1 + exp(-v));
    case ENG_UNARY_TANH:
        return tanh(v);
    case ENG_UNARY_EXP:
        return exp(v);
    case ENG_UNARY_LOG:
        return log(v);
    case ENG_UNARY_SQRT:
        return sqrt(v);
    case ENG_UNARY_RSQRT:
        return 1 / sqrt(v);
    case ENG_UNARY_SQUARE:
        return v * v;
    case ENG_UNARY_ABS:
        return fabs(v);
    case ENG_UNARY_NEG:
        return -v;
    case ENG_UNARY_FLOOR:
        return floor(v);
    }
    return NAN;
}

/* The bits of plain C, which is near the function itself; in place, too. */
static void act_one(const struct eng_act_f32_kernel *k, int unary, int n)
{
    int positive = unary == ENG_UNARY_LOG || unary == ENG_UNARY_SQRT || unary == ENG_UNARY_RSQRT;
    size_t bytes = (size_t)n * sizeof(float);
    struct kt_buf bufs[3];
    float *in = kt_alloc(&bufs[0], bytes, 0, 4), *out = kt_alloc(&bufs[1], bytes, 0, 4);
    float *want = kt_alloc(&bufs[2], bytes, 0, 4);
    struct eng_act_f32_args g = {.unary = unary, .in = in, .out = want, .n = n, .lo = -INFINITY};
    g.hi = kt_range(0, 1) ? 6.0f : INFINITY;
    g.alpha = 0.2f;
    g.beta = 0.5f;
    for (int i = 0; i < n; i++) {
        float v = 20 * kt_unit() - 10;
        in[i] = positive ? fabsf(v) + 0.01f : v;
    }
    eng_act_f32_c.run(&g);
    for (int i = 0; i < n; i++) {
        double exact = fmin(act_of(unary, in[i], 0.2f, g.beta), g.hi);
        assert_true(fabs(want[i] - exact) <= 2e-6 * (fabs(exact) > 1 ? fabs(exact) : 1));
    }
    g.out = out;
    k->run(&g);
    assert_memory_equal(out, want, bytes);
    g.out = in;
    k->run(&g);
    assert_memory_equal(in, want, bytes);
    for (int i = 0; i < 3; i++)
        kt_free(&bufs[i]);
}

static void check_act(const void *row)
{
    for (int unary = 0; unary <= ENG_UNARY_LAST; unary++)
        for (int n = 1; n < 80; n++)
            act_one(row, unary, n);
}

#define ROW_pw_u8(isa, bits)
#define ROW_sum_u8(isa, bits)
#define ROW_dw_u8(isa, bits)
#define ROW_conv3_u8(isa, bits)
#define ROW_gap_u8(isa, bits)
#define ROW_add_u8(isa, bits)
#define ROW_mul_u8(isa, bits) {"mul_u8 " #isa, bits, &eng_mul_u8_##isa, check_mul},
#define ROW_dwk_u8(isa, bits) {"dwk_u8 " #isa, bits, &eng_dwk_u8_##isa, check_dwk},
#define ROW_quant_f32(isa, bits) {"quant_f32 " #isa, bits, &eng_quant_f32_##isa, check_quant},
#define ROW_act_f32(isa, bits) {"act_f32 " #isa, bits, &eng_act_f32_##isa, check_act},
#define ROW_pw_f32(isa, bits)
#define ROW_spw_f32(isa, bits)
#define ROW_dw_f32(isa, bits)
#define ROW_dwk_f32(isa, bits)
#define ROW_conv3_f32(isa, bits)
#define ROW_pw_f32x(isa, bits)
#define ROW_pw_bf16(isa, bits)
#define ROW_dw_bf16(isa, bits)
#define ROW_conv3_bf16(isa, bits)
#define KERNEL(op, isa, bits) ROW_##op(isa, bits)

int main(void)
{
    static const struct kt_row rows[] = {
#include "engine/kernels/kernels.def"
    };

    return kt_main("kernels_quanta", rows, sizeof(rows) / sizeof(rows[0]));
}
