/* Tensors and buffers of a TensorFlow Lite file, as tensors of the graph. */
#include "engine/importers/tflite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/base/half.h"

int eng_tfl_broken(struct eng_tfl *f)
{
    return eng_fail(f->err, f->errlen, ENG_E_DATA,
                    "the file is broken or truncated: an offset leads outside of it");
}

int eng_tfl_no_memory(struct eng_tfl *f)
{
    if (eng_graph_is_full(f->g))
        return eng_fail(f->err, f->errlen, ENG_E_LIMIT,
                        "the file asks for far more memory than its own size");
    return eng_fail(f->err, f->errlen, -ENOMEM, "not enough memory for the model");
}

static int type_of(int8_t type)
{
    switch (type) {
    case 0:
        return ENG_F32;
    case 1:
        return ENG_F16;
    case 2:
        return ENG_I32;
    case 3:
        return ENG_U8;
    case 4:
        return ENG_I64;
    case 6:
        return ENG_BOOL;
    case 9:
        return ENG_I8;
    default:
        return -1;
    }
}

static int read_shape(struct eng_tfl *f, const struct eng_fb_table *table, struct eng_tensor *t)
{
    struct eng_fb_vector shape = eng_fb_vector(&f->fb, table, 0, 4);
    if (shape.n > ENG_MAX_RANK)
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED, "tensor %.80s has %u dimensions",
                        t->name, shape.n);
    size_t elements = 1;
    t->rank = (int)shape.n;
    for (uint32_t i = 0; i < shape.n; i++) {
        t->dim[i] = eng_fb_vector_i32(&f->fb, &shape, i);
        if (t->dim[i] < 1)
            return eng_fail(f->err, f->errlen, ENG_E_DATA, "tensor %.80s has a dimension of %d",
                            t->name, t->dim[i]);
        elements *= (size_t)t->dim[i];
        if (t->dim[i] > ENG_MAX_DIM || elements > ENG_MAX_ELEMENTS)
            return eng_fail(f->err, f->errlen, ENG_E_LIMIT, "tensor %.80s is too large", t->name);
    }
    return 0;
}

static int read_quant(struct eng_tfl *f, const struct eng_fb_table *table, struct eng_tensor *t)
{
    struct eng_fb_table q = eng_fb_table(&f->fb, table, 4);
    struct eng_fb_vector scales = eng_fb_vector(&f->fb, &q, 2, 4);
    struct eng_fb_vector zeros = eng_fb_vector(&f->fb, &q, 3, 8);
    if (scales.n == 0 || t->type == ENG_F32 || t->type == ENG_F16)
        return 0;
    if (scales.n > ENG_MAX_DIM || (zeros.n > 1 && zeros.n != scales.n))
        return eng_fail(f->err, f->errlen, ENG_E_DATA, "tensor %.80s has %u scales, %u zero points",
                        t->name, scales.n, zeros.n);
    float *scale = eng_graph_alloc(f->g, scales.n, sizeof(*scale));
    int32_t *zero = eng_graph_alloc(f->g, scales.n, sizeof(*zero));
    if (!scale || !zero)
        return eng_tfl_no_memory(f);
    /* Bytes have theirs among their own values; whoever takes one from the other may rely on it. */
    int64_t lo = t->type == ENG_U8 ? 0 : t->type == ENG_I8 ? INT8_MIN : INT32_MIN;
    int64_t hi = t->type == ENG_U8 ? UINT8_MAX : t->type == ENG_I8 ? INT8_MAX : INT32_MAX;
    for (uint32_t i = 0; i < scales.n; i++) {
        scale[i] = eng_fb_vector_f32(&f->fb, &scales, i);
        int64_t z = zeros.n ? eng_fb_vector_i64(&f->fb, &zeros, zeros.n > 1 ? i : 0) : 0;
        if (z < lo || z > hi)
            return eng_fail(f->err, f->errlen, ENG_E_DATA, "tensor %.80s has a zero point of %lld",
                            t->name, (long long)z);
        zero[i] = (int32_t)z;
    }
    /* One scale has no axis, whatever the file says. */
    int axis = scales.n > 1 ? eng_fb_i32(&f->fb, &q, 6, 0) : 0;
    t->quant = (struct eng_quant){(int)scales.n, axis, scale, zero};
    return 0;
}

static int read_data(struct eng_tfl *f, const struct eng_fb_table *table, struct eng_tensor *t)
{
    int32_t index = eng_fb_i32(&f->fb, table, 2, 0);
    if (index == 0 && f->buffers.n == 0)
        return 0;
    struct eng_fb_table buffer = eng_fb_vector_table(&f->fb, &f->buffers, (uint32_t)index);
    struct eng_fb_vector data = eng_fb_vector(&f->fb, &buffer, 0, 1);
    if (f->fb.bad)
        return eng_tfl_broken(f);
    if (eng_fb_has(&f->fb, &buffer, 1))
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED,
                        "tensor %.80s keeps its data outside of the FlatBuffer", t->name);
    if (data.n == 0)
        return 0;
    size_t unit = eng_type_size(t->type);
    if (data.n != eng_tensor_elements(t) * unit)
        return eng_fail(f->err, f->errlen, ENG_E_DATA,
                        "tensor %.80s has %u bytes of data, its shape %zu", t->name, data.n,
                        eng_tensor_elements(t) * unit);
    t->size = data.n;
    t->data = f->fb.bytes + data.at;
    if ((uintptr_t)t->data % unit == 0)
        return 0;
    void *copy = eng_graph_alloc_constant(f->g, data.n, 1);
    if (!copy)
        return eng_tfl_no_memory(f);
    memcpy(copy, t->data, data.n);
    t->data = copy;
    return 0;
}

static int read_tensor(struct eng_tfl *f, uint32_t index)
{
    struct eng_fb_table table = eng_fb_vector_table(&f->fb, &f->tensors, index);
    struct eng_tensor t = {0};
    size_t len;
    const char *name = eng_fb_string(&f->fb, &table, 3, &len);
    int type = type_of(eng_fb_i8(&f->fb, &table, 1, 0));
    if (f->fb.bad)
        return eng_tfl_broken(f);
    if (!(t.name = eng_graph_strdup(f->g, name, len)))
        return eng_tfl_no_memory(f);
    if (type < 0)
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED,
                        "tensor %.80s has an unsupported element type", t.name);
    t.type = (enum eng_type)type;
    if (eng_fb_has(&f->fb, &table, 6))
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED, "tensor %.80s is sparse", t.name);
    int rc = read_shape(f, &table, &t);
    if (rc >= 0)
        rc = read_quant(f, &table, &t);
    if (rc >= 0)
        rc = read_data(f, &table, &t);
    if (rc < 0)
        return rc;
    if (f->fb.bad)
        return eng_tfl_broken(f);
    rc = eng_graph_add_tensor(f->g, &t);
    if (rc < 0)
        return eng_fail(f->err, f->errlen, rc, "the model has too many tensors");
    return rc;
}

int eng_tfl_tensor(struct eng_tfl *f, int file_index)
{
    if (file_index < 0 || (uint32_t)file_index >= f->tensors.n)
        return eng_fail(f->err, f->errlen, ENG_E_DATA, "tensor %d does not exist", file_index);
    if (f->map[file_index] >= 0)
        return f->map[file_index];
    int rc = read_tensor(f, (uint32_t)file_index);
    if (rc >= 0)
        f->map[file_index] = rc;
    return rc;
}

int eng_tfl_integers(struct eng_tfl *f, int file_index, int64_t *ret, int max)
{
    int at = eng_tfl_tensor(f, file_index);
    if (at < 0)
        return at;
    const struct eng_tensor *t = &f->g->tensors[at];
    size_t n = eng_tensor_elements(t);
    if (!t->data || (t->type != ENG_I32 && t->type != ENG_I64) || n > (size_t)max)
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED,
                        "tensor %.80s is not a short list of constant integers", t->name);
    for (size_t i = 0; i < n; i++)
        ret[i] = t->type == ENG_I32 ? ((const int32_t *)t->data)[i] : ((const int64_t *)t->data)[i];
    return (int)n;
}

int eng_tfl_to_float(struct eng_tfl *f, struct eng_tensor *t)
{
    size_t n = eng_tensor_elements(t), step = 1;
    const struct eng_quant *q = &t->quant;
    int quantised = (t->type == ENG_U8 || t->type == ENG_I8) && q->n > 0;
    if (!t->data || (!quantised && t->type != ENG_F16))
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED,
                        "tensor %.80s cannot be turned into floats", t->name);
    if (q->n > 1 && (q->axis < 0 || q->axis >= t->rank || t->dim[q->axis] != q->n))
        return eng_fail(f->err, f->errlen, ENG_E_DATA, "tensor %.80s has a broken quantisation",
                        t->name);
    for (int i = q->axis + 1; q->n > 1 && i < t->rank; i++)
        step *= (size_t)t->dim[i];
    float *out = eng_graph_alloc_constant(f->g, n, sizeof(*out));
    if (!out)
        return eng_tfl_no_memory(f);
    for (size_t i = 0; i < n; i++) {
        size_t ch = q->n > 1 ? i / step % (size_t)q->n : 0;
        if (t->type == ENG_F16)
            out[i] = eng_half_to_float(((const uint16_t *)t->data)[i]);
        else if (t->type == ENG_U8)
            out[i] = (float)(((const uint8_t *)t->data)[i] - q->zero_point[ch]) * q->scale[ch];
        else
            out[i] = (float)(((const int8_t *)t->data)[i] - q->zero_point[ch]) * q->scale[ch];
    }
    t->type = ENG_F32;
    t->data = out;
    t->size = n * sizeof(*out);
    t->quant = (struct eng_quant){0};
    return 0;
}
