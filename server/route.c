/* Matching is a walk over a dozen rows: cheaper than any structure, and the table stays the truth.
 */
#include "server/route.h"

#include "protocol/query.h"
#include "server/api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { READ = SRV_GET | SRV_HEAD, SEND = SRV_POST | SRV_PUT };

static const struct srv_route routes[] = {
    {"/v1/classify", SEND, 1, srv_classify_begin, srv_classify_finish,
     "Classify one image (raw body) or many (multipart/form-data) with the default model"},
    {"/v1/models/{}/classify", SEND, 1, srv_classify_begin, srv_classify_finish,
     "Classify with a model or family"},
    {"/v1/models", READ, 0, NULL, srv_models_finish, "The models that are served"},
    {"/v2/health/live", READ, 0, NULL, srv_live_finish, "200 while the process runs"},
    {"/v2/health/ready", READ, 0, NULL, srv_ready_finish,
     "200 while requests are welcome, else 503"},
    {"/healthz", READ, 0, NULL, srv_ready_finish, "As /v2/health/ready"},
    {"/metrics", READ, 0, NULL, srv_metrics_finish, "Prometheus text"},
    {"/", READ, 0, NULL, srv_root_finish, "This list"},
};

enum { ROUTES = sizeof(routes) / sizeof(routes[0]) };

const struct srv_route *srv_route_at(int index)
{
    return index < ROUTES ? &routes[index] : NULL;
}

int srv_route_index(const struct srv_route *r)
{
    return (int)(r - routes);
}

/* Where the segment that {} stands for lies in path; 0 if the pattern does not fit. */
static int fits(const char *pattern, const char *path, size_t len, const char **ret_at,
                size_t *ret_len)
{
    const char *hole = strstr(pattern, "{}");
    if (!hole)
        return strlen(pattern) == len && memcmp(pattern, path, len) == 0;
    size_t before = (size_t)(hole - pattern), after = strlen(hole + 2);
    if (len <= before + after || memcmp(pattern, path, before) != 0 ||
        memcmp(hole + 2, path + len - after, after) != 0)
        return 0;
    *ret_at = path + before;
    *ret_len = len - before - after;
    return !memchr(*ret_at, '/', *ret_len);
}

const struct srv_route *srv_route_find(const char *path, size_t len, char param[SRV_PARAM_MAX],
                                       int *ret_rc)
{
    *ret_rc = 0;
    for (int i = 0; i < ROUTES; i++) {
        const char *at = NULL;
        size_t n = 0;
        if (!fits(routes[i].pattern, path, len, &at, &n))
            continue;
        if (at) {
            int rc = proto_percent_decode(at, n, param, SRV_PARAM_MAX);
            *ret_rc = rc < 0 ? rc : 0;
        }
        return &routes[i];
    }
    return NULL;
}

static const struct {
    unsigned bit;
    const char *name;
} method_names[] = {
    {SRV_GET, "GET"}, {SRV_HEAD, "HEAD"},     {SRV_POST, "POST"},
    {SRV_PUT, "PUT"}, {SRV_DELETE, "DELETE"}, {SRV_OPTIONS, "OPTIONS"},
};

unsigned srv_method_parse(const char *name)
{
    for (size_t i = 0; i < sizeof(method_names) / sizeof(method_names[0]); i++)
        if (strcmp(name, method_names[i].name) == 0)
            return method_names[i].bit;
    return SRV_OTHER;
}

void srv_methods_text(unsigned methods, char *buf, size_t len)
{
    size_t n = 0;
    buf[0] = 0;
    for (size_t i = 0; i < sizeof(method_names) / sizeof(method_names[0]); i++)
        if (methods & method_names[i].bit && n < len)
            n += (size_t)snprintf(buf + n, len - n, "%s%s", n ? ", " : "", method_names[i].name);
}
