/* The edges, and the count of what lies at or below each. */
#include "server/base/buckets.h"

const struct srv_edges srv_edges_seconds = {
    16, {1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}};
const struct srv_edges srv_edges_share = {
    13, {0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99}};
const struct srv_edges srv_edges_count = {9, {1, 2, 4, 8, 16, 32, 64, 128, 256}};

int srv_buckets_add(struct srv_buckets *b, const struct srv_edges *e, double value)
{
    int i = 0;
    while (i < e->n && !(value <= e->at[i]))
        i++;
    b->n[i]++;
    b->sum += value;
    return i;
}
