/* What a network's numbers are: scores of classes, an embedding, or something else. */
#include "engine/scores.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/graph/quant.h"

/* Scores of classes are one row: a map of them, or a list of boxes, has other axes. */
static int is_row(const struct eng_tensor *t)
{
    return t->rank > 0 && (size_t)t->dim[t->rank - 1] == eng_tensor_elements(t);
}

/* "257x257x21", without the batch. */
static void write_shape(const struct eng_tensor *t, char *text, size_t len)
{
    size_t n = 0;
    for (int i = t->rank > 1; i < t->rank && n < len; i++)
        n += (size_t)snprintf(text + n, len - n, "%s%d", n ? "x" : "", t->dim[i]);
}

/* Where neither file nor manifest says it, several numbers are taken for the logits of a softmax,
 * as exporters leave them, unless they are 0 .. 1 already. A single one may be anything. */
int eng_scores_settle(struct eng_graph *g, int said, struct eng_model_info *info, char *err,
                      size_t errlen)
{
    const struct eng_tensor *t = &g->tensors[g->logits];
    char why[240] = "", shape[80] = "";
    int open = said < 0 && info->end == ENG_ACTIVATION_NONE && !g->end_is_unit;
    write_shape(t, shape, sizeof(shape));
    info->activation = said >= 0 ? (enum eng_activation)said
                       : open    ? ENG_ACTIVATION_SOFTMAX
                                 : info->end;
    if (info->embeds && !is_row(t))
        return eng_fail(err, errlen, ENG_E_DATA,
                        "model.json says that it makes an embedding, its output is %s", shape);
    if (info->task != ENG_TASK_CLASSIFICATION && info->task != ENG_TASK_EMBEDDING)
        snprintf(why, sizeof(why), "model.json says that its task is %s",
                 eng_task_name(info->task));
    else if (g->is_open)
        snprintf(why, sizeof(why),
                 "it has %d outputs (%.40s, %.40s%s), and model.json does not say which \"output\" "
                 "the scores are",
                 g->n_outputs, g->outputs[0].name, g->outputs[1].name,
                 g->n_outputs > 2 ? ", ..." : "");
    else if (info->embeds)
        snprintf(why, sizeof(why), "its output is an embedding");
    else if (!is_row(t))
        snprintf(why, sizeof(why), "its output is %s, not one score for each class", shape);
    else if (open && info->outputs == 1)
        snprintf(why, sizeof(why),
                 "its one output goes through no sigmoid; if it is a score, model.json has to say "
                 "its \"activation\"");
    if (why[0] && said < 0)
        info->activation = info->end;
    info->activation_from = said >= 0 ? "manifest" : open && !why[0] ? "default" : "graph";
    info->no_classes = eng_graph_strdup(g, why, strlen(why));
    return info->no_classes ? 0 : eng_fail(err, errlen, -ENOMEM, "not enough memory for the model");
}

int eng_scores_outputs(struct eng_graph *g, struct eng_model_info *info, char *err, size_t errlen)
{
    struct eng_output *to = eng_graph_alloc(g, (size_t)g->n_outputs, sizeof(*to));
    if (!to)
        return eng_fail(err, errlen, -ENOMEM, "not enough memory for the model");
    for (int i = 0; i < g->n_outputs; i++) {
        const struct eng_tensor *t = &g->tensors[g->outputs[i].tensor];
        to[i] = (struct eng_output){.name = g->outputs[i].name, .type = t->type, .rank = t->rank};
        memcpy(to[i].dim, t->dim, sizeof(to[i].dim));
        to[i].elements = eng_tensor_elements(t);
        to[i].bytes = to[i].elements * eng_type_size(t->type);
        to[i].scale = t->quant.n ? eng_quant_scale(t, 0) : 0;
        to[i].zero_point = t->quant.n ? eng_quant_zero(t, 0) : 0;
    }
    info->n_outputs = g->n_outputs;
    info->output = to;
    return 0;
}
