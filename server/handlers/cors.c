/* Credentials mode is never allowed: keys come in headers that a page sets itself, so cookies, and
 * what others could do with them, do not exist here. */
#include "server/handlers/cors.h"

#include <stdlib.h>
#include <string.h>

#include "server/handlers/api.h"
#include "server/handlers/call.h"

static const char separators[] = ", \t";

int srv_cors_allows(const char *list, const char *origin)
{
    size_t len = strlen(origin);
    for (const char *p = list + strspn(list, separators); *p;) {
        size_t n = strcspn(p, separators);
        if ((n == 1 && *p == '*') || (n == len && memcmp(p, origin, len) == 0))
            return 1;
        p += n;
        p += strspn(p, separators);
    }
    return 0;
}

static int is_allowed(const struct srv_call *c, const char **ret_origin)
{
    const char *origin = c->ops->header(c, "Origin");
    if (!origin || !origin[0] || strlen(origin) >= sizeof(c->reply.headers[0].value))
        return 0;
    *ret_origin = origin;
    return srv_cors_allows(c->api->env->cfg->cors_origins, origin);
}

void srv_cors_open(struct srv_call *c)
{
    const char *list = c->api->env->cfg->cors_origins, *origin;
    if (!list[0] || c->plain)
        return;
    srv_call_header(c, "Vary", "Origin"); /* also where it is absent: caches must tell them apart */
    if (!is_allowed(c, &origin))
        return;
    srv_call_header(c, "Access-Control-Allow-Origin", "%s", origin);
    srv_call_header(
        c, "Access-Control-Expose-Headers",
        "X-Request-Id, traceresponse, Retry-After, WWW-Authenticate, Allow, Accept-Encoding, ETag, "
        "X-Cache, Server-Timing, Inference-Header-Content-Length");
    /* Without it browsers hide Server-Timing from the page's performance entries. */
    srv_call_header(c, "Timing-Allow-Origin", "%s", origin);
}

int srv_cors_preflight(struct srv_call *c)
{
    const char *origin;
    char methods[64];
    if (c->plain || srv_method_parse(c->method) != SRV_OPTIONS ||
        !c->ops->header(c, "Access-Control-Request-Method") || !is_allowed(c, &origin))
        return 0;
    srv_methods_text(c->route->methods, methods, sizeof(methods));
    srv_call_header(c, "Access-Control-Allow-Methods", "%s", methods);
    srv_call_header(
        c, "Access-Control-Allow-Headers",
        "Authorization, X-API-Key, Content-Type, Content-Encoding, If-None-Match, "
        "X-Request-Id, X-Request-Timeout-Ms, X-Request-Priority, traceparent, tracestate, "
        "Inference-Header-Content-Length");
    srv_call_header(c, "Access-Control-Max-Age", "600");
    srv_call_reply(c, 204, NULL, strdup(""), 0);
    return 1;
}
