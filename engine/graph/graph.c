/* The graph's memory and its two growing arrays.
 *
 * Small things (names, index arrays, scales) come from chunks; constants are blocks of their own,
 * so that they alone can go once the plan has packed them. */
#include "engine/graph/graph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 14, LARGE = 1 << 12 };
/* Of one graph, over all that it copies: a file of many tensors that share one buffer must not
 * multiply. */
static const size_t POOL_LIMIT = (size_t)2 << 30;

struct block {
    struct block *next;
    size_t used, size; /* of the bytes behind the header */
};
enum { HEADER = 64 };

struct eng_pool {
    struct block *small, *large, *constants;
    size_t bytes, limit;
    int full; /* something was refused for the limit */
    int cap_tensors, cap_nodes;
};

int eng_graph_create(struct eng_graph **ret)
{
    struct eng_graph *g = calloc(1, sizeof(*g));
    if (!g)
        return -ENOMEM;
    g->pool = calloc(1, sizeof(*g->pool));
    if (!g->pool) {
        free(g);
        return -ENOMEM;
    }
    g->pool->limit = POOL_LIMIT;
    g->input = g->output = g->logits = g->embedding = -1;
    *ret = g;
    return 0;
}

void eng_graph_set_limit(struct eng_graph *g, size_t bytes)
{
    g->pool->limit = bytes < POOL_LIMIT ? bytes : POOL_LIMIT;
}

int eng_graph_is_full(const struct eng_graph *g)
{
    return g->pool->full;
}

static void free_blocks(struct eng_pool *pool, struct block **list)
{
    while (*list) {
        struct block *b = *list;
        *list = b->next;
        pool->bytes -= b->size;
        free(b);
    }
}

void eng_graph_destroy(struct eng_graph *g)
{
    if (!g)
        return;
    free_blocks(g->pool, &g->pool->small);
    free_blocks(g->pool, &g->pool->large);
    free_blocks(g->pool, &g->pool->constants);
    free(g->pool);
    free(g->tensors);
    free(g->nodes);
    free(g);
}

static struct block *new_block(struct eng_pool *pool, struct block **list, size_t size)
{
    if (pool->bytes > pool->limit || size > pool->limit - pool->bytes) {
        pool->full = 1;
        return NULL;
    }
    struct block *b = NULL;
    size_t total = HEADER + ((size + 63) & ~(size_t)63);
    if (posix_memalign((void **)&b, 64, total) != 0)
        return NULL;
    memset(b, 0, total);
    b->size = size;
    b->next = *list;
    *list = b;
    pool->bytes += size;
    return b;
}

static char *bytes_of(struct block *b)
{
    return (char *)b + HEADER;
}

void *eng_graph_alloc(struct eng_graph *g, size_t n, size_t size)
{
    size_t want;
    if (__builtin_mul_overflow(n, size, &want) || want > POOL_LIMIT)
        return NULL;
    if (want > LARGE) {
        struct block *b = new_block(g->pool, &g->pool->large, want);
        return b ? bytes_of(b) : NULL;
    }
    want = (want + 63) & ~(size_t)63;
    struct block *b = g->pool->small;
    if (!b || b->size - b->used < want)
        b = new_block(g->pool, &g->pool->small, CHUNK);
    if (!b)
        return NULL;
    void *p = bytes_of(b) + b->used;
    b->used += want;
    return p;
}

void *eng_graph_alloc_constant(struct eng_graph *g, size_t n, size_t size)
{
    size_t want;
    if (__builtin_mul_overflow(n, size, &want) || want > POOL_LIMIT)
        return NULL;
    struct block *b = new_block(g->pool, &g->pool->constants, want);
    return b ? bytes_of(b) : NULL;
}

void eng_graph_drop_constants(struct eng_graph *g)
{
    for (int i = 0; i < g->n_tensors; i++)
        g->tensors[i].data = NULL;
    free_blocks(g->pool, &g->pool->constants);
}

void eng_graph_drop_constant(struct eng_graph *g, int tensor)
{
    const void *data = g->tensors[tensor].data;
    struct block **at = &g->pool->constants;
    g->tensors[tensor].data = NULL;
    while (*at && bytes_of(*at) != data)
        at = &(*at)->next;
    if (!*at)
        return;
    struct block *b = *at;
    *at = b->next;
    g->pool->bytes -= b->size;
    free(b);
}

char *eng_graph_strdup(struct eng_graph *g, const char *s, size_t len)
{
    if (len > 4096)
        len = 4096;
    char *copy = eng_graph_alloc(g, len + 1, 1);
    if (copy)
        memcpy(copy, s, len);
    return copy;
}

/* Room for one more element; doubles. */
static int grow(void **array, int n, int *cap, size_t size, int limit)
{
    if (n < *cap)
        return 0;
    if (n >= limit)
        return ENG_E_LIMIT;
    int want = *cap ? *cap * 2 : 64;
    if (want > limit)
        want = limit;
    void *p = realloc(*array, (size_t)want * size);
    if (!p)
        return -ENOMEM;
    *array = p;
    *cap = want;
    return 0;
}

int eng_graph_add_tensor(struct eng_graph *g, const struct eng_tensor *t)
{
    int rc = grow((void **)&g->tensors, g->n_tensors, &g->pool->cap_tensors, sizeof(*t),
                  ENG_MAX_TENSORS);
    if (rc < 0)
        return rc;
    struct eng_tensor *at = &g->tensors[g->n_tensors];
    *at = *t;
    if (!at->name)
        at->name = "";
    at->producer = -1;
    return g->n_tensors++;
}

int eng_graph_add_node(struct eng_graph *g, const struct eng_node *n)
{
    if (n->n_in < 0 || n->n_in > ENG_MAX_INPUTS)
        return ENG_E_LIMIT;
    int rc = grow((void **)&g->nodes, g->n_nodes, &g->pool->cap_nodes, sizeof(*n), ENG_MAX_NODES);
    if (rc < 0)
        return rc;
    struct eng_node *at = &g->nodes[g->n_nodes];
    *at = *n;
    if (!at->name)
        at->name = "";
    return g->n_nodes++;
}

static void adopt_list(struct block **to, struct block **from)
{
    while (*to)
        to = &(*to)->next;
    *to = *from;
    *from = NULL;
}

void eng_graph_adopt(struct eng_graph *g, struct eng_graph *from)
{
    adopt_list(&g->pool->small, &from->pool->small);
    adopt_list(&g->pool->large, &from->pool->large);
    adopt_list(&g->pool->constants, &from->pool->constants);
    g->pool->bytes += from->pool->bytes;
    from->pool->bytes = 0;
}
