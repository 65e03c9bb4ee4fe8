/* What ops.def says of an operator, for those who ask by number. */
#include "engine/graph/check.h"

/* A slot that is empty, rather than NONE, is a row that somebody did not finish. */
#define OP(id, name, kind, least, most, shape, arith, reference, written, tflite, onnx, tfjs)      \
    _Static_assert(sizeof(name) > 1 && sizeof(kind) > 1, #id " has no name");                      \
    _Static_assert((least) >= 1 && (most) >= (least) && (most) <= ENG_MAX_INPUTS,                  \
                   #id " takes no such number of inputs");                                         \
    _Static_assert(sizeof #tflite > 1 && sizeof #onnx > 1 && sizeof #tfjs > 1,                     \
                   #id " does not say what a kind of file calls it, nor NONE");
#include "engine/graph/ops.def"

static const struct row {
    const char *name, *kind;
    signed char least, most;
} rows[ENG_OP_COUNT] = {
#define OP(id, name, kind, least, most, ...) [ENG_OP_##id] = {name, kind, least, most},
#include "engine/graph/ops.def"
};

const char *eng_op_name(enum eng_op op)
{
    return (unsigned)op < ENG_OP_COUNT ? rows[op].name : "?";
}

const char *eng_node_kind(const struct eng_node *n)
{
    if (n->op == ENG_OP_CONV && n->win.kh == 1 && n->win.kw == 1)
        return "pointwise";
    return rows[n->op].kind;
}

int eng_op_takes(enum eng_op op, int inputs)
{
    return inputs >= rows[op].least && inputs <= rows[op].most;
}
