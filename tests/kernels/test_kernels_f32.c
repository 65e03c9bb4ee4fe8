/* Every f32 row of kernels.def: see float_rows.inc. */
#include <math.h>
#include "tests/kernels/kernel_test.h"

#define pw_kernel eng_pw_f32_kernel
#define pw_args eng_pw_f32_args
#define dw_kernel eng_dw_f32_kernel
#define dw_args eng_dw_f32_args
#define conv3_kernel eng_conv3_f32_kernel
#define conv3_args eng_conv3_f32_args
#define ELEM float
#define ROUNDING 0.0
#define PW_OUT_SIZE(g) sizeof(*(g)->out)
#define PW_PICK_OUT(g)
#define PW_TOGETHER(kernel) ((void)(kernel), 1u)
#define DW_PIXEL_OF(kernel) ((void)(kernel), 16u)
#define DW_PUT_PIXEL(args, elements)

static inline float elem_get(float x)
{
    return x;
}

static inline float elem_put(float x)
{
    return x;
}

static inline float weight_round(float x)
{
    return x;
}

#include "tests/kernels/float_rows.inc"

/* ---- depthwise of any window ---- */

static double dwk_tap(const struct eng_dwk_f32_args *g, int y, int x, int tap, int lane)
{
    int iy = y * g->sh - g->top + tap / g->kw * g->dh,
        ix = x * g->sw - g->left + tap % g->kw * g->dw;
    if (iy < 0 || iy >= g->in_h || ix < 0 || ix >= g->in_w)
        return 0;
    return (double)g->in[(size_t)iy * g->in_row + (size_t)(ix * 16 + lane)];
}

static void dwk_check(const struct eng_dwk_f32_args *g, const struct eng_dwk_f32_weights *w,
                      int block, const char *name)
{
    for (int y = 0; y < g->y1; y++)
        for (int i = 0; i < g->out_w * 16; i++) {
            int c = block * 16 + i % 16;
            if (c >= w->channels)
                continue;
            struct sum s = {0};
            add_term(&s, w->bias ? (double)w->bias[c] : 0.0);
            for (int t = 0; t < w->taps; t++)
                add_term(&s, (double)w->w[t * w->channels + c] * dwk_tap(g, y, i / 16, t, i % 16));
            check_output(name, g->out[(size_t)y * g->out_row + (size_t)i], s, g->lo, g->hi, 0.0);
        }
}

/* The whole map again, some rows at a time. */
static void dwk_run_bands(const struct eng_dwk_f32_kernel *kernel, struct eng_dwk_f32_args g,
                          float *out)
{
    for (int y = 0, out_h = g.y1, rows; y < out_h; y += rows) {
        rows = kt_range(1, out_h - y);
        g.y0 = y;
        g.y1 = y + rows;
        g.out = out + (size_t)y * g.out_row;
        kernel->run(&g);
    }
}

static void dwk_one(const struct eng_dwk_f32_kernel *kernel, struct eng_dwk_f32_args g, int out_h)
{
    int channels = kt_range(1, 40), block = kt_range(0, (channels - 1) / 16);
    struct eng_dwk_f32_weights w = {.channels = channels, .taps = g.kh * g.kw};
    struct kt_buf bufs[4];
    g.in_row = (size_t)(g.in_w + kt_range(0, 2)) * 16;
    g.out_row = (size_t)(g.out_w + kt_range(0, 2)) * 16;
    size_t in_size = (size_t)(g.in_h - 1) * g.in_row + (size_t)g.in_w * 16;
    size_t out_bytes = (size_t)out_h * g.out_row * sizeof(float);
    float *in = alloc_input(&bufs[0], in_size * sizeof(float));
    char *packed =
        alloc_input(&bufs[1], (size_t)(channels + 15) / 16 * kernel->block_bytes(w.taps));
    float *out = alloc_output(&bufs[2], out_bytes), *again = alloc_output(&bufs[3], out_bytes);
    w.w = fill_new((size_t)w.taps * (size_t)channels);
    w.bias = kt_range(0, 3) ? fill_new((size_t)channels) : NULL;
    fill_elements(in, in_size);
    pick_clamp(&g.lo, &g.hi);
    kernel->pack(&w, packed);
    g.in = in;
    g.block = packed + (size_t)block * kernel->block_bytes(w.taps);
    g.out = out;
    g.y1 = out_h;
    kernel->run(&g);
    dwk_check(&g, &w, block, kernel->name);
    gaps_untouched(out, g.out_row, g.out_w, out_h);
    outside_untouched(&bufs[2], out_bytes);
    dwk_run_bands(kernel, g, again);
    assert_memory_equal(out, again, out_bytes);
    test_free((void *)w.w);
    test_free((void *)w.bias);
    for (int i = 0; i < 4; i++)
        kt_free(&bufs[i]);
}

/* ---- block-sparse pointwise ---- */

/* Most blocks of 16 outputs x 1 input become zero; some panels keep nothing. */
static void thin_out(float *w, int k, int n, int keep_of_16)
{
    for (int o = 0; o < n; o += 16)
        for (int i = 0, panel = kt_range(0, 9) ? keep_of_16 : 0; i < k; i++)
            for (int r = o, drop = kt_range(0, 15) >= panel; drop && r < n && r < o + 16; r++)
                w[(size_t)r * (size_t)k + (size_t)i] = 0;
}

static void spw_run_split(const struct eng_spw_f32_kernel *kernel,
                          const struct eng_pw_f32_args *whole, int panels)
{
    int step = kt_range(1, panels);
    for (int j = 0; j < panels; j += step)
        for (int p = 0, rows; p < whole->pixels; p += rows) {
            struct eng_pw_f32_args g = *whole;
            rows = kt_range(1, whole->pixels - p);
            g.a += (size_t)p * 16;
            g.pixels = rows;
            g.panels = (const char *)g.panels + (size_t)j * kernel->panel_bytes(g.taps);
            g.n_panels = g.n_blocks = panels - j < step ? panels - j : step;
            g.out += (size_t)j * g.out_stride + (size_t)p * 16;
            kernel->run(&g);
        }
}

/* Against the dense kernel of the same ISA, whose own test is against exact sums. */
static void spw_one(const struct eng_spw_f32_kernel *kernel, int k, int n, int pixels, int keep)
{
    struct eng_kernels same;
    eng_kernels_choose(&same, kernel->cpu_bits);
    int panels = (n + 15) / 16, k_blocks = (k + 15) / 16;
    size_t a_stride = ((size_t)pixels + (size_t)kt_range(0, 2)) * 16;
    size_t out_stride = (size_t)pixels * 16;
    size_t a_size = (size_t)(k_blocks - 1) * a_stride + (size_t)pixels * 16;
    size_t out_bytes = (size_t)panels * out_stride * sizeof(float);
    struct eng_pw_f32_weights w = {.k = k, .n = n};
    float *weights = fill_new((size_t)n * (size_t)k);
    thin_out(weights, k, n, keep);
    w.w = weights;
    w.bias = kt_range(0, 3) ? fill_new((size_t)n) : NULL;
    int taps = kernel->taps(&w);
    struct kt_buf bufs[5];
    float *a = alloc_input(&bufs[0], a_size * sizeof(float));
    void *packed = alloc_input(&bufs[1], (size_t)panels * kernel->panel_bytes(taps));
    void *dense = alloc_input(&bufs[2], (size_t)panels * same.pw_f32->panel_bytes(k));
    float *out = alloc_output(&bufs[3], out_bytes), *want = alloc_output(&bufs[4], out_bytes);
    struct eng_pw_f32_args g = {.a = a,
                                .a_stride = a_stride,
                                .pixels = pixels,
                                .k_blocks = k_blocks,
                                .n_panels = panels,
                                .n_blocks = panels,
                                .out_stride = out_stride};

    fill(a, a_size);
    pick_clamp(&g.lo, &g.hi);
    assert_true(taps >= 0 && taps <= k);
    assert_int_equal(kernel->panel_bytes(taps) % ENG_ALIGN, 0);
    same.pw_f32->pack(&w, dense);
    kernel->pack(&w, taps, packed);
    g.panels = dense;
    g.out = want;
    same.pw_f32->run(&g);
    g.panels = packed;
    g.out = out;
    g.taps = taps;
    kernel->run(&g);
    assert_memory_equal(out, want, out_bytes);
    outside_untouched(&bufs[3], out_bytes);
    memset(out, SENTINEL, out_bytes);
    spw_run_split(kernel, &g, panels);
    assert_memory_equal(out, want, out_bytes);
    test_free(weights);
    test_free((void *)w.bias);
    for (int i = 0; i < 5; i++)
        kt_free(&bufs[i]);
}

static void check_spw(const void *row)
{
    const struct eng_spw_f32_kernel *kernel = row;
    for (int pixels = 1; pixels <= 3 * kernel->mr + 2; pixels++)
        for (int i = 0; i < 4; i++)
            spw_one(kernel, kt_range(1, 130), kt_range(1, 70), pixels, kt_range(0, 16));
    spw_one(kernel, 1024, 70, 1, 6);
    spw_one(kernel, 512, 40, 49, 8);
    spw_one(kernel, 40, 40, 20, 0);
}

/* ---- depthwise of any window ---- */

/* Padding up to more than the window, so that some windows see nothing of the image. */
static void check_dwk(const void *row)
{
    static const int sizes[] = {1, 2, 3, 5, 7, 11, 40};
    for (int i = 0; i < 600; i++) {
        struct eng_dwk_f32_args g = {.in_h = kt_range(1, 12), .in_w = kt_range(1, 40)};
        g.kh = sizes[kt_range(0, 5)];
        g.kw = sizes[kt_range(0, 6)];
        g.sh = kt_range(1, 3);
        g.sw = kt_range(1, 3);
        g.dh = kt_range(1, 2);
        g.dw = kt_range(1, 3);
        g.top = kt_range(0, g.kh + 1);
        g.left = kt_range(0, g.kw + 1);
        int h = g.in_h + g.top + kt_range(0, g.kh + 1) - (g.kh - 1) * g.dh - 1;
        int w = g.in_w + g.left + kt_range(0, g.kw + 1) - (g.kw - 1) * g.dw - 1;
        if (h < 0 || w < 0)
            continue;
        g.out_w = w / g.sw + 1;
        dwk_one(row, g, h / g.sh + 1);
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
#define ROW_pw_f32(isa, bits) {"pw_f32 " #isa, bits, &eng_pw_f32_##isa, check_pw},
#define ROW_spw_f32(isa, bits) {"spw_f32 " #isa, bits, &eng_spw_f32_##isa, check_spw},
#define ROW_dw_f32(isa, bits) {"dw_f32 " #isa, bits, &eng_dw_f32_##isa, check_dw},
#define ROW_dwk_f32(isa, bits) {"dwk_f32 " #isa, bits, &eng_dwk_f32_##isa, check_dwk},
#define ROW_conv3_f32(isa, bits) {"conv3_f32 " #isa, bits, &eng_conv3_f32_##isa, check_conv3},
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

    return kt_main("kernels_f32", rows, sizeof(rows) / sizeof(rows[0]));
}
