/* The graph: what an importer or the MobileNet builder makes and what the planner reads.
 *
 * Tensors are NHWC with N = 1 (batch is the planner's business); vectors are [1,C].
 * Everything hangs on the graph's own allocator and goes with eng_graph_destroy(). Constant data
 * may also point into bytes that the caller keeps alive (a mapped model file): see eng_model. One
 * thread at a time; immutable once planned. Internal to engine/. */
#ifndef ENG_GRAPH_GRAPH_H
#define ENG_GRAPH_GRAPH_H

#include "engine/engine.h"

enum {
    ENG_MAX_RANK = ENG_MAX_OUTPUT_RANK,
    ENG_MAX_INPUTS = 64,  /* of one node (concat is the widest) */
    ENG_MAX_OUTPUTS = 64, /* of a graph */
    ENG_MAX_NODES = 1 << 14,
    ENG_MAX_TENSORS = 1 << 16,
    ENG_MAX_DIM = 1 << 20,
    ENG_MAX_ELEMENTS = 1 << 28, /* of one tensor */
    ENG_MAX_WINDOW = 1 << 10,   /* window, stride, dilation, padding: each */
};

/* real = scale * (q - zero_point). n = 0: not quantised; 1: per tensor; else per channel on `axis`.
 */
struct eng_quant {
    int n;
    int axis;
    const float *scale;
    const int32_t *zero_point;
};

struct eng_tensor {
    const char *name; /* never NULL */
    enum eng_type type;
    int rank;
    int32_t dim[ENG_MAX_RANK];
    struct eng_quant quant;
    const void *data; /* constants; NULL: computed, or the graph's input */
    size_t size;      /* bytes of data */
    int producer;     /* node index, or -1 */
};

/* ops.def says what each one is and what its inputs are. */
enum eng_op {
#define OP(id, ...) ENG_OP_##id,
#include "engine/graph/ops.def"
    ENG_OP_COUNT,
};
/* "conv", "depthwise", ...; "?" for any other number. */
const char *eng_op_name(enum eng_op op);
/* Whether input 1 holds weights, and input 2, which may be absent, a bias. */
static inline int eng_op_has_weights(enum eng_op op)
{
    return op == ENG_OP_CONV || op == ENG_OP_DEPTHWISE || op == ENG_OP_FC;
}

enum eng_unary {
    ENG_UNARY_CLAMP, /* to lo..hi of the node: relu, relu6, clip */
    ENG_UNARY_LEAKY_RELU,
    ENG_UNARY_SIGMOID,
    ENG_UNARY_HARD_SIGMOID, /* clamp(alpha*x + beta, 0, 1) */
    ENG_UNARY_HARD_SWISH,   /* x * clamp(x/6 + 1/2, 0, 1) */
    ENG_UNARY_SWISH,        /* x * sigmoid(x) */
    ENG_UNARY_TANH,
    ENG_UNARY_EXP,
    ENG_UNARY_LOG,
    ENG_UNARY_SQRT,
    ENG_UNARY_RSQRT,
    ENG_UNARY_SQUARE,
    ENG_UNARY_ABS,
    ENG_UNARY_NEG,
    ENG_UNARY_FLOOR,
};
enum { ENG_UNARY_LAST = ENG_UNARY_FLOOR };

/* Of two operands that broadcast as in NumPy. */
enum eng_arith {
    ENG_ARITH_ADD,
    ENG_ARITH_SUB,
    ENG_ARITH_MUL,
    ENG_ARITH_DIV,       /* of reals */
    ENG_ARITH_FLOOR_DIV, /* of reals and integers; by 0 of integers: 0 */
    ENG_ARITH_MIN,
    ENG_ARITH_MAX,
};
enum { ENG_ARITH_LAST = ENG_ARITH_MAX };

/* Windows of conv, depthwise and pools. Pads are explicit: SAME was resolved at import. */
struct eng_window {
    int kh, kw;      /* window */
    int sh, sw;      /* stride */
    int dh, dw;      /* dilation, 1 = none */
    int top, bottom; /* padding, in pixels of the input's zero (zero point if quantised) */
    int left, right;
    int front, back; /* PAD alone: channels before and behind */
};

struct eng_detect_options;

struct eng_node {
    const char *name; /* for messages: the file's name of the node, or of its output */
    enum eng_op op;
    int n_in;
    int *in;                /* tensor indices; -1 = absent optional input */
    int out;                /* every supported operator has one output */
    float lo, hi;           /* fused clamp in real units; -INFINITY, INFINITY: none */
    struct eng_window win;  /* conv, depthwise, avgpool, maxpool, pad (its pads only) */
    int groups;             /* conv */
    int multiplier;         /* depthwise: output channels per input channel */
    int count_include_pad;  /* avgpool */
    int axis;               /* concat, argmax, pick (-1: each row of indices is a whole place) */
    int perm[ENG_MAX_RANK]; /* transpose */
    enum eng_unary unary;   /* unary */
    enum eng_arith arith;   /* arith */
    int least;              /* argmax: of the smallest */
    int begin[ENG_MAX_RANK], step[ENG_MAX_RANK], count[ENG_MAX_RANK]; /* slice, of each axis */
    const struct eng_detect_options *detect;                          /* detections */
    float alpha, beta;                      /* softmax beta, leaky slope, hard-sigmoid */
    int align_corners, half_pixel, nearest; /* resize */
};

struct eng_graph_output {
    const char *name; /* the file's; differs from those of the others */
    int tensor;
};

struct eng_graph {
    int n_tensors, n_nodes;
    struct eng_tensor *tensors;
    struct eng_node *nodes; /* topological order */
    int input, output;      /* tensor indices; the main output, softmax included: outputs.h */
    int n_outputs;          /* 0 before the check: `output` alone, under its tensor's name */
    struct eng_graph_output outputs[ENG_MAX_OUTPUTS]; /* in the file's order */
    int settled;                                      /* the main one of several was found */
    int is_open;             /* some output is not on the way to the main one */
    int logits;              /* input of the final softmax or sigmoid, else = output */
    int embedding;           /* input of the last FC / 1x1 on 1x1 spatial, or -1 */
    int embeds;              /* set before the check: the output itself is the embedding */
    enum eng_activation end; /* what the last node is */
    float end_beta;          /* factor of the logits in a final softmax; 1 */
    int end_is_unit;       /* another last node whose values are 0 .. 1 (a hard sigmoid, a clamp) */
    struct eng_pool *pool; /* owns names, arrays, copied constants */
};

int eng_graph_create(struct eng_graph **ret);
void eng_graph_destroy(struct eng_graph *g);
/* Of all that hangs on the graph, from now on: 2 GiB unless an importer knows better. */
void eng_graph_set_limit(struct eng_graph *g, size_t bytes);
/* An allocation was refused for the limit, and not for want of memory. */
int eng_graph_is_full(const struct eng_graph *g);
void *eng_graph_alloc(struct eng_graph *g, size_t n,
                      size_t size); /* zeroed, 64-aligned; NULL: ENOMEM */
/* The same for data of constants: what eng_graph_drop_constants() gives back. */
void *eng_graph_alloc_constant(struct eng_graph *g, size_t n, size_t size);
char *eng_graph_strdup(struct eng_graph *g, const char *s, size_t len);
/* Frees the data of every constant and forgets those that point into the caller's bytes (data =
 * NULL, size stays): for a plan that has packed all it needs. The graph cannot be checked again. */
void eng_graph_drop_constants(struct eng_graph *g);
/* The same for one constant, as soon as nobody needs it; what does not belong to the graph is only
 * forgotten. */
void eng_graph_drop_constant(struct eng_graph *g, int tensor);
/* All memory of `from` goes to g; `from` may then be destroyed. */
void eng_graph_adopt(struct eng_graph *g, struct eng_graph *from);

/* Append; the index, or -ENOMEM / ENG_E_LIMIT. The struct is copied, pointers in it are kept. */
int eng_graph_add_tensor(struct eng_graph *g, const struct eng_tensor *t);
int eng_graph_add_node(struct eng_graph *g, const struct eng_node *n);

/* Checks every index, shape, window, constant size and quantisation, computes the dims of every
 * computed tensor (those that a file gives must agree), finds logits and embedding. Untrusted
 * input: after success the planner may trust the graph. Errors name the node. */
int eng_graph_check(struct eng_graph *g, char *err, size_t errlen);

/* The same for one node whose inputs are known: its output gets its shape and producer. For
 * importers of files that do not state shapes; the whole graph is still checked at the end. */
int eng_graph_infer(struct eng_graph *g, int node, char *err, size_t errlen);

/* Folds what costs time for nothing: explicit PAD into the next window, batch norm and clamps into
 * the convolution before, no-op reshapes and transposes. Keeps results: quantised ones to the bit.
 */
int eng_graph_fold(struct eng_graph *g, char *err, size_t errlen);

/* Appends `b` behind `a` (the seam: a's one output, b's input; type, shape, scale and zero point
 * must agree, else ENG_E_DATA with both names). Both are checked graphs; `b` is consumed whatever
 * happens, and after a failure `a` is good for eng_graph_destroy() alone. */
int eng_graph_join(struct eng_graph *a, struct eng_graph *b_take, char *err, size_t errlen);

/* A graph of its own, not yet checked, that shares names and constants with `from`; -ENOMEM. */
int eng_graph_clone(struct eng_graph **ret, const struct eng_graph *from);

/* Drops everything behind the embedding, which becomes the only output, as fp32 [1,1,1,C]:
 * dequantised and reshaped where it is not. A checked graph stays one. ENG_E_UNSUPPORTED: it has no
 * embedding.
 */
int eng_graph_cut(struct eng_graph *g, char *err, size_t errlen);

/* A checked graph for pictures of another size, with the same weights: windows padded SAME stay so,
 * pools over the whole map follow it. ENG_E_UNSUPPORTED, ENG_E_DATA: some node depends on the size
 * (a layer that reads a flattened map), it is named; then the graph is good for eng_graph_destroy()
 * alone. */
int eng_graph_resize(struct eng_graph *g, int height, int width, char *err, size_t errlen);

/* TensorFlow's SAME along one axis: as many outputs as steps fit, the odd pixel of padding behind.
 * All arguments are positive. ENG_E_LIMIT: more padding than a window may have. */
int eng_same_padding(int in, int k, int stride, int dilation, int *ret_before, int *ret_after);

/* The paper's cost (Howard et al. 2017, section 3): multiply-adds of one image through one node
 * (conv DK*DK*M*N*DF*DF, depthwise DK*DK*M*DF*DF, FC M*N; others 0), and its parameters
 * (weights and biases). */
struct eng_cost {
    uint64_t mult_adds;
    uint64_t parameters;
};
struct eng_cost eng_node_cost(const struct eng_graph *g, const struct eng_node *n);
/* "conv", "pointwise", "depthwise", "fc", "pool", ...: as people say. */
const char *eng_node_kind(const struct eng_node *n);
size_t
eng_tensor_elements(const struct eng_tensor *t); /* 1 for rank 0; checked by eng_graph_check */

#endif
