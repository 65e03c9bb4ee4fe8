/* A node of the graph from an operator of a TensorFlow Lite file: what all families of operators do
 * first and last, and the sentence that says which one is at fault. */
#include "engine/importers/tflite.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "engine/base/fail.h"

/* Names of the schema, for messages alone. */
/* clang-format off */
static const char *const builtin_names[ENG_TFL_BUILTINS] = {
    "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D",
    "DEPTH_TO_SPACE", "DEQUANTIZE", "EMBEDDING_LOOKUP", "FLOOR", "FULLY_CONNECTED",
    "HASHTABLE_LOOKUP", "L2_NORMALIZATION", "L2_POOL_2D", "LOCAL_RESPONSE_NORMALIZATION",
    "LOGISTIC", "LSH_PROJECTION", "LSTM", "MAX_POOL_2D", "MUL", "RELU", "RELU_N1_TO_1",
    "RELU6", "RESHAPE", "RESIZE_BILINEAR", "RNN", "SOFTMAX", "SPACE_TO_DEPTH", "SVDF", "TANH",
    "CONCAT_EMBEDDINGS", "SKIP_GRAM", "CALL", "CUSTOM", "EMBEDDING_LOOKUP_SPARSE", "PAD",
    "UNIDIRECTIONAL_SEQUENCE_RNN", "GATHER", "BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND",
    "TRANSPOSE", "MEAN", "SUB", "DIV", "SQUEEZE", "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "STRIDED_SLICE", "BIDIRECTIONAL_SEQUENCE_RNN", "EXP", "TOPK_V2", "SPLIT", "LOG_SOFTMAX",
    "DELEGATE", "BIDIRECTIONAL_SEQUENCE_LSTM", "CAST", "PRELU", "MAXIMUM", "ARG_MAX",
    "MINIMUM", "LESS", "NEG", "PADV2", "GREATER", "GREATER_EQUAL", "LESS_EQUAL", "SELECT",
    "SLICE", "SIN", "TRANSPOSE_CONV", "SPARSE_TO_DENSE", "TILE", "EXPAND_DIMS", "EQUAL",
    "NOT_EQUAL", "LOG", "SUM", "SQRT", "RSQRT", "SHAPE", "POW", "ARG_MIN", "FAKE_QUANT",
    "REDUCE_PROD", "REDUCE_MAX", "PACK", "LOGICAL_OR", "ONE_HOT", "LOGICAL_AND", "LOGICAL_NOT",
    "UNPACK", "REDUCE_MIN", "FLOOR_DIV", "REDUCE_ANY", "SQUARE", "ZEROS_LIKE", "FILL",
    "FLOOR_MOD", "RANGE", "RESIZE_NEAREST_NEIGHBOR", "LEAKY_RELU", "SQUARED_DIFFERENCE",
    "MIRROR_PAD", "ABS", "SPLIT_V", "UNIQUE", "CEIL", "REVERSE_V2", "ADD_N", "GATHER_ND",
    "COS", "WHERE", "RANK", "ELU", "REVERSE_SEQUENCE", "MATRIX_DIAG", "QUANTIZE",
    "MATRIX_SET_DIAG", "ROUND", "HARD_SWISH", "IF", "WHILE", "NON_MAX_SUPPRESSION_V4",
    "NON_MAX_SUPPRESSION_V5", "SCATTER_ND", "SELECT_V2", "DENSIFY", "SEGMENT_SUM",
    "BATCH_MATMUL", "PLACEHOLDER_FOR_GREATER_OP_CODES", "CUMSUM", "CALL_ONCE", "BROADCAST_TO",
    "RFFT2D", "CONV_3D", "IMAG", "REAL", "COMPLEX_ABS", "HASHTABLE", "HASHTABLE_FIND",
    "HASHTABLE_IMPORT", "HASHTABLE_SIZE", "REDUCE_ALL", "CONV_3D_TRANSPOSE", "VAR_HANDLE",
    "READ_VARIABLE", "ASSIGN_VARIABLE", "BROADCAST_ARGS", "RANDOM_STANDARD_NORMAL",
    "BUCKETIZE", "RANDOM_UNIFORM", "MULTINOMIAL", "GELU", "DYNAMIC_UPDATE_SLICE",
    "RELU_0_TO_1",
};
/* clang-format on */

static const char *name_of(const struct eng_tfl_op *op)
{
    return op->code >= 0 && op->code < ENG_TFL_BUILTINS ? builtin_names[op->code]
                                                        : "unknown operator";
}

int eng_tfl_fail(const struct eng_tfl_build *b, int code, const char *what)
{
    const char *name = b->n.name ? b->n.name : "";
    return eng_fail(b->f->err, b->f->errlen, code, "operator %d (%s %.80s): %s", b->op->index,
                    name_of(b->op), name, what);
}

struct eng_tensor *eng_tfl_at(const struct eng_tfl_build *b, int index)
{
    return &b->f->g->tensors[index];
}

int eng_tfl_output(struct eng_tfl_build *b, int file_index)
{
    int rc = eng_tfl_tensor(b->f, file_index);
    if (rc < 0)
        return rc;
    b->n.out = rc;
    /* Converters join the names of all that they fused with ';': the first says it. */
    const char *name = eng_tfl_at(b, rc)->name;
    b->n.name = eng_graph_strdup(b->f->g, name, strcspn(name, ";"));
    return b->n.name ? 0 : eng_tfl_fail(b, -ENOMEM, "not enough memory");
}

int eng_tfl_begin(struct eng_tfl_build *b, enum eng_op op, int n)
{
    b->n.op = op;
    b->n.lo = -INFINITY;
    b->n.hi = INFINITY;
    b->n.n_in = n;
    if (b->op->n_in < n && !(n == 3 && b->op->n_in == 2))
        return eng_tfl_fail(b, ENG_E_DATA, "it lacks an input");
    int rc = eng_tfl_output(b, b->op->out[0]);
    if (rc < 0)
        return rc;
    for (int i = 0; i < n; i++) {
        b->in[i] = -1;
        if (i >= b->op->n_in || b->op->in[i] == -1)
            continue;
        rc = eng_tfl_tensor(b->f, b->op->in[i]);
        if (rc < 0)
            return rc;
        b->in[i] = rc;
    }
    return n > 0 && b->in[0] < 0 ? eng_tfl_fail(b, ENG_E_DATA, "it lacks an input") : 0;
}

int eng_tfl_finish(struct eng_tfl_build *b)
{
    b->n.in = eng_graph_alloc(b->f->g, (size_t)b->n.n_in + 1, sizeof(*b->n.in));
    if (!b->n.in)
        return eng_tfl_fail(b, -ENOMEM, "not enough memory");
    memcpy(b->n.in, b->in, (size_t)b->n.n_in * sizeof(*b->n.in));
    int rc = eng_graph_add_node(b->f->g, &b->n);
    if (rc < 0)
        return eng_tfl_fail(b, rc, "the graph has too many nodes");
    b->f->g->tensors[b->n.out].producer = rc;
    return 0;
}

int eng_tfl_option(const struct eng_tfl_build *b, int field, int otherwise)
{
    return eng_fb_i32(&b->f->fb, &b->op->options, field, otherwise);
}

int eng_tfl_flag(const struct eng_tfl_build *b, int field)
{
    return eng_fb_i8(&b->f->fb, &b->op->options, field, 0) != 0;
}

int eng_tfl_activation(struct eng_tfl_build *b, int field)
{
    switch (eng_fb_i8(&b->f->fb, &b->op->options, field, 0)) {
    case 0:
        return 0;
    case 1:
        b->n.lo = 0;
        return 0;
    case 2:
        b->n.lo = -1;
        b->n.hi = 1;
        return 0;
    case 3:
        b->n.lo = 0;
        b->n.hi = 6;
        return 0;
    default:
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "its fused activation is not supported");
    }
}

/* Converters compute the argument of a reshape at run time; the file states its result. */
int eng_tfl_shape_arithmetic(struct eng_tfl_build *b)
{
    int rc = eng_tfl_begin(b, ENG_OP_RESHAPE, 0);
    if (rc < 0)
        return rc;
    const struct eng_tensor *out = eng_tfl_at(b, b->n.out);
    if (out->type != ENG_I32 && out->type != ENG_I64)
        return eng_tfl_fail(b, ENG_E_UNSUPPORTED, "it is supported for shapes alone");
    return 0;
}

int eng_tfl_is_shape_only(const struct eng_tfl_build *b, int t)
{
    const struct eng_graph *g = b->f->g;
    return t >= 0 && !g->tensors[t].data && g->tensors[t].producer < 0 && t != g->input;
}
