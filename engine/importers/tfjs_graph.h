/* What the parts of the front end for graph models share. Internal to import_tfjs_*.c. */
#ifndef ENG_IMPORTERS_TFJS_GRAPH_H
#define ENG_IMPORTERS_TFJS_GRAPH_H

#include "engine/importers/tfjs.h"

enum { ENG_TFJ_INTS = 8 };

/* What a node of the file is to those who read it: a tensor of our graph, a constant, or small
 * integers known at import (shapes). */
struct eng_tfj_value {
    int tensor; /* -1: none */
    const struct eng_tfj_weight *weight;
    int n; /* integers, if neither of the above */
    int64_t v[ENG_TFJ_INTS];
};

struct eng_tfj_op {
    struct eng_tfj *f;
    const json_t *json;
    const char *op;
    int n_in;
    const struct eng_tfj_value *in[ENG_MAX_INPUTS];
    struct eng_tfj_value out;
};

/* Makes op->out. */
int eng_tfj_graph_op(struct eng_tfj_op *op);

/* ---- attributes ---- */

const json_t *eng_tfj_attr(const json_t *node, const char *name, const char *kind); /* or NULL */
void eng_tfj_text(const json_t *s, char *ret, size_t size); /* base64, or a list of bytes */
int eng_tfj_whole(const json_t *v, int64_t *ret);           /* an integer, or one as a string */
/* The integers of a list attribute; how many (0: absent), or a failure. Each within +-2^30. */
int eng_tfj_list(const struct eng_tfj *f, const json_t *node, const char *name, int64_t *ret,
                 int max);
int eng_tfj_flag(const json_t *node, const char *name, int otherwise);
double eng_tfj_real(const json_t *node, const char *name, double otherwise);

#endif
