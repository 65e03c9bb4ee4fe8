/* The node under check: what it reads, what it makes, and what is wrong with it. */
#include "engine/graph/check.h"

#include <stdio.h>

#include "engine/base/fail.h"

int eng_check_fail(const struct eng_check *c, int code, const char *format, ...)
{
    char where[160];
    va_list ap;
    snprintf(where, sizeof(where), "node %d (%s %.80s)", c->index, eng_op_name(c->n->op),
             c->n->name);
    va_start(ap, format);
    eng_fail_at(c->err, c->errlen, code, where, format, ap);
    va_end(ap);
    return code;
}

const struct eng_tensor *eng_check_in(const struct eng_check *c, int i)
{
    return i < c->n->n_in && c->n->in[i] >= 0 ? &c->g->tensors[c->n->in[i]] : NULL;
}

struct eng_tensor *eng_check_out(const struct eng_check *c)
{
    return &c->g->tensors[c->n->out];
}

int eng_same_shape(const struct eng_tensor *a, const struct eng_tensor *b)
{
    if (a->rank != b->rank)
        return 0;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return 0;
    return 1;
}

int eng_same_quant(const struct eng_tensor *a, const struct eng_tensor *b)
{
    if (a->quant.n == 0 || b->quant.n == 0)
        return a->quant.n == b->quant.n;
    return a->quant.n == 1 && b->quant.n == 1 && a->quant.scale[0] == b->quant.scale[0] &&
           a->quant.zero_point[0] == b->quant.zero_point[0];
}
