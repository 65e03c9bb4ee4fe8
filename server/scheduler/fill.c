/* The floats of a client are normalised already: for a float network they are its input, for a
 * quantised one the value that the input stands for. They lie anywhere in a body, hence the
 * copies. */
#include "server/scheduler/fill.h"

#include <math.h>
#include <string.h>

static float at(const void *floats, size_t i)
{
    float v;
    memcpy(&v, (const char *)floats + i * sizeof(v), sizeof(v));
    return v;
}

static int quantise(float v, const struct eng_preprocess *p, int low, int high)
{
    double q = rint((double)v / (double)p->q_scale) + p->q_zero_point;
    if (isnan(q))
        return p->q_zero_point;
    return q <= low ? low : q >= high ? high : (int)q;
}

static void fill_floats(const void *floats, const struct eng_preprocess *p, void *dst)
{
    size_t n = (size_t)p->height * (size_t)p->width * 3;
    if (p->type == ENG_F32)
        memcpy(dst, floats, n * sizeof(float));
    else if (p->type == ENG_U8)
        for (size_t i = 0; i < n; i++)
            ((uint8_t *)dst)[i] = (uint8_t)quantise(at(floats, i), p, 0, 255);
    else
        for (size_t i = 0; i < n; i++)
            ((int8_t *)dst)[i] = (int8_t)quantise(at(floats, i), p, -128, 127);
}

void srv_fill(const struct srv_job *j, const struct eng_preprocess *p, void *dst)
{
    if (j->input.kind == SRV_PIXELS)
        eng_preprocess_pixels(p, j->input.data, dst);
    else
        fill_floats(j->input.data, p, dst);
}

size_t srv_tensor_bytes(const struct eng_preprocess *p)
{
    return (size_t)p->height * (size_t)p->width * 3 * eng_type_size(p->type);
}
