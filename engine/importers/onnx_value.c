/* The values of an ONNX file by name, and the sentences that say which node is at fault. */
#include "engine/importers/onnx.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/importers/onnx.pb-c.h"

int eng_onnx_fail(const struct eng_onnx_op *op, int code, const char *format, ...)
{
    char where[160];
    va_list ap;
    snprintf(where, sizeof(where), "node %d (%.40s %.80s)", op->index, op->type,
             op->n.name ? op->n.name : "");
    va_start(ap, format);
    eng_fail_at(op->f->err, op->f->errlen, code, where, format, ap);
    va_end(ap);
    return code;
}

int eng_onnx_no_memory(const struct eng_onnx_op *op)
{
    return eng_onnx_fail(op, -ENOMEM, "not enough memory for the model");
}

int eng_onnx_file_no_memory(const struct eng_onnx *f)
{
    return eng_fail(f->err, f->errlen, -ENOMEM, "not enough memory for the model");
}

static int by_name(const void *a, const void *b)
{
    const struct eng_onnx_value *const *va = a, *const *vb = b;
    return strcmp((*va)->name, (*vb)->name);
}

struct eng_onnx_value *eng_onnx_find(const struct eng_onnx *f, const char *name)
{
    struct eng_onnx_value key = {.name = name};
    const struct eng_onnx_value *at = &key;
    struct eng_onnx_value **found =
        bsearch(&at, f->values, (size_t)f->n_values, sizeof(*f->values), by_name);
    return found ? *found : NULL;
}

static void new_value(struct eng_onnx *f, struct eng_onnx_value *all, const char *name, int maker,
                      int constant)
{
    if (!eng_onnx_present(name))
        return;
    struct eng_onnx_value *v = &all[f->n_values];
    v->name = name;
    v->maker = maker;
    v->constant = constant;
    for (int o = 0; o < ENG_ONNX_ORDERS; o++)
        v->at[o] = v->real[o] = -1;
    f->values[f->n_values++] = v;
}

/* Sorted, each name once: old files list their constants among the inputs too. */
static int sort_values(struct eng_onnx *f)
{
    int kept = 0;
    if (f->n_values > 0)
        qsort(f->values, (size_t)f->n_values, sizeof(*f->values), by_name);
    for (int i = 0; i < f->n_values; i++) {
        struct eng_onnx_value *v = f->values[i], *last = kept ? f->values[kept - 1] : NULL;
        if (!last || strcmp(last->name, v->name) != 0)
            f->values[kept++] = v;
        else if (last->maker >= 0 || v->maker >= 0)
            return eng_fail(f->err, f->errlen, ENG_E_DATA, "the value %.80s is made twice",
                            v->name);
        else
            last->constant |= v->constant;
    }
    f->n_values = kept;
    return 0;
}

int eng_onnx_name_values(struct eng_onnx *f, const Onnx__GraphProto *p)
{
    size_t n = p->n_initializer + p->n_input;
    if (p->n_node > ENG_MAX_NODES || n > ENG_MAX_TENSORS)
        return eng_fail(f->err, f->errlen, ENG_E_LIMIT, "the model has %zu nodes and %zu constants",
                        p->n_node, p->n_initializer);
    for (size_t i = 0; i < p->n_node; i++)
        n += p->node[i]->n_output;
    if (n > ENG_MAX_TENSORS)
        return eng_fail(f->err, f->errlen, ENG_E_LIMIT, "the model has %zu values", n);
    struct eng_onnx_value *all = eng_graph_alloc(f->scratch, n + 1, sizeof(*all));
    f->values = eng_graph_alloc(f->scratch, n + 1, sizeof(struct eng_onnx_value *));
    if (!all || !f->values)
        return eng_onnx_file_no_memory(f);
    for (size_t i = 0; i < p->n_initializer; i++)
        new_value(f, all, p->initializer[i]->name, -1, 1);
    for (size_t i = 0; i < p->n_input; i++)
        new_value(f, all, p->input[i]->name, -1, 0);
    for (size_t i = 0; i < p->n_node; i++)
        for (size_t k = 0; k < p->node[i]->n_output; k++)
            new_value(f, all, p->node[i]->output[k], (int)i, 0);
    return sort_values(f);
}

void eng_onnx_count_readers(struct eng_onnx *f, const Onnx__GraphProto *p)
{
    for (size_t i = 0; i < p->n_node; i++) {
        for (size_t k = 0; k < p->node[i]->n_input; k++) {
            struct eng_onnx_value *v = eng_onnx_find(f, p->node[i]->input[k]);
            if (!v)
                continue;
            v->readers++;
            v->reader = p->node[i];
        }
    }
    for (size_t i = 0; i < p->n_output; i++) {
        struct eng_onnx_value *v =
            eng_onnx_present(p->output[i]->name) ? eng_onnx_find(f, p->output[i]->name) : NULL;
        if (v)
            v->readers++;
    }
}

int eng_onnx_alias(struct eng_onnx_op *op, const struct eng_onnx_value *v)
{
    struct eng_onnx_value *out = op->out;
    if (!v)
        return eng_onnx_fail(op, ENG_E_DATA, "it lacks an input");
    out->type = v->type;
    out->rank = v->rank;
    memcpy(out->dim, v->dim, sizeof(out->dim));
    out->data = v->data;
    out->stored = v->stored;
    out->quant = v->quant;
    memcpy(out->at, v->at, sizeof(out->at));
    memcpy(out->real, v->real, sizeof(out->real));
    return 0;
}
