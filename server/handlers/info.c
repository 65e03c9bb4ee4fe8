/* Health, models, metrics and the list of routes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/reply.h"
#include "server/handlers/admission.h"
#include "server/handlers/api.h"
#include "server/handlers/call.h"
#include "server/handlers/handlers.h"
#include "server/handlers/metrics.h"
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
            .format = "",
            .precision = "",
            .licence = "",
        };
    char *body = proto_reply_models(all, r->n + r->n_failures, &len);
    free(all);
    srv_call_reply(c, 200, "application/json", body, len);
}

void srv_root_finish(struct srv_call *c)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (!f) {
        srv_call_reply(c, 503, "application/json", NULL, 0);
        return;
    }
    fputs("mobilenetd\n\n", f);
    for (int i = 0; i < SRV_ROUTES; i++) {
        const struct srv_route *r = &c->api->routes[i];
        char methods[64];
        srv_methods_text(r->methods, methods, sizeof(methods));
        fprintf(f, "%-10s  %-24s  %s\n", methods, r->pattern, r->summary);
    }
    fputs("\ncurl -T photo.jpg http://HOST:PORT/v1/classify\n", f);
    if (fclose(f) != 0) {
        free(text);
        text = NULL;
    }
    srv_call_reply(c, 200, "text/plain; charset=utf-8", text, len);
}
