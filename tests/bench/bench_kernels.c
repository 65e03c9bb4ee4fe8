/* Kernel benchmark: every row of kernels.def on the layer shapes of MobileNet V1 1.0/224.
 *
 * One thread. Each figure is the least of many short runs, the rows of one op taking turns, so that
 * a noisy neighbour costs rounds and not figures. Shares are of the machine's own measured peak of
 * the row's arithmetic (multiply-add = 2 operations), taken in the same turns.
 *
 *   bench_kernels [OP [ISA [SHAPE]]]     substrings that must occur in a row's op, isa, shape; a
 *                                        SHAPE such as =28x32x64s1 is run instead of the table's */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/kernels/kernel.h"

enum { ROUNDS = 60, PEAK_STEPS = 2000 };
static const double SLICE_NS = 300e3; /* one timed run */

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- peaks: independent chains of the widest instruction, nothing else ---- */

#if defined(__x86_64__)
#define CHAIN12(X)                                                                                 \
    X("0") X("1") X("2") X("3") X("4") X("5") X("6") X("7") X("8") X("9") X("10") X("11")
#define LOOP(X)                                                                                    \
    for (int i = 0; i < PEAK_STEPS; i++)                                                           \
    __asm__ volatile(CHAIN12(X) CHAIN12(X)::                                                       \
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
                           "xmm9", "xmm10", "xmm11")
/* 24 chains, for an instruction whose latency twelve do not hide. Only where AVX-512 is there. */
#define LOOP_HIGH(X)                                                                               \
    for (int i = 0; i < PEAK_STEPS; i++)                                                           \
    __asm__ volatile(CHAIN12(X) X("16") X("17") X("18") X("19") X("20") X("21") X("22") X("23")    \
                         X("24") X("25") X("26") X("27")::                                         \
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",     \
                               "xmm8", "xmm9", "xmm10", "xmm11")
#define VNNI512(r) "vpdpbusd %%zmm13, %%zmm12, %%zmm" r "\n\t"
#define VNNI256(r) "%{vex%} vpdpbusd %%ymm13, %%ymm12, %%ymm" r "\n\t"
#define MADD256(r) "vpmaddwd %%ymm13, %%ymm12, %%ymm" r "\n\t"
#define MADD512(r) "vpmaddwd %%zmm13, %%zmm12, %%zmm" r "\n\t"
#define BF16512(r) "vdpbf16ps %%zmm13, %%zmm12, %%zmm" r "\n\t"
#define FMA512(r) "vfmadd231ps %%zmm13, %%zmm12, %%zmm" r "\n\t"
#define FMA256(r) "vfmadd231ps %%ymm13, %%ymm12, %%ymm" r "\n\t"

static void zero_registers(void)
{
    __asm__ volatile("vxorps %%ymm12, %%ymm12, %%ymm12\n\tvxorps %%ymm13, %%ymm13, %%ymm13\n\t" ::
                         : "xmm12", "xmm13");
}

/* Operations a nanosecond of one slice; 0 where no widest instruction is known. */
static double peak_slice(uint32_t bits, int is_float)
{
    double ops = 0, from = now_ns();
    if (bits & (ENG_CPU_AVX2 | ENG_CPU_AVX512))
        zero_registers();
    if (is_float && bits & ENG_CPU_AVX512BF16) {
        LOOP_HIGH(BF16512);
        ops = 64;
    } else if (is_float && bits & ENG_CPU_AVX512) {
        LOOP(FMA512);
        ops = 32;
    } else if (is_float && bits & ENG_CPU_AVX2) {
        LOOP(FMA256);
        ops = 16;
    } else if (!is_float && bits & ENG_CPU_AVX512VNNI) {
        LOOP(VNNI512);
        ops = 128;
    } else if (!is_float && bits & ENG_CPU_AVX512) {
        LOOP(MADD512);
        ops = 64;
    } else if (!is_float && bits & ENG_CPU_AVXVNNI) {
        LOOP(VNNI256);
        ops = 64;
    } else if (!is_float && bits & ENG_CPU_AVX2) {
        LOOP(MADD256);
        ops = 32;
    }
    return ops * 24 * PEAK_STEPS / (now_ns() - from);
}
#else
static double peak_slice(uint32_t bits, int is_float)
{
    (void)bits;
    (void)is_float;
    return 0;
}
#endif

/* ---- shapes ---- */

struct shape {
    int hw, c, n, stride, times; /* map of the input, channels in and out, layers of this shape */
};
static const struct shape pw_shapes[] = {
    {112, 32, 64, 1, 1},   {56, 64, 128, 1, 1},   {56, 128, 128, 1, 1}, {28, 128, 256, 1, 1},
    {28, 256, 256, 1, 1},  {14, 256, 512, 1, 1},  {14, 512, 512, 1, 5}, {7, 512, 1024, 1, 1},
    {7, 1024, 1024, 1, 1}, {1, 1024, 1001, 1, 1},
};
static const struct shape dw_shapes[] = {
    {112, 32, 32, 1, 1},  {112, 64, 64, 2, 1},  {56, 128, 128, 1, 1},
    {56, 128, 128, 2, 1}, {28, 256, 256, 1, 1}, {28, 256, 256, 2, 1},
    {14, 512, 512, 1, 5}, {14, 512, 512, 2, 1}, {7, 1024, 1024, 1, 1},
};
static const struct shape dwk_shapes[] = {
    {28, 120, 120, 1, 1}, {14, 672, 672, 2, 1}, {7, 960, 960, 1, 1}};
static const struct shape conv3_shapes[] = {{224, 3, 32, 2, 1}};
static const struct shape sum_shapes[] = {{112, 32, 0, 1, 1}, {14, 512, 0, 1, 1}};
static const struct shape gap_shapes[] = {{7, 1024, 1024, 1, 1}};
static const struct shape quant_shapes[] = {{224, 3, 3, 1, 1}};

/* Buffers of one shape; contents are arbitrary but fixed. */
struct job {
    const struct shape *s;
    const void *kernel;
    char *in, *out;
    void *packed;
    void *weights, *bias, *scale, *zw;
    int32_t *sum;
    int out_hw;
};

/* All output rows of a square map. */
static struct eng_geometry geometry_of(const struct job *j, int pad)
{
    return (struct eng_geometry){.in_h = j->s->hw,
                                 .in_w = j->s->hw,
                                 .stride = j->s->stride,
                                 .top = pad,
                                 .left = pad,
                                 .out_w = j->out_hw,
                                 .y1 = j->out_hw};
}

static void *fresh(size_t bytes, int byte)
{
    void *p = aligned_alloc(64, (bytes + 2 * ENG_OVERREAD + 4096) / 64 * 64);
    if (!p) {
        fprintf(stderr, "bench_kernels: out of memory\n");
        exit(1);
    }
    memset(p, byte, bytes + 2 * ENG_OVERREAD);
    return p;
}

static void fill_floats(float *p, size_t n, float unit)
{
    for (size_t i = 0; i < n; i++)
        p[i] = unit * (float)((int)(i * 7919 % 255) - 127);
}

static void fill_bytes(uint8_t *p, size_t n, int from, int range)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(from + (int)(i * 7919 % 10007) % range);
}

static void job_make(struct job *j, const struct shape *s, const void *kernel, size_t element)
{
    size_t maps = (size_t)(s->hw * s->hw), c = (size_t)(s->c + 63) / 64 * 64;
    size_t n = (size_t)(s->n + 15) / 16 * 16, taps = s->c == 3 ? 27 : s->c > 9 ? (size_t)s->c : 9;
    *j = (struct job){.s = s, .kernel = kernel, .out_hw = (s->hw + s->stride - 1) / s->stride};
    j->in = fresh(maps * c * element, 0);
    j->out = fresh(maps * n * element, 0);
    j->weights = fresh(n * taps * element + c * 9 * element, 0);
    j->bias = fresh((n + c) * 4, 0);
    j->scale = fresh((n + c) * 4, 0);
    j->zw = fresh((n + c) * 4, 0);
    j->sum = fresh(maps * 4, 0);
    for (size_t i = 0; i < n + c; i++) {
        ((float *)j->scale)[i] = 0.0005f;
        ((int32_t *)j->zw)[i] = 128;
    }
    if (element == 1) {
        fill_bytes((uint8_t *)j->in, maps * c, 0, 255);
        fill_bytes(j->weights, n * taps, 1, 254);
    } else {
        fill_floats((float *)(void *)j->in, maps * c, 0.01f);
        fill_floats(j->weights, n * taps, 0.01f);
    }
}

static void job_free(struct job *j)
{
    free(j->in);
    free(j->out);
    free(j->packed);
    free(j->weights);
    free(j->bias);
    free(j->scale);
    free(j->zw);
    free(j->sum);
}

/* What ReLU6 leaves in nearly every layer. */
static const struct eng_requant requant = {.zero_point = 0, .lo = 0, .hi = 255};

/* ---- one op each: pack once, run once ---- */

static void pack_pw_u8(struct job *j)
{
    const struct eng_pw_u8_kernel *k = j->kernel;
    struct eng_pw_u8_weights w = {j->s->c, j->s->n, j->weights, 128, 3, j->bias, j->scale};
    j->packed = fresh(k->panel_bytes(j->s->c) * (size_t)((j->s->n + k->nr - 1) / k->nr), 0);
    k->pack(&w, j->packed);
}

static void run_pw_u8(struct job *j)
{
    const struct eng_pw_u8_kernel *k = j->kernel;
    size_t pixels = (size_t)(j->s->hw * j->s->hw);
    struct eng_pw_u8_args a = {.a = (uint8_t *)j->in,
                               .a_stride = pixels * 16 * (size_t)k->together,
                               .pixels = (int)pixels,
                               .k_blocks = (j->s->c + 15) / 16,
                               .panels = j->packed,
                               .n_panels = (j->s->n + k->nr - 1) / k->nr,
                               .n_blocks = (j->s->n + 15) / 16,
                               .out = (uint8_t *)j->out,
                               .out_stride = pixels * 16,
                               .rq = requant};
    k->run(&a);
}

static void pack_dw_u8(struct job *j)
{
    const struct eng_dw_u8_kernel *k = j->kernel;
    struct eng_dw_u8_weights w = {j->s->c, j->weights, j->zw, 3, j->bias, j->scale};
    j->packed = fresh(k->block_bytes * (size_t)((j->s->c + 15) / 16), 0);
    k->pack(&w, j->packed);
}

static void run_dw_u8(struct job *j)
{
    const struct eng_dw_u8_kernel *k = j->kernel;
    size_t hw = (size_t)j->s->hw, out_hw = (size_t)j->out_hw;
    struct eng_dw_u8_args a = {.in_row = hw * 16,
                               .geo = geometry_of(j, 2 - j->s->stride),
                               .out_row = out_hw * 16,
                               .out_pixel = 16,
                               .zx = 3,
                               .rq = requant};
    for (size_t b = 0; b < (size_t)(j->s->c + 15) / 16; b++) {
        a.in = (uint8_t *)j->in + b * hw * hw * 16 + ENG_OVERREAD;
        a.out = (uint8_t *)j->out + b * out_hw * out_hw * 16;
        a.block = (char *)j->packed + b * k->block_bytes;
        k->run(&a);
    }
}

static void pack_conv3_u8(struct job *j)
{
    const struct eng_conv3_u8_kernel *k = j->kernel;
    struct eng_conv3_u8_weights w = {j->s->n, j->weights, j->zw, 3, j->bias, j->scale};
    j->packed = fresh(k->packed_bytes(j->s->n), 0);
    k->pack(&w, j->packed);
}

static void run_conv3_u8(struct job *j)
{
    const struct eng_conv3_u8_kernel *k = j->kernel;
    size_t out_hw = (size_t)j->out_hw;
    struct eng_conv3_u8_args a = {.in = (uint8_t *)j->in + ENG_OVERREAD,
                                  .geo = geometry_of(j, 0),
                                  .n_blocks = (j->s->n + 15) / 16,
                                  .packed = j->packed,
                                  .out = (uint8_t *)j->out,
                                  .out_row = out_hw * 16,
                                  .out_stride = out_hw * out_hw * 16,
                                  .zx = 3,
                                  .rq = requant};
    k->run(&a);
}

static void pack_nothing(struct job *j)
{
    (void)j;
}

static void run_sum_u8(struct job *j)
{
    const struct eng_sum_u8_kernel *k = j->kernel;
    int pixels = j->s->hw * j->s->hw;
    k->run((uint8_t *)j->in, (size_t)pixels * 16, pixels, (j->s->c + 15) / 16, j->sum);
}

static void run_gap_u8(struct job *j)
{
    const struct eng_gap_u8_kernel *k = j->kernel;
    int pixels = j->s->hw * j->s->hw;
    for (int b = 0; b < (j->s->c + 15) / 16; b++)
        k->run((uint8_t *)j->in + (size_t)(b * pixels) * 16, pixels, j->sum);
}

static void run_add_u8(struct job *j)
{
    const struct eng_add_u8_kernel *k = j->kernel;
    int n = j->s->hw * j->s->hw * ((j->s->c + 15) / 16) * 16;
    k->run(&(struct eng_add_u8_args){.a = (uint8_t *)j->in,
                                     .b = (uint8_t *)j->in,
                                     .out = (uint8_t *)j->out,
                                     .n = n,
                                     .ka = 1 << 20,
                                     .kb = 3 << 18,
                                     .shift = 21,
                                     .hi = 255});
}

static void run_mul_u8(struct job *j)
{
    const struct eng_mul_u8_kernel *k = j->kernel;
    k->run(&(struct eng_mul_u8_args){.a = (uint8_t *)j->in,
                                     .b = (uint8_t *)j->in,
                                     .out = (uint8_t *)j->out,
                                     .pixels = j->s->hw * j->s->hw * ((j->s->c + 15) / 16),
                                     .per_channel = 1,
                                     .za = 128,
                                     .scale = 0.01f,
                                     .hi = 255});
}

static void run_quant_f32(struct job *j)
{
    const struct eng_quant_f32_kernel *k = j->kernel;
    k->run(&(struct eng_quant_f32_args){.in = (float *)(void *)j->in,
                                        .out = (uint8_t *)j->out,
                                        .n = (size_t)(j->s->hw * j->s->hw * j->s->c),
                                        .scale = 0.01f,
                                        .zero_point = 128,
                                        .hi = 255});
}

#define TYPE f32
#define ELEM float
#define IMAGE float
#define PW_TOGETHER(k) 1u
#define DW_PUT_PIXEL(a)
#include "tests/bench/float_jobs.inc"
#undef TYPE
#undef ELEM
#undef PW_TOGETHER
#undef DW_PUT_PIXEL

#define TYPE bf16
#define ELEM uint16_t
#define PW_TOGETHER(k) ((size_t)(k)->together)
#define DW_PUT_PIXEL(a) (a).out_pixel = 16
#include "tests/bench/float_jobs.inc"

/* Five by five, stride 1 or 2: what MobileNet V3 has beside 3x3. */
static void pack_dwk_f32(struct job *j)
{
    const struct eng_dwk_f32_kernel *k = j->kernel;
    struct eng_dwk_f32_weights w = {j->s->c, 25, j->weights, j->bias};
    j->packed = fresh(k->block_bytes(25) * (size_t)((j->s->c + 15) / 16), 0);
    k->pack(&w, j->packed);
}

static void run_dwk_f32(struct job *j)
{
    const struct eng_dwk_f32_kernel *k = j->kernel;
    size_t hw = (size_t)j->s->hw, out_hw = (size_t)j->out_hw;
    struct eng_dwk_f32_args a = {.in_row = hw * 16,
                                 .in_h = j->s->hw,
                                 .in_w = j->s->hw,
                                 .kh = 5,
                                 .kw = 5,
                                 .sh = j->s->stride,
                                 .sw = j->s->stride,
                                 .dh = 1,
                                 .dw = 1,
                                 .top = 3 - j->s->stride,
                                 .left = 3 - j->s->stride,
                                 .out_w = j->out_hw,
                                 .y1 = j->out_hw,
                                 .out_row = out_hw * 16,
                                 .hi = 6};
    for (size_t b = 0; b < (size_t)(j->s->c + 15) / 16; b++) {
        a.in = (float *)(void *)(j->in + ENG_OVERREAD) + b * hw * hw * 16;
        a.out = (float *)(void *)j->out + b * out_hw * out_hw * 16;
        a.block = (char *)j->packed + b * k->block_bytes(25);
        k->run(&a);
    }
}

static void pack_dwk_u8(struct job *j)
{
    const struct eng_dwk_u8_kernel *k = j->kernel;
    struct eng_dwk_u8_weights w = {.channels = j->s->c,
                                   .taps = 25,
                                   .w = (uint8_t *)j->weights,
                                   .zw = j->zw,
                                   .bias = (int32_t *)j->bias,
                                   .scale = j->scale};
    j->packed = fresh(k->block_bytes(25) * (size_t)((j->s->c + 15) / 16), 0);
    k->pack(&w, j->packed);
}

static void run_dwk_u8(struct job *j)
{
    const struct eng_dwk_u8_kernel *k = j->kernel;
    size_t hw = (size_t)j->s->hw, out_hw = (size_t)j->out_hw;
    struct eng_dwk_u8_args a = {.in_row = hw * 16,
                                .in_h = j->s->hw,
                                .in_w = j->s->hw,
                                .kh = 5,
                                .kw = 5,
                                .sh = j->s->stride,
                                .sw = j->s->stride,
                                .dh = 1,
                                .dw = 1,
                                .top = 3 - j->s->stride,
                                .left = 3 - j->s->stride,
                                .out_w = j->out_hw,
                                .y1 = j->out_hw,
                                .out_row = out_hw * 16,
                                .rq = {0, 0, 255}};
    a.scratch = aligned_alloc(ENG_ALIGN, k->scratch_bytes(&a));
    if (!a.scratch)
        exit(1);
    for (size_t b = 0; b < (size_t)(j->s->c + 15) / 16; b++) {
        a.in = (uint8_t *)j->in + ENG_OVERREAD + b * hw * hw * 16;
        a.out = (uint8_t *)j->out + b * out_hw * out_hw * 16;
        a.block = (char *)j->packed + b * k->block_bytes(25);
        k->run(&a);
    }
    free(a.scratch);
}

/* ---- block-sparse pointwise: every other input channel, in other places for each panel ---- */

static void pack_spw_f32(struct job *j)
{
    const struct eng_spw_f32_kernel *k = j->kernel;
    size_t c = (size_t)j->s->c, count = c * (size_t)j->s->n;
    float *w = fresh(count * sizeof(*w), 0);
    for (size_t i = 0; i < count; i++)
        w[i] = (i % c + i / c / 16) % 2 ? ((const float *)(const void *)j->weights)[i] : 0;
    struct eng_pw_f32_weights weights = {j->s->c, j->s->n, w, (const void *)j->bias};
    int taps = k->taps(&weights);
    j->packed = fresh(k->panel_bytes(taps) * (size_t)((j->s->n + 15) / 16), 0);
    k->pack(&weights, taps, j->packed);
    free(w);
}

static void run_spw_f32(struct job *j)
{
    const struct eng_spw_f32_kernel *k = j->kernel;
    size_t pixels = (size_t)(j->s->hw * j->s->hw);
    struct eng_pw_f32_args a = {.a = (float *)(void *)j->in,
                                .a_stride = pixels * 16,
                                .pixels = (int)pixels,
                                .k_blocks = (j->s->c + 15) / 16,
                                .panels = j->packed,
                                .n_panels = (j->s->n + 15) / 16,
                                .n_blocks = (j->s->n + 15) / 16,
                                .out = (float *)(void *)j->out,
                                .out_stride = pixels * 16,
                                .hi = 6,
                                .taps = (j->s->c + 1) / 2};
    k->run(&a);
}

#include "tests/bench/f32x_jobs.inc"

/* ---- tables ---- */

struct op {
    const char *name;
    const struct shape *shapes;
    size_t n_shapes;
    int is_float;
    void (*pack)(struct job *j);
    void (*run)(struct job *j);
    int taps; /* multiply-adds: per output value, 0 = channels in */
};
#define SHAPES(s) s, sizeof(s) / sizeof(s[0])
static const struct op ops[] = {
    {"pw_u8", SHAPES(pw_shapes), 0, pack_pw_u8, run_pw_u8, 0},
    {"sum_u8", SHAPES(sum_shapes), 0, pack_nothing, run_sum_u8, 0},
    {"dw_u8", SHAPES(dw_shapes), 0, pack_dw_u8, run_dw_u8, 9},
    {"conv3_u8", SHAPES(conv3_shapes), 0, pack_conv3_u8, run_conv3_u8, 27},
    {"gap_u8", SHAPES(gap_shapes), 0, pack_nothing, run_gap_u8, 1},
    {"add_u8", SHAPES(gap_shapes), 0, pack_nothing, run_add_u8, 1},
    {"mul_u8", SHAPES(gap_shapes), 0, pack_nothing, run_mul_u8, 1},
    {"dwk_u8", SHAPES(dwk_shapes), 0, pack_dwk_u8, run_dwk_u8, 25},
    {"quant_f32", SHAPES(quant_shapes), 1, pack_nothing, run_quant_f32, 1},
    {"pw_f32", SHAPES(pw_shapes), 1, pack_pw_f32, run_pw_f32, 0},
    {"spw_f32", SHAPES(pw_shapes), 1, pack_spw_f32, run_spw_f32, 0},
    {"pw_f32x", SHAPES(pw_shapes), 1, pack_pw_f32x, run_pw_f32x, 0},
    {"dw_f32", SHAPES(dw_shapes), 1, pack_dw_f32, run_dw_f32, 9},
    {"dwk_f32", SHAPES(dwk_shapes), 1, pack_dwk_f32, run_dwk_f32, 25},
    {"conv3_f32", SHAPES(conv3_shapes), 1, pack_conv3_f32, run_conv3_f32, 27},
    {"pw_bf16", SHAPES(pw_shapes), 1, pack_pw_bf16, run_pw_bf16, 0},
    {"dw_bf16", SHAPES(dw_shapes), 1, pack_dw_bf16, run_dw_bf16, 9},
    {"conv3_bf16", SHAPES(conv3_shapes), 1, pack_conv3_bf16, run_conv3_bf16, 27},
};

struct row {
    const char *op, *isa;
    uint32_t bits;
    const void *kernel;
};
#define KERNEL(op, isa, bits) {#op, #isa, bits, &eng_##op##_##isa},
static const struct row rows[] = {
#include "engine/kernels/kernels.def"
};
#undef KERNEL
enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };

static double macs(const struct op *op, const struct shape *s)
{
    double out_hw = (s->hw + s->stride - 1) / s->stride;
    return out_hw * out_hw * (s->n ? s->n : 1) * (op->taps ? op->taps : s->c);
}

static void measure(const struct op *op, const struct shape *s, const struct row *row,
                    uint32_t bits, double *total_ns)
{
    struct job j;
    job_make(&j, s, row->kernel, op->is_float ? 4 : 1);
    op->pack(&j);
    double from = now_ns();
    op->run(&j);
    int times = (int)(SLICE_NS / (now_ns() - from + 1)) + 1;
    double best = 1e18, peak = 0;
    for (int r = 0; r < ROUNDS; r++) {
        double p = peak_slice(row->bits & bits, op->is_float);
        peak = p > peak ? p : peak;
        from = now_ns();
        for (int i = 0; i < times; i++)
            op->run(&j);
        double ns = (now_ns() - from) / times;
        best = ns < best ? ns : best;
    }
    double gops = 2 * macs(op, s) / best;
    printf("%-9s %-11s %3d %4d->%-4d s%d x%d %9.2f us %8.1f GOP/s", op->name, row->isa, s->hw, s->c,
           s->n, s->stride, s->times, best / 1e3, gops);
    if (peak > 0)
        printf(" %6.1f %% of %.0f", 100 * gops / peak, peak);
    printf("\n");
    *total_ns += best * s->times;
    job_free(&j);
}

static void run_row(const struct op *op, const struct row *row, uint32_t bits, const char *wanted)
{
    struct shape own = {.times = 1};
    double total = 0;
    if (wanted && sscanf(wanted, "=%dx%dx%ds%d", &own.hw, &own.c, &own.n, &own.stride) == 4) {
        measure(op, &own, row, bits, &total);
        return;
    }
    for (size_t s = 0; s < op->n_shapes; s++) {
        char shape[64];
        snprintf(shape, sizeof(shape), "%dx%dx%d", op->shapes[s].hw, op->shapes[s].c,
                 op->shapes[s].n);
        if (!wanted || strstr(shape, wanted))
            measure(op, &op->shapes[s], row, bits, &total);
    }
    printf("%-9s %-11s all layers %9.2f us\n", op->name, row->isa, total / 1e3);
}

int main(int argc, char **argv)
{
    uint32_t bits = eng_cpu_detect();
    for (size_t o = 0; o < sizeof(ops) / sizeof(ops[0]); o++)
        for (int r = 0; r < N_ROWS; r++) {
            const struct op *op = &ops[o];
            if (strcmp(rows[r].op, op->name) == 0 && (rows[r].bits & bits) == rows[r].bits &&
                (argc <= 1 || strstr(op->name, argv[1])) &&
                (argc <= 2 || strstr(rows[r].isa, argv[2])))
                run_row(op, &rows[r], bits, argc > 3 ? argv[3] : NULL);
        }
    return 0;
}
