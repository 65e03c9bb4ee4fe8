/* Made late, so that models that nobody asks take no more than they are. */
#include "server/scheduler/lane.h"

#include <stdlib.h>

#include "server/scheduler/request.h"

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

static uint64_t measured_cost(const struct srv_job *j)
{
    uint64_t run = j->batch > 0 ? j->inference_ns * (uint64_t)j->members / (uint64_t)j->batch : 0;
    return j->decode_ns + j->preprocess_ns + run;
}

void srv_lane_correct(struct srv_job *const *jobs, int n)
{
    struct srv_lane *l = jobs[0]->req->model->lane;
    int64_t sum = 0;
    for (int i = 0; i < n; i++) {
        int64_t off = (int64_t)(measured_cost(jobs[i]) - jobs[i]->cost_ns);
        srv_queue_correct(&l->queue, jobs[i]->flow, off);
        sum += off;
    }
    sum /= l->model->weight;
    if (sum < 0 && l->turn < (uint64_t)-sum)
        sum = -(int64_t)l->turn;
    l->turn += (uint64_t)sum;
}
