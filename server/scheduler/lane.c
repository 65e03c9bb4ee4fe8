/* Made late, so that models that nobody asks take no more than they are. */
#include "server/scheduler/lane.h"

#include <stdlib.h>

static void destroy(struct srv_lane *l)
{
    while (l->contexts) {
        struct srv_context *c = l->contexts;
        l->contexts = c->next;
        srv_context_destroy(c);
    }
    srv_queue_finish(&l->queue);
    free(l);
}

struct srv_lane *srv_lane_of(struct srv_model *m)
{
    struct srv_lane *l = m->lane ? m->lane : calloc(1, sizeof(*l));
    if (!l || m->lane)
        return l;
    l->model = m;
    l->contexts = m->warm;
    m->warm = NULL;
    m->lane = l;
    m->lane_destroy = destroy;
    return l;
}
