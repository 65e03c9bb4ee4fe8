/* A batch reuses weights but spreads activations over more memory than the cache holds, so a larger
 * one is often slower per image. Doubling goes on only while it gains; the least of a few runs is
 * taken, because what else runs on the machine can only add. */
#include "server/repository/warm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "server/base/clock.h"

enum { RUNS = 3 };

#define GAIN 0.97             /* a batch of twice the size must take this share per image */
#define LEAST_RUN_NS 500000.0 /* below, handing work over would be what workers mostly do */

/* Least time of an image in a batch of this size. */
static int time_batch(struct srv_model *m, int batch, int workers, double *ret_ns,
                      struct srv_context **ret, char *err, size_t errlen)
{
    const struct eng_preprocess *p = &m->info->picture;
    size_t bytes = (size_t)p->height * (size_t)p->width * 3 * eng_type_size(p->type);
    struct srv_context *c;
    uint64_t least = UINT64_MAX;
    int rc = srv_context_create(&c, m, batch, workers, err, errlen);
    if (rc < 0)
        return rc;
    for (int i = 0; i < batch; i++)
        memset(eng_context_picture(c->eng, i), 0, bytes);
    for (int i = 0; i <= RUNS; i++) { /* one more: the first pages in */
        uint64_t start = srv_now_ns();
        rc = eng_context_run(c->eng, batch, NULL);
        uint64_t took = srv_now_ns() - start;
        if (i > 0 && took < least)
            least = took;
        if (rc < 0)
            break;
    }
    if (rc < 0) {
        snprintf(err, errlen, "the first run failed (%d)", rc);
        srv_context_destroy(c);
        return rc;
    }
    *ret_ns = (double)least / batch;
    *ret = c;
    return 0;
}

int srv_model_warm(struct srv_model *m, int max_batch, int workers, char *err, size_t errlen)
{
    struct srv_context *best = NULL, *c;
    double ns;
    int rc = time_batch(m, 1, workers, &ns, &best, err, errlen);
    if (rc < 0)
        return rc;
    m->run_ns = ns;
    m->batch_limit = 1;
    for (int batch = 2; batch <= max_batch; batch *= 2) {
        if (time_batch(m, batch, workers, &ns, &c, err, errlen) < 0)
            break; /* out of memory for it: what fits is enough */
        int gains = ns < m->run_ns * GAIN;
        if (!gains && m->run_ns * m->batch_limit >= LEAST_RUN_NS) {
            srv_context_destroy(c);
            break;
        }
        srv_context_destroy(best);
        best = c;
        m->batch_limit = batch;
        m->run_ns = gains ? ns : m->run_ns;
    }
    m->warm = best;
    return 0;
}
