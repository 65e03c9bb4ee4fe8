/* MobileNet V1 1.0/224 on oneDNN primitives with fused clamps and layouts of its own choice: fp32,
 * bf16, and int8 (u8 activations, s8 weights, one output scale). */
#include "peer.h"
#include <oneapi/dnnl/dnnl.h>
#include <string.h>

enum { MAX_STEPS = 40 };

struct step {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[8];
    int n_args;
};
struct net {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_data_type_t data, weights, bias;
    dnnl_dim_t batch;
    dnnl_memory_t last; /* what the previous step wrote */
    dnnl_memory_desc_t last_desc;
    struct step steps[MAX_STEPS];
    int n_steps;
};

static void check(dnnl_status_t s, const char *what)
{
    if (s == dnnl_success)
        return;
    if (s == dnnl_unimplemented)
        exit(3);
    fprintf(stderr, "oneDNN: %s: status %d\n", what, (int)s);
    exit(1);
}

static dnnl_memory_t memory(struct net *n, const dnnl_memory_desc_t *d)
{
    dnnl_memory_t m;
    size_t bytes = dnnl_memory_desc_get_size(d);
    uint8_t *data = peer_alloc(bytes + 64);
    for (size_t i = 0; i < bytes; i++)
        data[i] = d->data_type == dnnl_f32 || d->data_type == dnnl_bf16
                      ? 0
                      : (uint8_t)(peer_random() & 127);
    if (d->data_type == dnnl_f32)
        for (size_t i = 0; i + 4 <= bytes; i += 4)
            *(float *)(data + i) = (float)(peer_random() & 0xffff) / 65536.0f - 0.5f;
    else if (d->data_type == dnnl_bf16)
        for (size_t i = 0; i + 2 <= bytes; i += 2)
            *(uint16_t *)(data + i) = (uint16_t)(0x3c00 + (peer_random() & 0x81ff));
    check(dnnl_memory_create(&m, d, n->engine, data), "memory");
    return m;
}

static dnnl_memory_desc_t desc(int rank, const dnnl_dims_t dims, dnnl_data_type_t type,
                               dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t d;
    check(dnnl_memory_desc_init_by_tag(&d, rank, dims, type, tag), "shape");
    return d;
}

static dnnl_primitive_attr_t clamp(const struct net *n)
{
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t ops;
    float scale = 1.0f / 1024;
    check(dnnl_primitive_attr_create(&attr), "attributes");
    check(dnnl_post_ops_create(&ops), "post-ops");
    if (n->data == dnnl_u8) /* 0..255 of u8 is the clamp */
        check(dnnl_primitive_attr_set_output_scales(attr, 1, 0, &scale), "scale");
    else
        check(dnnl_post_ops_append_eltwise(ops, 1.0f, dnnl_eltwise_clip, 0.0f, 6.0f), "clip");
    check(dnnl_primitive_attr_set_post_ops(attr, ops), "post-ops");
    return attr;
}

static void push(struct net *n, const_dnnl_primitive_desc_t pd, dnnl_memory_t weights,
                 dnnl_memory_t bias)
{
    struct step *s = &n->steps[n->n_steps++];
    const dnnl_memory_desc_t *dst = dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0);
    dnnl_memory_t out = memory(n, dst);
    check(dnnl_primitive_create(&s->primitive, pd), "primitive");
    s->args[s->n_args++] = (dnnl_exec_arg_t){DNNL_ARG_SRC, n->last};
    s->args[s->n_args++] = (dnnl_exec_arg_t){DNNL_ARG_DST, out};
    if (weights)
        s->args[s->n_args++] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, weights};
    if (bias)
        s->args[s->n_args++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, bias};
    n->last = out;
    n->last_desc = *dst;
}

/* groups = 1, or = ci (depthwise) */
static void conv(struct net *n, int k, int stride, int side_out, int ci, int co, int groups)
{
    dnnl_dims_t wd = {co, ci, k, k}, gd = {groups, 1, 1, k, k}, bd = {co};
    dnnl_dims_t dd = {n->batch, co, side_out, side_out};
    dnnl_memory_desc_t w = groups == 1 ? desc(4, wd, n->weights, dnnl_format_tag_any)
                                       : desc(5, gd, n->weights, dnnl_format_tag_any);
    dnnl_memory_desc_t b = desc(1, bd, n->bias, dnnl_x),
                       d = desc(4, dd, n->data, dnnl_format_tag_any);
    dnnl_memory_desc_t s = n->last_desc;
    if (n->n_steps) /* let it choose; its choices agree from layer to layer */
        s = desc(4, s.dims, n->data, dnnl_format_tag_any);
    dnnl_dims_t strides = {stride, stride};
    dnnl_dim_t before = k == 3 && stride == 1;
    dnnl_dims_t left = {before, before}, right = {k == 3, k == 3};
    dnnl_convolution_desc_t cd;
    dnnl_primitive_desc_t pd;
    check(dnnl_convolution_forward_desc_init(&cd, dnnl_forward_inference, dnnl_convolution_direct,
                                             &s, &w, &b, &d, strides, left, right),
          "convolution");
    check(dnnl_primitive_desc_create(&pd, &cd, clamp(n), n->engine, NULL), "convolution");
    const dnnl_memory_desc_t *src = dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0);
    if (!dnnl_memory_desc_equal(src, &n->last_desc)) {
        dnnl_primitive_desc_t rd;
        check(
            dnnl_reorder_primitive_desc_create(&rd, &n->last_desc, n->engine, src, n->engine, NULL),
            "reorder");
        push(n, rd, NULL, NULL);
    }
    dnnl_memory_t wm = memory(n, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0));
    push(n, pd, wm, memory(n, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 1)));
}

static void pool(struct net *n, int side)
{
    dnnl_dims_t dd = {n->batch, PEER_FEATURES, 1, 1}, window = {side, side}, stride = {1, 1};
    dnnl_dims_t none = {0, 0};
    dnnl_memory_desc_t d = desc(4, dd, n->data, dnnl_format_tag_any);
    dnnl_pooling_desc_t p;
    dnnl_primitive_desc_t pd;
    check(dnnl_pooling_forward_desc_init(&p, dnnl_forward_inference, dnnl_pooling_avg,
                                         &n->last_desc, &d, stride, window, none, none),
          "pool");
    check(dnnl_primitive_desc_create(&pd, &p, NULL, n->engine, NULL), "pool");
    push(n, pd, NULL, NULL);
}

static void build(struct net *n)
{
    dnnl_dims_t in = {n->batch, 3, PEER_SIDE, PEER_SIDE};
    n->last_desc = desc(4, in, n->data, dnnl_nhwc);
    n->last = memory(n, &n->last_desc);
    int side = PEER_SIDE / 2;
    conv(n, 3, 2, side, 3, PEER_FIRST, 1);
    for (int i = 0; i < 13; i++) {
        const struct peer_layer *l = &peer_layers[i];
        side /= l->stride;
        conv(n, 3, l->stride, side, l->in, l->in, l->in);
        conv(n, 1, 1, side, l->in, l->out, 1);
    }
    pool(n, side);
    conv(n, 1, 1, 1, PEER_FEATURES, PEER_CLASSES, 1);
}

static void run(void *arg)
{
    struct net *n = arg;
    for (int i = 0; i < n->n_steps; i++)
        check(dnnl_primitive_execute(n->steps[i].primitive, n->stream, n->steps[i].n_args,
                                     n->steps[i].args),
              "run");
    check(dnnl_stream_wait(n->stream), "wait");
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    struct net *n = calloc(1, sizeof(*n));
    if (!n)
        return 1;
    n->data = n->weights = n->bias = dnnl_f32;
    if (!strcmp(argv[1], "int8")) {
        n->data = dnnl_u8;
        n->weights = dnnl_s8;
        n->bias = dnnl_s32;
    } else if (!strcmp(argv[1], "bf16")) {
        n->data = n->weights = dnnl_bf16;
    }
    n->batch = strtol(argv[3], NULL, 10); /* threads: OMP_NUM_THREADS, which the driver sets */
    check(dnnl_engine_create(&n->engine, dnnl_cpu, 0), "engine");
    check(dnnl_stream_create(&n->stream, n->engine, dnnl_stream_default_flags), "stream");
    build(n);
    return peer_serve(run, n);
}
