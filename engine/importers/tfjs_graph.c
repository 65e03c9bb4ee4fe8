/* Graph models: a GraphDef as JSON, pruned and fused by tensorflowjs_converter -> nodes. Only what
 * the outputs need is looked at. */
#include "engine/importers/tfjs_graph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/outputs.h"

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
        int rc = text ? input_name(text, name, sizeof(name)) : -2;
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
    rc = eng_tfj_net_index(f, net);
    if (rc < 0)
        return rc;
    for (int i = 0; i < net->n; i++)
        if ((rc = link_node(f, net, i)) < 0)
            return rc;
    return 0;
}

/* An output: the signature's key, else the node's name. */
struct end {
    const char *name;
    int item;
};

static int signed_ends(struct eng_tfj *f, const struct eng_tfj_net *net, json_t *outputs,
                       struct end *ret, int *ret_n)
{
    json_t *entry;
    const char *key;
    char name[1024];
    if (json_object_size(outputs) > ENG_MAX_OUTPUTS)
        return eng_tfj_fail(f, ENG_E_LIMIT, "the model has more than %d outputs", ENG_MAX_OUTPUTS);
    json_object_foreach(outputs, key, entry)
    {
        const char *text = eng_tfj_string(entry, "name");
        struct end *e = &ret[(*ret_n)++];
        e->name = key;
        if (input_name(text[0] ? text : key, name, sizeof(name)) < 0 ||
            (e->item = eng_tfj_net_find(net, name)) < 0)
            return eng_tfj_fail(f, ENG_E_DATA, "its output %.80s does not exist", text);
    }
    return 0;
}

/* The nodes that no other reads: what TF.js itself takes. */
static int unread_ends(struct eng_tfj *f, const struct eng_tfj_net *net, struct end *ret,
                       int *ret_n)
{
    char *read = calloc((size_t)net->n, 1);
    int rc = 0;
    if (!read)
        return eng_tfj_no_memory(f);
    for (int i = 0; i < net->n_links; i++)
        read[net->links[i]] = 1;
    for (int i = 0; i < net->n; i++) {
        if (rc < 0)
            break;
        if (read[i])
            continue;
        if (*ret_n == ENG_MAX_OUTPUTS)
            rc =
                eng_tfj_fail(f, ENG_E_LIMIT, "the model has more than %d outputs", ENG_MAX_OUTPUTS);
        else
            ret[(*ret_n)++] = (struct end){net->items[i].name, i};
    }
    free(read);
    if (rc == 0 && *ret_n == 0)
        rc = eng_tfj_fail(f, ENG_E_DATA, "every node is read by another: there is no output");
    return rc;
}

static int find_ends(struct eng_tfj *f, const struct eng_tfj_net *net, const json_t *signature,
                     struct end *ret, int *ret_n)
{
    json_t *outputs = json_object_get(signature, "outputs");
    return json_object_size(outputs) > 0 ? signed_ends(f, net, outputs, ret, ret_n)
                                         : unread_ends(f, net, ret, ret_n);
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
    for (int i = 0; i < net->n_order; i++) {
        const struct eng_tfj_item *item = &net->items[net->order[i]];
        struct eng_tfj_op op = {.f = f, .json = item->json, .n_in = item->n_in};
        for (int k = 0; k < item->n_in; k++)
            op.in[k] = &values[net->links[item->first + k]];
        int rc = run_node(&op, signature);
        if (rc < 0)
            return rc;
        values[net->order[i]] = op.out;
    }
    return 0;
}

static int add_end(struct eng_tfj *f, const struct end *e, const struct eng_tfj_value *values)
{
    int t = values[e->item].tensor;
    if (t < 0)
        return eng_tfj_fail(f, ENG_E_DATA, "the output %.80s does not depend on the input",
                            e->name);
    return eng_graph_add_output(f->g, e->name, t, f->err, f->errlen);
}

int eng_tfj_import_graph(struct eng_tfj *f, const json_t *topology, const json_t *signature)
{
    const json_t *nodes = json_object_get(topology, "node");
    struct eng_tfj_value *values = NULL;
    struct eng_tfj_net net;
    struct end ends[ENG_MAX_OUTPUTS];
    int rc = eng_tfj_net_create(f, &net, json_array_size(nodes)), n = 0;
    if (rc == 0)
        rc = link_nodes(f, &net, nodes);
    f->what = NULL;
    if (rc == 0)
        rc = find_ends(f, &net, signature, ends, &n);
    for (int i = 0; i < n; i++) {
        if (rc < 0)
            break;
        rc = eng_tfj_net_sort(f, &net, ends[i].item);
    }
    if (rc >= 0 && !(values = calloc((size_t)net.n, sizeof(*values))))
        rc = eng_tfj_no_memory(f);
    if (rc >= 0)
        rc = run_nodes(f, &net, signature, values);
    for (int i = 0; i < n; i++) {
        if (rc < 0)
            break;
        rc = add_end(f, &ends[i], values);
    }
    free(values);
    eng_tfj_net_finish(&net);
    return rc;
}
