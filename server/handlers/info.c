/* Health, models, metrics and the list of routes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/buffer.h"
#include "protocol/reply.h"
#include "server/handlers/admission.h"
#include "server/handlers/api.h"
#include "server/handlers/call.h"
#include "server/handlers/handlers.h"
#include "server/handlers/tasks/task.h"
#include "server/handlers/metrics.h"
#include "server/handlers/page.h"
#include "server/repository/registry.h"

void srv_live_finish(struct srv_call *c)
{
    srv_api_text(c, 200, "application/json", "{\"live\":true}");
}

void srv_ready_finish(struct srv_call *c)
{
    if (c->api->phase == SRV_SERVING)
        srv_api_text(c, 200, "application/json", "{\"ready\":true}");
    else
        srv_api_text(c, 503, "application/json", "{\"ready\":false}");
}

void srv_metrics_finish(struct srv_call *c)
{
    size_t len = 0;
    const char *accept = c->ops->header(c, "Accept");
    int open = accept && strstr(accept, "application/openmetrics-text");
    char *text = srv_metrics_text(c->api, open, &len);
    srv_call_header(c, "Vary", "Accept");
    srv_call_reply(c, 200,
                   open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                        : "text/plain; version=0.0.4; charset=utf-8",
                   text, len);
}

void srv_debug_requests_finish(struct srv_call *c)
{
    size_t len = 0;
    if (!srv_api_is_admin(c))
        return;
    char *text = srv_recent_json(&c->api->recent, &len);
    srv_call_header(c, "Cache-Control", "no-store");
    srv_call_reply(c, 200, "application/json", text, len);
}

static void describe(struct proto_model *ret, const struct srv_registry *r,
                     const struct srv_model *m)
{
    const struct eng_model_info *i = m->info;
    *ret = (struct proto_model){
        .name = i->name,
        .version = i->version,
        .family = i->family,
        .variant = i->variant,
        .state = "ready",
        .task = srv_task_of(m)->name,
        .format = i->format,
        .precision = i->precision,
        .licence = i->licence,
        .input_height = i->preprocess.height,
        .input_width = i->preprocess.width,
        .classes = i->no_classes[0] ? 0 : i->outputs - i->class_offset,
        .mult_adds = i->mult_adds,
        .parameters = i->parameters,
        .is_default = m == r->fallback,
    };
}

void srv_models_finish(struct srv_call *c)
{
    const struct srv_registry *r = c->api->sched->registry;
    size_t len = 0;
    struct proto_model *all = calloc((size_t)(r->n + r->n_failures), sizeof(*all));
    if (!all) {
        srv_call_reply(c, 503, "application/json", NULL, 0);
        return;
    }
    for (int i = 0; i < r->n; i++)
        describe(&all[i], r, r->models[i]);
    for (int i = 0; i < r->n_failures; i++)
        all[r->n + i] = (struct proto_model){
            .name = r->failures[i].name,
            .version = r->failures[i].version,
            .state = "unavailable",
            .family = "",
            .variant = "",
            .task = "",
            .format = "",
            .precision = "",
            .licence = "",
        };
    char *body = proto_reply_models(all, r->n + r->n_failures, &len);
    free(all);
    srv_call_reply(c, 200, "application/json", body, len);
}

static void put_count(struct proto_buf *b, const char *key, uint64_t value)
{
    proto_buf_key(b, key);
    proto_buf_int(b, (int64_t)value);
}

static void put_layer(struct proto_buf *b, const struct eng_layer *l)
{
    proto_buf_next(b);
    proto_buf_text(b, "{");
    proto_buf_key(b, "name");
    proto_buf_quoted(b, l->name);
    proto_buf_key(b, "kind");
    proto_buf_quoted(b, l->kind);
    proto_buf_key(b, "kernel");
    proto_buf_quoted(b, l->kernel);
    put_count(b, "height", (uint64_t)l->out_h);
    put_count(b, "width", (uint64_t)l->out_w);
    put_count(b, "channels", (uint64_t)l->out_c);
    put_count(b, "mult_adds", l->mult_adds);
    put_count(b, "parameters", l->parameters);
    proto_buf_text(b, "}");
}

void srv_layers_finish(struct srv_call *c)
{
    enum { LAYERS = 4096 }; /* more than that is cut */
    const char *called;
    const struct srv_model *m = srv_registry_find(c->api->sched->registry, c->params[0], &called);
    struct proto_buf b = {0};
    struct eng_layer l;
    size_t len = 0;
    if (!m) {
        srv_call_error(c, 404, "there is no model \"%s\"", c->params[0]);
        return;
    }
    proto_buf_text(&b, "{");
    proto_buf_key(&b, "model");
    proto_buf_quoted(&b, m->info->name);
    proto_buf_key(&b, "version");
    proto_buf_quoted(&b, m->info->version);
    put_count(&b, "weight_bytes", m->info->weight_bytes);
    proto_buf_key(&b, "layers");
    proto_buf_text(&b, "[");
    for (int i = 0; i < LAYERS && eng_model_layer(m->eng, i, &l) == 0; i++)
        put_layer(&b, &l);
    proto_buf_text(&b, "]}");
    char *text = proto_buf_take(&b, &len);
    srv_call_reply(c, 200, "application/json", text, len);
}

/* What `curl` gets of /. */
static void put_list(FILE *f, const struct srv_api *api)
{
    char methods[64];
    int wide = 0, longest = 0;
    for (int i = 0; i < SRV_ROUTES; i++) {
        const struct srv_route *r = &api->routes[i];
        srv_methods_text(r->methods, methods, sizeof(methods));
        wide = (int)strlen(methods) > wide ? (int)strlen(methods) : wide;
        longest = (int)strlen(r->pattern) > longest ? (int)strlen(r->pattern) : longest;
    }
    for (int i = 0; i < SRV_ROUTES; i++) {
        const struct srv_route *r = &api->routes[i];
        srv_methods_text(r->methods, methods, sizeof(methods));
        fprintf(f, "%-*s  %-*s  %s\n", wide, methods, longest, r->pattern, r->summary);
    }
}

void srv_root_finish(struct srv_call *c)
{
    if (srv_page_reply(c))
        return;
    srv_call_key(c, SRV_SCOPE_INFER);
    if (c->reply.status)
        return;
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (!f) {
        srv_call_reply(c, 503, "application/json", NULL, 0);
        return;
    }
    fputs("mobilenetd\n\n", f);
    put_list(f, c->api);
    fputs("\ncurl -T photo.jpg http://HOST:PORT/v1/classify\n", f);
    if (fclose(f) != 0) {
        free(text);
        text = NULL;
    }
    srv_call_reply(c, 200, "text/plain; charset=utf-8", text, len);
}
