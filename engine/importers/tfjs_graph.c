/* Graph models: a GraphDef as JSON, pruned and fused by tensorflowjs_converter -> nodes. Only what
 * the one output needs is looked at. */
#include "engine/importers/tfjs_graph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void enter(struct eng_tfj *f, const json_t *node)
{
    f->what = eng_tfj_string(node, "name");
    f->kind = eng_tfj_string(node, "op");
}

/* "name", "name:0"; -1 for "^name" (order alone), -2 for a second output. */
static int input_name(const char *text, char *ret, size_t size)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : strlen(text);
    if (text[0] == '^')
        return -1;
    if ((colon && strcmp(colon, ":0") != 0) || len >= size)
        return -2;
    memcpy(ret, text, len);
    ret[len] = '\0';
    return 0;
}

static int link_node(struct eng_tfj *f, struct eng_tfj_net *net, int i)
{
    const json_t *inputs = json_object_get(net->items[i].json, "input"), *input;
    char name[1024];
    size_t k;
    enter(f, net->items[i].json);
    json_array_foreach(inputs, k, input)
    {
        const char *text = json_string_value(input);
        int rc = text ? input_name(text, name, sizeof name) : -2;
        if (rc == -2)
            return eng_tfj_fail(f, ENG_E_UNSUPPORTED, "its input %.80s is not supported",
                                text ? text : "?");
        if (rc == 0 && (rc = eng_tfj_net_link(f, net, i, name)) < 0)
            return rc;
    }
    return 0;
}

static int link_nodes(struct eng_tfj *f, struct eng_tfj_net *net, const json_t *nodes)
{
    int rc;
    for (int i = 0; i < net->n; i++) {
        net->items[i].json = json_array_get(nodes, (size_t)i);
        net->items[i].name = eng_tfj_string(net->items[i].json, "name");
        if (!net->items[i].name[0])
            return eng_tfj_fail(f, ENG_E_DATA, "node %d has no name", i);
    }
    if ((rc = eng_tfj_net_index(f, net)) < 0)
        return rc;
    for (int i = 0; i < net->n; i++)
        if ((rc = link_node(f, net, i)) < 0)
            return rc;
    return 0;
}

/* The signature's one output, else the one node that no other reads. */
static int find_output(struct eng_tfj *f, const struct eng_tfj_net *net, const json_t *signature)
{
    json_t *outputs = json_object_get(signature, "outputs"), *entry;
    const char *key;
    char name[1024];
    int found = -1;
    if (json_object_size(outputs) > 1)
        return eng_tfj_fail(f, ENG_E_UNSUPPORTED, "the model has %zu outputs",
                            json_object_size(outputs));
    json_object_foreach(outputs, key, entry)
    {
        const char *text = eng_tfj_string(entry, "name");
        if (input_name(text[0] ? text : key, name, sizeof name) < 0 ||
            (found = eng_tfj_net_find(net, name)) < 0)
            return eng_tfj_fail(f, ENG_E_DATA, "its output %.80s does not exist", text);
        return found;
    }
    char *read = calloc((size_t)net->n, 1);
    if (!read)
        return eng_tfj_no_memory(f);
    int n = 0;
    for (int i = 0; i < net->n_links; i++)
        read[net->links[i]] = 1;
    for (int i = 0; i < net->n; i++)
        if (!read[i]) {
            found = i;
            n++;
        }
    free(read);
    return n == 1 ? found
                  : eng_tfj_fail(f, ENG_E_UNSUPPORTED, "no signature, and %d possible outputs", n);
}

/* The shape of the input: the node's own, else the signature's. [] of eng_tfj_input()'s form. */
static json_t *input_shape(const json_t *node, const json_t *signature)
{
    const json_t *shape = eng_tfj_attr(node, "shape", "shape"), *dims;
    const json_t *entry =
        json_object_iter_value(json_object_iter(json_object_get(signature, "inputs")));
    dims = json_object_get(shape, "dim");
    if (json_array_size(dims) != 4)
        dims = json_object_get(json_object_get(entry, "tensorShape"), "dim");
    json_t *list = json_array();
    for (size_t i = 0; list && i < json_array_size(dims) && i < 8; i++) {
        int64_t d = -1;
        eng_tfj_whole(json_object_get(json_array_get(dims, i), "size"), &d);
        if (json_array_append_new(list, json_integer(d)) < 0)
            break;
    }
    return list;
}

static int image_input(struct eng_tfj_op *op, const json_t *signature)
{
    json_t *shape = input_shape(op->json, signature);
    if (!shape)
        return eng_tfj_no_memory(op->f);
    op->out.tensor = eng_tfj_input(op->f, shape);
    json_decref(shape);
    return op->out.tensor;
}

static int run_node(struct eng_tfj_op *op, const json_t *signature)
{
    enter(op->f, op->json);
    op->op = op->f->kind;
    op->out.tensor = -1;
    if (strcmp(op->op, "Placeholder") == 0)
        return image_input(op, signature);
    if (strcmp(op->op, "Const") != 0)
        return eng_tfj_graph_op(op);
    op->out.weight = eng_tfj_weight(op->f, op->f->what);
    return op->out.weight ? 0
                          : eng_tfj_fail(op->f, ENG_E_DATA, "its weights are not in the manifest");
}

static int run_nodes(struct eng_tfj *f, const struct eng_tfj_net *net, const json_t *signature,
                     struct eng_tfj_value *values)
{
    int last = -1;
    for (int i = 0; i < net->n_order; i++) {
        const struct eng_tfj_item *item = &net->items[net->order[i]];
        struct eng_tfj_op op = {.f = f, .json = item->json, .n_in = item->n_in};
        for (int k = 0; k < item->n_in; k++)
            op.in[k] = &values[net->links[item->first + k]];
        int rc = run_node(&op, signature);
        if (rc < 0)
            return rc;
        last = net->order[i];
        values[last] = op.out;
    }
    if (values[last].tensor < 0)
        return eng_tfj_fail(f, ENG_E_DATA, "the output does not depend on the input");
    return values[last].tensor;
}

int eng_tfj_import_graph(struct eng_tfj *f, const json_t *topology, const json_t *signature)
{
    const json_t *nodes = json_object_get(topology, "node");
    struct eng_tfj_value *values = NULL;
    struct eng_tfj_net net;
    int rc = eng_tfj_net_create(f, &net, json_array_size(nodes)), wanted = -1;
    if (rc == 0)
        rc = link_nodes(f, &net, nodes);
    f->what = NULL;
    if (rc == 0)
        rc = wanted = find_output(f, &net, signature);
    if (rc >= 0)
        rc = eng_tfj_net_sort(f, &net, wanted);
    if (rc >= 0 && !(values = calloc((size_t)net.n, sizeof *values)))
        rc = eng_tfj_no_memory(f);
    if (rc >= 0)
        rc = run_nodes(f, &net, signature, values);
    free(values);
    eng_tfj_net_finish(&net);
    return rc;
}
