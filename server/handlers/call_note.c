/* One line a request says everything of one; a limit that bites bites many, and is said once a
 * minute. */
#include "server/handlers/call_note.h"

#include "server/base/clock.h"
#include "server/handlers/api.h"
#include "server/handlers/call.h"

#define LIMIT_SAID_NS (60000ull * SRV_NS_PER_MS)

static void add_stages(struct srv_log_request *l, const struct srv_req *r)
{
    for (int i = 0; i < r->n_jobs; i++) { /* the slowest of many */
        const struct srv_job *j = &r->jobs[i];
        l->queue_ns = j->queue_ns > l->queue_ns ? j->queue_ns : l->queue_ns;
        l->decode_ns = j->decode_ns > l->decode_ns ? j->decode_ns : l->decode_ns;
        l->preprocess_ns =
            j->preprocess_ns > l->preprocess_ns ? j->preprocess_ns : l->preprocess_ns;
        l->inference_ns = j->inference_ns > l->inference_ns ? j->inference_ns : l->inference_ns;
        l->batch = j->batch > l->batch ? j->batch : l->batch;
        if (j->error[0])
            l->error = j->error;
    }
}

static void describe(const struct srv_call *c, uint64_t total_ns, struct srv_log_request *ret)
{
    const struct srv_req *r = c->req;
    *ret = (struct srv_log_request){
        .id = c->id,
        .trace = c->trace[0] ? c->trace : NULL,
        .client = c->client,
        .key = c->key[0] ? c->key : NULL,
        .method = c->method,
        .path = c->target,
        .status = c->reply.status ? c->reply.status : 499,
        .bytes = r ? r->body_len : 0,
        .total_ns = total_ns,
    };
    if (r && r->model) {
        const struct srv_model *m = r->pending == 0 && r->n_jobs > 0 ? r->jobs[0].model : r->model;
        ret->model = r->model_name;
        ret->variant = m->info->variant[0] ? m->info->variant : NULL;
        ret->images = r->n_jobs;
    }
    if (r && r->pending == 0)
        add_stages(ret, r);
    if (c->error[0])
        ret->error = c->error;
}

/* The first at once, then how many more there were. */
static void note_limit(struct srv_api *api, enum srv_reason why)
{
    struct srv_limit_said *l = &api->limits[why];
    uint64_t now = srv_now_ns();
    l->refused++;
    if (l->said_ns && now - l->said_ns < LIMIT_SAID_NS)
        return;
    srv_log(api->env->log, SRV_WARNING,
            "limit %s: %llu request%s refused since the last word of it; set by %s",
            srv_reasons[why].name, (unsigned long long)l->refused, l->refused == 1 ? "" : "s",
            srv_reasons[why].limit);
    l->said_ns = now;
    l->refused = 0;
}

void srv_call_note(struct srv_call *c, uint64_t total_ns)
{
    struct srv_log_request l;
    describe(c, total_ns, &l);
    enum srv_reason why = srv_reason_of(c, l.status);
    if (why)
        l.reason = srv_reasons[why].name;
    if (c->api->env->cfg->log_requests)
        srv_log_request(c->api->env->log, &l);
    if (srv_reasons[why].limit)
        note_limit(c->api, why);
    srv_recent_add(&c->api->recent, &l, why);
}
