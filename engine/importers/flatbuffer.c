/* A small FlatBuffers reader for untrusted bytes: one check in span() carries all the rest. */
#include "engine/importers/flatbuffer.h"

#include <string.h>

/* The `size` bytes at `at`, or NULL (and bad) if they are not all inside. */
static const uint8_t *span(struct eng_fb *fb, size_t at, size_t size)
{
    if (at > fb->len || fb->len - at < size) {
        fb->bad = 1;
        return NULL;
    }
    return fb->bytes + at;
}

static uint64_t little(const uint8_t *p, int size)
{
    uint64_t v = 0;
    for (int i = 0; i < size; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static uint64_t number(struct eng_fb *fb, size_t at, int size)
{
    const uint8_t *p = span(fb, at, (size_t)size);
    return p ? little(p, size) : 0;
}

void eng_fb_init(struct eng_fb *fb, const void *bytes, size_t len)
{
    fb->bytes = bytes;
    fb->len = len;
    fb->bad = 0;
}

static struct eng_fb_table table_at(struct eng_fb *fb, size_t at)
{
    struct eng_fb_table none = {0}, t = {.at = at};
    int32_t back = (int32_t)(uint32_t)number(fb, at, 4);
    int64_t vtable = (int64_t)at - back;
    if (fb->bad || vtable < 0 || at == 0) {
        fb->bad = 1;
        return none;
    }
    t.vtable = (size_t)vtable;
    t.vtable_len = (uint16_t)number(fb, t.vtable, 2);
    t.table_len = (uint16_t)number(fb, t.vtable + 2, 2);
    if (fb->bad || t.vtable_len < 4 || t.table_len < 4 || !span(fb, t.vtable, t.vtable_len) ||
        !span(fb, at, t.table_len)) {
        fb->bad = 1;
        return none;
    }
    return t;
}

struct eng_fb_table eng_fb_root(struct eng_fb *fb)
{
    return table_at(fb, (size_t)number(fb, 0, 4));
}

/* Position of field `id`, `size` bytes long; 0 if absent. */
static size_t field(struct eng_fb *fb, const struct eng_fb_table *t, int id, size_t size)
{
    size_t slot = 4 + 2 * (size_t)id;
    if (t->at == 0 || slot + 2 > t->vtable_len)
        return 0;
    size_t off = (size_t)number(fb, t->vtable + slot, 2);
    if (off == 0)
        return 0;
    if (off < 4 || off + size > t->table_len) {
        fb->bad = 1;
        return 0;
    }
    return t->at + off;
}

int eng_fb_has(struct eng_fb *fb, const struct eng_fb_table *t, int id)
{
    return field(fb, t, id, 1) != 0;
}

int32_t eng_fb_i32(struct eng_fb *fb, const struct eng_fb_table *t, int id, int32_t otherwise)
{
    size_t at = field(fb, t, id, 4);
    return at ? (int32_t)(uint32_t)number(fb, at, 4) : otherwise;
}

int8_t eng_fb_i8(struct eng_fb *fb, const struct eng_fb_table *t, int id, int8_t otherwise)
{
    size_t at = field(fb, t, id, 1);
    return at ? (int8_t)(uint8_t)number(fb, at, 1) : otherwise;
}

static float to_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

float eng_fb_f32(struct eng_fb *fb, const struct eng_fb_table *t, int id, float otherwise)
{
    size_t at = field(fb, t, id, 4);
    return at ? to_float((uint32_t)number(fb, at, 4)) : otherwise;
}

/* What the offset that stands at `at` points to; 0 (and bad) if outside. */
static size_t follow(struct eng_fb *fb, size_t at)
{
    size_t off = (size_t)number(fb, at, 4);
    if (fb->bad || off == 0 || off > fb->len - at) {
        fb->bad = 1;
        return 0;
    }
    return at + off;
}

struct eng_fb_table eng_fb_table(struct eng_fb *fb, const struct eng_fb_table *t, int id)
{
    struct eng_fb_table none = {0};
    size_t at = field(fb, t, id, 4);
    if (at == 0)
        return none;
    at = follow(fb, at);
    return at ? table_at(fb, at) : none;
}

struct eng_fb_vector eng_fb_vector(struct eng_fb *fb, const struct eng_fb_table *t, int id,
                                   size_t size)
{
    struct eng_fb_vector none = {0}, v;
    size_t at = field(fb, t, id, 4);
    if (at == 0 || (at = follow(fb, at)) == 0)
        return none;
    v.n = (uint32_t)number(fb, at, 4);
    v.at = at + 4;
    if (fb->bad || v.n > (fb->len - v.at) / size) {
        fb->bad = 1;
        return none;
    }
    return v;
}

static uint64_t element(struct eng_fb *fb, const struct eng_fb_vector *v, uint32_t i, int size)
{
    if (i >= v->n) {
        fb->bad = 1;
        return 0;
    }
    return number(fb, v->at + (size_t)i * (size_t)size, size);
}

int32_t eng_fb_vector_i32(struct eng_fb *fb, const struct eng_fb_vector *v, uint32_t i)
{
    return (int32_t)(uint32_t)element(fb, v, i, 4);
}

int64_t eng_fb_vector_i64(struct eng_fb *fb, const struct eng_fb_vector *v, uint32_t i)
{
    return (int64_t)element(fb, v, i, 8);
}

float eng_fb_vector_f32(struct eng_fb *fb, const struct eng_fb_vector *v, uint32_t i)
{
    return to_float((uint32_t)element(fb, v, i, 4));
}

struct eng_fb_table eng_fb_vector_table(struct eng_fb *fb, const struct eng_fb_vector *v,
                                        uint32_t i)
{
    struct eng_fb_table none = {0};
    if (i >= v->n) {
        fb->bad = 1;
        return none;
    }
    size_t at = follow(fb, v->at + (size_t)i * 4);
    return at ? table_at(fb, at) : none;
}

const char *eng_fb_string(struct eng_fb *fb, const struct eng_fb_table *t, int id, size_t *ret_len)
{
    struct eng_fb_vector v = eng_fb_vector(fb, t, id, 1);
    *ret_len = v.n;
    return v.n ? (const char *)fb->bytes + v.at : "";
}
