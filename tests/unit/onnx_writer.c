/* See onnx_writer.h. Lengths are written in four bytes, which protobuf allows. */
#include "tests/unit/onnx_writer.h"

#include <stdlib.h>
#include <string.h>

struct out {
    uint8_t *at;
};

static void byte(struct out *o, unsigned v)
{
    *o->at++ = (uint8_t)v;
}

static void varint(struct out *o, uint64_t v)
{
    for (; v > 127; v >>= 7)
        byte(o, (unsigned)(v & 127) | 128);
    byte(o, (unsigned)v);
}

static void number(struct out *o, unsigned field, int64_t v)
{
    varint(o, field << 3);
    varint(o, (uint64_t)v);
}

static void bytes(struct out *o, unsigned field, const void *p, size_t len)
{
    varint(o, field << 3 | 2);
    varint(o, len);
    if (len)
        memcpy(o->at, p, len);
    o->at += len;
}

static void string(struct out *o, unsigned field, const char *s)
{
    bytes(o, field, s, strlen(s));
}

static uint8_t *open(struct out *o, unsigned field)
{
    varint(o, field << 3 | 2);
    o->at += 4;
    return o->at;
}

static void close(struct out *o, uint8_t *from)
{
    size_t len = (size_t)(o->at - from);
    for (int i = 0; i < 4; i++)
        from[i - 4] = (uint8_t)((len >> (7 * i) & 127) | (i < 3 ? 128 : 0));
}

static void write_attribute(struct out *o, const struct onw_attribute *a)
{
    uint8_t *from = open(o, 5);
    string(o, 1, a->name);
    if (a->kind == 'i') {
        number(o, 3, a->i[0]);
        number(o, 20, 2);
    } else if (a->kind == 's') {
        string(o, 4, a->s);
        number(o, 20, 3);
    } else if (a->kind == 'f') {
        varint(o, 2 << 3 | 5);
        memcpy(o->at, &a->f, 4);
        o->at += 4;
        number(o, 20, 1);
    } else {
        for (int i = 0; i < a->n; i++)
            number(o, 8, a->i[i]);
        number(o, 20, 7);
    }
    close(o, from);
}

static void write_node(struct out *o, const struct onw_node *n)
{
    uint8_t *from = open(o, 1);
    int last = 5;
    while (last >= 0 && !n->in[last])
        last--;
    for (int i = 0; i <= last; i++)
        string(o, 1, n->in[i] ? n->in[i] : "");
    if (n->out)
        string(o, 2, n->out);
    if (n->name)
        string(o, 3, n->name);
    string(o, 4, n->type);
    for (int i = 0; i < n->n_attributes; i++)
        write_attribute(o, &n->attribute[i]);
    if (n->domain)
        string(o, 7, n->domain);
    close(o, from);
}

static void write_tensor(struct out *o, const struct onw_tensor *t)
{
    uint8_t *from = open(o, 5);
    for (int i = 0; i < t->rank; i++)
        number(o, 1, t->dim[i]);
    number(o, 2, t->type);
    string(o, 8, t->name);
    bytes(o, 9, t->data, t->len);
    if (t->external)
        number(o, 14, 1);
    close(o, from);
}

static void write_value(struct out *o, unsigned field, const char *name, int type,
                        const int64_t *dim, int rank)
{
    uint8_t *from = open(o, field);
    string(o, 1, name);
    uint8_t *outer = open(o, 2), *tensor = open(o, 1);
    number(o, 1, type);
    uint8_t *shape = open(o, 2);
    for (int i = 0; i < rank; i++) {
        uint8_t *d = open(o, 1);
        if (dim[i] < 0)
            string(o, 2, "N");
        else
            number(o, 1, dim[i]);
        close(o, d);
    }
    close(o, shape);
    close(o, tensor);
    close(o, outer);
    close(o, from);
}

size_t onw_write(const struct onw_model *m, uint8_t *buf)
{
    struct out o = {buf};
    number(&o, 1, 7);
    uint8_t *graph = open(&o, 7);
    for (int i = 0; i < m->n_nodes; i++)
        write_node(&o, &m->node[i]);
    for (int i = 0; i < m->n_tensors; i++)
        write_tensor(&o, &m->tensor[i]);
    for (int i = 0; i < m->n_inputs; i++)
        write_value(&o, 11, i ? "x2" : "x", m->input_type, m->input, 4);
    for (int i = 0; i < 3 && m->output[i]; i++)
        write_value(&o, 12, m->output[i], ONW_FLOAT, NULL, 0);
    close(&o, graph);
    uint8_t *opset = open(&o, 8);
    number(&o, 2, m->opset);
    close(&o, opset);
    return (size_t)(o.at - buf);
}

/* ---- building ---- */

void onw_begin(struct onw_model *m, int c, int h, int w)
{
    *m = (struct onw_model){.opset = 13, .input_type = ONW_FLOAT, .input = {-1, c, h, w}};
    m->n_inputs = 1;
}

void onw_bytes(struct onw_model *m, const char *name, int type, const void *v, const int *dims)
{
    static const size_t unit[] = {[ONW_FLOAT] = 4, [ONW_UINT8] = 1, [ONW_INT8] = 1,
                                  [ONW_INT32] = 4, [ONW_INT64] = 8, [ONW_HALF] = 2};
    struct onw_tensor *t = &m->tensor[m->n_tensors++];
    *t = (struct onw_tensor){.name = name, .type = type, .data = v, .len = unit[type]};
    for (; dims && dims[t->rank]; t->rank++) {
        t->dim[t->rank] = dims[t->rank];
        t->len *= (size_t)dims[t->rank];
    }
}

void onw_floats(struct onw_model *m, const char *name, const float *v, const int *dims)
{
    onw_bytes(m, name, ONW_FLOAT, v, dims);
}

void onw_integers(struct onw_model *m, const char *name, const int64_t *v, int n)
{
    onw_bytes(m, name, ONW_INT64, v, (int[]){n, 0});
}

struct onw_node *onw_add(struct onw_model *m, const char *type, const char *out, const char *in0,
                         const char *in1, const char *in2)
{
    struct onw_node *n = &m->node[m->n_nodes++];
    *n = (struct onw_node){.type = type, .out = out, .in = {in0, in1, in2}};
    return n;
}

static struct onw_attribute *attribute(struct onw_node *n, const char *name, char kind)
{
    struct onw_attribute *a = &n->attribute[n->n_attributes++];
    *a = (struct onw_attribute){.name = name, .kind = kind};
    return a;
}

void onw_int(struct onw_node *n, const char *name, int64_t v)
{
    attribute(n, name, 'i')->i[0] = v;
}

void onw_ints(struct onw_node *n, const char *name, int count, const int64_t *v)
{
    struct onw_attribute *a = attribute(n, name, 'I');
    a->n = count;
    memcpy(a->i, v, (size_t)count * sizeof(*v));
}

void onw_float(struct onw_node *n, const char *name, float v)
{
    attribute(n, name, 'f')->f = v;
}

void onw_string(struct onw_node *n, const char *name, const char *v)
{
    attribute(n, name, 's')->s = v;
}

/* ---- samples ---- */

static const float conv_w[4 * 27] = {0.5f,  -0.25f, 0.125f, 0.75f, -0.5f, 0.25f, 1,
                                     -0.5f, 0.5f,   0.25f,  -1,    0.5f,  0.125f};
static const float conv_b[4] = {0.5f, -0.25f, 0, 1};
static const float dw_w[4 * 9] = {1, 0.5f, -0.5f, 0.25f, 1, 0, 0.5f, -1, 0.125f, 0.5f, -0.25f};
static const float fc_w[16] = {1, -1, 0.5f, 0.25f, -0.5f, 1, 0.75f, -0.25f, 0.5f};
static const float fc_b[4] = {0.25f, -0.5f, 0, 1};

static struct onw_node *strided(struct onw_node *n, int64_t stride, const int64_t pads[4])
{
    onw_ints(n, "strides", 2, (int64_t[]){stride, stride});
    onw_ints(n, "pads", 4, pads);
    return n;
}

void onw_sample(struct onw_model *m)
{
    onw_begin(m, 3, 8, 8);
    onw_floats(m, "conv_w", conv_w, (int[]){4, 3, 3, 3, 0});
    onw_floats(m, "conv_b", conv_b, (int[]){4, 0});
    onw_floats(m, "dw_w", dw_w, (int[]){4, 1, 3, 3, 0});
    onw_floats(m, "fc_w", fc_w, (int[]){4, 4, 0});
    onw_floats(m, "fc_b", fc_b, (int[]){4, 0});
    strided(onw_add(m, "Conv", "conv", "x", "conv_w", "conv_b"), 2, (int64_t[]){0, 0, 1, 1});
    onw_add(m, "Relu", "relu", "conv", NULL, NULL);
    struct onw_node *dw = onw_add(m, "Conv", "dw", "relu", "dw_w", NULL);
    onw_int(strided(dw, 1, (int64_t[]){1, 1, 1, 1}), "group", 4);
    onw_add(m, "GlobalAveragePool", "pool", "dw", NULL, NULL);
    onw_add(m, "Flatten", "flat", "pool", NULL, NULL);
    onw_int(onw_add(m, "Gemm", "logits", "flat", "fc_w", "fc_b"), "transB", 1);
    onw_add(m, "Softmax", "probs", "logits", NULL, NULL);
    m->output[0] = "logits";
    m->output[1] = "probs";
}

static const float scales[] = {1 / 128.0f, 0.02f, 0.05f, 0.03f, 0.04f, 0.06f, 0.01f};
static const float bias_scale = 0.02f / 128.0f, weight_scales[4] = {0.02f, 0.01f, 0.03f, 0.04f};
static const uint8_t zeros[] = {128, 120, 3, 110, 10, 130};
static const uint8_t no_zero[1] = {0};
static const int8_t zero4[4] = {0};
static uint8_t conv_q[4 * 27];
static int8_t dw_q[4 * 9], fc_q[16];
static const int32_t conv_bq[4] = {100, -200, 3000, 0};

static void quantize(struct onw_model *m, const char *q, const char *dq, const char *x,
                     const char *scale, const char *zero)
{
    onw_add(m, "QuantizeLinear", q, x, scale, zero);
    onw_add(m, "DequantizeLinear", dq, q, scale, zero);
}

static void quantised_constants(struct onw_model *m)
{
    static const int32_t zero32;
    for (int i = 0; i < 4 * 27; i++)
        conv_q[i] = (uint8_t)(i * 37 + 11);
    for (int i = 0; i < 4 * 9; i++)
        dw_q[i] = (int8_t)(i * 29 - 100);
    for (int i = 0; i < 16; i++)
        fc_q[i] = (int8_t)(i * 53 - 90);
    static const char *const s[] = {"s0", "s1", "s2", "s3", "s4", "s5"};
    static const char *const z[] = {"z0", "z1", "z2", "z3", "z4", "z5"};
    for (int i = 0; i < 6; i++) {
        onw_floats(m, s[i], &scales[i], NULL);
        onw_bytes(m, z[i], ONW_UINT8, &zeros[i], NULL);
    }
    onw_floats(m, "sb", &bias_scale, NULL);
    onw_bytes(m, "zb", ONW_INT32, &zero32, NULL);
    onw_floats(m, "s4c", weight_scales, (int[]){4, 0});
    onw_bytes(m, "z4c", ONW_INT8, zero4, (int[]){4, 0});
    onw_bytes(m, "z8", ONW_INT8, no_zero, NULL);
    onw_bytes(m, "conv_q", ONW_UINT8, conv_q, (int[]){4, 3, 3, 3, 0});
    onw_bytes(m, "conv_bq", ONW_INT32, conv_bq, (int[]){4, 0});
    onw_bytes(m, "dw_q", ONW_INT8, dw_q, (int[]){4, 1, 3, 3, 0});
    onw_bytes(m, "fc_q", ONW_INT8, fc_q, (int[]){4, 4, 0});
    onw_floats(m, "fc_b", fc_b, (int[]){4, 0});
}

void onw_sample_qdq(struct onw_model *m)
{
    onw_begin(m, 3, 8, 8);
    quantised_constants(m);
    quantize(m, "xq", "xd", "x", "s0", "z0");
    onw_add(m, "DequantizeLinear", "conv_w", "conv_q", "s1", "z1");
    onw_add(m, "DequantizeLinear", "conv_b", "conv_bq", "sb", "zb");
    onw_int(onw_add(m, "DequantizeLinear", "dw_w", "dw_q", "s4c", "z4c"), "axis", 0);
    onw_add(m, "DequantizeLinear", "fc_w", "fc_q", "s1", "z8");
    strided(onw_add(m, "Conv", "conv", "xd", "conv_w", "conv_b"), 2, (int64_t[]){0, 0, 1, 1});
    onw_add(m, "Relu", "relu", "conv", NULL, NULL);
    quantize(m, "convq", "convd", "relu", "s2", "z2");
    struct onw_node *dw = onw_add(m, "Conv", "dw", "convd", "dw_w", NULL);
    onw_int(strided(dw, 1, (int64_t[]){1, 1, 1, 1}), "group", 4);
    quantize(m, "dwq", "dwd", "dw", "s3", "z3");
    onw_add(m, "GlobalAveragePool", "pool", "dwd", NULL, NULL);
    quantize(m, "poolq", "poold", "pool", "s4", "z4");
    onw_add(m, "Flatten", "flat", "poold", NULL, NULL);
    quantize(m, "flatq", "flatd", "flat", "s4", "z4");
    onw_int(onw_add(m, "Gemm", "fc", "flatd", "fc_w", "fc_b"), "transB", 1);
    quantize(m, "logitq", "logits", "fc", "s5", "z5");
    onw_add(m, "Softmax", "probs", "logits", NULL, NULL);
    m->output[0] = "logits";
    m->output[1] = "probs";
}

static const int64_t shuffle_to[5] = {1, 2, 3, 8, 8}, shuffle_back[4] = {0, 6, 8, 8};
static const int64_t spatial[8] = {0, 0, 1, 0, 0, 0, 0, 1}, last_two[2] = {2, 3}, first[1] = {0};
static const int64_t minus_one[1] = {-1};
static const float bn[4][6] = {
    {1, 2, 0.5f, 1, 1, 1}, {0, 1, 0, 0, -1, 0}, {0.5f, 0, 0, 1, 0, 0}, {1, 1, 2, 1, 1, 4}};
static const float slope[6] = {0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f}, six = 6, zero_f, three = 3;
static const float matrix[6 * 2] = {1, 2, 3, 4, 5, 6, -1, -2, -3, -4, -5, -6};
static const float row[2] = {0.5f, -0.5f};
static const uint16_t half[6] = {0x3c00, 0xb800, 0x3555, 0x3c00, 0x4000, 0x0001};

static void zoo_constants(struct onw_model *m)
{
    static const char *const names[4] = {"gamma", "beta", "mean", "var"};
    for (int i = 0; i < 4; i++)
        onw_floats(m, names[i], bn[i], (int[]){6, 0});
    onw_integers(m, "shuffle_to", shuffle_to, 5);
    onw_integers(m, "shuffle_back", shuffle_back, 4);
    onw_integers(m, "spatial", spatial, 8);
    onw_integers(m, "last_two", last_two, 2);
    onw_integers(m, "first", first, 1);
    onw_integers(m, "minus_one", minus_one, 1);
    onw_floats(m, "slope", slope, (int[]){6, 1, 1, 0});
    onw_bytes(m, "half", ONW_HALF, half, (int[]){1, 6, 1, 1, 0});
    onw_floats(m, "six", &six, NULL);
    onw_floats(m, "zero", &zero_f, NULL);
    onw_floats(m, "three", &three, NULL);
    onw_floats(m, "matrix", matrix, (int[]){6, 2, 0});
    onw_floats(m, "row", row, (int[]){2, 0});
}

void onw_sample_zoo(struct onw_model *m)
{
    onw_begin(m, 3, 8, 8);
    m->opset = 14; /* HardSwish */
    zoo_constants(m);
    onw_add(m, "LeakyRelu", "leaky", "x", NULL, NULL);
    onw_int(onw_add(m, "Concat", "six_channels", "x", "leaky", NULL), "axis", 1);
    onw_add(m, "BatchNormalization", "bn", "six_channels", "gamma", "beta")->in[3] = "mean";
    m->node[m->n_nodes - 1].in[4] = "var";
    onw_add(m, "Reshape", "r5", "bn", "shuffle_to", NULL);
    onw_ints(onw_add(m, "Transpose", "t5", "r5", NULL, NULL), "perm", 5,
             (int64_t[]){0, 2, 1, 3, 4});
    onw_add(m, "Reshape", "shuffled", "t5", "shuffle_back", NULL);
    onw_add(m, "Add", "plus", "shuffled", "three", NULL);
    onw_add(m, "Clip", "clip", "plus", "zero", "six");
    onw_add(m, "Div", "div", "clip", "six", NULL);
    onw_add(m, "Mul", "swish", "div", "shuffled", NULL);
    onw_add(m, "Pad", "pad", "swish", "spatial", NULL);
    struct onw_node *max = onw_add(m, "MaxPool", "max", "pad", NULL, NULL);
    onw_ints(max, "kernel_shape", 2, (int64_t[]){3, 3});
    onw_ints(max, "strides", 2, (int64_t[]){2, 2});
    onw_int(max, "ceil_mode", 1);
    struct onw_node *avg = onw_add(m, "AveragePool", "avg", "max", NULL, NULL);
    onw_ints(avg, "kernel_shape", 2, (int64_t[]){2, 2});
    onw_string(avg, "auto_pad", "SAME_UPPER");
    onw_add(m, "PRelu", "prelu", "avg", "slope", NULL);
    onw_int(onw_add(m, "Cast", "single", "half", NULL, NULL), "to", ONW_FLOAT);
    onw_add(m, "Mul", "scaled", "single", "prelu", NULL);
    onw_ints(onw_add(m, "ReduceMean", "squeeze", "scaled", NULL, NULL), "axes", 2, last_two);
    onw_add(m, "HardSigmoid", "gate", "squeeze", NULL, NULL);
    onw_add(m, "Mul", "gated", "gate", "scaled", NULL);
    onw_add(m, "GlobalMaxPool", "top", "gated", NULL, NULL);
    onw_add(m, "Squeeze", "vector", "top", "last_two", NULL);
    onw_add(m, "HardSwish", "hs", "vector", NULL, NULL);
    onw_add(m, "Shape", "shape", "hs", NULL, NULL);
    onw_add(m, "Gather", "batch", "shape", "first", NULL);
    onw_int(onw_add(m, "Concat", "target", "batch", "minus_one", NULL), "axis", 0);
    onw_add(m, "Reshape", "same", "hs", "target", NULL);
    onw_add(m, "Dropout", "drop", "same", NULL, NULL);
    onw_add(m, "MatMul", "product", "drop", "matrix", NULL);
    onw_add(m, "Add", "biased", "product", "row", NULL);
    onw_add(m, "Sigmoid", "sigmoid", "biased", NULL, NULL);
    onw_add(m, "Tanh", "tanh", "sigmoid", NULL, NULL);
    onw_add(m, "Identity", "logits", "tanh", NULL, NULL);
    onw_add(m, "Softmax", "probs", "logits", NULL, NULL);
    m->output[0] = "probs";
}
