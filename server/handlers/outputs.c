/* A model has few outputs: they are found by a walk. */
#include "server/handlers/outputs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Where a walk over the tensors of all tasks stands. */
struct walk {
    int task, index;
};

/* The next tensor, whatever its name; 0: there is none. */
static int next(const struct srv_model *m, struct walk *w, struct srv_output *ret)
{
    for (; srv_tasks[w->task]; *w = (struct walk){w->task + 1, 0}) {
        const struct srv_task *t = srv_tasks[w->task];
        if (t->output && t->output(m, w->index, ret)) {
            w->index++;
            return 1;
        }
    }
    return 0;
}

int srv_outputs_find(const struct srv_model *m, struct proto_span name, struct srv_output *ret)
{
    struct walk w = {0, 0};
    while (next(m, &w, ret))
        if (proto_span_is(name, ret->name))
            return 0;
    return -ENOENT;
}

/* Another tensor of this name stands before it. */
static int is_hidden(const struct srv_model *m, const struct srv_output *o)
{
    struct srv_output first;
    srv_outputs_find(m, (struct proto_span){o->name, strlen(o->name)}, &first);
    return first.kind != o->kind || first.a != o->a || first.b != o->b;
}

int srv_outputs_at(const struct srv_model *m, enum srv_outputs_shown shown, int index,
                   struct srv_output *ret)
{
    const struct srv_task *own = srv_task_of(m);
    int all = shown == SRV_OUTPUTS_ALL || (shown == SRV_OUTPUTS_SHOWN && m->info->shows_all);
    struct walk w = {0, 0};
    while (next(m, &w, ret)) {
        int usual = srv_tasks[w.task] == own && ret->listed == 2;
        if ((usual || (all && ret->listed > 0)) && !is_hidden(m, ret) && index-- == 0)
            return 1;
    }
    return 0;
}

void srv_outputs_unknown(struct proto_span name, const char *called, char *err, size_t errlen)
{
    snprintf(err, errlen, "unexpected inference output '%.*s' for model '%s'",
             name.len > 64 ? 64 : (int)name.len, name.s ? name.s : "", called);
}

static int choose_names(const struct srv_model *m, const char *called, const char *list,
                        struct srv_output *ret, char *err, size_t errlen)
{
    int n = 0;
    for (const char *at = list;; at++) {
        struct proto_span name = {at, strcspn(at, ",")};
        if (n == PROTO_OUTPUTS_MAX || srv_outputs_find(m, name, &ret[n]) < 0) {
            srv_outputs_unknown(name, called, err, errlen);
            return -EINVAL;
        }
        for (int k = 0; k < n; k++)
            if (strcmp(ret[k].name, ret[n].name) == 0) {
                snprintf(err, errlen, "'%.64s' is given twice", ret[n].name);
                return -EINVAL;
            }
        n++;
        at += name.len;
        if (!*at)
            return n;
    }
}

int srv_outputs_choose(const struct srv_model *m, const char *called, const char *list,
                       struct srv_output *ret, char *err, size_t errlen)
{
    enum srv_outputs_shown shown = list ? SRV_OUTPUTS_ALL : SRV_OUTPUTS_SHOWN;
    int n = 0;
    if (list && strcmp(list, "all") != 0)
        return choose_names(m, called, list, ret, err, errlen);
    while (n < PROTO_OUTPUTS_MAX && srv_outputs_at(m, shown, n, &ret[n]))
        n++;
    return n;
}

struct proto_tensor srv_outputs_described(const struct srv_output *o)
{
    struct proto_tensor t = {.name = o->name, .datatype = o->datatype, .n_dims = o->n_dims + 1};
    t.shape[0] = -1;
    memcpy(t.shape + 1, o->shape, (size_t)o->n_dims * sizeof(*o->shape));
    return t;
}
