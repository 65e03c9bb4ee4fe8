/* Names of layers or graph nodes, and an order in which the wanted one can be computed: depth
 * first, without recursion (a file may chain as many as it likes), each visited once. */
#include "engine/importers/tfjs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NEW, ON_STACK, DONE };

int eng_tfj_net_create(struct eng_tfj *f, struct eng_tfj_net *net, size_t n)
{
    *net = (struct eng_tfj_net){0};
    if (n < 1 || n > ENG_MAX_NODES)
        return eng_tfj_fail(f, n ? ENG_E_LIMIT : ENG_E_DATA, "the model has %zu layers or nodes",
                            n);
    net->n = (int)n;
    net->items = calloc(n, sizeof(*net->items));
    net->by_name = calloc(n, sizeof(*net->by_name));
    net->order = calloc(n, sizeof(*net->order));
    return net->items && net->by_name && net->order ? 0 : eng_tfj_no_memory(f);
}

void eng_tfj_net_finish(struct eng_tfj_net *net)
{
    free(net->items);
    free(net->by_name);
    free(net->links);
    free(net->order);
    *net = (struct eng_tfj_net){0};
}

static int by_name(const void *a, const void *b, void *net)
{
    const struct eng_tfj_item *items = ((const struct eng_tfj_net *)net)->items;
    return strcmp(items[*(const int *)a].name, items[*(const int *)b].name);
}

int eng_tfj_net_index(struct eng_tfj *f, struct eng_tfj_net *net)
{
    for (int i = 0; i < net->n; i++)
        net->by_name[i] = i;
    qsort_r(net->by_name, (size_t)net->n, sizeof(*net->by_name), by_name, net);
    for (int i = 1; i < net->n; i++)
        if (by_name(&net->by_name[i - 1], &net->by_name[i], net) == 0)
            return eng_tfj_fail(f, ENG_E_DATA, "two layers or nodes are named %.80s",
                                net->items[net->by_name[i]].name);
    return 0;
}

int eng_tfj_net_find(const struct eng_tfj_net *net, const char *name)
{
    int lo = 0, hi = net->n - 1;
    while (lo <= hi) {
        int mid = lo + (hi - lo) / 2, c = strcmp(name, net->items[net->by_name[mid]].name);
        if (c == 0)
            return net->by_name[mid];
        if (c < 0)
            hi = mid - 1;
        else
            lo = mid + 1;
    }
    return -1;
}

int eng_tfj_net_link(struct eng_tfj *f, struct eng_tfj_net *net, int item, const char *input)
{
    struct eng_tfj_item *at = &net->items[item];
    int index = eng_tfj_net_find(net, input);
    if (index < 0)
        return eng_tfj_fail(f, ENG_E_DATA, "its input %.80s does not exist", input);
    if (at->n_in == ENG_MAX_INPUTS)
        return eng_tfj_fail(f, ENG_E_LIMIT, "it has more than %d inputs", ENG_MAX_INPUTS);
    if (net->n_links == net->cap_links) {
        int cap = net->cap_links ? net->cap_links * 2 : 64;
        int *links = realloc(net->links, (size_t)cap * sizeof(*links));
        if (!links)
            return eng_tfj_no_memory(f);
        net->links = links;
        net->cap_links = cap;
    }
    if (at->n_in == 0)
        at->first = net->n_links;
    net->links[net->n_links++] = index;
    at->n_in++;
    return 0;
}

/* An input of the item that is not done yet; -1: none; -2: one that waits for the item itself. */
static int next_input(const struct eng_tfj_net *net, const struct eng_tfj_item *item)
{
    for (int i = 0; i < item->n_in; i++) {
        int in = net->links[item->first + i];
        if (net->items[in].state == ON_STACK)
            return -2;
        if (net->items[in].state == NEW)
            return in;
    }
    return -1;
}

int eng_tfj_net_sort(struct eng_tfj *f, struct eng_tfj_net *net, int wanted)
{
    if (net->items[wanted].state == DONE)
        return 0;
    int *stack = malloc((size_t)net->n * sizeof(*stack)), depth = 0, rc = 0;
    if (!stack)
        return eng_tfj_no_memory(f);
    net->items[wanted].state = ON_STACK;
    stack[depth++] = wanted;
    while (depth > 0 && rc == 0) {
        struct eng_tfj_item *item = &net->items[stack[depth - 1]];
        int in = next_input(net, item);
        if (in >= 0) {
            net->items[in].state = ON_STACK;
            stack[depth++] = in;
        } else if (in == -1) {
            item->state = DONE;
            net->order[net->n_order++] = stack[--depth];
        } else {
            rc = eng_tfj_fail(f, ENG_E_DATA, "%.80s is part of a cycle", item->name);
        }
    }
    free(stack);
    return rc;
}
