/* The comparison is a request of its own with a copy of the inputs, behind those of all clients. A
 * few at a time: under load most are left out, which is counted. */
#include "server/handlers/canary.h"

#include <stdio.h>
#include <string.h>

#include "server/base/clock.h"
#include "server/handlers/api.h"
#include "server/repository/registry.h"
#include "server/scheduler/request.h"

enum { OPEN_MAX = 4, IMAGES_MAX = 64 };

struct comparison {
    struct srv_api *api;
    char name[256], label[SRV_LABEL_MAX]; /* the label may be gone when it is over */
    int verdicts[IMAGES_MAX];             /* what the label said */
};

static void choose_comparison(struct srv_req *r, struct srv_label *l)
{
    l->compare_due += l->compare;
    if (l->compare_due < 1)
        return;
    l->compare_due -= 1;
    snprintf(r->compare, sizeof(r->compare), "%s", l->name);
}

void srv_canary_choose(struct srv_req *r, struct srv_choice *c)
{
    srv_registry_share(c);
    if (c->label) {
        c->label->requests++;
        choose_comparison(r, c->label);
    }
    if (c->family)
        srv_req_set_family(r, c->family);
    else
        srv_req_set_model(r, c->model, c->called);
}

/* The first row that two versions can be compared by; NULL: there is none. */
static const struct srv_rows *compared_rows(const struct srv_req *r)
{
    for (int i = 0; i < r->n_rows; i++)
        if (r->rows[i].kind->verdict)
            return &r->rows[i];
    return NULL;
}

/* -1: the answer says nothing to compare. */
static int verdict(const struct srv_job *j)
{
    const struct srv_rows *rows = compared_rows(j->req);
    return rows ? rows->kind->verdict(j, srv_job_row(j, (int)(rows - j->req->rows))) : -1;
}

static int can_take(const struct srv_model *m, const struct srv_job *j)
{
    const struct eng_preprocess *a = &m->info->preprocess, *b = &j->model->info->preprocess;
    const struct srv_rows *rows = compared_rows(j->req);
    return j->status == 200 && j->batch > 0 && rows && rows->kind->bytes(rows, m->info) > 0 &&
           verdict(j) >= 0 &&
           (j->input.kind == SRV_IMAGE || (a->height == b->height && a->width == b->width));
}

static void compared(struct srv_req *r, void *arg)
{
    const struct comparison *x = arg;
    struct srv_label *l = srv_registry_label(r->sched->registry, x->name, x->label);
    for (int i = 0; l && i < r->n_jobs; i++) {
        const struct srv_job *j = &r->jobs[i];
        l->compared += j->status == 200;
        l->uncompared += j->status != 200;
        l->disagreed += j->status == 200 && verdict(j) != x->verdicts[i];
    }
    x->api->comparisons--;
    srv_req_destroy(r);
}

/* Copies what can be compared; how many images, -1: there is no room. */
static int copy_inputs(struct srv_req *to, const struct srv_req *from, struct comparison *x,
                       struct srv_input *inputs)
{
    const struct srv_scheduler *s = to->sched;
    int n = 0;
    for (int i = 0; i < from->n_jobs && n < IMAGES_MAX; i++) {
        const struct srv_job *j = &from->jobs[i];
        if (!can_take(to->model, j))
            continue;
        if (j->input.len + s->budget.used > s->budget.limit / 2)
            return -1;
        void *copy = srv_arena_alloc(&to->arena, j->input.len);
        if (!copy)
            return -1;
        memcpy(copy, j->input.data, j->input.len);
        x->verdicts[n] = verdict(j);
        inputs[n++] = (struct srv_input){j->input.kind, copy, j->input.len};
    }
    return n;
}

/* 0: it is under way, or there is nothing to compare. */
static int submit(struct srv_api *api, struct srv_req *r, const struct srv_req *from,
                  const char *name)
{
    struct comparison *x = srv_arena_alloc(&r->arena, sizeof(*x));
    struct srv_input *inputs = srv_arena_alloc(&r->arena, IMAGES_MAX * sizeof(*inputs));
    const struct srv_rows *rows = compared_rows(from);
    int n = x && inputs ? copy_inputs(r, from, x, inputs) : -1;
    if (n > 0 && srv_rows_want(r, rows->kind, rows->a, rows->b) < 0)
        n = -1;
    if (n <= 0) {
        srv_req_destroy(r);
        return n;
    }
    x->api = api;
    snprintf(x->name, sizeof(x->name), "%s", name);
    snprintf(x->label, sizeof(x->label), "%s", from->compare);
    r->arg = x;
    r->shadow = 1;
    r->priority = SRV_PRIORITY_LAST + 1;
    r->image.ignore_exif = from->image.ignore_exif;
    r->image.lenient = from->image.lenient;
    r->deadline_ns =
        srv_now_ns() + (uint64_t)r->sched->env->cfg->default_timeout_ms * SRV_NS_PER_MS;
    if (srv_req_submit(r, inputs, n) < 0) {
        srv_req_destroy(r);
        return -1;
    }
    api->comparisons++;
    return 0;
}

static void begin(struct srv_api *api, struct srv_req *r)
{
    const char *name = r->model->info->name;
    struct srv_label *l = srv_registry_label(api->sched->registry, name, r->compare);
    const struct srv_service *service = srv_registry_service(api->sched->registry, name);
    struct srv_req *shadow;
    if (!l || l->model != r->model || service->standard == r->model || api->phase != SRV_SERVING)
        return;
    if (api->comparisons < OPEN_MAX && srv_req_create(&shadow, api->sched, compared, NULL) == 0) {
        srv_req_set_model(shadow, service->standard, name);
        if (submit(api, shadow, r, name) == 0)
            return;
    }
    l->uncompared += (uint64_t)r->n_jobs;
}

void srv_canary_compare(struct srv_api *api, struct srv_req *r)
{
    if (r->compare[0])
        begin(api, r);
}
