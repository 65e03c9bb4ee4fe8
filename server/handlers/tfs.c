/* TensorFlow Serving's REST API: predict, classify, status, metadata.
 *
 * Numbers are what the metadata says of the input. The signature chooses the output: those of
 * serving_default are the usual ones (a classifier's `probabilities`), and each output has a
 * signature of its name. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/tfs.h"
#include "server/handlers/admission.h"
#include "server/handlers/api.h"
#include "server/handlers/canary.h"
#include "server/handlers/describe.h"
#include "server/handlers/handlers.h"
#include "server/handlers/infer.h"
#include "server/repository/registry.h"

/* ---- requests ---- */

static int is_input_name(struct proto_span name)
{
    static const char *const names[] = {"input", "image", "image_bytes", "image/encoded"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!name.s || proto_span_is(name, names[i]))
            return 1;
    return 0;
}

/* The instances as inputs; what fails, fails the exchange. */
static void take_instances(struct srv_infer *i, const struct proto_tfs_request *t,
                           const struct proto_instance *items)
{
    if (srv_infer_make_inputs(i, t->n, SRV_IMAGE) < 0)
        return;
    for (int k = 0; k < t->n; k++) {
        int rc = items[k].is_string ? srv_infer_put_text(i, k, items[k].text)
                                    : srv_infer_put_numbers(i, k, items[k].text);
        if (rc < 0)
            return;
    }
}

static int parse(struct srv_infer *i, struct proto_tfs_request *ret, char *err, size_t errlen)
{
    int max = i->max_images;
    struct proto_instance *items = srv_arena_alloc(&i->req->arena, (size_t)max * sizeof(*items));
    if (!items)
        return -ENOMEM;
    int rc = proto_tfs_parse(ret, i->req->body, i->req->body_len, items, max, err, errlen);
    if (rc < 0)
        return rc;
    if (!is_input_name(ret->input_name)) {
        snprintf(err, errlen, "request: the model has no input of this name, only \"input\"");
        return -EINVAL;
    }
    take_instances(i, ret, items);
    return 0;
}

static void name_output(struct srv_infer *i, struct proto_span name)
{
    i->in.outputs[i->in.n_outputs++] = (struct proto_output){.name = name};
}

static void choose_outputs(struct srv_infer *i, const struct proto_tfs_request *t)
{
    const struct srv_model *m = i->req->model;
    struct srv_output o;
    if (t->signature_name.len > 0 && !proto_span_is(t->signature_name, "serving_default"))
        name_output(i, t->signature_name);
    else if (!i->listed)
        while (srv_outputs_at(m, SRV_OUTPUTS_USUAL, i->in.n_outputs, &o))
            name_output(i, (struct proto_span){o.name, strlen(o.name)});
}

static int parse_predict(struct srv_infer *i, char *err, size_t errlen)
{
    struct proto_tfs_request *t = srv_arena_alloc(&i->req->arena, sizeof(*t));
    if (!t)
        return -ENOMEM;
    int rc = parse(i, t, err, errlen);
    if (rc < 0)
        return rc;
    if (t->form == PROTO_TFS_CLASSIFY) {
        snprintf(err, errlen, "request: predict takes \"instances\" or \"inputs\"");
        return -EINVAL;
    }
    i->more = t;
    choose_outputs(i, t);
    return 0;
}

static char *write_predictions(struct srv_infer *i, size_t *ret_len)
{
    const struct proto_tfs_request *t = i->more;
    return proto_tfs_predictions(t->form, i->outputs, i->reply.n_outputs, ret_len);
}

static int parse_classify(struct srv_infer *i, char *err, size_t errlen)
{
    struct proto_tfs_request t;
    char why[300];
    if (srv_task_classify.check(i->req->model, why, sizeof(why)) < 0) {
        snprintf(err, errlen, "the model \"%s\" %s", i->req->model_name, why);
        return -EINVAL;
    }
    int rc = parse(i, &t, err, errlen);
    if (rc < 0)
        return rc;
    if (t.form != PROTO_TFS_CLASSIFY) {
        snprintf(err, errlen, "request: classify takes \"examples\"");
        return -EINVAL;
    }
    return i->req->task->want(i->req);
}

static char *write_classes(struct srv_infer *i, size_t *ret_len)
{
    const struct srv_req *r = i->req;
    int row = srv_rows_find(r, &srv_row_classes);
    int k = ((const struct srv_classes *)srv_job_row(&r->jobs[0], row))->n;
    struct proto_tfs_class *all =
        srv_arena_alloc(&i->req->arena, (size_t)r->n_jobs * (size_t)k * sizeof(*all));
    for (int n = 0; all && n < r->n_jobs * k; n++) {
        const struct srv_job *j = &r->jobs[n / k];
        const struct srv_classes *c = srv_job_row(j, row);
        all[n].label = srv_task_label(j->model, c->best[n % k].class_number);
        all[n].score = c->best[n % k].score;
    }
    return all ? proto_tfs_result(all, r->n_jobs, k, ret_len) : NULL;
}

static const struct srv_infer_codec predict_codec = {parse_predict, write_predictions};
static const struct srv_infer_codec classify_codec = {parse_classify, write_classes};

/* ---- routes ---- */

/* Routes with a label and routes with a version have it in the same place. */
static int names_label(const struct srv_call *c)
{
    return strstr(c->route->pattern, "/labels/") != NULL;
}

/* A version is a number here, and a label has routes of its own. -1: it has replied. */
static int find(struct srv_call *c, struct srv_choice *ret)
{
    const char *name = c->params[0], *version = c->params[1];
    int label = names_label(c), number = srv_version_number(version) > 0;
    int fits = version[0] ? number != label : 1;
    if (fits && srv_registry_choose(c->api->sched->registry, name, version, ret) == 0)
        return 0;
    if (label)
        srv_call_error(c, 404, "Unrecognized servable version label: %.64s", version);
    else if (version[0])
        srv_call_error(c, 404, "Servable not found for request: Specific(%.128s, %.32s)", name,
                       version);
    else
        srv_call_error(c, 404, "Servable not found for request: Latest(%.128s)", name);
    return -1;
}

void srv_tfs_begin(struct srv_call *c)
{
    struct srv_choice chosen;
    if (find(c, &chosen) < 0)
        return;
    chosen.family = NULL; /* tensors are of one variant: the best */
    srv_canary_choose(c->req, &chosen);
    if (srv_api_fields(c, c->route->finish == srv_tfs_classify_finish ? &srv_task_classify
                                                                      : NULL) == 0)
        srv_api_admit(c);
}

static void run(struct srv_call *c, const struct srv_infer_codec *codec, const char *listed)
{
    struct srv_infer *i = srv_infer_create(c->api, c->req, codec, srv_oip_answer, c);
    if (!i) {
        srv_call_reply(c, 503, "application/json", NULL, 0);
        return;
    }
    i->listed = listed;
    srv_infer_run(i);
}

void srv_tfs_predict_finish(struct srv_call *c)
{
    const char *listed;
    if (srv_oip_outputs(c, &listed) == 0)
        run(c, &predict_codec, listed);
}

void srv_tfs_classify_finish(struct srv_call *c)
{
    run(c, &classify_codec, NULL);
}

void srv_tfs_regress_finish(struct srv_call *c)
{
    srv_call_error(c, 501, "the models classify; there is no regression");
}

static int put_version(struct proto_tfs_version *ret, const char *version,
                       const struct srv_model_failure *f)
{
    *ret = (struct proto_tfs_version){version, f ? "END" : "AVAILABLE", f ? f->error : ""};
    return 1;
}

/* All versions of the name, those first that are served. */
static void reply_versions(struct srv_call *c, const struct srv_service *s)
{
    const struct srv_registry *r = c->api->sched->registry;
    int n = 0, served = s ? s->n : 0;
    size_t len = 0;
    char *body = NULL;
    struct proto_tfs_version *all = calloc((size_t)(served + r->n_failures + 1), sizeof(*all));
    for (int i = 0; all && i < served; i++)
        n += put_version(&all[n], r->models[s->first + i]->info->version, NULL);
    for (int i = 0; all && i < r->n_failures; i++) {
        const struct srv_model_failure *f = &r->failures[i];
        struct srv_choice old;
        if (f->version[0] && strcmp(f->name, s ? s->name : c->params[0]) == 0 &&
            srv_registry_choose(r, f->name, f->version, &old) < 0)
            n += put_version(&all[n], f->version, f);
    }
    if (all && n > 0)
        body = proto_tfs_status(all, n, &len);
    free(all);
    if (all && n == 0)
        srv_call_error(c, 404, "Servable not found for request: Latest(%.128s)", c->params[0]);
    else
        srv_call_reply(c, 200, "application/json", body, len);
}

void srv_tfs_status_finish(struct srv_call *c)
{
    const struct srv_registry *r = c->api->sched->registry;
    const char *name = c->params[0], *version = c->params[1];
    struct srv_choice chosen;
    struct proto_tfs_version v;
    size_t len = 0;
    if (!version[0]) {
        int rc = srv_registry_choose(r, name, "", &chosen);
        reply_versions(c, rc == 0 ? chosen.service : NULL);
        return;
    }
    if (srv_registry_choose(r, name, version, &chosen) < 0 &&
        srv_registry_failure(r, name, version))
        put_version(&v, version, srv_registry_failure(r, name, version));
    else if (find(c, &chosen) == 0)
        put_version(&v, chosen.model->info->version, NULL);
    else
        return;
    char *body = proto_tfs_status(&v, 1, &len);
    srv_call_reply(c, 200, "application/json", body, len);
}

void srv_tfs_metadata_finish(struct srv_call *c)
{
    struct srv_output outputs[PROTO_OUTPUTS_MAX];
    struct srv_description d;
    struct srv_choice chosen;
    size_t len = 0;
    int n = 0;
    if (find(c, &chosen) < 0)
        return;
    while (n < PROTO_OUTPUTS_MAX && srv_outputs_at(chosen.model, SRV_OUTPUTS_USUAL, n, &outputs[n]))
        n++;
    srv_describe_model(&d, c->api->env, chosen.model, chosen.called, outputs, n);
    char *body = proto_tfs_metadata(chosen.called, chosen.model->info->version, &d.input, d.outputs,
                                    n, &len);
    srv_call_reply(c, 200, "application/json", body, len);
}
