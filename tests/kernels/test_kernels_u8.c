/* Every u8 row of kernels.def against a direct computation from the canonical weights, bit by bit.
 *
 * Sizes go through everything around a tile; values are random or the worst there are; buffers end
 * (or begin) at a guard page; what lies around an output must stay as it was. */
#include "tests/kernels/u8_values.h"

/* ---- pointwise ---- */

struct pw_case {
    int pixels, k, n;
    struct weights w;
    int zw;
    struct eng_requant rq;
    struct kt_buf in, out, packed, sum;
    int together;
    size_t in_stride, out_stride;
};

/* Input k of a pixel. */
static uint8_t pw_in(const struct pw_case *c, int p, int k)
{
    int b = k / 16, t = c->together;
    return c->in.at[(size_t)(b / t) * c->in_stride + (size_t)((p * t + b % t) * 16 + k % 16)];
}

static void pw_fill(struct pw_case *c)
{
    int kb = (c->k + 15) / 16, groups = (kb + c->together - 1) / c->together;
    size_t pixel = (size_t)c->together * 16;
    c->in_stride = (size_t)(c->pixels + kt_range(0, 2)) * pixel;
    size_t bytes = (size_t)(groups - 1) * c->in_stride + (size_t)c->pixels * pixel;
    kt_alloc(&c->in, bytes, OVER, 16);
    fill_u8(c->in.at, bytes, kt_range(0, 3));
    int32_t *sum = kt_alloc(&c->sum, (size_t)c->pixels * 4, 0, 4);
    for (int p = 0; p < c->pixels; p++) {
        sum[p] = 0;
        for (int i = 0; i < kb * 16; i++)
            sum[p] += pw_in(c, p, i);
    }
    c->out_stride = (size_t)(c->pixels + kt_range(0, 2)) * 16;
    kt_alloc(&c->out, (size_t)((c->n + 15) / 16 - 1) * c->out_stride + (size_t)c->pixels * 16, 0,
             16);
}

/* Writes what is right over the real lanes of `image`, a copy of the buffer before the run, and
 * takes over what the kernel wrote into pad lanes: they may hold anything. */
static void pw_expect(const struct pw_case *c, uint8_t *image)
{
    size_t base = (size_t)(c->out.at - c->out.body);
    for (int n = 0; n < (c->n + 15) / 16 * 16; n++)
        for (int p = 0; p < c->pixels; p++) {
            size_t at = base + (size_t)(n / 16) * c->out_stride + (size_t)(p * 16 + n % 16);
            if (n >= c->n) {
                image[at] = c->out.body[at];
                continue;
            }
            int64_t acc = c->w.bias ? c->w.bias[n] : 0;
            for (int k = 0; k < c->k; k++)
                acc += (int64_t)(pw_in(c, p, k) - c->w.zx) * (c->w.w[n * c->k + k] - c->zw);
            image[at] = expected(acc, c->w.scale[n], &c->rq);
        }
}

static void pw_case(const struct eng_pw_u8_kernel *kern, int pixels, int k, int n)
{
    struct pw_case c = {.pixels = pixels, .k = k, .n = n, .w = draw_weights(n, k)};
    c.zw = c.w.zw[0];
    c.together = kern->together;
    c.rq = draw_requant();
    pw_fill(&c);
    struct eng_pw_u8_weights w = {
        .k = k, .n = n, .w = c.w.w, .zw = c.zw, .zx = c.w.zx, .bias = c.w.bias, .scale = c.w.scale};
    size_t panel = kern->panel_bytes(k);
    assert_int_equal(panel % 64, 0);
    int n_panels = (n + kern->nr - 1) / kern->nr, blocks = (n + 15) / 16;
    kt_alloc(&c.packed, panel * (size_t)n_panels, OVER, 64);
    kern->pack(&w, c.packed.at);

    uint8_t *image = malloc(c.out.body_bytes);
    assert_non_null(image);
    memcpy(image, c.out.body, c.out.body_bytes);
    struct eng_pw_u8_args a = {.a = c.in.at,
                               .a_stride = c.in_stride,
                               .pixels = pixels,
                               .k_blocks = (k + 15) / 16,
                               .sum = kern->needs_sum(&w) ? (int32_t *)(void *)c.sum.at : NULL,
                               .out_stride = c.out_stride,
                               .rq = c.rq};
    for (int p = 0; p < n_panels; p += a.n_panels) {
        a.n_panels = kt_range(1, n_panels - p);
        a.n_blocks = blocks - p * kern->nr / 16;
        a.panels = c.packed.at + (size_t)p * panel;
        a.out = c.out.at + (size_t)(p * kern->nr / 16) * c.out_stride;
        kern->run(&a);
    }
    pw_expect(&c, image);
    if (memcmp(image, c.out.body, c.out.body_bytes) != 0)
        fail_msg("%s differs: pixels %d k %d n %d zw %d zx %d zy %d", kern->name, pixels, k, n,
                 c.zw, c.w.zx, c.rq.zero_point);
    free(image);
    free_weights(&c.w);
    kt_free(&c.in);
    kt_free(&c.out);
    kt_free(&c.packed);
    kt_free(&c.sum);
}

static void check_pw_u8(const void *kernel)
{
    const struct eng_pw_u8_kernel *k = kernel;
    int around = 3 * k->mr + 4;
    for (int p = 1; p <= around; p++)
        for (int i = 0; i < 6; i++)
            pw_case(k, p, kt_range(1, 70), kt_range(1, 2 * k->nr + 20));
    for (int i = 1; i <= 80; i++)
        pw_case(k, kt_range(1, around), i, kt_range(1, k->nr + 20));
    for (int i = 1; i <= 3 * k->nr + 1; i++)
        pw_case(k, kt_range(1, around), kt_range(1, 40), i);
    for (int i = 0; i < 4; i++) {
        pw_case(k, 49, kt_range(500, 1040), 100);
        pw_case(k, 1, 1024, 1001);
        pw_case(k, kt_range(1, 2 * k->mr + 1), kt_range(8193, 8800), kt_range(1, 20));
        pw_case(k, 196, 16 * kt_range(1, 8), 16 * kt_range(1, 8));
        pw_case(k, kt_range(600, 1100), kt_range(1, 40), kt_range(1, 40));
    }
}

/* ---- row sums, average pool ---- */

static void check_sum_u8(const void *kernel)
{
    const struct eng_sum_u8_kernel *k = kernel;
    for (int pixels = 1; pixels <= 70; pixels++)
        for (int kb = 1; kb <= 66; kb += kt_range(1, 13)) {
            struct kt_buf in, out;
            size_t stride = (size_t)(pixels + kt_range(0, 2)) * 16;
            size_t bytes = (size_t)(kb - 1) * stride + (size_t)pixels * 16;
            uint8_t *a = kt_alloc(&in, bytes, OVER, 16);
            fill_u8(a, bytes, kt_range(0, 2));
            int32_t *sum = kt_alloc(&out, (size_t)pixels * 4, 0, 4);
            k->run(a, stride, pixels, kb, sum);
            for (int p = 0; p < pixels; p++) {
                int32_t want = 0;
                for (int i = 0; i < kb * 16; i++)
                    want += a[(size_t)(i / 16) * stride + (size_t)(p * 16 + i % 16)];
                assert_int_equal(sum[p], want);
            }
            uint8_t *end = out.at + (size_t)pixels * 4;
            for (uint8_t *q = out.body; q < out.body + out.body_bytes; q++)
                if (q < out.at || q >= end)
                    assert_int_equal(*q, 0xA5);
            kt_free(&in);
            kt_free(&out);
        }
}

static void check_gap_u8(const void *kernel)
{
    const struct eng_gap_u8_kernel *k = kernel;
    for (int pixels = 1; pixels <= 300; pixels += pixels < 70 ? 1 : 7)
        for (int style = 0; style < 3; style++) {
            struct kt_buf in;
            uint8_t *a = kt_alloc(&in, (size_t)pixels * 16, OVER, 16);
            fill_u8(a, (size_t)pixels * 16, style);
            int32_t sum[16], want[16] = {0};
            k->run(a, pixels, sum);
            for (int i = 0; i < pixels * 16; i++)
                want[i % 16] += a[i];
            assert_memory_equal(sum, want, sizeof(sum));
            kt_free(&in);
        }
}

/* Against the formula in 64 bits. */
static void check_add_u8(const void *kernel)
{
    const struct eng_add_u8_kernel *k = kernel;
    for (int n = 1; n <= 400; n += n < 140 ? 1 : 13) {
        struct kt_buf bufs[3];
        uint8_t *a = kt_alloc(&bufs[0], (size_t)n, 0, 1), *b = kt_alloc(&bufs[1], (size_t)n, 0, 1);
        uint8_t *out = kt_alloc(&bufs[2], (size_t)n, 0, 1);
        fill_u8(a, (size_t)n, n % 3);
        fill_u8(b, (size_t)n, (n + 1) % 3);
        struct eng_add_u8_args g = {.a = a,
                                    .b = b,
                                    .out = out,
                                    .n = n,
                                    .za = kt_range(0, 255),
                                    .zb = kt_range(0, 255),
                                    .ka = kt_range(-(1 << 21), 1 << 21),
                                    .kb = kt_range(0, 1 << 21),
                                    .shift = kt_range(12, 30),
                                    .zero_point = kt_range(0, 255)};
        g.lo = kt_range(0, 255);
        g.hi = kt_range(g.lo, 255);
        k->run(&g);
        for (int i = 0; i < n; i++) {
            int64_t acc = (int64_t)(a[i] - g.za) * g.ka + (int64_t)(b[i] - g.zb) * g.kb;
            int64_t v = ((acc + (1 << (g.shift - 1))) >> g.shift) + g.zero_point;
            assert_int_equal(out[i], v < g.lo ? g.lo : v > g.hi ? g.hi : v);
        }
        for (int i = 0; i < 3; i++)
            kt_free(&bufs[i]);
    }
}

/* ---- spatial: depthwise and first convolution ---- */

struct area {
    int in_h, in_w, stride, top, left, bottom, right, out_h, out_w, y0, y1;
};

/* Sizes and paddings from which at least one output follows. */
static struct area draw_area(int in_h, int in_w, int pad_max)
{
    struct area a = {.in_h = in_h, .in_w = in_w, .stride = kt_range(1, 2)};
    do {
        a.top = kt_range(0, pad_max);
        a.bottom = kt_range(0, pad_max);
    } while (in_h + a.top + a.bottom < 3);
    do {
        a.left = kt_range(0, pad_max);
        a.right = kt_range(0, pad_max);
    } while (in_w + a.left + a.right < 3);
    a.out_h = (in_h + a.top + a.bottom - 3) / a.stride + 1;
    a.out_w = (in_w + a.left + a.right - 3) / a.stride + 1;
    a.y0 = kt_rand() & 1 ? 0 : kt_range(0, a.out_h - 1);
    a.y1 = kt_rand() & 1 ? a.out_h : kt_range(a.y0 + 1, a.out_h);
    return a;
}

static int tap_inside(const struct area *a, int y, int x, int t, int *iy, int *ix)
{
    *iy = y * a->stride - a->top + t / 3;
    *ix = x * a->stride - a->left + t % 3;
    return *iy >= 0 && *iy < a->in_h && *ix >= 0 && *ix < a->in_w;
}

/* Compares `out` (rows out_row, pixels out_pixel apart) with `want` ([out row][x][16]) and its
 * surroundings with 0xA5. */
static void dw_compare(const char *name, const struct kt_buf *out, const uint8_t *want,
                       const struct area *a, size_t out_row, int out_pixel, int lanes)
{
    for (size_t i = 0; i < out->body_bytes; i++) {
        ptrdiff_t off = (out->body + i) - out->at;
        ptrdiff_t row = off / (ptrdiff_t)out_row, col = off % (ptrdiff_t)out_row;
        ptrdiff_t x = col / out_pixel, lane = col % out_pixel;
        int in_rows = off >= 0 && row < a->y1 - a->y0 && x < a->out_w && lane < 16;
        if (in_rows && lane >= lanes)
            continue;
        uint8_t w = in_rows ? want[(row * a->out_w + x) * 16 + lane] : 0xA5;
        if (out->body[i] != w)
            fail_msg("%s differs at row %td byte %td: %d for %d (in %dx%d stride %d pad %d %d %d "
                     "%d, rows %d..%d)",
                     name, row, col, out->body[i], w, a->in_h, a->in_w, a->stride, a->top, a->left,
                     a->bottom, a->right, a->y0, a->y1);
    }
}

struct dw_case {
    struct area a;
    int channels, block, lanes;
    struct weights w;
    struct eng_requant rq;
    struct kt_buf in, out, packed;
    size_t in_row, out_row, out_pixel;
    int first, last; /* rows of the image that stand in the buffer */
};

static void dw_want(const struct dw_case *c, uint8_t *want)
{
    const struct area *a = &c->a;
    for (int y = a->y0; y < a->y1; y++)
        for (int x = 0; x < a->out_w; x++)
            for (int i = 0; i < c->lanes; i++) {
                int ch = c->block * 16 + i, iy, ix;
                int64_t acc = c->w.bias ? c->w.bias[ch] : 0;
                for (int t = 0; t < 9; t++)
                    if (tap_inside(a, y, x, t, &iy, &ix))
                        acc +=
                            (c->in.at[(size_t)(iy - c->first) * c->in_row + (size_t)(ix * 16 + i)] -
                             c->w.zx) *
                            (c->w.w[t * c->channels + ch] - c->w.zw[ch]);
                want[((y - a->y0) * a->out_w + x) * 16 + i] = expected(acc, c->w.scale[ch], &c->rq);
            }
}

static void dw_fill(struct dw_case *c)
{
    struct area *a = &c->a;
    c->first = a->y0 * a->stride - a->top;
    c->last = (a->y1 - 1) * a->stride - a->top + 2;
    c->first = c->first < 0 ? 0 : c->first >= a->in_h ? a->in_h - 1 : c->first;
    c->last = c->last >= a->in_h ? a->in_h - 1 : c->last < c->first ? c->first : c->last;
    c->in_row = (size_t)(a->in_w + kt_range(0, 2)) * 16;
    c->out_row = (size_t)(a->out_w + kt_range(0, 2)) * c->out_pixel;
    size_t bytes = (size_t)(c->last - c->first) * c->in_row + (size_t)a->in_w * 16;
    kt_alloc(&c->in, bytes, OVER, 16);
    fill_u8(c->in.at, bytes, kt_range(0, 3));
    size_t row = (size_t)(a->out_w - 1) * c->out_pixel + 16;
    kt_alloc(&c->out, (size_t)(a->y1 - a->y0 - 1) * c->out_row + row, 0, 16);
}

static void dw_case(const struct eng_dw_u8_kernel *kern, struct area a)
{
    struct dw_case c = {.a = a, .channels = kt_range(1, 40)};
    int blocks = (c.channels + 15) / 16;
    c.block = kt_range(0, blocks - 1);
    c.lanes = c.channels - c.block * 16 < 16 ? c.channels - c.block * 16 : 16;
    c.w = draw_weights(c.channels, 9);
    c.rq = draw_requant();
    c.out_pixel = kern->spreads && kt_rand() % 2 ? 64 : 16;
    dw_fill(&c);
    struct eng_dw_u8_weights w = {.channels = c.channels,
                                  .w = c.w.w,
                                  .zw = c.w.zw,
                                  .zx = c.w.zx,
                                  .bias = c.w.bias,
                                  .scale = c.w.scale};
    kt_alloc(&c.packed, kern->block_bytes * (size_t)blocks, OVER, 64);
    kern->pack(&w, c.packed.at);
    struct eng_dw_u8_args args = {
        .in = (const uint8_t *)((uintptr_t)c.in.at - (uintptr_t)c.first * c.in_row),
        .in_row = c.in_row,
        .geo = {.in_h = a.in_h,
                .in_w = a.in_w,
                .stride = a.stride,
                .top = a.top,
                .left = a.left,
                .out_w = a.out_w,
                .y0 = a.y0,
                .y1 = a.y1},

        .block = c.packed.at + (size_t)c.block * kern->block_bytes,
        .out = c.out.at,
        .out_row = c.out_row,
        .out_pixel = c.out_pixel,
        .zx = (uint8_t)c.w.zx,
        .rq = c.rq};
    kern->run(&args);
    uint8_t *want = calloc((size_t)(a.y1 - a.y0) * (size_t)a.out_w, 16);
    assert_non_null(want);
    dw_want(&c, want);
    dw_compare(kern->name, &c.out, want, &a, c.out_row, (int)c.out_pixel, c.lanes);
    free(want);
    free_weights(&c.w);
    kt_free(&c.in);
    kt_free(&c.out);
    kt_free(&c.packed);
}

static void check_dw_u8(const void *kernel)
{
    const struct eng_dw_u8_kernel *k = kernel;
    assert_int_equal(k->block_bytes % 64, 0);
    for (int w = 1; w <= 40; w++)
        for (int i = 0; i < 24; i++)
            dw_case(k, draw_area(kt_range(1, 9), w, i < 16 ? 1 : 2));
    for (int h = 1; h <= 20; h++)
        for (int i = 0; i < 8; i++)
            dw_case(k, draw_area(h, kt_range(1, 20), 1));
    dw_case(k, draw_area(112, 112, 1));
    dw_case(k, draw_area(57, 57, 1));
}

struct conv3_case {
    struct area a;
    int n;
    struct weights w;
    struct eng_requant rq;
    struct kt_buf in, out, packed;
};

static void conv3_want(const struct conv3_case *c, int block, uint8_t *want)
{
    const struct area *a = &c->a;
    for (int y = a->y0; y < a->y1; y++)
        for (int x = 0; x < a->out_w; x++)
            for (int i = 0; i < 16 && block * 16 + i < c->n; i++) {
                int n = block * 16 + i, iy, ix;
                int64_t acc = c->w.bias ? c->w.bias[n] : 0;
                for (int t = 0; t < 27; t++)
                    if (tap_inside(a, y, x, t / 3, &iy, &ix))
                        acc += (c->in.at[(iy * a->in_w + ix) * 3 + t % 3] - c->w.zx) *
                               (c->w.w[n * 27 + t] - c->w.zw[n]);
                want[((y - a->y0) * a->out_w + x) * 16 + i] = expected(acc, c->w.scale[n], &c->rq);
            }
}

/* Blocks lie a whole number of rows apart, so that one comparison sees each block as an area. */
static void conv3_compare(const char *name, struct conv3_case *c, size_t out_row, size_t stride)
{
    int blocks = (c->n + 15) / 16, rows = c->a.y1 - c->a.y0;
    uint8_t *want = calloc((size_t)rows * (size_t)c->a.out_w, 16);
    assert_non_null(want);
    for (int b = 0; b < blocks; b++) {
        struct kt_buf one = c->out;
        one.at = c->out.at + (size_t)b * stride;
        one.body = b == 0 ? c->out.body : one.at;
        uint8_t *end = c->out.body + c->out.body_bytes;
        one.body_bytes = (size_t)((b == blocks - 1 ? end : one.at + stride) - one.body);
        conv3_want(c, b, want);
        dw_compare(name, &one, want, &c->a, out_row, 16, c->n - b * 16 < 16 ? c->n - b * 16 : 16);
    }
    free(want);
}

static void conv3_case(const struct eng_conv3_u8_kernel *kern, struct area a, int n)
{
    struct conv3_case c = {.a = a, .n = n, .w = draw_weights(n, 27), .rq = draw_requant()};
    int blocks = (n + 15) / 16;
    size_t bytes = (size_t)(a.in_h * a.in_w) * 3;
    kt_alloc(&c.in, bytes, OVER, 1);
    fill_u8(c.in.at, bytes, kt_range(0, 3));
    size_t out_row = (size_t)(a.out_w + kt_range(0, 2)) * 16;
    size_t rows = (size_t)(a.y1 - a.y0), stride = (rows + (size_t)kt_range(0, 1)) * out_row;
    kt_alloc(&c.out, (size_t)(blocks - 1) * stride + (rows - 1) * out_row + (size_t)a.out_w * 16, 0,
             16);
    struct eng_conv3_u8_weights w = {
        .n = n, .w = c.w.w, .zw = c.w.zw, .zx = c.w.zx, .bias = c.w.bias, .scale = c.w.scale};
    kt_alloc(&c.packed, kern->packed_bytes(n), OVER, 64);
    kern->pack(&w, c.packed.at);
    struct eng_conv3_u8_args args = {.in = c.in.at,
                                     .geo = {.in_h = a.in_h,
                                             .in_w = a.in_w,
                                             .stride = a.stride,
                                             .top = a.top,
                                             .left = a.left,
                                             .out_w = a.out_w,
                                             .y0 = a.y0,
                                             .y1 = a.y1},

                                     .n_blocks = blocks,
                                     .packed = c.packed.at,
                                     .out = c.out.at,
                                     .out_row = out_row,
                                     .out_stride = stride,
                                     .zx = (uint8_t)c.w.zx,
                                     .rq = c.rq};
    kern->run(&args);
    conv3_compare(kern->name, &c, out_row, stride);
    free_weights(&c.w);
    kt_free(&c.in);
    kt_free(&c.out);
    kt_free(&c.packed);
}

static void check_conv3_u8(const void *kernel)
{
    const struct eng_conv3_u8_kernel *k = kernel;
    for (int w = 1; w <= 60; w++)
        for (int i = 0; i < 10; i++)
            conv3_case(k, draw_area(kt_range(1, 9), w, i < 6 ? 1 : 2), kt_range(1, 70));
    for (int i = 0; i < 3; i++)
        conv3_case(k, draw_area(kt_range(40, 64), kt_range(100, 130), 1), 8 * kt_range(1, 4));
}

/* ---- the list ---- */

/* Every row of the list, of any op, is what dispatch takes at some level. */
static void check_picked(const void *unused)
{
    static const char *const level[] = {
        "c",
#define ISA(folder, name, ...) name,
#include "engine/isa.def"
        "native",
    };
    (void)unused;
#define KERNEL(op, isa, bits)                                                                      \
    {                                                                                              \
        int picked = 0;                                                                            \
        for (size_t i = 0; i < sizeof(level) / sizeof(level[0]); i++) {                            \
            uint32_t cpu;                                                                          \
            struct eng_kernels k;                                                                  \
            assert_int_equal(eng_cpu_parse(&cpu, level[i]), 0);                                    \
            eng_kernels_choose(&k, cpu);                                                           \
            picked |= k.op == &eng_##op##_##isa;                                                   \
        }                                                                                          \
        if (!picked)                                                                               \
            fail_msg("no level picks " #op " " #isa);                                              \
        assert_int_equal(eng_##op##_##isa.cpu_bits, bits);                                         \
    }
#include "engine/kernels/kernels.def"
#undef KERNEL
}

/* ---- the rows ---- */

#define ROW_pw_u8(isa, bits) {"pw_u8 " #isa, bits, &eng_pw_u8_##isa, check_pw_u8},
#define ROW_sum_u8(isa, bits) {"sum_u8 " #isa, bits, &eng_sum_u8_##isa, check_sum_u8},
#define ROW_dw_u8(isa, bits) {"dw_u8 " #isa, bits, &eng_dw_u8_##isa, check_dw_u8},
#define ROW_conv3_u8(isa, bits) {"conv3_u8 " #isa, bits, &eng_conv3_u8_##isa, check_conv3_u8},
#define ROW_gap_u8(isa, bits) {"gap_u8 " #isa, bits, &eng_gap_u8_##isa, check_gap_u8},
#define ROW_add_u8(isa, bits) {"add_u8 " #isa, bits, &eng_add_u8_##isa, check_add_u8},
#define ROW_mul_u8(isa, bits)
#define ROW_dwk_u8(isa, bits)
#define ROW_quant_f32(isa, bits)
#define ROW_act_f32(isa, bits)
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
static const struct kt_row rows[] = {
    {"every row can be picked", 0, NULL, check_picked},
#include "engine/kernels/kernels.def"
};

int main(void)
{
    return kt_main("kernels_u8", rows, sizeof(rows) / sizeof(rows[0]));
}
