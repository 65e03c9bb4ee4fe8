/* Our own image API, at the headers: which model, which options. */
#include <errno.h>

#include "server/handlers/admission.h"
#include "server/handlers/api.h"
#include "server/handlers/call.h"
#include "server/handlers/canary.h"
#include "server/handlers/handlers.h"
#include "server/handlers/tasks/task.h"
#include "server/repository/registry.h"

/* How far down a family the client lets us go. */
static int read_floor(struct srv_call *c)
{
    struct srv_req *r = c->req;
    char name[SRV_PARAM_MAX];
    long long degrade = 1;
    int there = srv_call_query(c, "min_variant", name, sizeof(name));
    if (there < 0 || srv_call_query_int(c, "degrade", 0, 1, &degrade) < 0)
        return -1;
    if (!r->family)
        return 0;
    int level = there ? srv_family_level(r->family, name) : r->floor;
    if (level < 0) {
        srv_call_error(c, 400, "min_variant: %s has no variant \"%s\"", r->family->name, name);
        return -1;
    }
    r->floor = degrade ? level : 0;
    return 0;
}

static void no_such_model(struct srv_call *c, const char *name)
{
    const struct srv_registry *r = c->api->sched->registry;
    char names[240];
    srv_registry_names(r, names, sizeof(names));
    if (!name[0])
        srv_call_error(c, 404, "the default model \"%.100s\" is not served now; there %s%s",
                       r->default_name, names[0] ? "are " : "is no other", names);
    else
        srv_call_error(c, 404, "there is no model named \"%.100s\", but %s (GET / lists all paths)",
                       name, names[0] ? names : "none at all");
}

static int choose_model(struct srv_call *c)
{
    const char *name = c->params[0], *version = c->params[1];
    struct srv_choice chosen;
    char argument[SRV_PARAM_MAX], label[SRV_PARAM_MAX];
    if (!name[0]) {
        int there = srv_call_query(c, "model", argument, sizeof(argument));
        if (there < 0)
            return -1;
        name = there ? argument : "";
    }
    if (!version[0]) {
        int there = srv_call_query(c, "version", label, sizeof(label));
        if (there < 0)
            return -1;
        version = there ? label : "";
    }
    int rc = srv_registry_choose(c->api->sched->registry, name, version, &chosen);
    if (rc == -ESRCH)
        srv_call_error(c, 404, "the model \"%s\" has no version \"%s\"", name, version);
    else if (rc < 0)
        no_such_model(c, name);
    if (rc < 0)
        return -1;
    srv_canary_choose(c->req, &chosen);
    return read_floor(c);
}

/* The task's own parameters, and those of every picture. */
static int read_options(struct srv_call *c, const struct srv_task *t)
{
    struct srv_req *r = c->req;
    long long exif = 1, lenient = 0;
    if (srv_api_fields(c, t) < 0 || srv_call_query_int(c, "exif", 0, 1, &exif) < 0 ||
        srv_call_query_int(c, "lenient", 0, 1, &lenient) < 0)
        return -1;
    r->image.ignore_exif = !exif;
    r->image.lenient = (int)lenient;
    return 0;
}

/* 0: it has replied. */
static int is_done_by_model(struct srv_call *c, const struct srv_task *t)
{
    char why[300];
    int rc = t->check(c->req->model, why, sizeof(why));
    if (rc < 0)
        srv_call_error(c, 400, "the model \"%s\" %s", c->req->model_name, why);
    return rc == 0;
}

static void begin(struct srv_call *c, const struct srv_task *t)
{
    if (choose_model(c) == 0 && is_done_by_model(c, t) && read_options(c, t) == 0)
        srv_api_admit(c);
}

#define TASK(name)                                                                                 \
    void srv_##name##_begin(struct srv_call *c)                                                    \
    {                                                                                              \
        begin(c, &srv_task_##name);                                                                \
    }
#include "server/handlers/tasks/tasks.def"

/* A lesson is learned from embeddings, of one variant: those of others have nothing in common. */
void srv_teach_begin(struct srv_call *c)
{
    if (!srv_api_is_admin(c) || choose_model(c) < 0 || !is_done_by_model(c, &srv_task_embed) ||
        read_options(c, &srv_task_embed) < 0)
        return;
    c->req->floor = 0;
    srv_api_admit(c);
}
