/* See floats.h. */
#include "engine/plan/floats.h"

#include "engine/base/bf16.h"

static size_t elements_of(const struct eng_value *v)
{
    return (size_t)v->h * (size_t)v->w * ENG_BLOCK;
}

static float *take(char **scratch, const struct eng_value *v)
{
    float *taken = (float *)(void *)*scratch;
    *scratch += eng_floats_bytes(v->h * v->w);
    return taken;
}

size_t eng_floats_bytes(int pixels)
{
    return (size_t)pixels * ENG_BLOCK * sizeof(float);
}

const float *eng_floats_in(const struct eng_call *c, int value, int image, int b, char **scratch)
{
    const struct eng_value *v = eng_value_of(c, value);
    const void *at = eng_block_at(c, value, image, b);
    if (v->type != ENG_BF16)
        return at;
    const uint16_t *from = at;
    float *to = take(scratch, v);
    for (size_t i = 0; i < elements_of(v); i++)
        to[i] = eng_bf16_to_f32(from[i]);
    return to;
}

float *eng_floats_out(const struct eng_call *c, int value, int image, int b, char **scratch)
{
    const struct eng_value *v = eng_value_of(c, value);
    if (v->type != ENG_BF16)
        return (float *)(void *)eng_block_at(c, value, image, b);
    return take(scratch, v);
}

void eng_floats_done(const struct eng_call *c, int value, int image, int b, const float *made)
{
    const struct eng_value *v = eng_value_of(c, value);
    if (v->type != ENG_BF16)
        return;
    uint16_t *to = (uint16_t *)(void *)eng_block_at(c, value, image, b);
    for (size_t i = 0; i < elements_of(v); i++)
        to[i] = eng_bf16_from_f32(made[i]);
}
