/* Every float row of kernels.def against a naive sum in double.
 *
 * The tolerance is the classic bound of a sum of L products: (L + 2) units of 2^-24 of the sum of
 * magnitudes, so it grows with the length of the sum and not with the luck of cancellation. Beyond
 * that, bits must not depend on how pixels, panels or rows are split over calls. Inputs end at
 * guard pages; output buffers carry a sentinel in every gap. */
#include <math.h>
#include "tests/kernels/kernel_test.h"

enum { SENTINEL = 0xa5 };

struct sum {
    double value, magnitude;
    int terms;
};

static void add_term(struct sum *s, double v)
{
    s->value += v;
    s->magnitude += fabs(v);
    s->terms++;
}

static void check_output(const char *name, float got, struct sum s, float lo, float hi)
{
    double tolerance = (s.terms + 2) * 0x1p-24 * s.magnitude + 0x1p-149;
    double want = s.value < lo ? lo : s.value > hi ? hi : s.value;

    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s: got %.9g, want %.9g +- %.3g", name, got, want, tolerance);
}

static void fill(float *p, size_t n)
{
    float scale = ldexpf(1.0f, kt_range(-6, 6));

    for (size_t i = 0; i < n; i++)
        p[i] = kt_range(0, 15) ? (2.0f * kt_unit() - 1.0f) * scale : 0.0f;
}

static float *fill_new(size_t n)
{
    float *p = test_malloc(n * sizeof(*p));

    fill(p, n);
    return p;
}

static void pick_clamp(float *lo, float *hi)
{
    int kind = kt_range(0, 3);

    *lo = kind == 0 ? -INFINITY : kind == 3 ? -0.25f : 0.0f;
    *hi = kind == 2 ? 6.0f : kind == 3 ? 0.5f : INFINITY;
}

/* Every byte that may be read but not used is 0xff: NaN as a float. */
static float *alloc_input(struct kt_buf *b, size_t bytes)
{
    float *p = kt_alloc(b, bytes, ENG_OVERREAD, ENG_ALIGN);

    memset(b->body, 0xff, b->body_bytes);
    return p;
}

static float *alloc_output(struct kt_buf *b, size_t bytes)
{
    float *p = kt_alloc(b, bytes, 0, ENG_ALIGN);

    memset(b->body, SENTINEL, b->body_bytes);
    return p;
}

static void outside_untouched(const struct kt_buf *b, size_t bytes)
{
    for (const uint8_t *p = b->body; p < b->body + b->body_bytes; p++)
        if ((p < b->at || p >= b->at + bytes) && *p != SENTINEL)
            fail_msg("a byte outside of the output changed, at %td", p - b->at);
}

/* ---- pointwise ---- */

struct pw_case {
    const struct eng_pw_f32_kernel *kernel;
    int k, n, pixels;
    size_t a_gap, out_gap; /* pixels between channel blocks that belong to nobody */
};

static void pw_run_split(const struct pw_case *c, const struct eng_pw_f32_args *whole, int panels)
{
    int panel_step = kt_range(1, panels);
    size_t blocks_per_panel = (size_t)c->kernel->nr / ENG_BLOCK;

    for (int j = 0; j < panels; j += panel_step)
        for (int p = 0, rows; p < c->pixels; p += rows) {
            struct eng_pw_f32_args g = *whole;
            rows = kt_range(1, c->pixels - p);
            g.a += (size_t)p * ENG_BLOCK;
            g.pixels = rows;
            g.panels =
                (const char *)g.panels + (size_t)j * c->kernel->panel_bytes(g.k_blocks * ENG_BLOCK);
            g.n_panels = panels - j < panel_step ? panels - j : panel_step;
            g.n_blocks = whole->n_blocks - j * (int)blocks_per_panel;
            if (g.n_blocks > g.n_panels * (int)blocks_per_panel)
                g.n_blocks = g.n_panels * (int)blocks_per_panel;
            g.out += (size_t)j * blocks_per_panel * g.out_stride + (size_t)p * ENG_BLOCK;
            c->kernel->run(&g);
        }
}

static void pw_check(const struct pw_case *c, const struct eng_pw_f32_args *g,
                     const struct eng_pw_f32_weights *w, int out_blocks)
{
    float sentinel;

    memset(&sentinel, SENTINEL, sizeof(sentinel));
    for (int n = 0; n < c->n; n++)
        for (int p = 0; p < c->pixels; p++) {
            struct sum s = {0};
            add_term(&s, w->bias ? w->bias[n] : 0.0);
            for (int k = 0; k < c->k; k++)
                add_term(&s, (double)w->w[n * c->k + k] *
                                 g->a[(size_t)(k / 16) * g->a_stride + (size_t)(p * 16 + k % 16)]);
            check_output(c->kernel->name,
                         g->out[(size_t)(n / 16) * g->out_stride + (size_t)(p * 16 + n % 16)], s,
                         g->lo, g->hi);
        }
    for (int b = 0; b < out_blocks; b++)
        for (size_t i = (size_t)c->pixels * 16; i < g->out_stride; i++)
            assert_memory_equal(&g->out[(size_t)b * g->out_stride + i], &sentinel, 4);
}

static void pw_one(const struct pw_case *c)
{
    const struct eng_pw_f32_kernel *kernel = c->kernel;
    int panels = (c->n + kernel->nr - 1) / kernel->nr, k_blocks = (c->k + 15) / 16;
    int out_blocks = (c->n + 15) / 16;
    size_t a_stride = ((size_t)c->pixels + c->a_gap) * 16;
    size_t out_stride = ((size_t)c->pixels + c->out_gap) * 16;
    size_t a_floats = (size_t)(k_blocks - 1) * a_stride + (size_t)c->pixels * 16;
    size_t out_bytes = (size_t)out_blocks * out_stride * sizeof(float);
    struct eng_pw_f32_weights w = {.k = c->k, .n = c->n};
    struct kt_buf bufs[4];
    float *a = alloc_input(&bufs[0], a_floats * sizeof(float));
    float *packed = alloc_input(&bufs[1], (size_t)panels * kernel->panel_bytes(c->k));
    float *out = alloc_output(&bufs[2], out_bytes), *again = alloc_output(&bufs[3], out_bytes);
    struct eng_pw_f32_args g = {.a = a,
                                .a_stride = a_stride,
                                .pixels = c->pixels,
                                .k_blocks = k_blocks,
                                .panels = packed,
                                .n_panels = panels,
                                .n_blocks = out_blocks,
                                .out = out,
                                .out_stride = out_stride};

    w.w = fill_new((size_t)c->n * (size_t)c->k);
    w.bias = kt_range(0, 3) ? fill_new((size_t)c->n) : NULL;
    fill(a, a_floats);
    pick_clamp(&g.lo, &g.hi);
    assert_int_equal(kernel->panel_bytes(c->k) % ENG_ALIGN, 0);
    kernel->pack(&w, packed);
    kernel->run(&g);
    pw_check(c, &g, &w, out_blocks);
    outside_untouched(&bufs[2], out_bytes);
    g.out = again;
    pw_run_split(c, &g, panels);
    assert_memory_equal(out, again, out_bytes);
    test_free((void *)w.w);
    test_free((void *)w.bias);
    for (int i = 0; i < 4; i++)
        kt_free(&bufs[i]);
}

static void check_pw_f32(const void *row)
{
    const struct eng_pw_f32_kernel *kernel = row;
    static const int ks[] = {1, 3, 15, 16, 17, 32, 40, 64, 129};
    static const int ns[] = {1, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 80, 97};

    for (int pixels = 1; pixels <= 3 * kernel->mr + 2; pixels++)
        for (size_t i = 0; i < 6; i++) {
            struct pw_case c = {.kernel = kernel, .pixels = pixels};
            c.k = ks[kt_range(0, (int)(sizeof(ks) / sizeof(ks[0])) - 1)];
            c.n = ns[kt_range(0, (int)(sizeof(ns) / sizeof(ns[0])) - 1)];
            c.a_gap = (size_t)kt_range(0, 3);
            c.out_gap = (size_t)kt_range(0, 3);
            pw_one(&c);
        }
    for (size_t i = 0; i < sizeof(ns) / sizeof(ns[0]); i++)
        for (int pixels = 1; pixels <= 49; pixels += 16)
            pw_one(&(struct pw_case){kernel, 1 + (int)i * 7, ns[i], pixels, 0, 1});
    pw_one(&(struct pw_case){kernel, 1024, 70, 1, 0, 0});
    pw_one(&(struct pw_case){kernel, 512, 40, 49, 0, 0});
}

/* ---- 3x3 windows: what depthwise and the first convolution share ---- */

struct window {
    int in_h, in_w, stride, top, left, bottom, right, out_h, out_w;
    size_t in_gap, out_gap; /* pixels behind each row */
};

static int window_set(struct window *v)
{
    int h = v->in_h + v->top + v->bottom - 3, w = v->in_w + v->left + v->right - 3;

    if (h < 0 || w < 0)
        return 0;
    v->out_h = h / v->stride + 1;
    v->out_w = w / v->stride + 1;
    return 1;
}

static int window_random(int in_w, int in_h, struct window *ret)
{
    *ret = (struct window){.in_h = in_h, .in_w = in_w, .stride = kt_range(1, 2)};
    ret->top = kt_range(0, 2);
    ret->left = kt_range(0, 2);
    ret->bottom = kt_range(0, 2);
    ret->right = kt_range(0, 2);
    if (kt_range(0, 1)) /* what nets really use */
        ret->left = ret->top = ret->right = ret->bottom = 1;
    ret->in_gap = (size_t)kt_range(0, 2);
    ret->out_gap = (size_t)kt_range(0, 2);
    return window_set(ret);
}

/* Input rows that output rows y0 .. y1-1 touch. */
static void window_rows(const struct window *v, int y0, int y1, int *first, int *last)
{
    int lo = y0 * v->stride - v->top, hi = (y1 - 1) * v->stride - v->top + 2;

    *first = lo < 0 ? 0 : lo > v->in_h - 1 ? v->in_h - 1 : lo;
    *last = hi < 0 ? 0 : hi > v->in_h - 1 ? v->in_h - 1 : hi;
}

/* ---- depthwise ---- */

static void dw_check(const struct window *v, const struct eng_dw_f32_args *g,
                     const struct eng_dw_f32_weights *w, int block, const char *name)
{
    for (int y = 0; y < v->out_h; y++)
        for (int x = 0; x < v->out_w; x++)
            for (int c = 0; c < 16 && block * 16 + c < w->channels; c++) {
                struct sum s = {0};
                add_term(&s, w->bias ? w->bias[block * 16 + c] : 0.0);
                for (int t = 0; t < 9; t++) {
                    int iy = y * v->stride - v->top + t / 3, ix = x * v->stride - v->left + t % 3;
                    if (iy >= 0 && iy < v->in_h && ix >= 0 && ix < v->in_w)
                        add_term(&s, (double)w->w[t * w->channels + block * 16 + c] *
                                         g->in[(size_t)iy * g->in_row + (size_t)(ix * 16 + c)]);
                }
                check_output(name, g->out[(size_t)y * g->out_row + (size_t)(x * 16 + c)], s, g->lo,
                             g->hi);
            }
}

static void gaps_untouched(const float *out, size_t row, int out_w, int rows)
{
    float sentinel;

    memset(&sentinel, SENTINEL, sizeof(sentinel));
    for (int y = 0; y < rows; y++)
        for (size_t i = (size_t)out_w * 16; i < row; i++)
            assert_memory_equal(&out[(size_t)y * row + i], &sentinel, sizeof(sentinel));
}

/* The same rows again in bands, each from a buffer that holds only the input rows it may touch. */
static void dw_run_bands(const struct window *v, const struct eng_dw_f32_kernel *kernel,
                         struct eng_dw_f32_args g, float *out)
{
    const float *image = g.in;

    for (int y = 0, rows; y < v->out_h; y += rows) {
        int first, last;
        struct kt_buf buf;
        rows = kt_range(1, v->out_h - y);
        window_rows(v, y, y + rows, &first, &last);
        size_t floats = (size_t)(last - first) * g.in_row + (size_t)v->in_w * 16;
        float *band = alloc_input(&buf, floats * sizeof(float));
        memcpy(band, image + (size_t)first * g.in_row, floats * sizeof(float));
        g.in = (const float *)((uintptr_t)band - (size_t)first * g.in_row * sizeof(float));
        g.y0 = y;
        g.y1 = y + rows;
        g.out = out + (size_t)y * g.out_row;
        kernel->run(&g);
        kt_free(&buf);
    }
}

static void dw_one(const struct eng_dw_f32_kernel *kernel, const struct window *v)
{
    int channels = kt_range(1, 40), block = kt_range(0, (channels - 1) / 16);
    size_t in_row = ((size_t)v->in_w + v->in_gap) * 16;
    size_t out_row = ((size_t)v->out_w + v->out_gap) * 16;
    size_t in_floats = (size_t)(v->in_h - 1) * in_row + (size_t)v->in_w * 16;
    size_t out_bytes = (size_t)v->out_h * out_row * sizeof(float);
    struct eng_dw_f32_weights w = {.channels = channels};
    struct kt_buf bufs[4];
    float *in = alloc_input(&bufs[0], in_floats * sizeof(float));
    char *packed =
        (char *)alloc_input(&bufs[1], (size_t)(channels + 15) / 16 * kernel->block_bytes);
    float *out = alloc_output(&bufs[2], out_bytes), *again = alloc_output(&bufs[3], out_bytes);
    struct eng_dw_f32_args g = {.in = in,
                                .in_row = in_row,
                                .in_h = v->in_h,
                                .in_w = v->in_w,
                                .stride = v->stride,
                                .top = v->top,
                                .left = v->left,
                                .out_w = v->out_w,
                                .y1 = v->out_h,
                                .block = packed + (size_t)block * kernel->block_bytes,
                                .out = out,
                                .out_row = out_row};

    w.w = fill_new(9 * (size_t)channels);
    w.bias = kt_range(0, 3) ? fill_new((size_t)channels) : NULL;
    fill(in, in_floats);
    pick_clamp(&g.lo, &g.hi);
    kernel->pack(&w, packed);
    kernel->run(&g);
    dw_check(v, &g, &w, block, kernel->name);
    gaps_untouched(out, out_row, v->out_w, v->out_h);
    outside_untouched(&bufs[2], out_bytes);
    dw_run_bands(v, kernel, g, again);
    assert_memory_equal(out, again, out_bytes);
    test_free((void *)w.w);
    test_free((void *)w.bias);
    for (int i = 0; i < 4; i++)
        kt_free(&bufs[i]);
}

static void check_dw_f32(const void *row)
{
    struct window v;

    for (int in_w = 1; in_w <= 50; in_w++)
        for (int n = 0; n < 8; n++)
            if (window_random(in_w, kt_range(1, 9), &v))
                dw_one(row, &v);
}

/* ---- first convolution ---- */

static void conv3_check(const struct window *v, const struct eng_conv3_f32_args *g,
                        const struct eng_conv3_f32_weights *w, const char *name)
{
    for (int n = 0; n < w->n; n++)
        for (int p = 0; p < v->out_h * v->out_w; p++) {
            int y = p / v->out_w, x = p % v->out_w;
            struct sum s = {0};
            add_term(&s, w->bias ? w->bias[n] : 0.0);
            for (int t = 0; t < 27; t++) {
                int iy = y * v->stride - v->top + t / 9, ix = x * v->stride - v->left + t / 3 % 3;
                if (iy >= 0 && iy < v->in_h && ix >= 0 && ix < v->in_w)
                    add_term(&s, (double)w->w[n * 27 + t] * g->in[(iy * v->in_w + ix) * 3 + t % 3]);
            }
            check_output(name,
                         g->out[(size_t)(n / 16) * g->out_stride + (size_t)y * g->out_row +
                                (size_t)(x * 16 + n % 16)],
                         s, g->lo, g->hi);
        }
}

static void conv3_run_bands(const struct window *v, const struct eng_conv3_f32_kernel *kernel,
                            struct eng_conv3_f32_args g, float *out)
{
    for (int y = 0, rows; y < v->out_h; y += rows) {
        rows = kt_range(1, v->out_h - y);
        g.y0 = y;
        g.y1 = y + rows;
        g.out = out + (size_t)y * g.out_row;
        kernel->run(&g);
    }
}

static void conv3_one(const struct eng_conv3_f32_kernel *kernel, const struct window *v)
{
    int n = kt_range(1, 80), blocks = (n + 15) / 16;
    size_t out_row = ((size_t)v->out_w + v->out_gap) * 16;
    size_t out_stride = (size_t)v->out_h * out_row + 16 * v->in_gap;
    size_t in_floats = (size_t)v->in_h * (size_t)v->in_w * 3;
    size_t out_bytes = (size_t)blocks * out_stride * sizeof(float);
    struct eng_conv3_f32_weights w = {.n = n};
    struct kt_buf bufs[4];
    float *in = alloc_input(&bufs[0], in_floats * sizeof(float));
    float *packed = alloc_input(&bufs[1], kernel->packed_bytes(n));
    float *out = alloc_output(&bufs[2], out_bytes), *again = alloc_output(&bufs[3], out_bytes);
    struct eng_conv3_f32_args g = {.in = in,
                                   .in_h = v->in_h,
                                   .in_w = v->in_w,
                                   .stride = v->stride,
                                   .top = v->top,
                                   .left = v->left,
                                   .out_w = v->out_w,
                                   .y1 = v->out_h,
                                   .n_blocks = blocks,
                                   .packed = packed,
                                   .out = out,
                                   .out_row = out_row,
                                   .out_stride = out_stride};

    w.w = fill_new(27 * (size_t)n);
    w.bias = kt_range(0, 3) ? fill_new((size_t)n) : NULL;
    fill(in, in_floats);
    pick_clamp(&g.lo, &g.hi);
    kernel->pack(&w, packed);
    kernel->run(&g);
    conv3_check(v, &g, &w, kernel->name);
    for (int b = 0; b < blocks; b++)
        gaps_untouched(out + (size_t)b * out_stride, out_row, v->out_w, v->out_h);
    outside_untouched(&bufs[2], out_bytes);
    conv3_run_bands(v, kernel, g, again);
    assert_memory_equal(out, again, out_bytes);
    test_free((void *)w.w);
    test_free((void *)w.bias);
    for (int i = 0; i < 4; i++)
        kt_free(&bufs[i]);
}

static void check_conv3_f32(const void *row)
{
    struct window v;

    for (int in_w = 1; in_w <= 70; in_w++)
        for (int n = 0; n < 3; n++)
            if (window_random(in_w, kt_range(1, 9), &v))
                conv3_one(row, &v);
}

#define ROW_pw_u8(isa, bits)
#define ROW_sum_u8(isa, bits)
#define ROW_dw_u8(isa, bits)
#define ROW_conv3_u8(isa, bits)
#define ROW_gap_u8(isa, bits)
#define ROW_pw_f32(isa, bits) {"pw_f32 " #isa, bits, &eng_pw_f32_##isa, check_pw_f32},
#define ROW_dw_f32(isa, bits) {"dw_f32 " #isa, bits, &eng_dw_f32_##isa, check_dw_f32},
#define ROW_conv3_f32(isa, bits) {"conv3_f32 " #isa, bits, &eng_conv3_f32_##isa, check_conv3_f32},
#define KERNEL(op, isa, bits) ROW_##op(isa, bits)

int main(void)
{
    static const struct kt_row rows[] = {
#include "engine/kernels.def"
    };

    return kt_main("kernels_f32", rows, sizeof(rows) / sizeof(rows[0]));
}
