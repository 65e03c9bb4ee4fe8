/* See onnx_nets.h. */
#include "tests/unit/onnx_nets.h"

enum { MANY = 6 * 12 * 9 };

static float numbers[MANY];
static int8_t signed_bytes[MANY];
static uint8_t unsigned_bytes[MANY];

static void begin(struct onw_model *m)
{
    for (int i = 0; i < MANY; i++) {
        numbers[i] = (float)(i * 53 % 101 - 50) / 64.0f;
        signed_bytes[i] = (int8_t)(i * 53 % 255 - 127);
        unsigned_bytes[i] = (uint8_t)(i * 53);
    }
    onw_begin(m, ONN_C, ONN_H, ONN_W);
}

static void end(struct onw_model *m, const char *last)
{
    onw_add(m, "Flatten", "y", last, NULL, NULL);
    m->output[0] = "y";
}

static void two(struct onw_node *n, const char *name, int64_t a, int64_t b)
{
    onw_ints(n, name, 2, (int64_t[]){a, b});
}

static void four(struct onw_node *n, const char *name, int64_t a, int64_t b, int64_t c, int64_t d)
{
    onw_ints(n, name, 4, (int64_t[]){a, b, c, d});
}

/* ---- windows ---- */

static struct onw_node *conv(struct onw_model *m, int out, int each, int kh, int kw)
{
    begin(m);
    onw_floats(m, "w", numbers, (int[]){out, each, kh, kw, 0});
    onw_floats(m, "b", numbers + 7, (int[]){out, 0});
    return onw_add(m, "Conv", "c", "x", "w", "b");
}

static void grouped(struct onw_model *m)
{
    struct onw_node *n = conv(m, 4, 3, 3, 2);
    onw_int(n, "group", 2);
    two(n, "strides", 2, 1);
    two(n, "dilations", 1, 2);
    four(n, "pads", 1, 0, 2, 1);
    end(m, "c");
}

static void same_upper(struct onw_model *m)
{
    struct onw_node *n = conv(m, 3, 6, 2, 2);
    onw_string(n, "auto_pad", "SAME_UPPER");
    two(n, "strides", 1, 2);
    end(m, "c");
}

static void same_lower(struct onw_model *m)
{
    struct onw_node *n = conv(m, 3, 6, 2, 4);
    onw_string(n, "auto_pad", "SAME_LOWER");
    two(n, "strides", 2, 1);
    end(m, "c");
}

static void multiplied(struct onw_model *m)
{
    struct onw_node *n = conv(m, 12, 1, 3, 3);
    onw_int(n, "group", 6);
    four(n, "pads", 1, 1, 1, 1);
    end(m, "c");
}

static struct onw_node *pool(struct onw_model *m, const char *type, int k, int stride)
{
    begin(m);
    struct onw_node *n = onw_add(m, type, "p", "x", NULL, NULL);
    two(n, "kernel_shape", k, k);
    two(n, "strides", stride, stride);
    return n;
}

static void max_ceil(struct onw_model *m)
{
    struct onw_node *n = pool(m, "MaxPool", 2, 3);
    onw_int(n, "ceil_mode", 1);
    four(n, "pads", 1, 0, 1, 0);
    end(m, "p");
}

static void average_ceil(struct onw_model *m)
{
    onw_int(pool(m, "AveragePool", 2, 2), "ceil_mode", 1);
    end(m, "p");
}

static void average_padded(struct onw_model *m)
{
    struct onw_node *n = pool(m, "AveragePool", 3, 2);
    onw_int(n, "count_include_pad", 1);
    four(n, "pads", 1, 1, 0, 1);
    end(m, "p");
}

static void average_unpadded(struct onw_model *m)
{
    four(pool(m, "AveragePool", 3, 2), "pads", 1, 1, 0, 1);
    end(m, "p");
}

static void padded(struct onw_model *m)
{
    static const int64_t pads[8] = {0, 0, 1, 2, 0, 0, 3, 0};
    begin(m);
    onw_integers(m, "pads", pads, 8);
    onw_floats(m, "w", numbers, (int[]){2, 6, 3, 3, 0});
    onw_add(m, "Pad", "p", "x", "pads", NULL);
    onw_add(m, "Conv", "c", "p", "w", NULL);
    end(m, "c");
}

static void normalised(struct onw_model *m)
{
    static const float variance[6] = {1, 0.5f, 2, 0.25f, 3, 1e-3f};
    struct onw_node *n = conv(m, 6, 6, 1, 1);
    four(n, "pads", 0, 0, 0, 0);
    onw_floats(m, "scale", numbers + 9, (int[]){6, 0});
    onw_floats(m, "shift", numbers + 19, (int[]){6, 0});
    onw_floats(m, "mean", numbers + 29, (int[]){6, 0});
    onw_floats(m, "var", variance, (int[]){6, 0});
    struct onw_node *bn = onw_add(m, "BatchNormalization", "bn", "c", "scale", "shift");
    bn->in[3] = "mean";
    bn->in[4] = "var";
    onw_float(bn, "epsilon", 1e-3f);
    end(m, "bn");
}

/* ---- shapes ---- */

static void channels_last(struct onw_model *m)
{
    begin(m);
    four(onw_add(m, "Transpose", "t", "x", NULL, NULL), "perm", 0, 2, 3, 1);
    end(m, "t");
}

static void sideways(struct onw_model *m)
{
    begin(m);
    four(onw_add(m, "Transpose", "t", "x", NULL, NULL), "perm", 0, 3, 1, 2);
    onw_add(m, "GlobalMaxPool", "p", "t", NULL, NULL);
    end(m, "p");
}

static void shuffled(struct onw_model *m)
{
    static const int64_t to[5] = {0, 2, 3, 5, 7}, back[4] = {-1, 6, 5, 7};
    begin(m);
    onw_integers(m, "to", to, 5);
    onw_integers(m, "back", back, 4);
    onw_add(m, "Reshape", "a", "x", "to", NULL);
    onw_ints(onw_add(m, "Transpose", "b", "a", NULL, NULL), "perm", 5, (int64_t[]){0, 2, 1, 3, 4});
    onw_add(m, "Reshape", "c", "b", "back", NULL);
    struct onw_node *n = onw_add(m, "MaxPool", "p", "c", NULL, NULL);
    two(n, "kernel_shape", 1, 2);
    end(m, "p");
}

static void means(struct onw_model *m)
{
    begin(m);
    struct onw_node *n = onw_add(m, "ReduceMean", "r", "x", NULL, NULL);
    two(n, "axes", -1, 2);
    onw_int(n, "keepdims", 0);
    end(m, "r");
}

static void stacked(struct onw_model *m)
{
    begin(m);
    onw_add(m, "Relu", "r", "x", NULL, NULL);
    onw_int(onw_add(m, "Concat", "c", "x", "r", NULL), "axis", -2);
    end(m, "c");
}

static void unsqueezed(struct onw_model *m)
{
    static const int64_t behind[2] = {2, -1};
    begin(m);
    onw_integers(m, "behind", behind, 2);
    two(onw_add(m, "ReduceMean", "r", "x", NULL, NULL), "axes", 2, 3);
    m->node[m->n_nodes - 1].n_attributes = 1;
    onw_add(m, "Flatten", "f", "r", NULL, NULL);
    onw_add(m, "Unsqueeze", "u", "f", "behind", NULL);
    onw_add(m, "Sigmoid", "s", "u", NULL, NULL);
    onw_add(m, "Mul", "g", "s", "x", NULL);
    end(m, "g");
}

/* ---- elements ---- */

static void constants(struct onw_model *m)
{
    begin(m);
    onw_floats(m, "per", numbers, (int[]){6, 1, 1, 0});
    onw_floats(m, "by", numbers + 21, (int[]){1, 6, 1, 1, 0});
    onw_floats(m, "full", numbers, (int[]){1, 6, 5, 7, 0});
    onw_add(m, "Sub", "a", "x", "per", NULL);
    onw_add(m, "Div", "b", "a", "by", NULL);
    onw_add(m, "Add", "c", "full", "b", NULL);
    end(m, "c");
}

static void along_rows(struct onw_model *m)
{
    begin(m);
    onw_floats(m, "row", numbers, (int[]){7, 0});
    onw_add(m, "Mul", "a", "x", "row", NULL);
    end(m, "a");
}

static void dense(struct onw_model *m)
{
    begin(m);
    onw_floats(m, "w", numbers, (int[]){210, 3, 0});
    onw_floats(m, "b", numbers + 3, (int[]){1, 3, 0});
    onw_add(m, "Flatten", "f", "x", NULL, NULL);
    struct onw_node *n = onw_add(m, "Gemm", "g", "f", "w", "b");
    onw_float(n, "alpha", 0.5f);
    onw_float(n, "beta", -2);
    end(m, "g");
}

static void over_channels(struct onw_model *m)
{
    begin(m);
    onw_int(onw_add(m, "Softmax", "s", "x", NULL, NULL), "axis", 1);
    end(m, "s");
}

static void over_all(struct onw_model *m)
{
    begin(m);
    m->opset = 11;
    onw_add(m, "Flatten", "f", "x", NULL, NULL);
    onw_add(m, "Softmax", "s", "f", NULL, NULL);
    end(m, "s");
}

static void slopes(struct onw_model *m)
{
    begin(m);
    onw_floats(m, "slope", numbers, (int[]){6, 1, 1, 0});
    onw_add(m, "PRelu", "p", "x", "slope", NULL);
    onw_float(onw_add(m, "LeakyRelu", "l", "p", NULL, NULL), "alpha", 0.3f);
    struct onw_node *n = onw_add(m, "HardSigmoid", "h", "l", NULL, NULL);
    onw_float(n, "alpha", 0.7f);
    onw_float(n, "beta", 0.4f);
    end(m, "h");
}

static void old_clip(struct onw_model *m)
{
    begin(m);
    m->opset = 10;
    struct onw_node *n = onw_add(m, "Clip", "c", "x", NULL, NULL);
    onw_float(n, "min", -0.25f);
    onw_float(n, "max", 0.5f);
    end(m, "c");
}

/* ---- quanta ---- */

static const float scale_x = 1 / 64.0f, scale_y = 0.05f, scale_w[4] = {0.01f, 0.02f, 0.005f, 0.01f};
static const int8_t zero_x = 5, zero_y = -20, zero_w[4] = {0};
static const uint8_t zero_u = 100;

static void scales(struct onw_model *m, int type)
{
    int sign = type == ONW_INT8;
    begin(m);
    onw_floats(m, "sx", &scale_x, NULL);
    onw_floats(m, "sy", &scale_y, NULL);
    onw_bytes(m, "zx", type, sign ? (const void *)&zero_x : &zero_u, NULL);
    onw_bytes(m, "zy", type, sign ? (const void *)&zero_y : &zero_u, NULL);
    onw_floats(m, "sw", scale_w, (int[]){4, 0});
    onw_bytes(m, "zw", ONW_INT8, zero_w, (int[]){4, 0});
    onw_add(m, "QuantizeLinear", "xq", "x", "sx", "zx");
    onw_add(m, "DequantizeLinear", "xd", "xq", "sx", "zx");
}

static void requantised(struct onw_model *m, const char *from)
{
    onw_add(m, "QuantizeLinear", "yq", from, "sy", "zy");
    onw_add(m, "DequantizeLinear", "yd", "yq", "sy", "zy");
    end(m, "yd");
}

static void signed_conv(struct onw_model *m)
{
    scales(m, ONW_INT8);
    onw_bytes(m, "wq", ONW_INT8, signed_bytes, (int[]){4, 6, 3, 3, 0});
    onw_int(onw_add(m, "DequantizeLinear", "w", "wq", "sw", "zw"), "axis", 0);
    onw_add(m, "Conv", "c", "xd", "w", NULL);
    requantised(m, "c");
}

/* Activations without a sign, weights with one: what ONNX Runtime's own quantiser writes. */
static void mixed_conv(struct onw_model *m)
{
    static const float six = 6, none = 0;
    scales(m, ONW_UINT8);
    onw_floats(m, "lo", &none, NULL);
    onw_floats(m, "hi", &six, NULL);
    onw_bytes(m, "wq", ONW_INT8, signed_bytes, (int[]){4, 6, 3, 3, 0});
    onw_int(onw_add(m, "DequantizeLinear", "w", "wq", "sw", "zw"), "axis", 0);
    onw_add(m, "Conv", "c", "xd", "w", NULL);
    onw_add(m, "Clip", "r", "c", "lo", "hi");
    requantised(m, "r");
}

static void weights_alone(struct onw_model *m)
{
    scales(m, ONW_INT8);
    onw_bytes(m, "wq", ONW_INT8, signed_bytes, (int[]){4, 6, 3, 3, 0});
    onw_int(onw_add(m, "DequantizeLinear", "w", "wq", "sw", "zw"), "axis", 0);
    onw_add(m, "Conv", "c", "x", "w", NULL);
    end(m, "c");
}

static void moved(struct onw_model *m)
{
    scales(m, ONW_UINT8);
    struct onw_node *n = onw_add(m, "MaxPool", "p", "xd", NULL, NULL);
    two(n, "kernel_shape", 2, 2);
    four(onw_add(m, "Transpose", "t", "p", NULL, NULL), "perm", 0, 2, 3, 1);
    end(m, "t");
}

static void half_quantised(struct onw_model *m)
{
    scales(m, ONW_UINT8);
    onw_add(m, "Sigmoid", "s", "xd", NULL, NULL);
    end(m, "s");
}

static void quantised_average(struct onw_model *m)
{
    scales(m, ONW_UINT8);
    onw_add(m, "GlobalAveragePool", "a", "xd", NULL, NULL);
    requantised(m, "a");
}

static void quantised_dense(struct onw_model *m)
{
    static const float sw = 0.01f;
    scales(m, ONW_UINT8);
    onw_bytes(m, "wq", ONW_UINT8, unsigned_bytes, (int[]){210, 3, 0});
    onw_floats(m, "s1", &sw, NULL);
    onw_add(m, "DequantizeLinear", "w", "wq", "s1", "zx");
    onw_add(m, "Flatten", "f", "xd", NULL, NULL);
    onw_add(m, "MatMul", "g", "f", "w", NULL);
    requantised(m, "g");
}

/* The file keeps floats and quantises them itself. */
static void float_weights(struct onw_model *m)
{
    static const float sw = 0.01f;
    scales(m, ONW_INT8);
    onw_floats(m, "wf", numbers, (int[]){4, 6, 1, 1, 0});
    onw_floats(m, "s1", &sw, NULL);
    onw_bytes(m, "z1", ONW_INT8, zero_w, NULL);
    onw_add(m, "QuantizeLinear", "wq", "wf", "s1", "z1");
    onw_add(m, "DequantizeLinear", "w", "wq", "s1", "z1");
    onw_add(m, "Conv", "c", "xd", "w", NULL);
    requantised(m, "c");
}

const struct onn_net onn_nets[] = {
    {"grouped",
     grouped,
     72,
     {0.70898432f, 0.64583337f, 0.34179688f, 0.51334637f, -1.7985026f, -0.62760419f},
     1e-5f},
    {"same_upper",
     same_upper,
     60,
     {1.4514974f, 0.10709631f, 0.24283862f, -0.65657556f, -0.51302087f, 0.06640628f},
     1e-5f},
    {"same_lower",
     same_lower,
     63,
     {0.75813794f, 3.8863933f, -0.72981763f, 1.1546223f, -1.0292971f, 1.9059242f},
     1e-5f},
    {"multiplied",
     multiplied,
     420,
     {1.3792317f, -0.61881512f, 0.59733075f, -0.35319012f, -0.60514319f, -0.132487f},
     1e-5f},
    {"max_ceil",
     max_ceil,
     36,
     {-0.22916667f, 0.77083331f, 1, 0.5625f, 0.89583331f, -0.22916667f},
     1e-5f},
    {"average_ceil",
     average_ceil,
     72,
     {-0.44270834f, 0.31770834f, -0.359375f, 0.40104169f, -0.44791666f, 0.45833334f},
     1e-5f},
    {"average_padded",
     average_padded,
     48,
     {-0.19675927f, -0.0625f, 0.090277769f, -0.10648149f, 0.02083334f, -0.18518519f},
     1e-5f},
    {"average_unpadded",
     average_unpadded,
     48,
     {-0.44270834f, -0.09375f, 0.13541666f, -0.15972222f, 0.02083334f, -0.27777779f},
     1e-5f},
    {"padded",
     padded,
     98,
     {-1.5393879f, -1.1982423f, -0.88509113f, -0.019856811f, -0.61425775f, 0},
     1e-5f},
    {"normalised",
     normalised,
     210,
     {1.2185209f, 0.9305715f, -0.77808911f, 0.29436773f, -0.40116382f, 0.95294476f},
     1e-5f},
    {"channels_last",
     channels_last,
     210,
     {-1, -0.91666669f, 0.4375f, -0.22916667f, -0.89583331f, 0.45833334f},
     1e-5f},
    {"sideways",
     sideways,
     7,
     {0.54166669f, 0.64583331f, 0.72916669f, 0.83333331f, 0.9375f, 1},
     1e-5f},
    {"shuffled",
     shuffled,
     180,
     {-0.22916667f, 0.9375f, 0.875f, 0.3125f, 0.25f, 0.45833334f},
     1e-5f},
    {"means",
     means,
     6,
     {-0.020833327f, -0.0053571318f, 0.010119046f, -0.032142863f, 0.041071422f, -0.0011904776f},
     1e-5f},
    {"stacked", stacked, 420, {-1, -0.375f, -1, 0, 0, 0.45833334f}, 1e-5f},
    {"unsqueezed",
     unsqueezed,
     210,
     {-0.49479187f, 0.14544271f, 0.16750991f, 0.18448687f, 0.212611f, 0.22903027f},
     1e-5f},
    {"constants",
     constants,
     210,
     {-0.48958334f, 3.1645832f, -1.4488857f, 1.75625f, -1.5356359f, 1.3701389f},
     1e-5f},
    {"along_rows",
     along_rows,
     210,
     {0.78125f, -0.1595052f, -0.18229167f, -0.20507812f, -0.22786458f, -0.25065106f},
     1e-5f},
    {"dense",
     dense,
     3,
     {0.17594397f, 0.17594397f, 0.17594397f, 1.4894207f, 1.4894207f, -0.48486331f},
     1e-5f},
    {"over_channels",
     over_channels,
     210,
     {0.066254504f, 0.18254577f, 0.1905614f, 0.19845434f, 0.29860067f, 0.21148226f},
     1e-5f},
    {"over_all",
     over_all,
     210,
     {0.0014872834f, 0.0054119956f, 0.0056422595f, 0.00588232f, 0.0061325943f, 0.0063935174f},
     1e-5f},
    {"slopes",
     slopes,
     210,
     {0.94687498f, 0.60416663f, 0.63333333f, 0.66250002f, 0.69166666f, 0.7208333f},
     1e-5f},
    {"old_clip",
     old_clip,
     210,
     {-0.25f, 0.29166666f, 0.33333334f, 0.375f, 0.41666666f, 0.45833334f},
     1e-5f},
    {"signed_conv", signed_conv, 60, {-5.0999999f, 1.65f, -1.6f, -0.75f, -1.65f, -0.1f}, 1e-5f},
    {"mixed_conv", mixed_conv, 60, {0, 1.65f, 0, 0, 0, 0}, 1e-5f},
    {"weights_alone",
     weights_alone,
     60,
     {-5.1006241f, 1.6368747f, -1.6237504f, -0.7359376f, -1.6718749f, -0.085833222f},
     1e-5f},
    {"moved", moved, 144, {0.359375f, 0.984375f, 0.859375f, 0.6875f, 0.5625f, 0.453125f}, 1e-5f},
    {"half_quantised",
     half_quantised,
     210,
     {0.26894143f, 0.57367837f, 0.58130306f, 0.59266663f, 0.60393184f, 0.61138195f},
     1e-5f},
    {"quantised_average", quantised_average, 6, {0, 0, 0, -0.050000001f, 0.050000001f, 0}, 1e-5f},
    {"quantised_dense",
     quantised_dense,
     3,
     {5.7000003f, 5.7000003f, 5.7000003f, 7.75f, 7.75f, 7.75f},
     1e-5f},
    {"float_weights",
     float_weights,
     140,
     {0.60000002f, 0.55000001f, 0.69999999f, -0.80000001f, 1.15f, 0.050000001f},
     1e-5f},
};
const int onn_n_nets = sizeof(onn_nets) / sizeof(*onn_nets);
