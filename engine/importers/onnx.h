/* What the parts of the ONNX importer share. Internal to onnx*.c.
 *
 * ONNX counts dimensions as batch, channels, height, width; the graph as batch, height, width,
 * channels. A value therefore has ONNX's dimensions, and up to two graph tensors: PLAIN (dimensions
 * in ONNX's order) and IMAGE (rank 4, channels last). Operators ask for the one they need; a
 * Transpose between the two orders is then only another name, and what must move does so once.
 *
 * A real value that DequantizeLinear made keeps its quanta: its tensors are quantised, and an
 * operator whose result QuantizeLinear alone reads is computed in quanta from end to end. */
#ifndef ENG_IMPORTERS_ONNX_H
#define ENG_IMPORTERS_ONNX_H

#include "engine/graph/graph.h"
#include "engine/importers/import.h"

/* Of the generated onnx.pb-c.h. */
struct Onnx__GraphProto;
struct Onnx__ModelProto;
struct Onnx__NodeProto;
struct Onnx__TensorProto;

enum eng_onnx_order { ENG_ONNX_PLAIN, ENG_ONNX_IMAGE, ENG_ONNX_ORDERS };

struct eng_onnx_value {
    const char *name;
    const struct Onnx__NodeProto *reader; /* one of them */
    int readers;                          /* nodes; and 1 more if it is an output of the model */
    int constant;                         /* the file says what it is */
    int maker;                            /* node, -1: input or constant of the file */
    int ready;                            /* input, constant, or made by a node already read */
    enum eng_type type;                   /* as ONNX has it: ENG_F32 behind DequantizeLinear */
    int rank;
    int32_t dim[ENG_MAX_RANK]; /* ONNX's order; the batch is 1 */
    const void *data;          /* constants, ONNX's order; NULL: computed */
    enum eng_type stored;      /* of data */
    struct eng_quant quant;    /* of data, n > 0: known by its quanta; axis in ONNX's order */
    int at[ENG_ONNX_ORDERS];   /* graph tensors of what is computed, -1: none yet */
    int real[ENG_ONNX_ORDERS]; /* the same dequantised, where at[] is quantised */
};

struct eng_onnx {
    struct Onnx__ModelProto *model;
    int opset;
    struct eng_open_size open_size;
    struct eng_graph *g;
    struct eng_graph *scratch;      /* memory until the import ends */
    struct eng_onnx_value **values; /* sorted by name */
    int n_values;
    int chosen; /* channels in the lists of all choices so far */
    char *err;
    size_t errlen;
};

/* One node of the file, and the graph's node that it becomes. */
struct eng_onnx_op {
    struct eng_onnx *f;
    const struct Onnx__NodeProto *p;
    int index; /* in the file */
    const char *type;
    int n_in;
    struct eng_onnx_value *v[ENG_MAX_INPUTS]; /* NULL: absent */
    struct eng_onnx_value *out;
    struct eng_node n;
    int in[ENG_MAX_INPUTS]; /* of n, graph tensors */
    const struct eng_tensor
        *wanted;             /* what its result is quantised to, NULL: what its reader says */
    int raw;                 /* it moves quanta that ONNX itself sees as integers */
    struct eng_tensor shape; /* rank > 0: of the output, where the operator leaves it open */
};

/* ---- onnx_value.c ---- */

/* A name that says something. */
static inline int eng_onnx_present(const char *name)
{
    return name && name[0];
}
/* f->values of a graph: its constants, inputs and what its nodes make. */
int eng_onnx_name_values(struct eng_onnx *f, const struct Onnx__GraphProto *p);
void eng_onnx_count_readers(struct eng_onnx *f, const struct Onnx__GraphProto *p);
/* NULL: no such value. */
struct eng_onnx_value *eng_onnx_find(const struct eng_onnx *f, const char *name);
/* "node 3 (Conv name): sentence"; returns code. */
int eng_onnx_fail(const struct eng_onnx_op *op, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int eng_onnx_no_memory(const struct eng_onnx_op *op);
int eng_onnx_file_no_memory(const struct eng_onnx *f);
/* The output is the same as value v. */
int eng_onnx_alias(struct eng_onnx_op *op, const struct eng_onnx_value *v);

/* ---- onnx_data.c ---- */

/* The constant of a file into v; `who` names it in messages. */
int eng_onnx_load(struct eng_onnx *f, const struct Onnx__TensorProto *t, const char *who,
                  struct eng_onnx_value *v);
size_t eng_onnx_elements(const struct eng_onnx_value *v);
/* Attributes, or what they are where the node has none. */
int64_t eng_onnx_int(const struct eng_onnx_op *op, const char *name, int64_t otherwise);
float eng_onnx_float(const struct eng_onnx_op *op, const char *name, float otherwise);
/* 1 if the attribute is this word. */
int eng_onnx_is(const struct eng_onnx_op *op, const char *name, const char *word);
/* A list: how many of them, 0 if there is none, ENG_E_LIMIT over max. */
int eng_onnx_ints(const struct eng_onnx_op *op, const char *name, int64_t *ret, int max);
const struct Onnx__TensorProto *eng_onnx_tensor(const struct eng_onnx_op *op, const char *name);
/* The integers of constant input i; 0 if it is absent. */
int eng_onnx_list(const struct eng_onnx_op *op, int i, int64_t *ret, int max);
/* The one real number of constant input i; absent: unchanged. */
int eng_onnx_scalar(const struct eng_onnx_op *op, int i, float *ret);
/* Element k of a constant as a real number; it is F32 or quantised. */
float eng_onnx_real(const struct eng_onnx_value *v, size_t k);
/* A graph tensor of a constant: its dimension d is dimension perm[d] of the value (NULL: d).
 * real: as floats, else as it is stored. */
int eng_onnx_constant(struct eng_onnx_op *op, const struct eng_onnx_value *v, const int *perm,
                      int real);
/* The output is constant v with its dimensions in another order, its dimension d is perm[d]. */
int eng_onnx_permuted(struct eng_onnx_op *op, const struct eng_onnx_value *v, const int *perm);
/* The output is the number or the list that a Constant has in its attributes. */
int eng_onnx_listed(struct eng_onnx_op *op);
/* A graph tensor of n floats, to be filled in. */
int eng_onnx_new_vector(struct eng_onnx_op *op, int n, float **ret_data);

/* ---- onnx_form.c ---- */

/* Graph tensor of a computed input, in this order; real: as floats, even if it has quanta. */
int eng_onnx_form(struct eng_onnx_op *op, int i, enum eng_onnx_order order, int real);
/* IMAGE where the value stands so already, else PLAIN. */
enum eng_onnx_order eng_onnx_order_of(const struct eng_onnx_value *v);
/* 1: the input is computed, real, and known by its quanta. */
int eng_onnx_has_quanta(const struct eng_onnx_op *op, int i);
/* The type and quantisation that the result gets where QuantizeLinear alone reads it, clamps
 * between left aside; 1: so it is, 0: it is not. */
int eng_onnx_wanted(const struct eng_onnx_op *op, struct eng_tensor *ret);
/* Behind the node of an operator with op->wanted: its result, if it is real, in these quanta. */
int eng_onnx_requantise(struct eng_onnx_op *op, const struct eng_tensor *like);
/* For operators that only move or choose values: 1 and the type of the input if it has quanta,
 * which then are the output's too. */
int eng_onnx_moved(struct eng_onnx_op *op, enum eng_onnx_order order, struct eng_tensor *ret);
/* Adds the node: op->n with its first n_in inputs in op->in. Type and quantisation of the output
 * are those of `like`, NULL: real. */
int eng_onnx_emit(struct eng_onnx_op *op, enum eng_onnx_order order, const struct eng_tensor *like);
/* Scale and zero point, inputs 1 and 2, of QuantizeLinear and DequantizeLinear. */
int eng_onnx_quant(const struct eng_onnx_op *op, struct eng_quant *ret, enum eng_type *ret_type);

/* ---- operators: onnx_conv.c, _pool.c, _shape.c, _ops.c ---- */

int eng_onnx_add(struct eng_onnx_op *op);
int eng_onnx_conv(struct eng_onnx_op *op);
int eng_onnx_conv_transpose(struct eng_onnx_op *op);
int eng_onnx_gemm(struct eng_onnx_op *op);
int eng_onnx_matmul(struct eng_onnx_op *op);
int eng_onnx_batchnorm(struct eng_onnx_op *op);
int eng_onnx_pool(struct eng_onnx_op *op);
int eng_onnx_global_pool(struct eng_onnx_op *op);
int eng_onnx_reduce_mean(struct eng_onnx_op *op);
int eng_onnx_pad(struct eng_onnx_op *op);
int eng_onnx_window(struct eng_onnx_op *op, int kh, int kw);
int eng_onnx_flatten(struct eng_onnx_op *op);
int eng_onnx_reshape(struct eng_onnx_op *op);
int eng_onnx_squeeze(struct eng_onnx_op *op);
int eng_onnx_transpose(struct eng_onnx_op *op);
int eng_onnx_shape(struct eng_onnx_op *op);
int eng_onnx_gather(struct eng_onnx_op *op);
int eng_onnx_slice(struct eng_onnx_op *op);
/* onnx_channels.c */
int eng_onnx_split(struct eng_onnx_op *op);
int eng_onnx_gather_channels(struct eng_onnx_op *op);
int eng_onnx_cuts_channels(
    struct eng_onnx_op *op); /* a Slice of nothing but channels of an image or a row */
int eng_onnx_slice_channels(struct eng_onnx_op *op);
/* Whether a Reshape to dim ends a channel shuffle; 1: it is added. */
int eng_onnx_shuffle(struct eng_onnx_op *op, int rank, const int32_t *dim);
int eng_onnx_resize(struct eng_onnx_op *op);
/* onnx_tables.c */
int eng_onnx_slice_table(struct eng_onnx_op *op);
int eng_onnx_is_map_pair(const struct eng_onnx_op *op);
int eng_onnx_arith(struct eng_onnx_op *op);
int eng_onnx_argmax(struct eng_onnx_op *op);
int eng_onnx_cast(struct eng_onnx_op *op);
int eng_onnx_concat_lists(struct eng_onnx_op *op); /* of constant integers */
int eng_onnx_is_qlinear(const char *type, int microsoft);
int eng_onnx_qlinear(struct eng_onnx_op *op, int microsoft);
int eng_onnx_quantize(struct eng_onnx_op *op);
int eng_onnx_dequantize(struct eng_onnx_op *op);

#endif
