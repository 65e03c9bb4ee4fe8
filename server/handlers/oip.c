/* Open Inference Protocol v2 over HTTP: inference. */
#include <limits.h>
#include <string.h>

#include "protocol/query.h"
#include "server/handlers/admission.h"
#include "server/handlers/api.h"
#include "server/handlers/handlers.h"
#include "server/handlers/infer.h"

/* ---- the codec ---- */

static int parse(struct srv_infer *i, char *err, size_t errlen)
{
    return proto_infer_parse_json(&i->in, i->req->body, i->req->body_len, i->header_len, err,
                                  errlen);
}

static char *write_reply(struct srv_infer *i, size_t *ret_len)
{
    return proto_infer_reply_json(&i->reply, ret_len, &i->text_header_len);
}

static const struct srv_infer_codec codec = {parse, write_reply};

/* ---- the route ---- */

static struct proto_span span(const char *s)
{
    return (struct proto_span){s, strlen(s)};
}

int srv_oip_model(struct srv_call *c, struct srv_choice *ret)
{
    char err[256];
    int rc = srv_infer_find(c->api->sched->registry, span(c->params[0]), span(c->params[1]), ret,
                            err, sizeof(err));
    if (rc < 0)
        srv_call_error(c, 404, "%s", err);
    return rc;
}

int srv_oip_outputs(struct srv_call *c, const char **ret)
{
    struct srv_output all[PROTO_OUTPUTS_MAX];
    char list[SRV_OUTPUTS_LIST], err[160];
    int there = srv_call_query(c, "outputs", list, sizeof(list));
    *ret = NULL;
    if (there <= 0)
        return there;
    if (srv_outputs_choose(c->req->model, c->req->model_name, list, all, err, sizeof(err)) < 0) {
        srv_call_error(c, 400, "outputs: %s", err);
        return -1;
    }
    size_t len = strlen(list) + 1;
    char *copy = srv_arena_alloc(&c->req->arena, len);
    if (!copy) {
        srv_call_reply(c, 503, "application/json", NULL, 0);
        return -1;
    }
    memcpy(copy, list, len);
    *ret = copy;
    return 0;
}

void srv_oip_infer_begin(struct srv_call *c)
{
    const char *listed;
    char err[256];
    if (srv_infer_choose(c->req, span(c->params[0]), span(c->params[1]), err, sizeof(err)) < 0)
        srv_call_error(c, 404, "%s", err);
    else if (srv_oip_outputs(c, &listed) == 0)
        srv_api_admit(c);
}

int srv_oip_failed(const struct srv_infer *i, struct srv_call *c)
{
    if (i->status == 200)
        return 0;
    if (i->status == 429 || i->status == 503)
        srv_call_header(c, "Retry-After", "%d",
                        i->req->retry_after_s > 0 ? i->req->retry_after_s : 1);
    srv_call_error(c, i->status, "%s", i->error);
    return 1;
}

void srv_oip_answer(struct srv_infer *i, void *call)
{
    struct srv_call *c = call;
    if (srv_oip_failed(i, c))
        return;
    char *text = i->text;
    i->text = NULL;
    if (i->text_header_len > 0)
        srv_call_header(c, "Inference-Header-Content-Length", "%zu", i->text_header_len);
    srv_call_reply(c, 200, i->text_header_len > 0 ? "application/octet-stream" : "application/json",
                   text, i->text_len);
}

static int read_header_len(struct srv_call *c, long *ret)
{
    const char *given = c->ops->header(c, "Inference-Header-Content-Length");
    long long n = -1;
    if (given && proto_parse_int(given, 0, LONG_MAX, &n) < 0) {
        srv_call_error(c, 400, "Inference-Header-Content-Length must be a whole number");
        return -1;
    }
    *ret = (long)n;
    return 0;
}

void srv_oip_infer_finish(struct srv_call *c)
{
    long header_len;
    const char *listed;
    if (read_header_len(c, &header_len) < 0 || srv_oip_outputs(c, &listed) < 0)
        return;
    struct srv_infer *i = srv_infer_create(c->api, c->req, &codec, srv_oip_answer, c);
    if (!i) {
        srv_call_reply(c, 503, "application/json", NULL, 0);
        return;
    }
    i->header_len = header_len;
    i->listed = listed;
    srv_infer_run(i);
}
