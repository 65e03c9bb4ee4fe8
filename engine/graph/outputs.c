/* The outputs of a graph: their names, and which of them is the main one. */
#include "engine/graph/outputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"

int eng_graph_add_output(struct eng_graph *g, const char *name, int tensor, char *err,
                         size_t errlen)
{
    if (g->n_outputs == ENG_MAX_OUTPUTS)
        return eng_fail(err, errlen, ENG_E_LIMIT, "the model has more than %d outputs",
                        ENG_MAX_OUTPUTS);
    for (int i = 0; i < g->n_outputs; i++)
        if (strcmp(g->outputs[i].name, name) == 0)
            return eng_fail(err, errlen, ENG_E_UNSUPPORTED, "two outputs are named \"%.80s\"",
                            name);
    char *copy = eng_graph_strdup(g, name, strlen(name));
    if (!copy)
        return eng_fail(err, errlen, -ENOMEM, "not enough memory for the model");
    g->outputs[g->n_outputs++] = (struct eng_graph_output){copy, tensor};
    g->output = tensor;
    return 0;
}

int eng_graph_is_output(const struct eng_graph *g, int tensor)
{
    for (int i = 0; i < g->n_outputs; i++)
        if (g->outputs[i].tensor == tensor)
            return 1;
    return tensor == g->output;
}

int eng_graph_choose_output(struct eng_graph *g, const char *name, char *err, size_t errlen)
{
    for (int i = 0; i < g->n_outputs; i++) {
        if (strcmp(g->outputs[i].name, name) != 0)
            continue;
        g->output = g->outputs[i].tensor;
        g->is_open = 0;
        return 0;
    }
    return eng_fail(err, errlen, ENG_E_DATA,
                    "model.json names the output \"%.80s\", which the model does not have", name);
}

static int keeps_values(enum eng_op op)
{
    return op == ENG_OP_QUANTIZE || op == ENG_OP_DEQUANTIZE || op == ENG_OP_RESHAPE ||
           op == ENG_OP_TRANSPOSE;
}

/* The tensor whose values t has in another form. */
static int source_of(const struct eng_graph *g, int t)
{
    while (g->tensors[t].producer >= 0 && keeps_values(g->nodes[g->tensors[t].producer].op))
        t = g->nodes[g->tensors[t].producer].in[0];
    return t;
}

static int made_later(const struct eng_graph *g, int a, int b)
{
    int x = g->tensors[source_of(g, a)].producer, y = g->tensors[source_of(g, b)].producer;
    return x != y ? x > y : g->tensors[a].producer > g->tensors[b].producer;
}

/* Marks what the values of t depend on, themselves too. */
static void mark_needed(const struct eng_graph *g, int t, char *needed)
{
    needed[source_of(g, t)] = 1;
    for (int i = g->n_nodes - 1; i >= 0; i--)
        for (int k = 0; needed[g->nodes[i].out] && k < g->nodes[i].n_in; k++)
            if (g->nodes[i].in[k] >= 0)
                needed[g->nodes[i].in[k]] = 1;
}

static int settle(struct eng_graph *g, char *err, size_t errlen)
{
    char *needed = calloc((size_t)g->n_tensors, 1);
    if (!needed)
        return eng_fail(err, errlen, -ENOMEM, "not enough memory for the model");
    g->output = g->outputs[0].tensor;
    for (int i = 1; i < g->n_outputs; i++)
        if (made_later(g, g->outputs[i].tensor, g->output))
            g->output = g->outputs[i].tensor;
    mark_needed(g, g->output, needed);
    g->is_open = 0;
    for (int i = 0; i < g->n_outputs; i++)
        g->is_open |= !needed[source_of(g, g->outputs[i].tensor)];
    g->settled = 1;
    free(needed);
    return 0;
}

int eng_graph_check_outputs(struct eng_graph *g, char *err, size_t errlen)
{
    for (int i = 0; i < g->n_outputs; i++)
        if (g->tensors[g->outputs[i].tensor].producer < 0)
            return eng_fail(err, errlen, ENG_E_DATA, "no node makes the output %.80s",
                            g->outputs[i].name);
    return g->n_outputs > 1 && !g->settled ? settle(g, err, errlen) : 0;
}

int eng_graph_name_outputs(struct eng_graph *g, char *err, size_t errlen)
{
    int found = 0;
    if (g->output < 0 || g->output >= g->n_tensors)
        return eng_fail(err, errlen, ENG_E_DATA, "the graph has no input or no output");
    for (int i = 0; i < g->n_outputs; i++) {
        if (g->outputs[i].tensor < 0 || g->outputs[i].tensor >= g->n_tensors)
            return eng_fail(err, errlen, ENG_E_DATA, "an output of the graph is no tensor");
        found |= g->outputs[i].tensor == g->output;
    }
    if (!found && g->n_outputs > 1)
        return eng_fail(err, errlen, ENG_E_DATA, "the main output of the graph is none of its %d",
                        g->n_outputs);
    if (!found) {
        g->outputs[0] = (struct eng_graph_output){g->tensors[g->output].name, g->output};
        g->n_outputs = 1;
    }
    return 0;
}
