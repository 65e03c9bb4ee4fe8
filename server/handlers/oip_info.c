/* Open Inference Protocol v2 over HTTP: everything but inference. */
#include <stdlib.h>

#include "server/handlers/admission.h"
#include "server/handlers/api.h"
#include "server/handlers/call.h"
#include "server/handlers/describe.h"
#include "server/handlers/handlers.h"
#include "server/repository/registry.h"

static void reply_json(struct srv_call *c, int status, char *body_take, size_t len)
{
    srv_call_reply(c, status, "application/json", body_take, len);
}

void srv_oip_server_finish(struct srv_call *c)
{
    size_t len = 0;
    char *body = proto_describe_server(&srv_server_metadata, &len);
    reply_json(c, 200, body, len);
}

static void describe(struct srv_call *c,
                     char *(*writer)(const struct proto_model_metadata *m, size_t *ret_len))
{
    struct srv_output outputs[PROTO_OUTPUTS_MAX];
    struct srv_description d;
    struct srv_choice chosen;
    char list[SRV_OUTPUTS_LIST], err[160];
    size_t len = 0;
    if (srv_oip_model(c, &chosen) < 0)
        return;
    int listed = srv_call_query(c, "outputs", list, sizeof(list));
    if (listed < 0)
        return;
    int n = srv_outputs_choose(chosen.model, chosen.called, listed ? list : NULL, outputs, err,
                               sizeof(err));
    if (n < 0) {
        srv_call_error(c, 400, "outputs: %s", err);
        return;
    }
    srv_describe_model(&d, c->api->env, chosen.model, chosen.called, outputs, n);
    char *body = writer(&d.metadata, &len);
    reply_json(c, 200, body, len);
}

void srv_oip_model_finish(struct srv_call *c)
{
    describe(c, proto_describe_model);
}

void srv_oip_config_finish(struct srv_call *c)
{
    describe(c, proto_describe_config);
}

void srv_oip_model_ready_finish(struct srv_call *c)
{
    struct srv_choice chosen;
    size_t len = 0;
    if (srv_oip_model(c, &chosen) < 0)
        return;
    int ready = c->api->phase == SRV_SERVING;
    char *body = proto_describe_ready(chosen.called, ready, &len);
    reply_json(c, ready ? 200 : 503, body, len);
}

/* ---- statistics ---- */

static void reply_statistics(struct srv_call *c, struct srv_model *const *models, int n)
{
    struct proto_model_statistics *all = calloc((size_t)n + 1, sizeof(*all));
    struct proto_batch_statistics *batches =
        calloc((size_t)n * SRV_BATCH_MAX + 1, sizeof(*batches));
    char *body = NULL;
    size_t len = 0;
    if (all && batches) {
        for (int i = 0; i < n; i++)
            srv_describe_statistics(&all[i], batches + (size_t)i * SRV_BATCH_MAX, models[i]);
        body = proto_describe_statistics(all, n, &len);
    }
    free(batches);
    free(all);
    reply_json(c, 200, body, len);
}

void srv_oip_statistics_finish(struct srv_call *c)
{
    struct srv_choice chosen;
    if (srv_oip_model(c, &chosen) == 0)
        reply_statistics(c, &chosen.model, 1);
}

void srv_oip_all_statistics_finish(struct srv_call *c)
{
    reply_statistics(c, c->api->sched->registry->models, c->api->sched->registry->n);
}

/* ---- the repository ---- */

void srv_oip_index_finish(struct srv_call *c)
{
    char err[160] = "", *body = NULL;
    int ready = 0;
    size_t len = 0;
    if (proto_index_parse(c->req->body, c->req->body_len, &ready, err, sizeof(err)) < 0) {
        srv_call_error(c, 400, "%s", err);
        return;
    }
    struct proto_model_index *all;
    int n = srv_describe_index_all(&all, c->api->sched->registry, ready);
    if (all)
        body = proto_describe_index(all, n, &len);
    free(all);
    reply_json(c, 200, body, len);
}

/* ---- the log ---- */

void srv_oip_logging_finish(struct srv_call *c)
{
    struct srv_api *api = c->api;
    struct proto_log_settings l = srv_describe_log(api->log_level);
    char err[160] = "";
    size_t len = 0;
    if (srv_method_parse(c->method) == SRV_POST) {
        if (!srv_api_is_admin(c))
            return;
        if (proto_log_parse(c->req->body, c->req->body_len, &l, err, sizeof(err)) < 0) {
            srv_call_error(c, 400, "%s", err);
            return;
        }
        api->log_level = srv_log_level_of(&l);
        srv_log_configure(api->env->log, api->log_level, api->env->cfg->log_format);
        l = srv_describe_log(api->log_level);
    }
    char *body = proto_describe_log(&l, &len);
    reply_json(c, 200, body, len);
}

void srv_oip_unsupported_finish(struct srv_call *c)
{
    srv_call_error(c, 501, "this server keeps neither traces nor shared memory");
}
