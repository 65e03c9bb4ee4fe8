/* See the header. The tables are made with the very formula of the contract, so no path rounds
 * otherwise than another. */
#include "engine/image/normalise.h"

#include <math.h>
#include <string.h>

static uint8_t quantise(const struct eng_preprocess *p, float value)
{
    int lo = p->type == ENG_I8 ? -128 : 0, hi = p->type == ENG_I8 ? 127 : 255;
    if (p->q_fp32) {
        float v = value / p->q_scale, from = (float)(lo - p->q_zero_point);
        v = v > from ? v : from; /* NaN, too, as in QUANTIZE */
        v = fminf(v, (float)(hi - p->q_zero_point));
        return (uint8_t)(lrintf(v) + p->q_zero_point);
    }
    double q = rint((double)value / (double)p->q_scale) + p->q_zero_point;
    q = fmin(fmax(q, lo), hi);
    return (uint8_t)(int)q;
}

void eng_normaliser_init(struct eng_normaliser *n, const struct eng_preprocess *p)
{
    n->type = p->type;
    n->bgr = p->bgr != 0;
    n->identity = p->type == ENG_U8 && !n->bgr;
    n->minus_128 = p->type == ENG_I8 && !n->bgr;
    memcpy(n->mean, p->mean, sizeof(n->mean));
    memcpy(n->scale, p->scale, sizeof(n->scale));
    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++) {
            n->f[c][v] = ((float)v - p->mean[c]) * p->scale[c];
            if (p->type == ENG_F32)
                continue;
            n->q[c][v] = quantise(p, n->f[c][v]);
            n->identity = n->identity && n->q[c][v] == v;
            n->minus_128 = n->minus_128 && n->q[c][v] == (v ^ 0x80);
        }
}

size_t eng_normaliser_pixel(const struct eng_normaliser *n)
{
    return n->type == ENG_F32 ? 3 * sizeof(float) : 3;
}

/* The formula itself, 16 pixels at a time so that the compiler makes vectors of it. */
static void floats(const struct eng_normaliser *n, const uint8_t *rgb, float *out, size_t pixels)
{
    enum { RUN = 48 };
    float mean[RUN], scale[RUN];
    for (int i = 0; i < RUN; i++) {
        mean[i] = n->mean[i % 3];
        scale[i] = n->scale[i % 3];
    }
    size_t left = pixels * 3;
    for (; left >= RUN; left -= RUN, rgb += RUN, out += RUN)
        for (int i = 0; i < RUN; i++)
            out[i] = ((float)rgb[i] - mean[i]) * scale[i];
    for (size_t i = 0; i < left; i++)
        out[i] = ((float)rgb[i] - mean[i]) * scale[i];
}

void eng_normaliser_run(const struct eng_normaliser *n, const uint8_t *rgb, void *dst,
                        size_t pixels)
{
    size_t first = n->bgr ? 2 : 0, last = 2 - first;
    if (n->identity) {
        memcpy(dst, rgb, pixels * 3);
    } else if (n->minus_128) {
        uint8_t *out = dst;
        for (size_t i = 0; i < pixels * 3; i++)
            out[i] = rgb[i] ^ 0x80;
    } else if (n->type == ENG_F32 && !n->bgr) {
        floats(n, rgb, dst, pixels);
    } else if (n->type == ENG_F32) {
        float *out = dst;
        for (size_t i = 0; i < pixels; i++, rgb += 3, out += 3) {
            out[0] = n->f[0][rgb[first]];
            out[1] = n->f[1][rgb[1]];
            out[2] = n->f[2][rgb[last]];
        }
    } else {
        uint8_t *out = dst;
        for (size_t i = 0; i < pixels; i++, rgb += 3, out += 3) {
            out[0] = n->q[0][rgb[first]];
            out[1] = n->q[1][rgb[1]];
            out[2] = n->q[2][rgb[last]];
        }
    }
}

void eng_preprocess_pixels(const struct eng_preprocess *p, const uint8_t *rgb, void *dst)
{
    struct eng_normaliser n;
    eng_normaliser_init(&n, p);
    eng_normaliser_run(&n, rgb, dst, (size_t)p->width * (size_t)p->height);
}
