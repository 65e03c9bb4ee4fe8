/* An exchange is made, and fails. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/handlers/api.h"
#include "server/handlers/infer.h"

static void release(void *arg)
{
    struct srv_infer *i = arg;
    proto_infer_finish(&i->in);
    free(i->text);
}

struct srv_infer *srv_infer_create(struct srv_api *api, struct srv_req *r,
                                   const struct srv_infer_codec *codec,
                                   void (*done)(struct srv_infer *i, void *arg), void *arg)
{
    struct srv_infer *i = srv_arena_alloc(&r->arena, sizeof(*i));
    if (!i)
        return NULL;
    i->req = r;
    i->codec = codec;
    i->api = api;
    i->done = done;
    i->arg = arg;
    i->header_len = -1;
    i->max_images = (int)api->env->cfg->max_images;
    i->max_top_k = (int)api->env->cfg->max_top_k;
    r->release = release;
    r->release_arg = i;
    return i;
}

void srv_infer_fail(struct srv_infer *i, int status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(i->error, sizeof(i->error), fmt, ap);
    va_end(ap);
    i->status = status;
}
