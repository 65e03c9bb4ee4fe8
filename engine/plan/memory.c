/* Life spans -> offsets in one arena: largest first into the lowest gap, within a few per cent of
 * the best for chains of layers. */
#include "engine/plan/memory.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/engine.h"

static int larger_first(const void *a, const void *b)
{
    const struct eng_span *x = *(struct eng_span *const *)a, *y = *(struct eng_span *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static int lower_first(const void *a, const void *b)
{
    const struct eng_span *x = *(struct eng_span *const *)a, *y = *(struct eng_span *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* The lowest gap between the placed spans that live at the same time as s. `busy` is room for them.
 */
static size_t lowest_gap(struct eng_span **placed, int n, const struct eng_span *s,
                         struct eng_span **busy)
{
    int n_busy = 0;
    for (int i = 0; i < n; i++)
        if (placed[i]->first <= s->last && s->first <= placed[i]->last)
            busy[n_busy++] = placed[i];
    qsort(busy, (size_t)n_busy, sizeof(*busy), lower_first);
    size_t at = 0;
    for (int i = 0; i < n_busy; i++) {
        if (busy[i]->offset >= at + s->bytes)
            break;
        size_t end = busy[i]->offset + busy[i]->bytes;
        at = end > at ? end : at;
    }
    return at;
}

int eng_memory_place(struct eng_span *spans, int n, size_t most, size_t *ret_bytes)
{
    struct eng_span **order = calloc((size_t)n + 1, sizeof(*order));
    struct eng_span **busy = calloc((size_t)n + 1, sizeof(*busy));
    int rc = -ENOMEM, n_order = 0;
    size_t bytes = 0;
    if (!order || !busy)
        goto done;
    for (int i = 0; i < n; i++)
        if (spans[i].first >= 0 && spans[i].bytes > 0)
            order[n_order++] = &spans[i];
    qsort(order, (size_t)n_order, sizeof(*order), larger_first);
    for (int i = 0; i < n_order; i++) {
        order[i]->offset = lowest_gap(order, i, order[i], busy);
        if (order[i]->offset + order[i]->bytes > bytes)
            bytes = order[i]->offset + order[i]->bytes;
        rc = ENG_E_LIMIT;
        if (bytes > most)
            goto done;
    }
    *ret_bytes = bytes;
    rc = 0;
done:
    free(order);
    free(busy);
    return rc;
}
