/* Writes small TFLite files for tests. Parents before children, forward offsets patched; every
 * field of a table has a slot of 8 bytes. */
#include "tests/unit/tflite_writer.h"

#include <assert.h>
#include <string.h>

struct writer {
    uint8_t *b;
    size_t n;
};

static void put(struct writer *w, size_t at, uint64_t v, int size)
{
    for (int i = 0; i < size; i++)
        w->b[at + (size_t)i] = (uint8_t)(v >> (8 * i));
}

static size_t reserve(struct writer *w, size_t bytes)
{
    size_t at = w->n;
    assert(at + bytes <= TFW_BYTES);
    memset(w->b + at, 0, bytes);
    w->n += bytes;
    return at;
}

static void align(struct writer *w, size_t to, size_t before)
{
    while ((w->n + before) % to != 0)
        reserve(w, 1);
}

/* The offset at `slot` leads to where the writer stands. */
static void point(struct writer *w, size_t slot)
{
    put(w, slot, w->n - slot, 4);
}

static size_t table(struct writer *w, size_t slot, int fields)
{
    align(w, 8, 0);
    size_t vtable = reserve(w, 4 + 2 * (size_t)fields);
    align(w, 8, 4);
    point(w, slot);
    size_t at = reserve(w, 4 + 8 * (size_t)fields);
    put(w, vtable, 4 + 2 * (uint64_t)fields, 2);
    put(w, vtable + 2, 4 + 8 * (uint64_t)fields, 2);
    put(w, at, at - vtable, 4);
    return at;
}

/* Position of field `id`, now present. */
static size_t field(struct writer *w, size_t at, int id)
{
    uint32_t back;
    memcpy(&back, w->b + at, 4);
    size_t off = 4 + 8 * (size_t)id;
    put(w, at - back + 4 + 2 * (size_t)id, off, 2);
    return at + off;
}

static void scalar(struct writer *w, size_t at, int id, uint64_t v, int size)
{
    put(w, field(w, at, id), v, size);
}

/* A vector of n elements; position of the first. */
static size_t vector(struct writer *w, size_t at, int id, size_t n, size_t size, const void *data)
{
    size_t slot = field(w, at, id);
    align(w, 16, 4);
    point(w, slot);
    put(w, reserve(w, 4), n, 4);
    size_t first = reserve(w, n * size);
    if (data)
        memcpy(w->b + first, data, n * size);
    return first;
}

static uint32_t float_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

static void write_tensor(struct writer *w, size_t slot, const struct tfw_tensor *t, int buffer)
{
    size_t at = table(w, slot, 8);
    scalar(w, at, 1, (uint64_t)t->type, 1);
    scalar(w, at, 2, (uint64_t)buffer, 4);
    vector(w, at, 0, (size_t)t->rank, 4, t->dim);
    vector(w, at, 3, strlen(t->name), 1, t->name);
    if (t->n_scale == 0)
        return;
    size_t q = table(w, field(w, at, 4), 7);
    scalar(w, q, 6, (uint64_t)t->axis, 4);
    vector(w, q, 2, (size_t)t->n_scale, 4, t->scale);
    vector(w, q, 3, (size_t)t->n_scale, 8, t->zero);
}

static void write_op(struct writer *w, size_t slot, const struct tfw_op *op, int code_index)
{
    size_t at = table(w, slot, 6);
    int32_t in[4], out[3] = {op->out, op->more[0], op->more[1]};
    for (int i = 0; i < op->n_in; i++)
        in[i] = op->in[i];
    scalar(w, at, 0, (uint64_t)code_index, 4);
    scalar(w, at, 3, 1, 1);
    vector(w, at, 1, (size_t)op->n_in, 4, in);
    vector(w, at, 2, 1 + (size_t)op->n_more, 4, out);
    size_t options = table(w, field(w, at, 4), 8);
    for (int i = 0; i < op->n_options; i++) {
        const struct tfw_option *o = &op->option[i];
        if (o->kind == 'f')
            scalar(w, options, o->id, float_bits((float)o->value), 4);
        else
            scalar(w, options, o->id, (uint64_t)(int64_t)o->value, o->kind == 'b' ? 1 : 4);
    }
}

static void write_subgraph(struct writer *w, size_t slot, const struct tfw_model *m)
{
    size_t at = table(w, slot, 5);
    int32_t ends[2] = {m->input, m->input}, outputs[3] = {m->more[0], m->more[1]};
    outputs[m->n_more] = m->output;
    vector(w, at, 1, (size_t)m->n_inputs, 4, ends);
    vector(w, at, 2, (size_t)m->n_more + 1, 4, outputs);
    size_t tensors = vector(w, at, 0, (size_t)m->n_tensors, 4, NULL);
    for (int i = 0; i < m->n_tensors; i++)
        write_tensor(w, tensors + 4 * (size_t)i, &m->tensor[i], m->tensor[i].data ? i + 1 : 0);
    size_t ops = vector(w, at, 3, (size_t)m->n_ops, 4, NULL);
    for (int i = 0; i < m->n_ops; i++)
        write_op(w, ops + 4 * (size_t)i, &m->op[i], i);
}

size_t tfw_write(const struct tfw_model *m, uint8_t *buf)
{
    struct writer w = {buf, 0};
    reserve(&w, 8);
    memcpy(buf + 4, "TFL3", 4);
    size_t model = table(&w, 0, 8);
    scalar(&w, model, 0, (uint64_t)m->version, 4);
    size_t codes = vector(&w, model, 1, (size_t)m->n_ops, 4, NULL);
    for (int i = 0; i < m->n_ops; i++) {
        size_t at = table(&w, codes + 4 * (size_t)i, 4);
        scalar(&w, at, 0, (uint64_t)(m->op[i].code < 127 ? m->op[i].code : 127), 1);
        scalar(&w, at, 3, (uint64_t)m->op[i].code, 4);
    }
    size_t buffers = vector(&w, model, 4, (size_t)m->n_tensors + 1, 4, NULL);
    table(&w, buffers, 1);
    for (int i = 0; i < m->n_tensors; i++) {
        size_t at = table(&w, buffers + 4 * ((size_t)i + 1), 1);
        if (m->tensor[i].data)
            vector(&w, at, 0, m->tensor[i].len, 1, m->tensor[i].data);
    }
    size_t subgraphs = vector(&w, model, 2, (size_t)m->n_subgraphs, 4, NULL);
    for (int i = 0; i < m->n_subgraphs; i++)
        write_subgraph(&w, subgraphs + 4 * (size_t)i, m);
    return w.n;
}

/* ---- samples ---- */

static const uint8_t bytes[144] = {
    120, 7,   200, 99,  13,  250, 128, 64,  31,  177, 90,  5,   142, 210, 33,  68,  111, 19,
    240, 155, 77,  160, 201, 14,  88,  133, 52,  179, 225, 41,  106, 9,   190, 73,  148, 220,
    27,  115, 62,  183, 234, 45,  97,  126, 3,   171, 208, 84,  139, 57,  195, 22,  109, 246,
    70,  151, 38,  187, 101, 12,  228, 79,  164, 49,  118, 205, 16,  93,  137, 242, 60,  175,
    29,  112, 198, 81,  146, 7,   231, 66,  153, 35,  192, 104, 18,  217, 75,  168, 54,  123,
    239, 10,  87,  141, 203, 47,  95,  180, 24,  130, 222, 69,  157, 40,  114, 188, 1,   236,
    83,  149, 58,  197, 20,  107, 244, 72,  162, 32,  121, 211, 50,  98,  185, 15,  135, 226,
    64,  170, 44,  117, 206, 26,  91,  143, 8,   233, 78,  159, 37,  194, 103, 55,  181, 230,
};
static const int32_t biases[4] = {100, -200, 300, 0};
static const int32_t flat_shape[2] = {1, 4};
static const float floats[144] = {0.5f, -0.25f, 1.0f, 0.125f, -0.75f, 0.3f, 0.9f, -0.6f};

void tfw_sample(struct tfw_model *ret)
{
    *ret = (struct tfw_model){
        .version = 3,
        .n_subgraphs = 1,
        .n_tensors = 14,
        .n_ops = 6,
        .tensor =
            {
                {"input", 3, 4, {1, 8, 8, 3}, 1, 0, {1.0f / 128}, {128}, NULL, 0},
                {"conv/w", 3, 4, {4, 3, 3, 3}, 1, 0, {0.02f}, {120}, bytes, 108},
                {"conv/b", 2, 1, {4}, 1, 0, {0.02f / 128}, {0}, biases, 16},
                {"conv", 3, 4, {1, 4, 4, 4}, 1, 0, {6.0f / 255}, {0}, NULL, 0},
                {"dw/w", 3, 4, {1, 3, 3, 4}, 1, 3, {0.03f}, {128}, bytes, 36},
                {"dw/b", 2, 1, {4}, 1, 0, {0.03f * 6 / 255}, {0}, biases, 16},
                {"dw", 3, 4, {1, 4, 4, 4}, 1, 0, {6.0f / 255}, {0}, NULL, 0},
                {"pool", 3, 4, {1, 1, 1, 4}, 1, 0, {6.0f / 255}, {0}, NULL, 0},
                {"shape", 2, 1, {2}, 0, 0, {0}, {0}, flat_shape, 8},
                {"flat", 3, 2, {1, 4}, 1, 0, {6.0f / 255}, {0}, NULL, 0},
                {"fc/w", 3, 2, {3, 4}, 1, 0, {0.01f}, {99}, bytes, 12},
                {"fc/b", 2, 1, {3}, 1, 0, {0.01f * 6 / 255}, {0}, biases, 12},
                {"logits", 3, 2, {1, 3}, 1, 0, {0.1f}, {60}, NULL, 0},
                {"output", 3, 2, {1, 3}, 1, 0, {1.0f / 256}, {0}, NULL, 0},
            },
        .op =
            {
                {3, 3, {0, 1, 2}, 3, 4, {{0, 'b', 0}, {1, 'i', 2}, {2, 'i', 2}, {3, 'b', 3}}},
                {4,
                 3,
                 {3, 4, 5},
                 6,
                 5,
                 {{0, 'b', 0}, {1, 'i', 1}, {2, 'i', 1}, {3, 'i', 1}, {4, 'b', 3}}},
                {1,
                 1,
                 {6},
                 7,
                 5,
                 {{0, 'b', 1}, {1, 'i', 4}, {2, 'i', 4}, {3, 'i', 4}, {4, 'i', 4}}},
                {22, 2, {7, 8}, 9, 0, {{0}}},
                {9, 3, {9, 10, 11}, 12, 1, {{0, 'b', 0}}},
                {25, 1, {12}, 13, 1, {{0, 'f', 1}}},
            },
        .n_inputs = 1,
        .input = TFW_INPUT,
        .output = TFW_OUTPUT,
    };
}

void tfw_sample_float(struct tfw_model *ret)
{
    tfw_sample(ret);
    for (int i = 0; i < ret->n_tensors; i++) {
        struct tfw_tensor *t = &ret->tensor[i];
        if (i == TFW_SHAPE)
            continue;
        if (t->data) {
            t->len = 4;
            for (int d = 0; d < t->rank; d++)
                t->len *= (size_t)t->dim[d];
            t->data = floats;
        }
        t->type = 0;
        t->n_scale = 0;
    }
}

static const int32_t pads[8] = {0, 0, 1, 0, 0, 1, 0, 0};
static const int32_t axes[2] = {1, -2};
static const int32_t order[4] = {0, 2, 1, 3};
static const uint16_t halves[3] = {0x3c00, 0xb800, 0x3555}; /* 1, -0.5, 1/3 */

static int zoo_tensor(struct tfw_model *m, const char *name, int h, int w, int c)
{
    struct tfw_tensor *t = &m->tensor[m->n_tensors];
    *t = (struct tfw_tensor){.name = name, .rank = 4, .dim = {1, h, w, c}};
    return m->n_tensors++;
}

static int zoo_constant(struct tfw_model *m, const char *name, int type, int n, int m2,
                        const void *data, size_t unit)
{
    struct tfw_tensor *t = &m->tensor[m->n_tensors];
    *t = (struct tfw_tensor){.name = name, .type = type, .rank = 1 + (m2 > 0), .dim = {n, m2}};
    t->data = data;
    t->len = (size_t)n * (size_t)(m2 > 0 ? m2 : 1) * unit;
    return m->n_tensors++;
}

/* out = op(m's current output, other) */
static void zoo_op(struct tfw_model *m, int code, int other, int out, int n_options,
                   const struct tfw_option *options)
{
    struct tfw_op *op = &m->op[m->n_ops++];
    *op = (struct tfw_op){.code = code, .n_in = 1 + (other >= 0), .in = {m->output, other}};
    op->out = m->output = out;
    op->n_options = n_options;
    for (int i = 0; i < n_options; i++)
        op->option[i] = options[i];
}

void tfw_sample_zoo(struct tfw_model *ret)
{
    struct tfw_model *m = ret;
    *m = (struct tfw_model){.version = 3, .n_subgraphs = 1, .n_inputs = 1};
    m->input = m->output = zoo_tensor(m, "input", 8, 8, 3);
    const struct tfw_option pool[] = {
        {0, 'b', 0}, {1, 'i', 2}, {2, 'i', 2}, {3, 'i', 3}, {4, 'i', 3}};
    const struct tfw_option axis[] = {{0, 'i', -1}}, relu[] = {{0, 'b', 1}},
                            leaky[] = {{0, 'f', 0.1}};
    const struct tfw_option pixel[] = {{3, 'b', 1}}, beta[] = {{0, 'f', 1}};
    zoo_op(m, 34, zoo_constant(m, "pads", 2, 4, 2, pads, 4), zoo_tensor(m, "pad", 9, 9, 3), 0,
           NULL);
    zoo_op(m, 39, zoo_constant(m, "order", 2, 4, 0, order, 4), zoo_tensor(m, "transpose", 9, 9, 3),
           0, NULL);
    zoo_op(m, 17, -1, zoo_tensor(m, "maxpool", 5, 5, 3), 5, pool);
    zoo_op(m, 117, -1, zoo_tensor(m, "hard_swish", 5, 5, 3), 0, NULL);
    zoo_op(m, 0, m->output, zoo_tensor(m, "add", 5, 5, 3), 1, relu);
    zoo_op(m, 98, -1, zoo_tensor(m, "leaky", 5, 5, 3), 1, leaky);
    int half = zoo_constant(m, "half", 1, 3, 0, halves, 2), before = m->output;
    m->output = half;
    int single = zoo_tensor(m, "single", 1, 1, 3);
    m->tensor[single].rank = 1;
    m->tensor[single].dim[0] = 3;
    zoo_op(m, 6, -1, single, 0, NULL); /* a constant in fp16 */
    m->output = before;
    zoo_op(m, 18, single, zoo_tensor(m, "mul", 5, 5, 3), 0, NULL);
    zoo_op(m, 2, m->output, zoo_tensor(m, "concat", 5, 5, 6), 1, axis);
    zoo_op(m, 23, zoo_constant(m, "size", 2, 2, 0, axes, 4), zoo_tensor(m, "resize", 7, 6, 6), 1,
           pixel);
    zoo_op(m, 54, zoo_constant(m, "slope", 0, 6, 0, floats, 4), zoo_tensor(m, "prelu", 7, 6, 6), 0,
           NULL);
    zoo_op(m, 40, zoo_constant(m, "axes", 2, 2, 0, axes, 4), zoo_tensor(m, "mean", 1, 1, 6), 0,
           NULL);
    zoo_op(m, 14, -1, zoo_tensor(m, "logistic", 1, 1, 6), 0, NULL);
    zoo_op(m, 21, -1, zoo_tensor(m, "relu6", 1, 1, 6), 0, NULL);
    zoo_op(m, 43, -1, zoo_tensor(m, "squeeze", 1, 6, 0), 0, NULL);
    m->tensor[m->output].rank = 2;
    m->tensor[m->output].dim[1] = 6;
    zoo_op(m, 25, -1, zoo_tensor(m, "softmax", 1, 6, 0), 1, beta);
    m->tensor[m->output].rank = 2;
    m->tensor[m->output].dim[1] = 6;
}

static const int32_t last_axis[1] = {3}, one_three[2] = {1, -1}, from[4] = {0, 0, 0, 1};
static const int32_t to[4] = {0, 0, 0, -1}, steps[4] = {1, 1, 1, 2}, start[4] = {0, 0, 0, 2};
static const int32_t rest[4] = {1, -1, 4, -1}, chosen[3] = {7, 0, 7};
static const int32_t groups[5] = {1, 4, 4, 3, 4}, exchange[5] = {0, 1, 2, 4, 3};
static const int32_t image[4] = {1, 4, 4, 12};

static int five(struct tfw_model *m, const char *name, int last, int least)
{
    int t = zoo_tensor(m, name, 4, 4, last);
    m->tensor[t].rank = 5;
    m->tensor[t].dim[4] = least;
    return t;
}

void tfw_sample_channels(struct tfw_model *ret)
{
    struct tfw_model *m = ret;
    *m = (struct tfw_model){.version = 3, .n_subgraphs = 1, .n_inputs = 1};
    int x = zoo_tensor(m, "input", 4, 4, 8), axis = zoo_constant(m, "axis", 2, 1, 0, last_axis, 4);
    int a = zoo_tensor(m, "a", 4, 4, 4), b = zoo_tensor(m, "b", 4, 4, 4);
    int c = zoo_tensor(m, "c", 4, 4, 1), d = zoo_tensor(m, "d", 4, 4, 3);
    int e = zoo_tensor(m, "e", 4, 4, 2), f = zoo_tensor(m, "f", 4, 4, 6);
    int g = zoo_tensor(m, "g", 4, 4, 3),
        lengths = zoo_constant(m, "lengths", 2, 2, 0, one_three, 4);
    m->input = x;
    int k[4] = {zoo_constant(m, "from", 2, 4, 0, from, 4), zoo_constant(m, "to", 2, 4, 0, to, 4),
                zoo_constant(m, "steps", 2, 4, 0, steps, 4),
                zoo_constant(m, "start", 2, 4, 0, start, 4)};
    int size = zoo_constant(m, "rest", 2, 4, 0, rest, 4);
    int which = zoo_constant(m, "which", 2, 3, 0, chosen, 4);
    struct tfw_op *op = m->op;
    op[TFW_OP_SPLIT] = (struct tfw_op){49, 2, {axis, x}, a, 1, {{0, 'i', 2}}, 1, {b}};
    op[TFW_OP_SPLIT_V] = (struct tfw_op){102, 3, {a, lengths, axis}, c, 1, {{0, 'i', 2}}, 1, {d}};
    op[TFW_OP_STRIDED] =
        (struct tfw_op){45, 4, {b, k[0], k[1], k[2]}, e, 2, {{0, 'i', 7}, {1, 'i', 15}}};
    op[TFW_OP_SLICE] = (struct tfw_op){65, 3, {x, k[3], size}, f, 0, {{0}}};
    op[TFW_OP_GATHER] = (struct tfw_op){36, 2, {x, which}, g, 1, {{0, 'i', -1}}};
    m->output = zoo_tensor(m, "joined", 4, 4, 12);
    op[TFW_OP_JOIN] = (struct tfw_op){2, 4, {c, e, f, g}, m->output, 1, {{0, 'i', 3}}};
    m->n_ops = TFW_OP_JOIN + 1;
    zoo_op(m, 22, zoo_constant(m, "groups", 2, 5, 0, groups, 4), five(m, "grouped", 3, 4), 0, NULL);
    zoo_op(m, 39, zoo_constant(m, "exchange", 2, 5, 0, exchange, 4), five(m, "turned", 4, 3), 0,
           NULL);
    zoo_op(m, 22, zoo_constant(m, "image", 2, 4, 0, image, 4), zoo_tensor(m, "output", 4, 4, 12), 0,
           NULL);
}
