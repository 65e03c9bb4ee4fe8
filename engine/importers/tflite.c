/* TensorFlow Lite file -> graph: the frame. Tensors and buffers are in tflite_tensor.c, operators
 * in tflite_ops.c.
 *
 * Field numbers are those of schema.fbs. Tensors are read when an operator first names them, so
 * that what no operator uses cannot hurt. Constants point into the file where alignment allows. */
#include "engine/importers/tflite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/graph/outputs.h"
#include "engine/importers/import.h"

/* What may be allocated for a file: bytes that become floats are four times as many, and folding
 * copies them again. Tensors of a file may share a buffer or a vector of scales, and each gets a
 * copy: without a bound 4 MB make 2 GB. */
enum { MEMORY_BASE = 16 << 20, MEMORY_A_BYTE = 16 };

static int read_op(struct eng_tfl *f, const struct eng_fb_vector *ops, uint32_t index)
{
    struct eng_tfl_op op = {.index = (int)index};
    struct eng_fb_table table = eng_fb_vector_table(&f->fb, ops, index);
    uint32_t code_index = (uint32_t)eng_fb_i32(&f->fb, &table, 0, 0);
    struct eng_fb_table code = eng_fb_vector_table(&f->fb, &f->codes, code_index);
    struct eng_fb_vector in = eng_fb_vector(&f->fb, &table, 1, 4);
    struct eng_fb_vector out = eng_fb_vector(&f->fb, &table, 2, 4);
    int old = eng_fb_i8(&f->fb, &code, 0, 0), wide = eng_fb_i32(&f->fb, &code, 3, 0);
    op.code = old > wide ? old : wide;
    op.options = eng_fb_table(&f->fb, &table, 4);
    op.custom = eng_fb_vector(&f->fb, &table, 5, 1);
    op.name = eng_fb_string(&f->fb, &code, 1, &op.name_len);
    if (f->fb.bad)
        return eng_tfl_broken(f);
    if (in.n > ENG_MAX_INPUTS || out.n < 1 || out.n > ENG_MAX_INPUTS)
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED,
                        "operator %u has %u inputs and %u outputs", index, in.n, out.n);
    op.n_in = (int)in.n;
    for (uint32_t i = 0; i < in.n; i++)
        op.in[i] = eng_fb_vector_i32(&f->fb, &in, i);
    op.n_out = (int)out.n;
    for (uint32_t i = 0; i < out.n; i++)
        op.out[i] = eng_fb_vector_i32(&f->fb, &out, i);
    return eng_tfl_add(f, &op);
}

static int read_input(struct eng_tfl *f, const struct eng_fb_table *subgraph)
{
    struct eng_fb_vector v = eng_fb_vector(&f->fb, subgraph, 1, 4);
    if (f->fb.bad)
        return eng_tfl_broken(f);
    if (v.n != 1)
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED, "the model has %u inputs", v.n);
    int rc = eng_tfl_tensor(f, eng_fb_vector_i32(&f->fb, &v, 0));
    if (rc >= 0)
        f->g->input = rc;
    return rc;
}

static int read_outputs(struct eng_tfl *f, const struct eng_fb_table *subgraph)
{
    struct eng_fb_vector v = eng_fb_vector(&f->fb, subgraph, 2, 4);
    if (f->fb.bad)
        return eng_tfl_broken(f);
    if (v.n < 1)
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED, "the model has no outputs");
    for (uint32_t i = 0; i < v.n; i++) {
        int t = eng_tfl_tensor(f, eng_fb_vector_i32(&f->fb, &v, i));
        if (t < 0)
            return t;
        int rc = eng_graph_add_output(f->g, f->g->tensors[t].name, t, f->err, f->errlen);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_subgraph(struct eng_tfl *f, const struct eng_fb_table *subgraph)
{
    struct eng_fb_vector ops = eng_fb_vector(&f->fb, subgraph, 3, 4);
    f->tensors = eng_fb_vector(&f->fb, subgraph, 0, 4);
    if (f->fb.bad)
        return eng_tfl_broken(f);
    if (f->tensors.n > ENG_MAX_TENSORS || ops.n > ENG_MAX_NODES)
        return eng_fail(f->err, f->errlen, ENG_E_LIMIT, "the model has %u tensors and %u operators",
                        f->tensors.n, ops.n);
    f->map = malloc((f->tensors.n + 1) * sizeof(*f->map));
    if (!f->map)
        return eng_tfl_no_memory(f);
    for (uint32_t i = 0; i < f->tensors.n; i++)
        f->map[i] = -1;
    int rc = read_input(f, subgraph);
    for (uint32_t i = 0; i < ops.n; i++) {
        if (rc < 0)
            break;
        rc = read_op(f, &ops, i);
    }
    return rc < 0 ? rc : read_outputs(f, subgraph);
}

static int read_file(struct eng_tfl *f)
{
    struct eng_fb_table model = eng_fb_root(&f->fb);
    int32_t version = eng_fb_i32(&f->fb, &model, 0, 0);
    struct eng_fb_vector subgraphs = eng_fb_vector(&f->fb, &model, 2, 4);
    f->codes = eng_fb_vector(&f->fb, &model, 1, 4);
    f->buffers = eng_fb_vector(&f->fb, &model, 4, 4);
    if (f->fb.bad)
        return eng_tfl_broken(f);
    if (version != 3)
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED, "TFLite schema version %d", version);
    if (subgraphs.n != 1)
        return eng_fail(f->err, f->errlen, ENG_E_UNSUPPORTED, "the model has %u subgraphs",
                        subgraphs.n);
    struct eng_fb_table subgraph = eng_fb_vector_table(&f->fb, &subgraphs, 0);
    int rc = f->fb.bad ? eng_tfl_broken(f) : read_subgraph(f, &subgraph);
    if (rc >= 0 && f->fb.bad)
        rc = eng_tfl_broken(f);
    return rc;
}

int eng_import_tflite(struct eng_graph **ret, const void *bytes, size_t len, char *err,
                      size_t errlen)
{
    struct eng_tfl f = {.space.file = -1, .err = err, .errlen = errlen};
    if (len < 8 || memcmp((const char *)bytes + 4, "TFL3", 4) != 0)
        return eng_fail(err, errlen, ENG_E_FORMAT, "not a TFLite file");
    if (len > INT32_MAX)
        return eng_fail(err, errlen, ENG_E_LIMIT, "a TFLite file of more than 2 GiB");
    int rc = eng_graph_create(&f.g);
    if (rc < 0)
        return eng_fail(err, errlen, rc, "not enough memory for the model");
    eng_graph_set_limit(f.g, MEMORY_BASE + MEMORY_A_BYTE * len);
    eng_fb_init(&f.fb, bytes, len);
    rc = read_file(&f);
    free(f.map);
    if (rc >= 0)
        rc = eng_graph_check(f.g, err, errlen);
    if (rc < 0) {
        eng_graph_destroy(f.g);
        return rc;
    }
    *ret = f.g;
    return 0;
}
