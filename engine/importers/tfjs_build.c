/* One node of our graph each, for both front ends. Shapes are inferred as nodes come: TF.js files
 * state none, and SAME padding, flattening and reshaping need them. */
#include "engine/importers/tfjs.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static struct eng_node new_node(enum eng_op op)
{
    return (struct eng_node){.op = op, .lo = -INFINITY, .hi = INFINITY, .groups = 1, .beta = 1};
}

const struct eng_tensor *eng_tfj_tensor(const struct eng_tfj *f, int index)
{
    return &f->g->tensors[index];
}

static int add_tensor(struct eng_tfj *f, struct eng_tensor *t)
{
    t->name = eng_graph_strdup(f->g, f->what, strlen(f->what));
    if (!t->name)
        return eng_tfj_no_memory(f);
    int rc = eng_graph_add_tensor(f->g, t);
    return rc < 0 ? eng_tfj_fail(f, rc, "the graph has too many tensors") : rc;
}

int eng_tfj_input(struct eng_tfj *f, const json_t *shape)
{
    struct eng_tensor t = {.type = ENG_F32, .rank = 4, .dim = {1}};
    if (json_array_size(shape) != 4)
        return eng_tfj_fail(f, ENG_E_UNSUPPORTED, "its input is not one image");
    const int instead[4] = {1, f->open_size.height, f->open_size.width, 0};
    for (size_t i = 1; i < 4; i++) {
        json_int_t d = json_integer_value(json_array_get(shape, i));
        d = d < 1 ? instead[i] : d;
        if (d < 1 || d > ENG_MAX_DIM)
            return eng_tfj_fail(f, ENG_E_UNSUPPORTED,
                                "the size of its input is not fixed, and no input.height and "
                                "input.width of a model.json are there for it");
        t.dim[i] = (int32_t)d;
    }
    if (f->g->input >= 0)
        return eng_tfj_fail(f, ENG_E_UNSUPPORTED, "the model has more than one input");
    return f->g->input = add_tensor(f, &t);
}

int eng_tfj_constant(struct eng_tfj *f, int rank, const int32_t *dim, const float *data)
{
    struct eng_tensor t = {.type = ENG_F32, .rank = rank, .data = data};
    memcpy(t.dim, dim, (size_t)rank * sizeof(*dim));
    t.size = eng_tensor_elements(&t) * sizeof(*data);
    return add_tensor(f, &t);
}

/* Adds the node; its output is a new tensor named after f->what, of that shape (NULL: inferred). */
static int add_node(struct eng_tfj *f, struct eng_node *n, const int *in, int n_in,
                    const struct eng_tensor *shape)
{
    struct eng_tensor out = shape ? *shape : (struct eng_tensor){.type = ENG_F32};
    n->n_in = n_in;
    n->in = eng_graph_alloc(f->g, (size_t)n_in + 1, sizeof(*in));
    if (!n->in)
        return eng_tfj_no_memory(f);
    memcpy(n->in, in, (size_t)n_in * sizeof(*in));
    int index = add_tensor(f, &out);
    if (index < 0)
        return index;
    n->out = index;
    n->name = f->g->tensors[index].name;
    int node = eng_graph_add_node(f->g, n);
    if (node < 0)
        return eng_tfj_fail(f, node, "the graph has too many nodes");
    int rc = eng_graph_infer(f->g, node, f->err, f->errlen);
    return rc < 0 ? rc : index;
}

/* ---- windows ---- */

static int set_window(struct eng_tfj *f, struct eng_node *n, int x, const struct eng_tfj_window *w)
{
    const struct eng_tensor *in = eng_tfj_tensor(f, x);
    struct eng_window *to = &n->win;
    for (int i = 0; i < 2; i++)
        if (w->k[i] < 1 || w->k[i] > ENG_MAX_WINDOW || w->stride[i] < 1 ||
            w->stride[i] > ENG_MAX_WINDOW || w->dilation[i] < 1 || w->dilation[i] > ENG_MAX_WINDOW)
            return eng_tfj_fail(f, ENG_E_DATA, "its window, stride or dilation is out of range");
    *to = (struct eng_window){.kh = w->k[0],
                              .kw = w->k[1],
                              .sh = w->stride[0],
                              .sw = w->stride[1],
                              .dh = w->dilation[0],
                              .dw = w->dilation[1],
                              .top = w->pads[0],
                              .bottom = w->pads[1],
                              .left = w->pads[2],
                              .right = w->pads[3]};
    if (in->rank != 4)
        return eng_tfj_fail(f, ENG_E_UNSUPPORTED, "its input is not one image");
    if (!w->same)
        return 0;
    if (eng_same_padding(in->dim[1], to->kh, to->sh, to->dh, &to->top, &to->bottom) < 0 ||
        eng_same_padding(in->dim[2], to->kw, to->sw, to->dw, &to->left, &to->right) < 0)
        return eng_tfj_fail(f, ENG_E_LIMIT, "its window is too large");
    return 0;
}

static int vector(struct eng_tfj *f, const struct eng_tfj_weight *w)
{
    float *data;
    if (w->elements < 1 || w->elements > ENG_MAX_DIM)
        return eng_tfj_fail(f, ENG_E_DATA, "its weight %.80s has another shape", w->name);
    int rc = eng_tfj_floats(f, w, &data);
    return rc < 0 ? rc : eng_tfj_constant(f, 1, (int32_t[]){(int32_t)w->elements}, data);
}

static int kernel_ok(struct eng_tfj *f, const struct eng_tfj_weight *w, int rank)
{
    if (!w)
        return eng_tfj_fail(f, ENG_E_DATA, "its weights are not in the manifest");
    if (w->rank != rank || w->elements < 1)
        return eng_tfj_fail(f, ENG_E_DATA, "its weight %.80s has another shape", w->name);
    return 0;
}

/* [rows][columns] -> [columns][rows] */
static int transpose(struct eng_tfj *f, const struct eng_tfj_weight *w, size_t rows, size_t columns,
                     float **ret)
{
    float *from, *to = eng_graph_alloc_constant(f->g, w->elements, sizeof(*to));
    int rc = to ? eng_tfj_floats(f, w, &from) : eng_tfj_no_memory(f);
    if (rc < 0)
        return rc;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            to[c * rows + r] = from[r * columns + c];
    *ret = to;
    return 0;
}

static int add_with_bias(struct eng_tfj *f, struct eng_node *n, int x, int weights,
                         const struct eng_tfj_weight *bias)
{
    int in[3] = {x, weights, -1};
    if (weights < 0)
        return weights;
    if (bias && (in[2] = vector(f, bias)) < 0)
        return in[2];
    return add_node(f, n, in, bias ? 3 : 2, NULL);
}

int eng_tfj_conv(struct eng_tfj *f, int x, const struct eng_tfj_weight *kernel,
                 const struct eng_tfj_weight *bias, const struct eng_tfj_window *w)
{
    struct eng_node n = new_node(ENG_OP_CONV);
    struct eng_tfj_window window = *w;
    float *data;
    int rc = kernel_ok(f, kernel, 4);
    if (rc < 0)
        return rc;
    window.k[0] = kernel->dim[0];
    window.k[1] = kernel->dim[1];
    size_t outputs = (size_t)kernel->dim[3];
    rc = set_window(f, &n, x, &window);
    if (rc >= 0)
        rc = transpose(f, kernel, kernel->elements / outputs, outputs, &data);
    if (rc < 0)
        return rc;
    const struct eng_tensor *in = eng_tfj_tensor(f, x);
    n.groups = in->dim[3] % kernel->dim[2] == 0 ? in->dim[3] / kernel->dim[2] : 0;
    int32_t dim[4] = {kernel->dim[3], kernel->dim[0], kernel->dim[1], kernel->dim[2]};
    return add_with_bias(f, &n, x, eng_tfj_constant(f, 4, dim, data), bias);
}

int eng_tfj_depthwise(struct eng_tfj *f, int x, const struct eng_tfj_weight *kernel,
                      const struct eng_tfj_weight *bias, const struct eng_tfj_window *w)
{
    struct eng_node n = new_node(ENG_OP_DEPTHWISE);
    struct eng_tfj_window window = *w;
    float *data;
    int rc = kernel_ok(f, kernel, 4);
    if (rc < 0)
        return rc;
    if ((int64_t)kernel->dim[2] * kernel->dim[3] > ENG_MAX_DIM)
        return eng_tfj_fail(f, ENG_E_LIMIT, "it has too many channels");
    window.k[0] = kernel->dim[0];
    window.k[1] = kernel->dim[1];
    n.multiplier = kernel->dim[3];
    rc = set_window(f, &n, x, &window);
    if (rc >= 0)
        rc = eng_tfj_floats(f, kernel, &data);
    if (rc < 0)
        return rc;
    int32_t dim[4] = {1, kernel->dim[0], kernel->dim[1], kernel->dim[2] * kernel->dim[3]};
    return add_with_bias(f, &n, x, eng_tfj_constant(f, 4, dim, data), bias);
}

int eng_tfj_fc(struct eng_tfj *f, int x, const struct eng_tfj_weight *kernel,
               const struct eng_tfj_weight *bias, int transposed)
{
    struct eng_node n = new_node(ENG_OP_FC);
    float *data;
    int rc = kernel_ok(f, kernel, 2);
    if (rc < 0)
        return rc;
    size_t rows = (size_t)kernel->dim[0], columns = (size_t)kernel->dim[1];
    rc = transposed ? eng_tfj_floats(f, kernel, &data) : transpose(f, kernel, rows, columns, &data);
    if (rc < 0)
        return rc;
    int32_t dim[2] = {kernel->dim[!transposed], kernel->dim[transposed]};
    return add_with_bias(f, &n, x, eng_tfj_constant(f, 2, dim, data), bias);
}

int eng_tfj_pool(struct eng_tfj *f, int x, enum eng_op op, const struct eng_tfj_window *w)
{
    struct eng_node n = new_node(op);
    int rc = set_window(f, &n, x, w);
    return rc < 0 ? rc : add_node(f, &n, &x, 1, NULL);
}

int eng_tfj_pad(struct eng_tfj *f, int x, const int pads[4])
{
    struct eng_node n = new_node(ENG_OP_PAD);
    n.win =
        (struct eng_window){.top = pads[0], .bottom = pads[1], .left = pads[2], .right = pads[3]};
    return add_node(f, &n, &x, 1, NULL);
}

int eng_tfj_mean(struct eng_tfj *f, int x, int keep_dims)
{
    struct eng_node n = new_node(ENG_OP_MEAN);
    const struct eng_tensor *in = eng_tfj_tensor(f, x);
    struct eng_tensor flat = {.type = ENG_F32, .rank = 2, .dim = {1, in->dim[3]}};
    if (in->rank != 4)
        return eng_tfj_fail(f, ENG_E_UNSUPPORTED, "its input is not one image");
    return add_node(f, &n, &x, 1, keep_dims ? NULL : &flat);
}

/* ---- per channel ---- */

/* The moments become one scale and one offset, in double: what is folded into the convolution
 * before must not have been rounded twice. */
int eng_tfj_batchnorm(struct eng_tfj *f, int x, const struct eng_tfj_weight *const four[4],
                      double epsilon)
{
    struct eng_node n = new_node(ENG_OP_BATCHNORM);
    const struct eng_tfj_weight *mean = four[2], *variance = four[3];
    float *v[4] = {NULL};
    if (!mean || !variance || mean->elements < 1 || mean->elements > ENG_MAX_DIM)
        return eng_tfj_fail(f, ENG_E_DATA, "its mean or variance is not in the manifest");
    size_t channels = mean->elements;
    for (int i = 0; i < 4; i++) {
        int rc = !four[i]                        ? 0
                 : four[i]->elements == channels ? eng_tfj_floats(f, four[i], &v[i])
                                                 : ENG_E_DATA;
        if (rc == ENG_E_DATA)
            return eng_tfj_fail(f, rc, "%.80s has another length", four[i]->name);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < channels; i++) {
        double scale = (v[0] ? (double)v[0][i] : 1) / sqrt((double)v[3][i] + epsilon);
        double offset = (v[1] ? (double)v[1][i] : 0) - (double)v[2][i] * scale;
        v[3][i] = (float)scale;
        v[2][i] = (float)offset;
    }
    int32_t dim[1] = {(int32_t)channels};
    int in[3] = {x, eng_tfj_constant(f, 1, dim, v[3]), -1};
    if (in[1] < 0 || (in[2] = eng_tfj_constant(f, 1, dim, v[2])) < 0)
        return in[1] < 0 ? in[1] : in[2];
    return add_node(f, &n, in, 3, NULL);
}

int eng_tfj_prelu(struct eng_tfj *f, int x, const struct eng_tfj_weight *slope)
{
    struct eng_node n = new_node(ENG_OP_PRELU);
    if (!slope)
        return eng_tfj_fail(f, ENG_E_DATA, "its slopes are not in the manifest");
    int in[2] = {x, vector(f, slope)};
    return in[1] < 0 ? in[1] : add_node(f, &n, in, 2, NULL);
}

/* ---- shapes ---- */

int eng_tfj_reshape(struct eng_tfj *f, int x, const int64_t *dim, int rank)
{
    struct eng_node n = new_node(ENG_OP_RESHAPE);
    struct eng_tensor shape = {.type = ENG_F32, .rank = rank};
    size_t elements = eng_tensor_elements(eng_tfj_tensor(f, x)), known = 1;
    int free_axis = -1;
    if (rank < 1 || rank > ENG_MAX_RANK)
        return eng_tfj_fail(f, ENG_E_UNSUPPORTED, "it makes a tensor of %d dimensions", rank);
    for (int i = 0; i < rank; i++) {
        if (dim[i] == -1 && free_axis < 0) {
            free_axis = i;
            continue;
        }
        if (dim[i] < 1 || dim[i] > ENG_MAX_DIM)
            return eng_tfj_fail(f, ENG_E_DATA, "it asks for a dimension of %lld",
                                (long long)dim[i]);
        shape.dim[i] = (int32_t)dim[i];
        known *= (size_t)dim[i];
        if (known > ENG_MAX_ELEMENTS)
            return eng_tfj_fail(f, ENG_E_DATA, "its shape does not fit its input");
    }
    if (free_axis >= 0 && (elements % known != 0 || elements / known > ENG_MAX_DIM))
        return eng_tfj_fail(f, ENG_E_DATA, "its shape does not fit its input");
    if (free_axis >= 0)
        shape.dim[free_axis] = (int32_t)(elements / known);
    return add_node(f, &n, &x, 1, &shape);
}

int eng_tfj_resize(struct eng_tfj *f, int x, int64_t h, int64_t w, const struct eng_node *how)
{
    struct eng_node n = new_node(ENG_OP_RESIZE);
    const struct eng_tensor *in = eng_tfj_tensor(f, x);
    struct eng_tensor shape = {
        .type = ENG_F32, .rank = 4, .dim = {1, (int32_t)h, (int32_t)w, in->dim[3]}};
    if (in->rank != 4 || h < 1 || w < 1 || h > ENG_MAX_DIM || w > ENG_MAX_DIM)
        return eng_tfj_fail(f, ENG_E_UNSUPPORTED, "it does not make one image of one image");
    n.nearest = how->nearest;
    n.align_corners = how->align_corners;
    n.half_pixel = how->half_pixel;
    return add_node(f, &n, &x, 1, &shape);
}

int eng_tfj_concat(struct eng_tfj *f, const int *in, int n, int64_t axis)
{
    struct eng_node node = new_node(ENG_OP_CONCAT);
    int rank = n > 0 ? eng_tfj_tensor(f, in[0])->rank : 0;
    if (axis < 0)
        axis += rank;
    node.axis = axis >= 0 && axis < rank ? (int)axis : -1;
    return add_node(f, &node, in, n, NULL);
}

/* ---- element by element ---- */

int eng_tfj_binary(struct eng_tfj *f, enum eng_op op, int a, int b)
{
    struct eng_node n = new_node(op);
    return add_node(f, &n, (int[]){a, b}, 2, NULL);
}

int eng_tfj_unary(struct eng_tfj *f, int x, enum eng_unary unary, float alpha, float beta)
{
    struct eng_node n = new_node(ENG_OP_UNARY);
    n.unary = unary;
    n.alpha = alpha;
    n.beta = beta;
    return add_node(f, &n, &x, 1, NULL);
}

int eng_tfj_clamp(struct eng_tfj *f, int x, float lo, float hi)
{
    struct eng_node n = new_node(ENG_OP_UNARY);
    n.unary = ENG_UNARY_CLAMP;
    n.lo = lo;
    n.hi = hi;
    return add_node(f, &n, &x, 1, NULL);
}

int eng_tfj_softmax(struct eng_tfj *f, int x)
{
    struct eng_node n = new_node(ENG_OP_SOFTMAX);
    return add_node(f, &n, &x, 1, NULL);
}

static int one_number(struct eng_tfj *f, double v)
{
    float *data = eng_graph_alloc_constant(f->g, 1, sizeof(*data));
    if (!data)
        return eng_tfj_no_memory(f);
    *data = (float)v;
    return eng_tfj_constant(f, 1, (int32_t[]){1}, data);
}

int eng_tfj_affine(struct eng_tfj *f, int x, double scale, double offset)
{
    if (scale != 1) {
        int c = one_number(f, scale);
        x = c < 0 ? c : eng_tfj_binary(f, ENG_OP_MUL, x, c);
    }
    if (x >= 0 && offset != 0) {
        int c = one_number(f, offset);
        x = c < 0 ? c : eng_tfj_binary(f, ENG_OP_ADD, x, c);
    }
    return x;
}

int eng_tfj_activation(struct eng_tfj *f, int x, const char *name)
{
    static const struct {
        const char *name;
        enum eng_unary unary;
        float alpha, beta;
    } rows[] = {
        {"sigmoid", ENG_UNARY_SIGMOID, 0, 0},
        {"tanh", ENG_UNARY_TANH, 0, 0},
        {"swish", ENG_UNARY_SWISH, 0, 0},
        {"silu", ENG_UNARY_SWISH, 0, 0},
        {"hard_swish", ENG_UNARY_HARD_SWISH, 0, 0},
        /* Keras's, clip(x/5 + 1/2), not that of MobileNet V3. */
        {"hard_sigmoid", ENG_UNARY_HARD_SIGMOID, 0.2f, 0.5f},
    };
    if (name[0] == '\0' || strcmp(name, "linear") == 0)
        return x;
    if (strcmp(name, "relu") == 0)
        return eng_tfj_clamp(f, x, 0, INFINITY);
    if (strcmp(name, "relu6") == 0)
        return eng_tfj_clamp(f, x, 0, 6);
    if (strcmp(name, "softmax") == 0)
        return eng_tfj_softmax(f, x);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (strcmp(name, rows[i].name) == 0)
            return eng_tfj_unary(f, x, rows[i].unary, rows[i].alpha, rows[i].beta);
    return eng_tfj_fail(f, ENG_E_UNSUPPORTED, "activation \"%.40s\" is not supported", name);
}
