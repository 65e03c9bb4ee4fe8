/* Deadline and admission, the same through every HTTP door. */
#include "server/handlers/admission.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "protocol/query.h"
#include "server/base/clock.h"
#include "server/handlers/api.h"
#include "server/handlers/outputs.h"
#include "server/handlers/parameters.h"

static int read_deadline(struct srv_call *c)
{
    long long ms = c->api->env->cfg->default_timeout_ms;
    const char *given = c->ops->header(c, "X-Request-Timeout-Ms");
    if (given && proto_parse_int(given, 1, 86400000, &ms) < 0) {
        srv_call_error(c, 400, "X-Request-Timeout-Ms must be a whole number from 1 to 86400000");
        return -1;
    }
    c->req->deadline_given = given != NULL;
    c->req->deadline_ns = c->started_ns + (uint64_t)ms * SRV_NS_PER_MS;
    return 0;
}

static int read_priority(struct srv_call *c)
{
    long long priority = SRV_PRIORITY_DEFAULT;
    const char *given = c->ops->header(c, "X-Request-Priority");
    if (given && proto_parse_int(given, SRV_PRIORITY_FIRST, SRV_PRIORITY_LAST, &priority) < 0) {
        srv_call_error(c, 400,
                       "X-Request-Priority must be a whole number from %d, most urgent, to %d",
                       SRV_PRIORITY_FIRST, SRV_PRIORITY_LAST);
        return -1;
    }
    c->req->priority = (int)priority;
    return 0;
}

void srv_api_refuse(struct srv_call *c, int rc)
{
    const char *sentence;
    int status = srv_req_refusal(rc, &sentence);
    if (status == 429)
        srv_call_header(c, "Retry-After", "%d", c->req->retry_after_s);
    srv_call_error(c, status, "%s", sentence);
}

/* One parameter of the task's list; 0: it is not in the query, or taken. */
static int read_field(struct srv_call *c, const struct srv_task *t, const char *name)
{
    char value[SRV_OUTPUTS_LIST], err[200];
    int there = srv_call_query(c, name, value, sizeof(value));
    if (there <= 0)
        return there;
    if (t->set(c->req, name, value, err, sizeof(err)) == 0)
        return 0;
    srv_call_error(c, 400, "%s", err);
    return -1;
}

int srv_api_fields(struct srv_call *c, const struct srv_task *t)
{
    char name[SRV_FIELD_MAX];
    c->req->task = t;
    if (!t)
        return 0;
    if (t->begin && t->begin(c->req) < 0) {
        srv_api_refuse(c, -ENOMEM);
        return -1;
    }
    for (const char *at = t->fields; srv_parameters_next(&at, name, sizeof(name));)
        if (read_field(c, t, name) < 0)
            return -1;
    return 0;
}

int srv_api_admit(struct srv_call *c)
{
    if (read_deadline(c) < 0 || read_priority(c) < 0)
        return -1;
    c->req->client_fd = c->client_fd;
    int rc = srv_req_admit(c->req, c->declared > 0 ? (size_t)c->declared : 0);
    if (rc < 0)
        srv_api_refuse(c, rc);
    return rc < 0 ? -1 : 0;
}

int srv_api_is_admin(struct srv_call *c)
{
    if (!c->api->env->cfg->admin)
        srv_call_error(c, 403, "administration over the network is off (option `admin`)");
    else if (!c->api->keys)
        srv_call_error(c, 403,
                       "administration over the network needs API keys (option `api_keys`)");
    else if (!(c->scopes & SRV_SCOPE_ADMIN))
        srv_call_error(c, 403, "the API key does not have the scope admin");
    return c->reply.status == 0;
}

void srv_api_text(struct srv_call *c, int status, const char *type, const char *text)
{
    srv_call_reply(c, status, type, strdup(text), strlen(text));
}
