/* MobileNet V1 1.0/224 on XNNPACK's subgraph API: fp32, and int8 with per-channel weights. */
#include "peer.h"
#include <math.h>
#include <pthreadpool.h>
#include <string.h>
#include <xnnpack.h>

struct net {
    xnn_subgraph_t graph;
    int quantised;
    size_t batch;
    float *scales; /* of the widest layer's channels, all alike */
    xnn_runtime_t runtime;
};

static void check(enum xnn_status s, const char *what)
{
    if (s == xnn_status_success)
        return;
    fprintf(stderr, "XNNPACK: %s: status %d\n", what, (int)s);
    exit(1);
}

static uint32_t activation(struct net *n, size_t side, size_t channels, int flags)
{
    size_t dims[4] = {n->batch, side, side, channels};
    uint32_t id, external = flags & XNN_VALUE_FLAG_EXTERNAL_INPUT    ? 0
                            : flags & XNN_VALUE_FLAG_EXTERNAL_OUTPUT ? 1
                                                                     : XNN_INVALID_VALUE_ID;
    if (n->quantised)
        check(xnn_define_quantized_tensor_value(n->graph, xnn_datatype_qint8, -128, 6.0f / 255, 4,
                                                dims, NULL, external, (uint32_t)flags, &id),
              "tensor");
    else
        check(xnn_define_tensor_value(n->graph, xnn_datatype_fp32, 4, dims, NULL, external,
                                      (uint32_t)flags, &id),
              "tensor");
    return id;
}

static uint32_t weights(struct net *n, const size_t dims[4], size_t channel_dim)
{
    size_t count = dims[0] * dims[1] * dims[2] * dims[3];
    uint32_t id;
    if (n->quantised)
        check(xnn_define_channelwise_quantized_tensor_value(
                  n->graph, xnn_datatype_qcint8, n->scales, 4, channel_dim, dims, peer_bytes(count),
                  XNN_INVALID_VALUE_ID, 0, &id),
              "weights");
    else
        check(xnn_define_tensor_value(n->graph, xnn_datatype_fp32, 4, dims,
                                      peer_floats(count, 0.05f), XNN_INVALID_VALUE_ID, 0, &id),
              "weights");
    return id;
}

static uint32_t bias(struct net *n, size_t channels)
{
    uint32_t id;
    void *zero = peer_alloc(channels * 4);
    memset(zero, 0, channels * 4);
    if (n->quantised)
        check(xnn_define_channelwise_quantized_tensor_value(n->graph, xnn_datatype_qcint32,
                                                            n->scales, 1, 0, &channels, zero,
                                                            XNN_INVALID_VALUE_ID, 0, &id),
              "bias");
    else
        check(xnn_define_tensor_value(n->graph, xnn_datatype_fp32, 1, &channels, zero,
                                      XNN_INVALID_VALUE_ID, 0, &id),
              "bias");
    return id;
}

static void conv(struct net *n, uint32_t in, uint32_t out, size_t k, size_t stride, size_t ci,
                 size_t co)
{
    const size_t dims[4] = {co, k, k, ci};
    check(xnn_define_convolution_2d(n->graph, 0, 0, 0, 0, (uint32_t)k, (uint32_t)k,
                                    (uint32_t)stride, (uint32_t)stride, 1, 1, 1, ci, co, 0, 6, in,
                                    weights(n, dims, 0), bias(n, co), out,
                                    XNN_FLAG_TENSORFLOW_SAME_PADDING),
          "convolution");
}

static void depthwise(struct net *n, uint32_t in, uint32_t out, size_t stride, size_t c)
{
    const size_t dims[4] = {1, 3, 3, c};
    check(xnn_define_depthwise_convolution_2d(
              n->graph, 0, 0, 0, 0, 3, 3, (uint32_t)stride, (uint32_t)stride, 1, 1, 1, c, 0, 6, in,
              weights(n, dims, 3), bias(n, c), out, XNN_FLAG_TENSORFLOW_SAME_PADDING),
          "depthwise");
}

static void build(struct net *n)
{
    check(xnn_create_subgraph(2, 0, &n->graph), "subgraph");
    n->scales = peer_alloc(PEER_FEATURES * sizeof(float));
    for (int i = 0; i < PEER_FEATURES; i++)
        n->scales[i] = 1.0f / 1024;
    uint32_t x = activation(n, PEER_SIDE, 3, XNN_VALUE_FLAG_EXTERNAL_INPUT);
    size_t side = PEER_SIDE / 2;
    uint32_t y = activation(n, side, PEER_FIRST, 0);
    conv(n, x, y, 3, 2, 3, PEER_FIRST);
    for (int i = 0; i < 13; i++) {
        const struct peer_layer *l = &peer_layers[i];
        side /= (size_t)l->stride;
        uint32_t d = activation(n, side, (size_t)l->in, 0);
        depthwise(n, y, d, (size_t)l->stride, (size_t)l->in);
        y = activation(n, side, (size_t)l->out, 0);
        conv(n, d, y, 1, 1, (size_t)l->in, (size_t)l->out);
    }
    uint32_t p = activation(n, 1, PEER_FEATURES, 0);
    check(xnn_define_global_average_pooling_2d(n->graph, -INFINITY, INFINITY, y, p, 0), "pool");
    uint32_t out = activation(n, 1, PEER_CLASSES, XNN_VALUE_FLAG_EXTERNAL_OUTPUT);
    conv(n, p, out, 1, 1, PEER_FEATURES, PEER_CLASSES);
}

static void run(void *arg)
{
    struct net *n = arg;
    check(xnn_invoke_runtime(n->runtime), "run");
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    if (strcmp(argv[1], "fp32") && strcmp(argv[1], "int8"))
        return 3; /* the driver leaves this engine out of that row */
    struct net n = {.quantised = !strcmp(argv[1], "int8"), .batch = strtoul(argv[3], NULL, 10)};
    size_t threads = strtoul(argv[2], NULL, 10);
    check(xnn_initialize(NULL), "start");
    build(&n);
    pthreadpool_t pool = threads > 1 ? pthreadpool_create(threads) : NULL;
    check(xnn_create_runtime_v2(n.graph, pool, 0, &n.runtime), "runtime");
    size_t element = n.quantised ? 1 : 4;
    size_t pixels = n.batch * PEER_SIDE * PEER_SIDE * 3;
    struct xnn_external_value io[2] = {
        {0, n.quantised ? (void *)peer_bytes(pixels) : (void *)peer_floats(pixels, 1.0f)},
        {1, peer_alloc(n.batch * PEER_CLASSES * element)},
    };
    check(xnn_setup_runtime(n.runtime, 2, io), "setup");
    return peer_serve(run, &n);
}
