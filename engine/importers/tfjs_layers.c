/* Layers models: a Keras configuration -> nodes. A model may hold models (a backbone under a new
 * head is the usual one), each either a chain (Sequential) or a net with names (Functional). */
#include "engine/importers/tfjs.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 8 };

struct layer {
    struct eng_tfj *f;
    const json_t *json, *config;
    const char *name;
    int in[ENG_MAX_INPUTS], n_in; /* tensors */
    int depth;
};

static int network(struct eng_tfj *f, const json_t *model, const int *in, int n_in, int depth);

static const struct eng_tfj_weight *weight(const struct layer *l, const char *name)
{
    return eng_tfj_layer_weight(l->f, l->name, name);
}

/* The bias, if the layer has one: *ret NULL if not. */
static int bias(const struct layer *l, const struct eng_tfj_weight **ret)
{
    *ret = NULL;
    if (!eng_tfj_true(l->config, "use_bias", 1))
        return 0;
    *ret = weight(l, "bias");
    return *ret ? 0 : eng_tfj_fail(l->f, ENG_E_DATA, "its bias is not in the manifest");
}

static int activation(const struct layer *l, int x)
{
    return x < 0 ? x : eng_tfj_activation(l->f, x, eng_tfj_string(l->config, "activation"));
}

static int channels_last(const struct layer *l)
{
    if (strcmp(eng_tfj_string(l->config, "data_format"), "channels_first") == 0)
        return eng_tfj_fail(l->f, ENG_E_UNSUPPORTED, "its channels come first");
    return 0;
}

static int window(const struct layer *l, const char *size, struct eng_tfj_window *w)
{
    const char *padding = eng_tfj_string(l->config, "padding");
    int rc = channels_last(l);
    memset(w, 0, sizeof(*w));
    if (rc >= 0)
        rc = eng_tfj_ints(l->f, l->config, size, 2, 1, w->k);
    if (rc >= 0)
        rc = eng_tfj_ints(l->f, l->config, "strides", 2, 0, w->stride);
    if (rc >= 0)
        rc = eng_tfj_ints(l->f, l->config, "dilation_rate", 2, 1, w->dilation);
    if (rc < 0)
        return rc;
    for (int i = 0; i < 2; i++) /* of a pool: the window itself */
        if (w->stride[i] == 0)
            w->stride[i] = strcmp(size, "pool_size") == 0 ? w->k[i] : 1;
    w->same = strcmp(padding, "same") == 0;
    if (!w->same && padding[0] && strcmp(padding, "valid") != 0)
        return eng_tfj_fail(l->f, ENG_E_UNSUPPORTED, "padding \"%.40s\" is not supported", padding);
    return 0;
}

/* ---- layers: each returns its output tensor ---- */

static int conv(struct layer *l)
{
    struct eng_tfj_window w;
    const struct eng_tfj_weight *b;
    int rc = window(l, "kernel_size", &w);
    if (rc >= 0)
        rc = bias(l, &b);
    if (rc < 0)
        return rc;
    return activation(l, eng_tfj_conv(l->f, l->in[0], weight(l, "kernel"), b, &w));
}

static int depthwise(struct layer *l)
{
    struct eng_tfj_window w;
    const struct eng_tfj_weight *b, *kernel = weight(l, "depthwise_kernel");
    int rc = window(l, "kernel_size", &w);
    if (rc >= 0)
        rc = bias(l, &b);
    if (rc < 0)
        return rc;
    return activation(
        l, eng_tfj_depthwise(l->f, l->in[0], kernel ? kernel : weight(l, "kernel"), b, &w));
}

static int separable(struct layer *l)
{
    const struct eng_tfj_window pointwise = {.stride = {1, 1}, .dilation = {1, 1}};
    struct eng_tfj_window w;
    const struct eng_tfj_weight *b;
    int rc = window(l, "kernel_size", &w);
    if (rc >= 0)
        rc = bias(l, &b);
    if (rc < 0)
        return rc;
    int x = eng_tfj_depthwise(l->f, l->in[0], weight(l, "depthwise_kernel"), NULL, &w);
    if (x >= 0)
        x = eng_tfj_conv(l->f, x, weight(l, "pointwise_kernel"), b, &pointwise);
    return activation(l, x);
}

static int dense(struct layer *l)
{
    const struct eng_tfj_weight *b;
    int rc = bias(l, &b);
    return rc < 0 ? rc : activation(l, eng_tfj_fc(l->f, l->in[0], weight(l, "kernel"), b, 0));
}

static int batchnorm(struct layer *l)
{
    const struct eng_tfj_weight *four[4] = {NULL, NULL, weight(l, "moving_mean"),
                                            weight(l, "moving_variance")};
    static const char *const names[2] = {"gamma", "beta"}, *const keys[2] = {"scale", "center"};
    double epsilon;
    int axis, last = eng_tfj_tensor(l->f, l->in[0])->rank - 1;
    int rc = eng_tfj_number(l->f, l->config, "epsilon", 1e-3, &epsilon);
    if (rc >= 0)
        rc = eng_tfj_ints(l->f, l->config, "axis", 1, -1, &axis);
    if (rc < 0)
        return rc;
    if (axis != -1 && axis != last)
        return eng_tfj_fail(l->f, ENG_E_UNSUPPORTED, "its axis is %d, not that of the channels",
                            axis);
    for (int i = 0; i < 2; i++) {
        if (!eng_tfj_true(l->config, keys[i], 1))
            continue;
        if (!(four[i] = weight(l, names[i])))
            return eng_tfj_fail(l->f, ENG_E_DATA, "its %s is not in the manifest", names[i]);
    }
    return eng_tfj_batchnorm(l->f, l->in[0], four, epsilon);
}

static int relu(struct layer *l)
{
    double most, slope, threshold;
    int rc = eng_tfj_number(l->f, l->config, "max_value", INFINITY, &most);
    if (rc >= 0)
        rc = eng_tfj_number(l->f, l->config, "negative_slope", 0, &slope);
    if (rc >= 0)
        rc = eng_tfj_number(l->f, l->config, "threshold", 0, &threshold);
    if (rc < 0)
        return rc;
    if (threshold != 0 || (slope != 0 && isfinite(most)) || !(most >= 0))
        return eng_tfj_fail(l->f, ENG_E_UNSUPPORTED, "its threshold or bound is not supported");
    if (slope != 0)
        return eng_tfj_unary(l->f, l->in[0], ENG_UNARY_LEAKY_RELU, (float)slope, 0);
    return eng_tfj_clamp(l->f, l->in[0], 0, (float)most);
}

static int leaky_relu(struct layer *l)
{
    double slope, newer;
    int rc = eng_tfj_number(l->f, l->config, "alpha", 0.3, &slope);
    if (rc >= 0)
        rc = eng_tfj_number(l->f, l->config, "negative_slope", slope, &newer);
    if (rc < 0)
        return rc;
    return eng_tfj_unary(l->f, l->in[0], ENG_UNARY_LEAKY_RELU, (float)newer, 0);
}

static int prelu(struct layer *l)
{
    return eng_tfj_prelu(l->f, l->in[0], weight(l, "alpha"));
}

static int activation_layer(struct layer *l)
{
    return activation(l, l->in[0]);
}

static int softmax(struct layer *l)
{
    int axis, last = eng_tfj_tensor(l->f, l->in[0])->rank - 1;
    int rc = eng_tfj_ints(l->f, l->config, "axis", 1, -1, &axis);
    if (rc == 0 && axis != -1 && axis != last)
        rc = eng_tfj_fail(l->f, ENG_E_UNSUPPORTED, "its axis is not the last");
    return rc < 0 ? rc : eng_tfj_softmax(l->f, l->in[0]);
}

static int pool(struct layer *l, enum eng_op op)
{
    struct eng_tfj_window w;
    int rc = window(l, "pool_size", &w);
    return rc < 0 ? rc : eng_tfj_pool(l->f, l->in[0], op, &w);
}

static int max_pool(struct layer *l)
{
    return pool(l, ENG_OP_MAXPOOL);
}

static int average_pool(struct layer *l)
{
    return pool(l, ENG_OP_AVGPOOL);
}

static int global_average(struct layer *l)
{
    int rc = channels_last(l);
    return rc < 0 ? rc : eng_tfj_mean(l->f, l->in[0], eng_tfj_true(l->config, "keepdims", 0));
}

static int global_max(struct layer *l)
{
    const struct eng_tensor *x = eng_tfj_tensor(l->f, l->in[0]);
    struct eng_tfj_window w = {.k = {x->dim[1], x->dim[2]}, .stride = {1, 1}, .dilation = {1, 1}};
    int64_t flat[2] = {1, x->rank == 4 ? x->dim[3] : -1};
    int rc = channels_last(l);
    if (rc < 0)
        return rc;
    int y = eng_tfj_pool(l->f, l->in[0], ENG_OP_MAXPOOL, &w);
    return y < 0 || eng_tfj_true(l->config, "keepdims", 0) ? y : eng_tfj_reshape(l->f, y, flat, 2);
}

/* One number, [height, width], or [[top, bottom], [left, right]]. */
static int zero_padding(struct layer *l)
{
    const json_t *v = json_object_get(l->config, "padding");
    int pads[4], rc = channels_last(l);
    for (size_t i = 0; i < 4; i++) {
        if (rc < 0)
            break;
        const json_t *at = json_is_array(v) ? json_array_get(v, i / 2) : v;
        at = json_is_array(at) ? json_array_get(at, i % 2) : at;
        json_int_t n = json_integer_value(at);
        if (!json_is_integer(at) || n < 0 || n > ENG_MAX_WINDOW)
            rc = eng_tfj_fail(l->f, ENG_E_DATA, "its padding is out of range");
        pads[i] = (int)n;
    }
    return rc < 0 ? rc : eng_tfj_pad(l->f, l->in[0], pads);
}

static int flatten(struct layer *l)
{
    return eng_tfj_reshape(l->f, l->in[0], (int64_t[]){1, -1}, 2);
}

static int reshape(struct layer *l)
{
    const json_t *shape = json_object_get(l->config, "target_shape");
    int64_t dim[ENG_MAX_RANK] = {1};
    size_t n = json_array_size(shape);
    if (n < 1 || n >= ENG_MAX_RANK)
        return eng_tfj_fail(l->f, ENG_E_UNSUPPORTED, "its target_shape has %zu dimensions", n);
    for (size_t i = 0; i < n; i++)
        dim[i + 1] = json_is_null(json_array_get(shape, i))
                         ? -1
                         : (int64_t)json_integer_value(json_array_get(shape, i));
    return eng_tfj_reshape(l->f, l->in[0], dim, (int)n + 1);
}

static int fold_binary(struct layer *l, enum eng_op op)
{
    int x = l->in[0];
    if (l->n_in < 2)
        return eng_tfj_fail(l->f, ENG_E_DATA, "it has %d inputs", l->n_in);
    for (int i = 1; i < l->n_in && x >= 0; i++)
        x = eng_tfj_binary(l->f, op, x, l->in[i]);
    return x;
}

static int add(struct layer *l)
{
    return fold_binary(l, ENG_OP_ADD);
}

static int multiply(struct layer *l)
{
    return fold_binary(l, ENG_OP_MUL);
}

static int concatenate(struct layer *l)
{
    int axis, rc = eng_tfj_ints(l->f, l->config, "axis", 1, -1, &axis);
    return rc < 0 ? rc : eng_tfj_concat(l->f, l->in, l->n_in, axis);
}

static int up_sampling(struct layer *l)
{
    const struct eng_tensor *x = eng_tfj_tensor(l->f, l->in[0]);
    const char *how = eng_tfj_string(l->config, "interpolation");
    struct eng_node n = {.nearest = strcmp(how, "bilinear") != 0};
    int by[2], rc = channels_last(l);
    n.half_pixel = !n.nearest;
    if (rc >= 0)
        rc = eng_tfj_ints(l->f, l->config, "size", 2, 2, by);
    if (rc < 0)
        return rc;
    if (by[0] < 1 || by[1] < 1 || x->rank != 4)
        return eng_tfj_fail(l->f, ENG_E_DATA, "its size is out of range");
    return eng_tfj_resize(l->f, l->in[0], (int64_t)x->dim[1] * by[0], (int64_t)x->dim[2] * by[1],
                          &n);
}

static int rescaling(struct layer *l)
{
    double scale, offset;
    int rc = eng_tfj_number(l->f, l->config, "scale", 1, &scale);
    if (rc >= 0)
        rc = eng_tfj_number(l->f, l->config, "offset", 0, &offset);
    if (rc < 0)
        return rc;
    return eng_tfj_affine(l->f, l->in[0], scale, offset);
}

static int identity(struct layer *l)
{
    return l->in[0];
}

static int model(struct layer *l)
{
    return network(l->f, l->json, l->in, l->n_in, l->depth + 1);
}

#define OP(id, name, kind, least, most, shape, arith, reference, written, tflite, onnx, tfjs) tfjs
#define FILE_ONLY(tflite, onnx, tfjs) tfjs
#define TFJS(type, add)
#define TFJS_VALUES(type, add)
#define LAYER(class, add, most) {class, add, most},
static const struct {
    const char *name;
    int (*add)(struct layer *l);
    int most; /* inputs */
} classes[] = {
#include "engine/graph/ops.def"
};

/* ---- nets ---- */

static const char *name_of(const json_t *layer)
{
    const char *name = eng_tfj_string(layer, "name");
    return name[0] ? name : eng_tfj_string(json_object_get(layer, "config"), "name");
}

static int is_input(const json_t *layer)
{
    return strcmp(eng_tfj_string(layer, "class_name"), "InputLayer") == 0;
}

static const json_t *input_shape(const json_t *layer)
{
    const json_t *config = json_object_get(layer, "config");
    const json_t *shape = json_object_get(config, "batch_input_shape");
    return shape ? shape : json_object_get(config, "batch_shape");
}

static void enter(struct eng_tfj *f, const json_t *layer)
{
    f->what = name_of(layer);
    f->kind = eng_tfj_string(layer, "class_name");
}

static int one_layer(struct layer *l)
{
    enter(l->f, l->json);
    l->config = json_object_get(l->json, "config");
    l->name = l->f->what;
    if (l->n_in < 1)
        return eng_tfj_fail(l->f, ENG_E_DATA, "it has no input");
    for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++) {
        if (strcmp(classes[i].name, l->f->kind) != 0)
            continue;
        if (l->n_in > classes[i].most)
            return eng_tfj_fail(l->f, ENG_E_DATA, "it has %d inputs", l->n_in);
        return classes[i].add(l);
    }
    return eng_tfj_fail(l->f, ENG_E_UNSUPPORTED, "this class of layer is not supported");
}

static int sequence(struct eng_tfj *f, const json_t *layers, const int *in, int n_in, int depth)
{
    int x = n_in > 0 ? in[0] : -1;
    size_t n = json_array_size(layers);
    if (n < 1 || n > ENG_MAX_NODES)
        return eng_tfj_fail(f, ENG_E_DATA, "it has %zu layers", n);
    for (size_t i = 0; i < n; i++) {
        const json_t *layer = json_array_get(layers, i);
        const char *kind = eng_tfj_string(layer, "class_name");
        int is_model = strcmp(kind, "Sequential") == 0 || strcmp(kind, "Model") == 0 ||
                       strcmp(kind, "Functional") == 0;
        enter(f, layer);
        if (i == 0 && x < 0 && !is_model && (x = eng_tfj_input(f, input_shape(layer))) < 0)
            return x;
        if (is_input(layer))
            continue;
        struct layer l = {.f = f, .json = layer, .in = {x}, .n_in = 1, .depth = depth};
        x = i == 0 && x < 0 ? network(f, layer, NULL, 0, depth + 1) : one_layer(&l);
        if (x < 0)
            return x;
    }
    return x;
}

/* [["name", 0, 0]] or ["name", 0, 0]: the one end of a net. */
static const char *end_name(const json_t *ends)
{
    const json_t *first = json_array_get(ends, 0);
    if (json_is_array(first))
        return json_array_size(ends) == 1 && json_string_value(json_array_get(first, 0))
                   ? json_string_value(json_array_get(first, 0))
                   : NULL;
    return json_string_value(first);
}

static int link_layer(struct eng_tfj *f, struct eng_tfj_net *net, int i)
{
    const json_t *calls = json_object_get(net->items[i].json, "inbound_nodes");
    const json_t *inputs = json_array_get(calls, 0), *input;
    size_t k;
    enter(f, net->items[i].json);
    if (json_array_size(calls) > 1)
        return eng_tfj_fail(f, ENG_E_UNSUPPORTED, "it is used more than once");
    if (json_array_size(calls) == 1 && !json_is_array(inputs))
        return eng_tfj_fail(f, ENG_E_UNSUPPORTED, "its inputs are in the form of Keras 3");
    json_array_foreach(inputs, k, input)
    {
        const char *name = json_string_value(json_array_get(input, 0));
        if (!name)
            return eng_tfj_fail(f, ENG_E_DATA, "its input %zu has no name", k);
        if (json_integer_value(json_array_get(input, 2)) != 0)
            return eng_tfj_fail(f, ENG_E_UNSUPPORTED, "it reads a second output of %.80s", name);
        int rc = eng_tfj_net_link(f, net, i, name);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int link_layers(struct eng_tfj *f, struct eng_tfj_net *net, const json_t *layers)
{
    int rc;
    for (int i = 0; i < net->n; i++) {
        net->items[i].json = json_array_get(layers, (size_t)i);
        net->items[i].name = name_of(net->items[i].json);
        enter(f, net->items[i].json);
        if (!net->items[i].name[0])
            return eng_tfj_fail(f, ENG_E_DATA, "layer %d has no name", i);
    }
    rc = eng_tfj_net_index(f, net);
    if (rc < 0)
        return rc;
    for (int i = 0; i < net->n; i++)
        if ((rc = link_layer(f, net, i)) < 0)
            return rc;
    return 0;
}

/* The layers that the output needs, in order; values: tensor of each. */
static int run_net(struct eng_tfj *f, const struct eng_tfj_net *net, const int *in, int n_in,
                   int depth, int *values)
{
    int x = -1;
    for (int i = 0; i < net->n_order; i++) {
        const struct eng_tfj_item *item = &net->items[net->order[i]];
        struct layer l = {.f = f, .json = item->json, .n_in = item->n_in, .depth = depth};
        for (int k = 0; k < item->n_in; k++)
            l.in[k] = values[net->links[item->first + k]];
        enter(f, item->json);
        if (!is_input(item->json))
            x = one_layer(&l);
        else if (n_in > 0)
            x = in[0];
        else
            x = eng_tfj_input(f, input_shape(item->json));
        if (x < 0)
            return x;
        values[net->order[i]] = x;
    }
    return x;
}

static int functional(struct eng_tfj *f, const json_t *config, const int *in, int n_in, int depth)
{
    const json_t *layers = json_object_get(config, "layers");
    const char *output = end_name(json_object_get(config, "output_layers"));
    struct eng_tfj_net net;
    int *values = NULL, rc, wanted;
    if (!end_name(json_object_get(config, "input_layers")) || !output)
        return eng_tfj_fail(f, ENG_E_UNSUPPORTED, "it does not have one input and one output");
    rc = eng_tfj_net_create(f, &net, json_array_size(layers));
    if (rc == 0)
        rc = link_layers(f, &net, layers);
    if (rc == 0 && (wanted = eng_tfj_net_find(&net, output)) < 0)
        rc = eng_tfj_fail(f, ENG_E_DATA, "its output %.80s does not exist", output);
    if (rc == 0)
        rc = eng_tfj_net_sort(f, &net, wanted);
    if (rc == 0 && !(values = calloc((size_t)net.n, sizeof(*values))))
        rc = eng_tfj_no_memory(f);
    if (rc == 0)
        rc = run_net(f, &net, in, n_in, depth, values);
    free(values);
    eng_tfj_net_finish(&net);
    return rc;
}

static int network(struct eng_tfj *f, const json_t *model_json, const int *in, int n_in, int depth)
{
    const json_t *config = json_object_get(model_json, "config");
    enter(f, model_json);
    if (depth > MAX_DEPTH)
        return eng_tfj_fail(f, ENG_E_LIMIT, "models within models, deeper than %d", MAX_DEPTH);
    if (strcmp(f->kind, "Sequential") == 0)
        return sequence(f, json_is_array(config) ? config : json_object_get(config, "layers"), in,
                        n_in, depth);
    if (strcmp(f->kind, "Model") == 0 || strcmp(f->kind, "Functional") == 0)
        return functional(f, config, in, n_in, depth);
    return eng_tfj_fail(f, ENG_E_UNSUPPORTED, "this class of model is not supported");
}

int eng_tfj_import_layers(struct eng_tfj *f, const json_t *model_config)
{
    return network(f, model_config, NULL, 0, 0);
}
