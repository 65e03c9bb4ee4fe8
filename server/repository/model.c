/* References of a model, and run contexts. */
#include "server/repository/model.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* Two models of the same identity answer the same to every picture. */
static void identify(struct srv_model *m)
{
    const struct eng_preprocess *p = &m->info->preprocess;
    char text[512];
    int n =
        snprintf(text, sizeof(text), "%s %s %d %d %d %d %d %d %a %a %a %a %a %a %d %d %d",
                 m->info->digest, m->info->precision, p->height, p->width, (int)p->resize,
                 (int)p->filter, p->bgr, (int)p->type, (double)p->mean[0], (double)p->mean[1],
                 (double)p->mean[2], (double)p->scale[0], (double)p->scale[1], (double)p->scale[2],
                 m->info->class_offset, (int)m->info->activation, m->info->embeds);
    eng_digest(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text), m->identity);
}

int srv_model_create(struct srv_model **ret, struct eng_model *eng_take, uint64_t stamp)
{
    struct srv_model *m = calloc(1, sizeof(*m));
    if (!m)
        return -ENOMEM;
    atomic_init(&m->refs, 1);
    m->eng = eng_take;
    m->info = eng_model_info(eng_take);
    m->stamp = stamp;
    identify(m);
    m->weight = 1;
    m->batch_limit = INT_MAX;
    *ret = m;
    return 0;
}

struct srv_model *srv_model_ref(struct srv_model *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void srv_model_unref(struct srv_model *m)
{
    if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (m->lane)
        m->lane_destroy(m->lane);
    while (m->stats.tasks) {
        struct srv_task_stats *t = m->stats.tasks;
        m->stats.tasks = t->next;
        free(t);
    }
    srv_context_destroy(m->warm);
    eng_model_unref(m->eng);
    free(m);
}

int srv_context_create(struct srv_context **ret, struct srv_model *m, int max_batch,
                       int max_members, char *err, size_t errlen)
{
    struct srv_context *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    int rc = eng_context_create(&c->eng, m->eng, max_batch, max_members, err, errlen);
    if (rc < 0) {
        free(c);
        return rc;
    }
    c->max_batch = max_batch;
    c->max_members = max_members;
    *ret = c;
    return 0;
}

void srv_context_destroy(struct srv_context *c)
{
    if (!c)
        return;
    eng_context_destroy(c->eng);
    free(c);
}
