/* ONNX file -> graph: the frame. Names, the model's ends and the order of nodes are here; data and
 * attributes in onnx_data.c, the two orders of dimensions in onnx_form.c, operators
 * in the others. Everything is copied out of the protobuf structs, which go when the import ends.
 */
#include "engine/importers/onnx.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/graph/outputs.h"
#include "engine/importers/import.h"
#include "engine/importers/onnx.pb-c.h"
#include "engine/importers/onnx_wire.h"

enum { OLDEST_OPSET = 7, NEWEST_OPSET = 22 };

/* ---- constants ---- */

static int load_constants(struct eng_onnx *f, const Onnx__GraphProto *p)
{
    if (p->n_sparse_initializer)
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED, "the model has sparse constants");
    for (size_t i = 0; i < p->n_initializer; i++) {
        const Onnx__TensorProto *t = p->initializer[i];
        struct eng_onnx_value *v = eng_onnx_present(t->name) ? eng_onnx_find(f, t->name) : NULL;
        if (!v || v->readers == 0)
            continue;
        if (v->ready)
            return eng_fail(f->err, f->errlen, ENG_E_DATA, "the constant %.80s stands there twice",
                            v->name);
        int rc = eng_onnx_load(f, t, t->name, v);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- ends ---- */

static int input_type(int32_t type)
{
    switch (type) {
    case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT:
        return ENG_F32;
    case ONNX__TENSOR_PROTO__DATA_TYPE__UINT8:
        return ENG_U8;
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT8:
        return ENG_I8;
    default:
        return -1;
    }
}

/* 0: the file leaves it open. */
static int64_t stated(const Onnx__TensorShapeProto *s, int i)
{
    const Onnx__TensorShapeProto__Dimension *d = s->dim[i];
    int is_value = d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    return is_value && d->dim_value > 0 ? d->dim_value : 0;
}

/* What stands for dimension i where it is open; 0: nothing. Channels, which the file must say, tell
 * height and width apart. */
static int64_t instead(const struct eng_onnx *f, const Onnx__TensorShapeProto *s, int i)
{
    int height = stated(s, 3) == 3 && stated(s, 1) != 3 ? 1 : 2;
    if (i == height)
        return f->open_size.height;
    return i == height + 1 ? f->open_size.width : i == 0;
}

/* The batch is one image, whether the file leaves it open or says 1. */
static int input_shape(const struct eng_onnx *f, const Onnx__TensorShapeProto *s,
                       struct eng_onnx_value *v)
{
    if (s->n_dim != 4)
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED,
                        "the input %.80s has %zu dimensions, not the 4 of an image", v->name,
                        s->n_dim);
    v->rank = 4;
    for (int i = 0; i < 4; i++) {
        int64_t dim = stated(s, i) ? stated(s, i) : instead(f, s, i);
        if (dim == 0)
            return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED,
                            "dimension %d of the input %.80s is not fixed, and no input.height and "
                            "input.width of a model.json are there for it",
                            i, v->name);
        if (dim > ENG_MAX_DIM)
            return eng_fail(f->err, f->errlen, ENG_E_LIMIT, "the input %.80s is too large",
                            v->name);
        v->dim[i] = (int32_t)dim;
    }
    if (v->dim[0] != 1)
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED,
                        "the model is made for batches of %d; export it for one image", v->dim[0]);
    if (eng_onnx_elements(v) > ENG_MAX_ELEMENTS)
        return eng_fail(f->err, f->errlen, ENG_E_LIMIT, "the input %.80s is too large", v->name);
    return 0;
}

/* The graph takes images with their channels last; so may the file. */
static int add_input(struct eng_onnx *f, const Onnx__ValueInfoProto *p, struct eng_onnx_value *v)
{
    const Onnx__TypeProto__Tensor *t = NULL;
    if (p->type && p->type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
        t = p->type->tensor_type;
    if (!t || !t->shape)
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED, "the input %.80s has no shape",
                        v->name);
    int type = input_type(t->elem_type), rc;
    if (type < 0)
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED,
                        "the input %.80s is neither float nor uint8 nor int8", v->name);
    rc = input_shape(f, t->shape, v);
    if (rc < 0)
        return rc;
    enum eng_onnx_order order = v->dim[3] == 3 && v->dim[1] != 3 ? ENG_ONNX_PLAIN : ENG_ONNX_IMAGE;
    static const int image[4] = {0, 2, 3, 1};
    struct eng_tensor x = {.type = (enum eng_type)type, .rank = 4};
    for (int i = 0; i < 4; i++)
        x.dim[i] = v->dim[order == ENG_ONNX_IMAGE ? image[i] : i];
    if (!(x.name = eng_graph_strdup(f->g, v->name, strlen(v->name))))
        return eng_onnx_file_no_memory(f);
    rc = eng_graph_add_tensor(f->g, &x);
    if (rc < 0)
        return eng_onnx_file_no_memory(f);
    v->type = x.type;
    v->ready = 1;
    v->at[order] = f->g->input = rc;
    return 0;
}

static int find_input(struct eng_onnx *f, const Onnx__GraphProto *p)
{
    int found = 0;
    for (size_t i = 0; i < p->n_input; i++) {
        struct eng_onnx_value *v =
            eng_onnx_present(p->input[i]->name) ? eng_onnx_find(f, p->input[i]->name) : NULL;
        if (!v || v->ready || v->constant)
            continue;
        if (found++)
            break;
        int rc = add_input(f, p->input[i], v);
        if (rc < 0)
            return rc;
    }
    if (found != 1)
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED, "the model has %s",
                        found ? "more than one input" : "no input");
    return 0;
}

/* In the file's order of dimensions, except that the only output may keep its channels last. */
static int add_output(struct eng_onnx *f, const Onnx__ValueInfoProto *p, int alone)
{
    struct eng_onnx_value *v = eng_onnx_present(p->name) ? eng_onnx_find(f, p->name) : NULL;
    if (!v || !v->ready || v->data)
        return eng_fail(f->err, f->errlen, ENG_E_DATA, "no node makes the output %.80s",
                        p->name ? p->name : "");
    struct eng_onnx_op op = {.f = f, .index = v->maker, .type = "output", .n_in = 1, .v = {v}};
    op.n.name = v->name;
    int as_image = alone && v->at[ENG_ONNX_PLAIN] < 0;
    int t = eng_onnx_form(&op, 0, as_image ? ENG_ONNX_IMAGE : ENG_ONNX_PLAIN, v->type == ENG_F32);
    return t < 0 ? t : eng_graph_add_output(f->g, v->name, t, f->err, f->errlen);
}

static int add_outputs(struct eng_onnx *f, const Onnx__GraphProto *p)
{
    int rc = 0;
    if (p->n_output < 1)
        return eng_fail(f->err, f->errlen, ENG_E_DATA, "the model has no output");
    for (size_t i = 0; i < p->n_output; i++) {
        rc = add_output(f, p->output[i], p->n_output == 1);
        if (rc < 0)
            break;
    }
    return rc;
}

/* ---- nodes ---- */

static int read_inputs(struct eng_onnx_op *op)
{
    const Onnx__NodeProto *p = op->p;
    if (p->n_input > ENG_MAX_INPUTS)
        return eng_onnx_fail(op, ENG_E_LIMIT, "it has %zu inputs", p->n_input);
    op->n_in = (int)p->n_input;
    for (int i = 0; i < op->n_in; i++) {
        const char *name = p->input[i];
        if (!eng_onnx_present(name))
            continue;
        op->v[i] = eng_onnx_find(op->f, name);
        if (!op->v[i] || !op->v[i]->ready)
            return eng_onnx_fail(op, ENG_E_DATA,
                                 "its input %.80s is made by no earlier node (a cycle?)", name);
    }
    return 0;
}

static int read_node(struct eng_onnx *f, const Onnx__NodeProto *p, int index)
{
    struct eng_onnx_op op = {.f = f, .p = p, .index = index};
    op.type = p->op_type ? p->op_type : "";
    const char *out = p->n_output > 0 ? p->output[0] : NULL;
    const char *name = eng_onnx_present(p->name) ? p->name : eng_onnx_present(out) ? out : "";
    op.n.lo = -INFINITY;
    op.n.hi = INFINITY;
    if (!(op.n.name = eng_graph_strdup(f->g, name, strlen(name))))
        return eng_onnx_file_no_memory(f);
    int microsoft = eng_onnx_present(p->domain) && strcmp(p->domain, "com.microsoft") == 0;
    int qlinear = eng_onnx_is_qlinear(op.type, microsoft);
    if (eng_onnx_present(p->domain) && strcmp(p->domain, "ai.onnx") != 0 && !(microsoft && qlinear))
        return eng_onnx_fail(&op, ENG_E_UNSUPPORTED,
                             "the operator is of the domain %.60s, which is not supported",
                             p->domain);
    if (!eng_onnx_present(out))
        return eng_onnx_fail(&op, ENG_E_DATA, "it has no output");
    op.out = eng_onnx_find(f, out);
    int rc = read_inputs(&op);
    if (rc >= 0)
        rc = qlinear ? eng_onnx_qlinear(&op, microsoft) : eng_onnx_add(&op);
    if (rc < 0)
        return rc;
    op.out->ready = 1;
    return 0;
}

static int is_constant(const Onnx__NodeProto *p)
{
    return p->op_type && strcmp(p->op_type, "Constant") == 0;
}

static int read_graph(struct eng_onnx *f, const Onnx__GraphProto *p)
{
    int rc = eng_onnx_name_values(f, p);
    if (rc < 0)
        return rc;
    eng_onnx_count_readers(f, p);
    rc = load_constants(f, p);
    if (rc >= 0)
        rc = find_input(f, p);
    if (rc < 0)
        return rc;
    /* Constants first: scales are asked for before their place in the file is reached. */
    for (int constants = 1; constants >= 0; constants--)
        for (size_t i = 0; i < p->n_node; i++) {
            if (rc < 0)
                break;
            if (is_constant(p->node[i]) == constants)
                rc = read_node(f, p->node[i], (int)i);
        }
    return rc < 0 ? rc : add_outputs(f, p);
}

static int read_model(struct eng_onnx *f)
{
    const Onnx__ModelProto *m = f->model;
    int64_t opset = 0;
    for (size_t i = 0; i < m->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *o = m->opset_import[i];
        if (!eng_onnx_present(o->domain) || strcmp(o->domain, "ai.onnx") == 0)
            opset = o->version;
    }
    if (!m->graph)
        return eng_fail(f->err, f->errlen, ENG_E_DATA, "the file holds no graph");
    if (opset < OLDEST_OPSET || opset > NEWEST_OPSET)
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED,
                        "the model needs operator set %lld; %d to %d are supported",
                        (long long)opset, OLDEST_OPSET, NEWEST_OPSET);
    f->opset = (int)opset;
    return read_graph(f, m->graph);
}

int eng_import_onnx(struct eng_graph **ret, const void *bytes, size_t len,
                    struct eng_open_size open, char *err, size_t errlen)
{
    struct eng_onnx f = {.open_size = open, .err = err, .errlen = errlen};
    struct eng_onnx_budget budget;
    int rc = eng_onnx_unpack(&f.model, &budget, bytes, len, err, errlen);
    if (rc < 0)
        return rc;
    rc = eng_graph_create(&f.g);
    if (rc == 0)
        rc = eng_graph_create(&f.scratch);
    rc = rc < 0 ? eng_onnx_file_no_memory(&f) : read_model(&f);
    eng_graph_destroy(f.scratch);
    eng_onnx_free(f.model, &budget);
    if (rc >= 0)
        rc = eng_graph_check(f.g, err, errlen);
    if (rc < 0) {
        eng_graph_destroy(f.g);
        return rc;
    }
    *ret = f.g;
    return 0;
}
