/* Body -> images -> jobs -> answer: long bodies are read and long answers written on a worker. */
#include "server/handlers/images.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/handlers/admission.h"
#include "server/handlers/api.h"
#include "server/handlers/canary.h"
#include "server/handlers/handlers.h"
#include "server/handlers/tasks/task.h"
#include "server/scheduler/coalesce.h"

enum { BOUNDARY_MAX = 128 };

struct reading {
    struct srv_images images; /* first */
    enum srv_body_kind kind;
    char boundary[BOUNDARY_MAX];
};

static void release(void *arg)
{
    struct srv_images *im = arg;
    free(im->body);
}

static void write_answer(struct srv_req *r, void *arg)
{
    (void)r;
    srv_images_write(arg);
}

static void reply(struct srv_req *r, void *arg)
{
    (void)r;
    srv_images_reply(arg);
}

static void job_back(struct srv_req *r, const struct srv_job *j, void *arg)
{
    (void)r;
    srv_images_part(arg, j);
}

static void jobs_done(struct srv_req *r, void *arg)
{
    struct srv_images *im = arg;
    srv_canary_compare(im->call->api, r);
    if (im->back) /* every line has left */
        return;
    srv_req_run_last(r, srv_images_is_long(im), write_answer, reply, im);
}

/* The client has the answer already: nothing is computed, and nothing sent. */
static int reply_known(struct srv_images *im)
{
    struct srv_call *c = im->call;
    const char *given = c->ops->header(c, "If-None-Match");
    char tag[SRV_ETAG_MAX];
    if (!given || im->form != SRV_ONE || !srv_rows_kept(im->req) ||
        !srv_coalesce_is_known(im->req, &im->inputs[0], given, tag))
        return 0;
    srv_call_header(c, "ETag", "%s", tag);
    srv_call_reply(c, 304, "application/json", strdup(""), 0);
    return 1;
}

static void submit(struct srv_req *r, void *arg)
{
    struct srv_images *im = arg;
    if (im->status || im->n_inputs == 0) {
        srv_images_write(im);
        srv_images_reply(im);
        return;
    }
    if (r->task->want(r) < 0) {
        srv_api_refuse(im->call, -ENOMEM);
        return;
    }
    if (r->sharing && reply_known(im))
        return;
    r->done = jobs_done;
    r->arg = im;
    int rc = srv_images_stream(im);
    r->part = im->back ? job_back : NULL;
    if (rc == 0)
        rc = srv_req_submit(r, im->inputs, im->n_inputs);
    if (rc < 0)
        srv_api_refuse(im->call, rc);
}

static void read_body(struct srv_req *r, void *arg)
{
    struct reading *g = arg;
    srv_images_read(&g->images, g->kind, g->boundary);
    if (r->sharing && !g->images.status)
        srv_coalesce_digest(r, g->images.inputs, g->images.n_inputs);
}

void srv_images_finish(struct srv_call *c)
{
    struct srv_req *r = c->req;
    struct reading *g = srv_arena_alloc(&r->arena, sizeof(*g));
    if (!g) {
        srv_api_refuse(c, -ENOMEM);
        return;
    }
    g->images.call = c;
    g->images.req = r;
    g->images.limit = (int)c->api->env->cfg->max_images;
    if (srv_images_kind(c, &g->kind, g->boundary, sizeof(g->boundary)) < 0)
        return;
    r->release = release;
    r->release_arg = &g->images;
    int light = g->kind == SRV_BODY_RAW && (!r->sharing || r->body_len <= SRV_LOOP_HASHED);
    int rc = srv_req_run(r, !light && r->body_len > SRV_LOOP_BYTES, read_body, submit, g);
    if (rc < 0)
        srv_api_refuse(c, rc);
}
