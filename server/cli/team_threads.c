/* Helpers wait on a condition for the number of the run to change, then enter the team. Between
 * runs that follow each other closely they look for a while before they sleep. */
#include "server/cli/team_threads.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "server/base/clock.h"

enum { LOOK_NS = 50000 };

struct srv_team_threads {
    struct eng_team *team;
    pthread_t *threads;
    int n;
    pthread_mutex_t lock;
    pthread_cond_t begun;
    atomic_uint run; /* odd while one is open */
    atomic_int stop;
};

static void wait_for_run(struct srv_team_threads *c, unsigned last)
{
    uint64_t until = srv_now_ns() + LOOK_NS;
    do {
        unsigned run = atomic_load(&c->run);
        if ((run & 1 && run != last) || atomic_load(&c->stop))
            return;
    } while (srv_now_ns() < until);
    pthread_mutex_lock(&c->lock);
    for (;;) {
        unsigned run = atomic_load(&c->run);
        if ((run & 1 && run != last) || atomic_load(&c->stop))
            break;
        pthread_cond_wait(&c->begun, &c->lock);
    }
    pthread_mutex_unlock(&c->lock);
}

static void *help_main(void *arg)
{
    struct srv_team_threads *c = arg;
    unsigned last = 0;
    for (;;) {
        wait_for_run(c, last);
        if (atomic_load(&c->stop))
            return NULL;
        last = atomic_load(&c->run);
        eng_team_help(c->team);
    }
}

int srv_team_threads_create(struct srv_team_threads **ret, int threads)
{
    struct srv_team_threads *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->begun, NULL);
    int rc = eng_team_create(&c->team, threads);
    c->threads = calloc((size_t)threads, sizeof(*c->threads));
    if (rc == 0 && !c->threads)
        rc = -ENOMEM;
    while (rc == 0 && c->n < threads - 1) {
        rc = -pthread_create(&c->threads[c->n], NULL, help_main, c);
        if (rc == 0)
            c->n++;
    }
    if (rc < 0) {
        srv_team_threads_destroy(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void srv_team_threads_destroy(struct srv_team_threads *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    atomic_store(&c->stop, 1);
    pthread_cond_broadcast(&c->begun);
    pthread_mutex_unlock(&c->lock);
    for (int i = 0; i < c->n; i++)
        pthread_join(c->threads[i], NULL);
    eng_team_destroy(c->team);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->begun);
    free(c->threads);
    free(c);
}

struct eng_team *srv_team_threads_begin(struct srv_team_threads *c)
{
    if (c->n == 0)
        return NULL;
    eng_team_begin(c->team);
    pthread_mutex_lock(&c->lock);
    atomic_fetch_add(&c->run, 1);
    pthread_cond_broadcast(&c->begun);
    pthread_mutex_unlock(&c->lock);
    return c->team;
}

void srv_team_threads_end(struct srv_team_threads *c)
{
    if (c->n == 0)
        return;
    atomic_fetch_add(&c->run, 1);
    eng_team_end(c->team);
}

int srv_team_threads_run(struct srv_team_threads *c, struct eng_context *context, int batch)
{
    struct eng_team *team = srv_team_threads_begin(c);
    int rc = eng_context_run(context, batch, team);
    srv_team_threads_end(c);
    return rc;
}
