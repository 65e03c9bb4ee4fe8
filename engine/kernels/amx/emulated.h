/* ops.h in C, for tests alone. Tiles follow the manual's pseudo-code, and what the processor would
 * fault for ends the process. Each thread has tiles of its own, as on the processor. */
#ifndef ENG_KERNELS_AMX_EMULATED_H
#define ENG_KERNELS_AMX_EMULATED_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/bf16.h"
#include "engine/kernels/amx/config.h"
#include "engine/kernels/kernel.h"
#include "engine/kernels/parts.h"

#define INLINE static inline

static _Thread_local struct {
    struct tile_config config; /* palette 0: released */
    uint8_t at[8][TILE_ROWS][TILE_ROW];
} tile_state;

INLINE void tiles_configure(const struct tile_config *c)
{
    tile_state.config = *c;
    memset(tile_state.at, 0, sizeof(tile_state.at));
    for (int t = 0; t < 8; t++)
        if (c->palette != 1 || c->rows[t] > TILE_ROWS || c->row_bytes[t] > TILE_ROW)
            abort();
}

INLINE void tiles_release(void)
{
    memset(&tile_state, 0, sizeof(tile_state));
}

INLINE void tile_needs_config(int t)
{
    if (tile_state.config.palette != 1 || tile_state.config.rows[t] == 0)
        abort();
}

/* Rows behind the configured ones become zero. */
INLINE void tile_load(int t, const void *from, long stride)
{
    tile_needs_config(t);
    memset(tile_state.at[t], 0, sizeof(tile_state.at[t]));
    for (int r = 0; r < tile_state.config.rows[t]; r++)
        memcpy(tile_state.at[t][r], (const char *)from + r * stride,
               tile_state.config.row_bytes[t]);
}

INLINE void tile_store(int t, void *to, long stride)
{
    tile_needs_config(t);
    for (int r = 0; r < tile_state.config.rows[t]; r++)
        memcpy((char *)to + r * stride, tile_state.at[t][r], tile_state.config.row_bytes[t]);
}

/* What the product of tiles asks of their sizes; else the processor faults. */
INLINE void tile_fits(int c, int a, int b)
{
    const struct tile_config *k = &tile_state.config;
    tile_needs_config(a);
    tile_needs_config(b);
    tile_needs_config(c);
    if (k->rows[c] != k->rows[a] || k->row_bytes[c] != k->row_bytes[b] ||
        k->row_bytes[a] != k->rows[b] * 4 || c == a || a == b || c == b)
        abort();
}

/* Bytes behind the configured ones are zero, so that whole rows can be taken. */
INLINE void tile_dot_u8(int c, int a, int b)
{
    tile_fits(c, a, b);
    for (int m = 0; m < tile_state.config.rows[a]; m++) {
        uint32_t sum[16];
        memcpy(sum, tile_state.at[c][m], sizeof(sum));
        for (int k = 0; k < tile_state.config.row_bytes[a]; k++) {
            int x = tile_state.at[a][m][k];
            for (int n = 0; n < 16; n++)
                sum[n] += (uint32_t)(x * (int8_t)tile_state.at[b][k / 4][4 * n + k % 4]);
        }
        memcpy(tile_state.at[c][m], sum, sizeof(sum));
    }
}

INLINE float flushed(float x)
{
    return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x;
}

INLINE float bf16_at(const uint8_t *at)
{
    uint16_t x;
    memcpy(&x, at, sizeof(x));
    return flushed(eng_bf16_to_f32(x));
}

/* Even and odd inputs apart, each by FMAs in their order. */
INLINE void tile_dot_bf16(int c, int a, int b)
{
    tile_fits(c, a, b);
    for (int m = 0; m < tile_state.config.rows[a]; m++)
        for (int n = 0; n < tile_state.config.row_bytes[b] / 4; n++) {
            float sum, part[2] = {0, 0};
            for (int k = 0; k < tile_state.config.row_bytes[a] / 2; k++)
                part[k % 2] = flushed(fmaf(bf16_at(&tile_state.at[a][m][2 * k]),
                                           bf16_at(&tile_state.at[b][k / 2][4 * n + k % 2 * 2]),
                                           part[k % 2]));
            memcpy(&sum, &tile_state.at[c][m][4 * n], sizeof(sum));
            sum = flushed(flushed(sum) + flushed(part[0] + part[1]));
            memcpy(&tile_state.at[c][m][4 * n], &sum, sizeof(sum));
        }
}

#define TILE_LOAD(t, from, stride) tile_load(t, from, (long)(stride))
#define TILE_STORE(t, to, stride) tile_store(t, to, (long)(stride))
#define TILE_DOT_U8(c, a, b) tile_dot_u8(c, a, b)
#define TILE_DOT_BF16(c, a, b) tile_dot_bf16(c, a, b)
#define TILE_ZERO(t) (tile_needs_config(t), memset(tile_state.at[t], 0, sizeof(tile_state.at[t])))

/* ---- vectors ---- */

typedef struct {
    int32_t of[16];
} vec;
typedef struct {
    float of[16];
} floats;

INLINE vec vec_load(const void *from)
{
    vec v;
    memcpy(&v, __builtin_assume_aligned(from, 64), sizeof(v));
    return v;
}

INLINE floats floats_load(const float *from)
{
    floats v;
    memcpy(&v, from, sizeof(v));
    return v;
}

INLINE floats floats_set1(float x)
{
    floats v;
    for (int i = 0; i < 16; i++)
        v.of[i] = x;
    return v;
}

/* As MAXPS and MINPS: the second operand where one is no number. */
INLINE floats floats_clamp(floats x, floats lo, floats hi)
{
    for (int i = 0; i < 16; i++) {
        float v = x.of[i] > lo.of[i] ? x.of[i] : lo.of[i];
        x.of[i] = v < hi.of[i] ? v : hi.of[i];
    }
    return x;
}

INLINE void floats_store(float *to, floats x)
{
    memcpy(to, &x, sizeof(x));
}

INLINE floats floats_sub(floats a, floats b)
{
    for (int i = 0; i < 16; i++)
        a.of[i] -= b.of[i];
    return a;
}

INLINE floats floats_part(floats x)
{
    for (int i = 0; i < 16; i++)
        x.of[i] = eng_bf16_to_f32(part_of(x.of[i]));
    return x;
}

INLINE void parts_store(uint16_t *to, floats a, floats b)
{
    for (int i = 0; i < 32; i++) {
        uint32_t bits;
        memcpy(&bits, i < 16 ? &a.of[i] : &b.of[i - 16], sizeof(bits));
        to[i] = (uint16_t)(bits >> 16);
    }
}

INLINE void bf16_store_one(uint16_t *to, floats x)
{
    for (int i = 0; i < 16; i++)
        to[i] = eng_bf16_from_f32(x.of[i]);
}

INLINE void bf16_put(uint16_t *to, const float *from, uint32_t bits)
{
    floats v;
    for (int i = 0; i < 16; i++)
        v.of[i] = bits >> i & 1 ? from[i] : 0;
    bf16_store_one(to, v);
}

INLINE void bf16_store_two(uint16_t *to, floats a, floats b)
{
    bf16_store_one(to, a);
    bf16_store_one(to + 16, b);
}

INLINE vec vec_set1(int32_t x)
{
    vec v;
    for (int i = 0; i < 16; i++)
        v.of[i] = x;
    return v;
}

INLINE vec vec_zero(void)
{
    return vec_set1(0);
}

INLINE vec vec_add(vec a, vec b)
{
    for (int i = 0; i < 16; i++)
        a.of[i] = (int32_t)((uint32_t)a.of[i] + (uint32_t)b.of[i]);
    return a;
}

INLINE vec vec_dot_u8(vec sum, vec x, vec w)
{
    uint8_t bytes[64];
    int8_t weights[64];
    memcpy(bytes, &x, sizeof(bytes));
    memcpy(weights, &w, sizeof(weights));
    for (int i = 0; i < 64; i++)
        sum.of[i / 4] = (int32_t)((uint32_t)sum.of[i / 4] + (uint32_t)(bytes[i] * weights[i]));
    return sum;
}

/* ---- as ../avx512vnni/requant.h ---- */

struct rq512 {
    struct eng_requant rq;
};

INLINE struct rq512 rq512_load(const struct eng_requant *rq)
{
    return (struct rq512){*rq};
}

/* The instruction's answer where there is no int. */
INLINE int32_t rounded(float x)
{
    return x >= -0x1p31f && x < 0x1p31f ? (int32_t)nearbyintf(x) : INT32_MIN;
}

INLINE vec rq512_round_known(vec acc, floats scale)
{
    for (int i = 0; i < 16; i++)
        acc.of[i] = rounded((float)acc.of[i] * scale.of[i]);
    return acc;
}

INLINE vec rq512_round(vec acc, floats scale, const struct rq512 *q)
{
    float most = (float)(q->rq.hi - q->rq.zero_point);
    for (int i = 0; i < 16; i++) {
        float v = (float)acc.of[i] * scale.of[i];
        acc.of[i] = rounded(v < most ? v : most);
    }
    return acc;
}

INLINE int clamped(int x, int lo, int hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

INLINE vec rq512_pack(vec a, vec b, vec c, vec d, const struct rq512 *q)
{
    const vec *pixel[4] = {&a, &b, &c, &d};
    uint8_t bytes[64];
    for (int i = 0; i < 64; i++) {
        int v = clamped(pixel[i / 16]->of[i % 16], INT16_MIN, INT16_MAX);
        v = clamped(v + q->rq.zero_point, INT16_MIN, INT16_MAX);
        v = clamped(v, 0, 255);
        bytes[i] = (uint8_t)(v < q->rq.lo ? q->rq.lo : v);
    }
    vec packed;
    memcpy(&packed, bytes, sizeof(packed));
    return packed;
}

INLINE vec rq512_pack_plain(vec a, vec b, vec c, vec d, const struct rq512 *q)
{
    if (q->rq.zero_point != 0 || q->rq.lo != 0 || q->rq.hi != 255)
        abort();
    return rq512_pack(a, b, c, d, q);
}

INLINE void rq512_store(uint8_t *out, vec v, int n)
{
    memcpy(out, &v, (size_t)n * 16);
}

#endif
