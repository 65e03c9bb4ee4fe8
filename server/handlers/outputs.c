/* A model has few outputs: they are found by a walk. */
#include "server/handlers/outputs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "server/handlers/infer.h"
#include "server/scheduler/rows.h"

enum { OURS = 4 };

static enum proto_datatype datatype_of(enum eng_type type)
{
    static const enum proto_datatype types[] = {
        [ENG_F32] = PROTO_FP32,  [ENG_U8] = PROTO_UINT8,  [ENG_I8] = PROTO_INT8,
        [ENG_I32] = PROTO_INT32, [ENG_I64] = PROTO_INT64, [ENG_BOOL] = PROTO_BOOL,
        [ENG_BF16] = PROTO_BF16, [ENG_F16] = PROTO_FP16,
    };
    return types[type];
}

static int is_classifier(const struct eng_model_info *i)
{
    return !i->no_classes[0];
}

/* What embeds has no scores, and of several outputs without a main one none is the logits. */
static int has_logits(const struct eng_model_info *i)
{
    return is_classifier(i) || (i->n_outputs == 1 && !i->embeds);
}

static void make_row(struct srv_output *ret, const char *name, int row, int elements)
{
    *ret = (struct srv_output){
        .name = name,
        .datatype = PROTO_FP32,
        .n_dims = 1,
        .shape = {elements},
        .elements = (size_t)elements,
        .row = row,
        .scores = row != SRV_ROW_EMBEDDING,
    };
}

/* Of one kind of ours; 0: the model does not give it. */
static int ours_at(const struct eng_model_info *i, int kind, struct srv_output *ret)
{
    int classes = i->outputs - i->class_offset;
    switch (kind) {
    case 0:
        make_row(ret, "logits", SRV_ROW_LOGITS, i->outputs);
        return has_logits(i);
    case 1:
        make_row(ret, "probabilities", SRV_ROW_PROBABILITIES, i->outputs);
        return is_classifier(i);
    case 2:
        make_row(ret, "classification", SRV_ROW_PROBABILITIES, i->outputs);
        ret->datatype = PROTO_BYTES;
        ret->ranked = 1;
        ret->first = i->class_offset;
        ret->shape[0] = classes < SRV_CLASSIFICATION_DEFAULT ? classes : SRV_CLASSIFICATION_DEFAULT;
        return is_classifier(i);
    default:
        make_row(ret, "embedding", SRV_ROW_EMBEDDING, i->embedding);
        return i->embedding > 0;
    }
}

static void file_at(const struct eng_model_info *i, int index, struct srv_output *ret)
{
    const struct eng_output *o = &i->output[index];
    int batch = o->rank > 0 && o->dim[0] == 1;
    *ret = (struct srv_output){
        .name = o->name,
        .datatype = datatype_of(o->type),
        .n_dims = o->rank - batch,
        .elements = o->elements,
        .row = SRV_ROW_OUTPUT + index,
        .scores = is_classifier(i) && i->n_outputs == 1,
    };
    for (int d = 0; d < ret->n_dims; d++)
        ret->shape[d] = o->dim[d + batch];
}

static int is_hidden(const struct eng_model_info *i, const char *name)
{
    struct srv_output ours;
    for (int kind = 0; kind < OURS; kind++)
        if (ours_at(i, kind, &ours) && strcmp(ours.name, name) == 0)
            return 1;
    return 0;
}

static int is_usual(const struct eng_model_info *i, const struct srv_output *o)
{
    if (is_classifier(i))
        return o->row == SRV_ROW_PROBABILITIES && !o->ranked;
    if (i->embeds)
        return o->row == SRV_ROW_EMBEDDING;
    return i->n_outputs > 1 ? o->row >= SRV_ROW_OUTPUT : o->row == SRV_ROW_LOGITS;
}

static int is_shown(const struct eng_model_info *i, enum srv_outputs_shown shown,
                    const struct srv_output *o)
{
    int all = shown == SRV_OUTPUTS_ALL || (shown == SRV_OUTPUTS_SHOWN && i->shows_all);
    return is_usual(i, o) || (all && (o->row < SRV_ROW_OUTPUT || i->n_outputs > 1));
}

int srv_outputs_at(const struct srv_model *m, enum srv_outputs_shown shown, int index,
                   struct srv_output *ret)
{
    const struct eng_model_info *i = m->info;
    for (int kind = 0; kind < OURS; kind++)
        if (ours_at(i, kind, ret) && is_shown(i, shown, ret) && index-- == 0)
            return 1;
    for (int k = 0; k < i->n_outputs; k++) {
        file_at(i, k, ret);
        if (is_shown(i, shown, ret) && !is_hidden(i, ret->name) && index-- == 0)
            return 1;
    }
    return 0;
}

int srv_outputs_find(const struct srv_model *m, struct proto_span name, struct srv_output *ret)
{
    const struct eng_model_info *i = m->info;
    for (int kind = 0; kind < OURS; kind++)
        if (ours_at(i, kind, ret) && proto_span_is(name, ret->name))
            return 0;
    for (int k = 0; k < i->n_outputs; k++) {
        file_at(i, k, ret);
        if (proto_span_is(name, ret->name))
            return 0;
    }
    return -ENOENT;
}

void srv_outputs_unknown(struct proto_span name, const char *called, char *err, size_t errlen)
{
    snprintf(err, errlen, "unexpected inference output '%.*s' for model '%s'",
             name.len > 64 ? 64 : (int)name.len, name.s ? name.s : "", called);
}

static int choose_names(const struct srv_model *m, const char *called, const char *list,
                        struct srv_output *ret, char *err, size_t errlen)
{
    int n = 0;
    for (const char *at = list;; at++) {
        struct proto_span name = {at, strcspn(at, ",")};
        if (n == PROTO_OUTPUTS_MAX || srv_outputs_find(m, name, &ret[n]) < 0) {
            srv_outputs_unknown(name, called, err, errlen);
            return -EINVAL;
        }
        for (int k = 0; k < n; k++)
            if (strcmp(ret[k].name, ret[n].name) == 0) {
                snprintf(err, errlen, "'%.64s' is given twice", ret[n].name);
                return -EINVAL;
            }
        n++;
        at += name.len;
        if (!*at)
            return n;
    }
}

int srv_outputs_choose(const struct srv_model *m, const char *called, const char *list,
                       struct srv_output *ret, char *err, size_t errlen)
{
    enum srv_outputs_shown shown = list ? SRV_OUTPUTS_ALL : SRV_OUTPUTS_SHOWN;
    int n = 0;
    if (list && strcmp(list, "all") != 0)
        return choose_names(m, called, list, ret, err, errlen);
    while (n < PROTO_OUTPUTS_MAX && srv_outputs_at(m, shown, n, &ret[n]))
        n++;
    return n;
}

struct proto_tensor srv_outputs_described(const struct srv_output *o)
{
    struct proto_tensor t = {.name = o->name, .datatype = o->datatype, .n_dims = o->n_dims + 1};
    t.shape[0] = -1;
    memcpy(t.shape + 1, o->shape, (size_t)o->n_dims * sizeof(*o->shape));
    return t;
}
