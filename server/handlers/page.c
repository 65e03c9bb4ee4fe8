/* The page holds nothing that is anybody's secret, so it needs no key: what it asks for afterwards
 * does. */
#include "server/handlers/page.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/inflate.h"
#include "server/handlers/api.h"
#include "server/handlers/call.h"

static char *copy(const struct srv_call *c, const char **ret_coding, size_t *ret_len)
{
    const char *accept = c->ops->header(c, "Accept-Encoding");
    void *body = NULL;
    *ret_coding = NULL;
    if (accept && strstr(accept, "gzip")) {
        *ret_coding = "gzip";
        *ret_len = srv_page_len;
        body = malloc(srv_page_len);
        if (body)
            memcpy(body, srv_page, srv_page_len);
    } else if (proto_inflate(PROTO_GZIP, srv_page, srv_page_len, srv_page_whole, NULL, &body,
                             ret_len) < 0)
        body = NULL;
    return body;
}

int srv_page_reply(struct srv_call *c)
{
    const char *accept = c->ops->header(c, "Accept"), *known, *coding;
    size_t len = 0;
    if (!c->api->env->cfg->page)
        return 0;
    srv_call_header(c, "Vary", "Accept, Accept-Encoding");
    if (!accept || !strstr(accept, "text/html"))
        return 0;
    srv_call_header(c, "ETag", "%s", srv_page_tag);
    srv_call_header(c, "Cache-Control", "no-cache");
    known = c->ops->header(c, "If-None-Match");
    if (known && strstr(known, srv_page_tag)) {
        srv_call_reply(c, 304, NULL, strdup(""), 0);
        return 1;
    }
    char *body = copy(c, &coding, &len);
    if (coding)
        srv_call_header(c, "Content-Encoding", "%s", coding);
    srv_call_header(c, "Content-Security-Policy", "%s", srv_page_policy);
    srv_call_header(c, "X-Content-Type-Options", "nosniff");
    srv_call_header(c, "Referrer-Policy", "no-referrer");
    srv_call_reply(c, 200, "text/html; charset=utf-8", body, len);
    return 1;
}
