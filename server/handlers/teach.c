/* POST /v1/models/M/teach: form -> pictures with their labels -> embeddings (as /embed has them) ->
 * fit and files, on a worker -> the repository loads the new version -> answer. Nothing of it is
 * visible before it is whole. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/teach.h"
#include "protocol/multipart.h"
#include "protocol/reply.h"
#include "protocol/utf8.h"
#include "server/base/clock.h"
#include "server/handlers/admission.h"
#include "server/handlers/api.h"
#include "server/handlers/call.h"
#include "server/handlers/handlers.h"
#include "server/handlers/tasks/task.h"
#include "server/repository/new_version.h"
#include "server/repository/orders.h"
#include "server/repository/registry.h"
#include "server/repository/teach_fit.h"
#include "server/scheduler/coalesce.h"

enum { BOUNDARY_MAX = 128, LABEL_MAX = 128, NAME_MAX_LEN = 128 };

struct lesson {
    struct srv_api *api;   /* loop only */
    struct srv_call *call; /* loop only: on a worker it may be gone */
    struct srv_req *req;
    char boundary[BOUNDARY_MAX], name[SRV_PARAM_MAX], from[4096];
    struct srv_input *inputs; /* in order of their classes */
    int n;
    const char **classes;
    int n_classes;
    int *label, *held; /* [n] */
    int tested, right;
    int status; /* not 0: refused */
    char error[320];
    struct srv_new_version made;
    struct srv_order *order; /* NULL: none is out */
};

static void refuse(struct lesson *l, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void refuse(struct lesson *l, int status, const char *fmt, ...)
{
    va_list ap;
    if (l->status)
        return;
    va_start(ap, fmt);
    vsnprintf(l->error, sizeof(l->error), fmt, ap);
    va_end(ap);
    l->status = status;
}

static void *allocate(struct lesson *l, size_t n, size_t size)
{
    void *p = srv_arena_alloc(&l->req->arena, n * size);
    if (!p)
        refuse(l, 503, "out of memory for the images");
    return p;
}

/* The request goes, whatever became of it. */
static void release(void *arg)
{
    struct lesson *l = arg;
    l->api->teaching = 0;
    if (l->order)
        srv_order_forget(l->order);
    srv_new_version_abandon(&l->made);
}

/* ---- the form ---- */

static int is_label(const char *s, size_t len)
{
    if (len == 0 || len >= LABEL_MAX || !proto_utf8_is_valid(s, len))
        return 0;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < ' ' || s[i] == 0x7f) /* the file of labels has one a line */
            return 0;
    return 1;
}

static int by_label(const void *a, const void *b)
{
    const struct proto_part *x = a, *y = b;
    size_t len = x->name_len < y->name_len ? x->name_len : y->name_len;
    int rc = memcmp(x->name, y->name, len);
    if (rc)
        return rc;
    if (x->name_len != y->name_len)
        return x->name_len < y->name_len ? -1 : 1;
    return x->data < y->data ? -1 : x->data > y->data; /* as they were sent */
}

static int same_label(const struct proto_part *a, const struct proto_part *b)
{
    return a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0;
}

/* Parts in order of their labels: one class after the other. */
static void take_parts(struct lesson *l, const struct proto_part *parts, int n)
{
    l->inputs = allocate(l, (size_t)n, sizeof(*l->inputs));
    l->classes = allocate(l, (size_t)n, sizeof(*l->classes));
    l->label = allocate(l, (size_t)n, sizeof(*l->label));
    l->held = allocate(l, (size_t)n, sizeof(*l->held));
    for (int i = 0, end; i < n && !l->status; i = end) {
        char *label = allocate(l, parts[i].name_len + 1, 1);
        if (!label)
            return;
        memcpy(label, parts[i].name, parts[i].name_len);
        label[parts[i].name_len] = 0;
        for (end = i + 1; end < n && same_label(&parts[i], &parts[end]);)
            end++;
        for (int k = i; k < end; k++) {
            l->inputs[k] = (struct srv_input){SRV_IMAGE, parts[k].data, parts[k].len};
            l->label[k] = l->n_classes;
            l->held[k] = srv_teach_is_held(k - i, end - i);
        }
        l->classes[l->n_classes++] = label;
    }
    l->n = n;
}

static void read_form(struct srv_req *r, void *arg)
{
    struct lesson *l = arg;
    char err[160] = "";
    int most = (int)r->sched->env->cfg->max_images;
    struct proto_part *parts = allocate(l, (size_t)most, sizeof(*parts));
    if (!parts)
        return;
    int n = proto_multipart_split(r->body, r->body_len, l->boundary, parts, most, err, sizeof(err));
    if (n == -E2BIG)
        refuse(l, 413, "more than %d images in one request", most);
    else if (n < 0)
        refuse(l, 400, "%s", err[0] ? err : "the multipart body is malformed");
    for (int i = 0; i < n; i++)
        if (!is_label(parts[i].name, parts[i].name_len))
            refuse(l, 400, "the name of part %d is no label: text of one line, up to %d bytes",
                   i + 1, LABEL_MAX - 1);
    if (l->status)
        return;
    qsort(parts, (size_t)n, sizeof(*parts), by_label);
    take_parts(l, parts, n);
    if (!l->status && r->sharing)
        srv_coalesce_digest(r, l->inputs, l->n);
    if (l->n_classes < 2)
        refuse(l, 400,
               "pictures of two labels or more are needed: the name of a part is its label");
}

/* ---- the lesson, on a worker ---- */

static void save(struct lesson *l, const float *w, const float *b)
{
    const struct srv_model *m = l->req->model;
    char source[400];
    snprintf(source, sizeof(source), "%.200s version %.20s, taught %d classes by mobilenetd",
             m->info->name, m->info->version, l->n_classes);
    const struct eng_teach_head head = {.d = m->info->embedding,
                                        .classes = l->n_classes,
                                        .w = w,
                                        .b = b,
                                        .labels = l->classes,
                                        .source = source};
    int rc = srv_new_version_next(&l->made, l->req->sched->env->models_dir, l->name, l->error,
                                  sizeof(l->error));
    if (rc == 0)
        rc = eng_teach_save(l->from, l->made.made, &head, l->error, sizeof(l->error));
    if (rc == 0)
        rc = srv_new_version_commit(&l->made, l->error, sizeof(l->error));
    if (rc < 0)
        l->status = rc == -ENOMEM ? 503 : 500;
}

static void learn(struct srv_req *r, void *arg)
{
    struct lesson *l = arg;
    size_t d = (size_t)r->model->info->embedding, k = (size_t)l->n_classes;
    const struct eng_teach_data all = {l->n, (int)d, l->n_classes,
                                       srv_rows_all(r, srv_rows_find(r, &srv_row_embedding)),
                                       l->label};
    float *w = calloc(k * d, sizeof(*w)), *b = calloc(k, sizeof(*b));
    int rc = w && b ? srv_teach_fit(&all, l->held, w, b, &l->tested, &l->right) : -ENOMEM;
    if (rc < 0)
        refuse(l, rc == -ENOMEM ? 503 : 422, "%s",
               rc == -ENOMEM ? "out of memory for the lesson" : "the lesson cannot be learned");
    else
        save(l, w, b);
    free(w);
    free(b);
}

/* ---- the loop ---- */

static void fail(struct lesson *l)
{
    srv_call_error(l->call, l->status, "%s", l->error);
}

static void loaded(void *arg, int status, const char *sentence)
{
    struct lesson *l = arg;
    size_t len = 0;
    l->order = NULL;
    if (status) {
        srv_call_error(l->call, status, "%s", sentence);
        return;
    }
    const struct proto_taught t = {.model = l->name,
                                   .version = strrchr(l->made.last, '/') + 1,
                                   .classes = l->classes,
                                   .n_classes = l->n_classes,
                                   .images = l->n,
                                   .held_out = l->tested,
                                   .right = l->right};
    char *text = proto_reply_taught(&t, &len);
    srv_call_reply(l->call, 200, "application/json", text, len);
}

static void learned(struct srv_req *r, void *arg)
{
    struct lesson *l = arg;
    (void)r;
    if (l->status) {
        fail(l);
        return;
    }
    l->order = srv_orders_change(&l->api->orders, l->name, 1, loaded, l);
    if (!l->order)
        srv_call_busy(l->call);
}

static void embedded(struct srv_req *r, void *arg)
{
    struct lesson *l = arg;
    for (int i = 0; i < r->n_jobs; i++) {
        const struct srv_job *j = &r->jobs[i];
        if (j->status == 200)
            continue;
        refuse(l, j->status, "a picture of \"%.128s\": %s", l->classes[l->label[i]],
               srv_job_sentence(j));
        fail(l);
        return;
    }
    if (!r->deadline_given)
        r->deadline_ns = SRV_NEVER; /* what changes the repository is told whenever it is done */
    if (srv_req_offload(r, learn, learned, l) < 0)
        srv_call_busy(l->call);
}

static void submit(struct srv_req *r, void *arg)
{
    struct lesson *l = arg;
    if (l->status) {
        fail(l);
        return;
    }
    r->done = embedded;
    r->arg = l;
    int rc = r->task->want(r);
    if (rc == 0)
        rc = srv_req_submit(r, l->inputs, l->n);
    if (rc < 0)
        srv_api_refuse(l->call, rc);
}

static int is_name(const char *s)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t len = strlen(s);
    return len > 0 && len < NAME_MAX_LEN && s[0] != '.' && strspn(s, good) == len;
}

/* The new model's name: `as`, or NAME_taught. -1: it has replied. */
static int choose_name(struct srv_call *c, char name[SRV_PARAM_MAX])
{
    struct srv_choice there;
    const struct eng_model_info *info = c->req->model->info;
    snprintf(name, SRV_PARAM_MAX, "%.240s_taught", info->name);
    if (srv_call_query(c, "as", name, SRV_PARAM_MAX) < 0)
        return -1;
    if (!is_name(name)) {
        srv_call_error(c, 400, "as must be a name: letters, digits, _ . -, none of them hidden");
        return -1;
    }
    /* Every variant of a family has the same classes. */
    if (srv_registry_choose(c->api->sched->registry, name, "", &there) == 0 &&
        (there.family || there.model->info->family[0])) {
        srv_call_error(c, 409, "the model \"%s\" is of a family, or is one: choose another name",
                       name);
        return -1;
    }
    return 0;
}

void srv_teach_finish(struct srv_call *c)
{
    struct srv_req *r = c->req;
    const char *type = c->ops->header(c, "Content-Type");
    struct lesson *l = srv_arena_alloc(&r->arena, sizeof(*l));
    if (!l) {
        srv_api_refuse(c, -ENOMEM);
        return;
    }
    l->api = c->api;
    l->call = c;
    l->req = r;
    if (choose_name(c, l->name) < 0)
        return;
    if (!type || proto_multipart_boundary(type, l->boundary, sizeof(l->boundary)) < 0)
        srv_call_error(c, 415,
                       "a form is needed (multipart/form-data), the name of a part its label");
    else if (c->api->read_only)
        srv_call_error(c, 403, "the sandbox lets no file be written: use the command teach");
    else if (c->api->teaching)
        srv_call_busy(c);
    if (c->reply.status)
        return;
    snprintf(l->from, sizeof(l->from), "%.3500s/%s/%s", c->api->env->models_dir,
             r->model->info->name, r->model->info->version);
    c->api->teaching = 1;
    r->release = release;
    r->release_arg = l;
    int rc = srv_req_offload(r, read_form, submit, l);
    if (rc < 0)
        srv_api_refuse(c, rc);
}
