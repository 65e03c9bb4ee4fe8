/* Metadata, configuration, statistics, index and log settings over gRPC: what oip_info.c says
 * over HTTP, from the same descriptions. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/handlers/admission.h"
#include "server/handlers/api.h"
#include "server/handlers/call.h"
#include "server/handlers/describe.h"
#include "server/handlers/rpc_handlers.h"
#include "server/repository/registry.h"

void srv_rpc_server_metadata(struct srv_call *c)
{
    size_t len = 0;
    char *message = proto_describe_server_grpc(&srv_server_metadata, &len);
    srv_rpc_reply(c, message, len);
}

/* -EBADMSG: answered; else as of srv_infer_find(). ret_asked: the request. */
static int look_up(struct srv_call *c, struct proto_rpc_model *ret_asked, struct srv_choice *ret,
                   char *err, size_t errlen)
{
    int rc = proto_rpc_parse_model(c->req->body, c->req->body_len, ret_asked);
    if (rc < 0) {
        srv_rpc_malformed(c, rc);
        return -EBADMSG;
    }
    return srv_infer_find(
        c->api->sched->registry, (struct proto_span){ret_asked->name, strlen(ret_asked->name)},
        (struct proto_span){ret_asked->version, strlen(ret_asked->version)}, ret, err, errlen);
}

/* -1: answered. ret_asked: the request. */
static int find_model(struct srv_call *c, struct proto_rpc_model *ret_asked, struct srv_choice *ret)
{
    char err[256];
    int rc = look_up(c, ret_asked, ret, err, sizeof(err));
    if (rc < 0 && rc != -EBADMSG)
        srv_call_error(c, 404, "%s", err);
    return rc < 0 ? -1 : 0;
}

/* A model that there is not is not ready, which is an answer and no error: so clients read it, that
 * wait for a model, and so Triton gives it (core, src/server.cc, InferenceServer::ModelIsReady). */
void srv_rpc_model_ready(struct srv_call *c)
{
    struct proto_rpc_model asked;
    struct srv_choice chosen;
    char err[256];
    size_t len = 0;
    int rc = look_up(c, &asked, &chosen, err, sizeof(err));
    if (rc == -EBADMSG)
        return;
    char *message = proto_rpc_flag(rc == 0 && c->api->phase == SRV_SERVING, &len);
    srv_rpc_reply(c, message, len);
}

static void describe(struct srv_call *c,
                     char *(*writer)(const struct proto_model_metadata *m, size_t *ret_len))
{
    struct proto_rpc_model asked;
    struct srv_output outputs[PROTO_OUTPUTS_MAX];
    struct srv_description d;
    struct srv_choice chosen;
    size_t len = 0;
    if (find_model(c, &asked, &chosen) < 0)
        return;
    int n = srv_outputs_choose(chosen.model, chosen.called, NULL, outputs, NULL, 0);
    srv_describe_model(&d, c->api->env, chosen.model, chosen.called, outputs, n);
    char *message = writer(&d.metadata, &len);
    srv_rpc_reply(c, message, len);
}

void srv_rpc_model_metadata(struct srv_call *c)
{
    describe(c, proto_describe_model_grpc);
}

void srv_rpc_model_config(struct srv_call *c)
{
    describe(c, proto_describe_config_grpc);
}

/* ---- statistics ---- */

static void reply_statistics(struct srv_call *c, struct srv_model *const *models, int n)
{
    struct proto_model_statistics *all = calloc((size_t)n + 1, sizeof(*all));
    struct proto_batch_statistics *batches =
        calloc((size_t)n * SRV_BATCH_MAX + 1, sizeof(*batches));
    char *message = NULL;
    size_t len = 0;
    if (all && batches) {
        for (int i = 0; i < n; i++)
            srv_describe_statistics(&all[i], batches + (size_t)i * SRV_BATCH_MAX, models[i]);
        message = proto_describe_statistics_grpc(all, n, &len);
    }
    free(batches);
    free(all);
    srv_rpc_reply(c, message, len);
}

void srv_rpc_model_statistics(struct srv_call *c)
{
    struct proto_rpc_model asked;
    struct srv_choice chosen;
    int rc = proto_rpc_parse_model(c->req->body, c->req->body_len, &asked);
    if (rc < 0)
        srv_rpc_malformed(c, rc);
    else if (!asked.name[0])
        reply_statistics(c, c->api->sched->registry->models, c->api->sched->registry->n);
    else if (find_model(c, &asked, &chosen) == 0)
        reply_statistics(c, &chosen.model, 1);
}

/* ---- the repository and the log ---- */

void srv_rpc_repository_index(struct srv_call *c)
{
    char *message = NULL;
    int ready = 0;
    size_t len = 0;
    int rc = proto_index_parse_grpc(c->req->body, c->req->body_len, &ready);
    if (rc < 0) {
        srv_rpc_malformed(c, rc);
        return;
    }
    struct proto_model_index *all;
    int n = srv_describe_index_all(&all, c->api->sched->registry, ready);
    if (all)
        message = proto_describe_index_grpc(all, n, &len);
    free(all);
    srv_rpc_reply(c, message, len);
}

void srv_rpc_log(struct srv_call *c)
{
    struct srv_api *api = c->api;
    struct proto_log_settings l = srv_describe_log(api->log_level);
    char err[160] = "";
    int changes = 0;
    size_t len = 0;
    int rc = proto_log_parse_grpc(c->req->body, c->req->body_len, &l, &changes, err, sizeof(err));
    if (rc < 0) {
        srv_call_error(c, rc == -ENOMEM ? 503 : 400, "%s", err);
        return;
    }
    if (changes > 0) {
        if (!srv_api_is_admin(c))
            return;
        api->log_level = srv_log_level_of(&l);
        srv_log_configure(api->env->log, api->log_level, api->env->cfg->log_format);
        l = srv_describe_log(api->log_level);
    }
    char *message = proto_describe_log_grpc(&l, &len);
    srv_rpc_reply(c, message, len);
}
