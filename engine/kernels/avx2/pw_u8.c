/* u8 pointwise on AVX2. A group of pixels is laid out as cells once; then a panel's weights, a
 * chunk of k at a time, are widened into the nearest cache for all of its tiles. */
#include "engine/kernels/avx2/tile.h"

enum {
    CHUNK_BLOCKS = 32,   /* channel blocks of a panel used at a time: 16 KB */
    GROUP = 224,         /* pixels */
    CELLS = GROUP * 512, /* activations laid out at a time */
    FEW = 8,             /* so many k are multiplied as they are */
};

static int needs_sum(const struct eng_pw_u8_weights *w)
{
    (void)w;
    return 0;
}

/* A struct panel and its weights as signed bytes, w - 128: zw - 128 is taken off where they are
 * widened. */
static size_t panel_bytes(int k)
{
    return sizeof(struct panel) + ((size_t)k + 15) / 16 * BLOCK_WEIGHTS;
}

static void pack(const struct eng_pw_u8_weights *w, void *dst)
{
    size_t bytes = panel_bytes(w->k);
    memset(dst, w->zw ^ 0x80, bytes * (size_t)((w->n + NR - 1) / NR));
    for (int n = 0; n < w->n; n++) {
        char *at = (char *)dst + (size_t)(n / NR) * bytes;
        struct panel *p = (struct panel *)(void *)at;
        struct channel c = {.w = w->w + (size_t)n * (size_t)w->k,
                            .k = w->k,
                            .zw = w->zw,
                            .zx = w->zx,
                            .bias = w->bias ? w->bias[n] : 0,
                            .scale = w->scale[n]};
        if (n % NR == 0)
            *p = (struct panel){.zw = w->zw - 128, .few = w->k <= FEW};
        pack_channel(p, n % NR, &c);
        for (int k = 0; k < w->k; k++)
            at[sizeof(*p) + (size_t)weight_at(n % NR, k)] = (char)(c.w[k] ^ 0x80);
    }
}

struct group {
    int16_t w[CHUNK_BLOCKS * BLOCK_WEIGHTS] __attribute__((aligned(64)));
    int16_t x[CELLS] __attribute__((aligned(64))); /* [tile][channel block] */
    vec sums[GROUP][NR / LANES];
    int32_t cross[GROUP];
    int pixels;
};

/* Whole tiles: what stands behind the last pixel is read, and never used. */
static void lay_out(struct group *g, const struct eng_pw_u8_args *a, int pixel, int from, int to)
{
    int16_t *x = g->x;
    for (int i = 0; i < g->pixels; i += MR) {
        const uint8_t *at = a->a + (size_t)from * a->a_stride + (size_t)(pixel + i) * ENG_BLOCK;
        vec cross[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        for (int b = from; b < to; b++, at += a->a_stride, x += BLOCK_CELLS)
            lay_pixels(x, at, cross);
        add_parts(g->cross + i, cross);
    }
}

static void widen_weights(int16_t *to, const struct panel *p, int from, int n_blocks)
{
    const __m128i *w = (const __m128i *)(const void *)(p + 1) + (size_t)from * BLOCK_WEIGHTS / 16;
    const vec zw = _mm256_set1_epi16((short)p->zw);
#pragma GCC unroll 8
    for (int i = 0; i < n_blocks * BLOCK_WEIGHTS / 16; i++)
        _mm256_store_si256((vec *)(void *)(to + i * 16),
                           _mm256_sub_epi16(_mm256_cvtepi8_epi16(_mm_load_si128(w + i)), zw));
}

/* ---- one pixel: widened weights would be stored to be loaded once ----
 *
 * Weights stay bytes: upper and lower halves of activations, at most 15, do not saturate
 * vpmaddubsw, and SINGLE_STEPS of them not its sums. */

enum {
    SINGLE_STEPS = 8, /* 8 * 2 * 15 * 128 < 2^15 */
    STEP_BYTES = 2 * sizeof(vec),
    SINGLE_BLOCKS = CELLS * 2 / (ENG_BLOCK / STEP * STEP_BYTES),
};

/* For each step its words as weights have them, odd k and then even k, of upper halves and of lower
 * halves. Returns the sum of the pixel. */
static int32_t lay_out_single(struct group *g, const struct eng_pw_u8_args *a, int pixel)
{
    const __m128i half = _mm_set1_epi8(15);
    const vec odd_even = _mm256_setr_m128i(_mm_set1_epi16(0x0301), _mm_set1_epi16(0x0200));
    vec *to = (vec *)(void *)g->x;
    __m128i sum = _mm_setzero_si128();
    for (int b = 0; b < a->k_blocks; b++) {
        const uint8_t *at = a->a + (size_t)b * a->a_stride + (size_t)pixel * ENG_BLOCK;
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)at);
        vec upper = _mm256_broadcastsi128_si256(_mm_and_si128(_mm_srli_epi16(x, 4), half));
        vec lower = _mm256_broadcastsi128_si256(_mm_and_si128(x, half));
        sum = _mm_add_epi32(sum, _mm_sad_epu8(x, _mm_setzero_si128()));
        for (int s = 0; s < ENG_BLOCK / STEP; s++) {
            vec order = _mm256_add_epi8(odd_even, _mm256_set1_epi8((char)(s * STEP)));
            *to++ = _mm256_shuffle_epi8(upper, order);
            *to++ = _mm256_shuffle_epi8(lower, order);
        }
    }
    return _mm_cvtsi128_si32(sum) + _mm_extract_epi32(sum, 2);
}

/* sums[0], sums[1] += lanes 0-3 and lanes 4-7, odd k and even k side by side. */
INLINE void add_halves(vec sums[2], vec upper, vec lower)
{
    const vec parts = _mm256_set1_epi32(1 << 16 | 16);
    sums[0] = v_add(sums[0], _mm256_madd_epi16(_mm256_unpacklo_epi16(upper, lower), parts));
    sums[1] = v_add(sums[1], _mm256_madd_epi16(_mm256_unpackhi_epi16(upper, lower), parts));
}

INLINE void single_steps(vec sums[NR / LANES][2], const vec *x, const vec *w, int steps)
{
    vec upper[NR / LANES] = {0}, lower[NR / LANES] = {0};
#pragma GCC unroll 8
    for (int s = 0; s < steps; s++)
#pragma GCC unroll 2
        for (int v = 0; v < NR / LANES; v++) {
            vec products, others;
            __asm__ volatile(
                "vpmaddubsw %[w], %[x0], %[products]\n\t"
                "vpmaddubsw %[w], %[x1], %[others]\n\t"
                "vpaddw %[products], %[upper], %[upper]\n\t"
                "vpaddw %[others], %[lower], %[lower]"
                : [upper] "+x"(upper[v]), [lower] "+x"(lower[v]), [products] "=&x"(products),
                  [others] "=&x"(others)
                : [x0] "x"(x[s * 2]), [x1] "x"(x[s * 2 + 1]), [w] "x"(w[s * (NR / LANES) + v]));
        }
#pragma GCC unroll 2
    for (int v = 0; v < NR / LANES; v++)
        add_halves(sums[v], upper[v], lower[v]);
}

static void run_single(struct group *g, const struct panel *p, int k_blocks, int32_t sum)
{
    const vec *w = (const vec *)(const void *)(p + 1), *x = (const vec *)(const void *)g->x;
    vec sums[NR / LANES][2] = {0};
    int steps = k_blocks * ENG_BLOCK / STEP;
    for (; steps >= SINGLE_STEPS; steps -= SINGLE_STEPS) {
        single_steps(sums, x, w, SINGLE_STEPS);
        x += SINGLE_STEPS * 2;
        w += SINGLE_STEPS * (NR / LANES);
    }
    if (steps > 0)
        single_steps(sums, x, w, SINGLE_STEPS / 2);
    vec zero = v_set1(eng_mul32(p->zw, sum));
#pragma GCC unroll 2
    for (int v = 0; v < NR / LANES; v++) {
        vec odd = _mm256_permute2x128_si256(sums[v][0], sums[v][1], 0x20);
        vec even = _mm256_permute2x128_si256(sums[v][0], sums[v][1], 0x31);
        g->sums[0][v] =
            v_add(_mm256_sub_epi32(v_load(p->bias + v * LANES), zero), v_add(odd, even));
    }
}

/* One panel for a group; `whole`: all k are laid out. */
static void run_panel(struct group *g, const struct eng_pw_u8_args *a, int pixel, int whole,
                      const struct panel *p)
{
    for (int b = 0; b < a->k_blocks; b += CHUNK_BLOCKS) {
        int n = a->k_blocks - b < CHUNK_BLOCKS ? a->k_blocks - b : CHUNK_BLOCKS;
        struct tiles t = {.x = g->x + (whole ? b * BLOCK_CELLS : 0),
                          .w = g->w,
                          .cells = (size_t)(whole ? a->k_blocks : n) * BLOCK_CELLS,
                          .blocks = n,
                          .pixels = g->pixels,
                          .bias = b == 0 ? p->bias_of_tiles : NULL,
                          .cross = b == 0 || !whole ? g->cross : NULL,
                          .sums = g->sums};
        if (!whole)
            lay_out(g, a, pixel, b, b + n);
        widen_weights(g->w, p, b, n);
        tiles_run(&t, 0);
    }
}

/* ---- few k: making crosses and taking them off would cost what they save ---- */

/* Words of even k and words of odd k of each pixel. */
static void lay_out_few(struct group *g, const uint8_t *a)
{
    const vec split = _mm256_setr_epi8(0, -1, 2, -1, 4, -1, 6, -1, 1, -1, 3, -1, 5, -1, 7, -1, 0,
                                       -1, 2, -1, 4, -1, 6, -1, 1, -1, 3, -1, 5, -1, 7, -1);
    for (int i = 0; i < g->pixels; i += 2)
        _mm256_store_si256((vec *)(void *)(g->x + i * FEW),
                           _mm256_shuffle_epi8(v_load(a + (size_t)i * ENG_BLOCK), split));
}

/* All weights stay in registers. */
static __attribute__((noinline)) void tiles_few(const struct tiles *t)
{
    vec w[FEW];
#pragma GCC unroll 8
    for (int i = 0; i < FEW; i++)
        w[i] = v_load(t->w + i * LANES * 2);
    const int16_t *x = t->x;
    for (int i = 0; i < t->pixels; i++, x += FEW) {
        vec even0 = v_word(x), even1 = v_word(x + 2), odd0 = v_word(x + 4), odd1 = v_word(x + 6);
#pragma GCC unroll 2
        for (int v = 0; v < NR / LANES; v++) {
            vec s0 =
                v_add(_mm256_madd_epi16(odd0, w[v * 2]), _mm256_madd_epi16(even0, w[v * 2 + 1]));
            vec s1 = v_add(_mm256_madd_epi16(odd1, w[v * 2 + 4]),
                           _mm256_madd_epi16(even1, w[v * 2 + 5]));
            t->sums[i][v] = v_add(v_add(s0, s1), v_load(t->bias + v * LANES));
        }
    }
}

static void run_few(struct group *g, const struct panel *p)
{
    widen_weights(g->w, p, 0, 1);
    tiles_few(&(struct tiles){
        .x = g->x, .w = g->w, .pixels = g->pixels, .bias = p->bias, .sums = g->sums});
}

static void run(const struct eng_pw_u8_args *a)
{
    struct group g;
    struct finish f = finish_load(&a->rq);
    size_t bytes = panel_bytes(a->k_blocks * ENG_BLOCK);
    int fit = CELLS / (a->k_blocks * BLOCK_CELLS) * MR, whole = fit > 0;
    int most = !whole || fit > GROUP ? GROUP : fit;
    int few = ((const struct panel *)a->panels)->few;
    for (int pixel = 0; pixel < a->pixels; pixel += most) {
        g.pixels = a->pixels - pixel < most ? a->pixels - pixel : most;
        int32_t sum = 0;
        int single = g.pixels == 1 && a->k_blocks <= SINGLE_BLOCKS;
        if (single)
            sum = lay_out_single(&g, a, pixel);
        else if (few)
            lay_out_few(&g, a->a + (size_t)pixel * ENG_BLOCK);
        else if (whole)
            lay_out(&g, a, pixel, 0, a->k_blocks);
        for (int n = 0; n < a->n_panels && n < a->n_blocks; n++) {
            const char *at = (const char *)a->panels + (size_t)n * bytes;
            const struct panel *p = (const struct panel *)(const void *)at;
            if (single)
                run_single(&g, p, a->k_blocks, sum);
            else if (few)
                run_few(&g, p);
            else
                run_panel(&g, a, pixel, whole, p);
            finish(p, g.sums, g.pixels, &f,
                   a->out + (size_t)n * a->out_stride + (size_t)pixel * ENG_BLOCK);
        }
    }
}

const struct eng_pw_u8_kernel eng_pw_u8_avx2 = {
    .name = "pw_u8_avx2",
    .cpu_bits = ENG_CPU_AVX2,
    .mr = MR,
    .nr = NR,
    .together = 1,
    /* Measured: 26. By that, the model parts the last pixels of a map of 7x7 from the others, which
     * is no faster and takes 0.2 % more instructions. */
    .macs = 128,
    .panel_bytes = panel_bytes,
    .pack = pack,
    .needs_sum = needs_sum,
    .run = run,
};
