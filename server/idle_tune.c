/* A file of what is known, a thread that waits for quiet and measures, orders from the loop. */
#include "server/idle_tune.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/tune.h"
#include "server/base/clock.h"
#include "server/base/priority.h"
#include "server/base/read_file.h"
#include "server/cli/team_threads.h"
#include "server/repository/registry.h"
#include "server/scheduler/pool.h"
#include "server/srv.h"

enum { LOOK_MS = 50, QUIET_LOOKS = 4, KEY = 128 };

struct srv_tune_order {
    struct srv_tune_order *next;
    struct srv_model *model; /* a reference */
};

/* ---- the file ---- */

static void key_of(const struct srv *s, const struct srv_model *m, char ret[KEY])
{
    snprintf(ret, KEY, "%s %s %d ", m->identity, m->info->isa, s->env.workers);
}

int srv_tune_open(struct srv *s, char *err, size_t errlen)
{
    struct srv_tune *t = &s->tune;
    const char *path = s->cfg->tune_cache;
    struct stat st;
    size_t len;
    void *text;
    if (!s->cfg->tune || !path[0])
        return 0;
    t->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    int rc = t->fd < 0 || fstat(t->fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
    if (rc < 0) {
        snprintf(err, errlen, "tune_cache %s: %s", path, strerror(-rc));
        return rc;
    }
    rc = srv_read_file(&text, &len, path, SRV_TUNE_FILE_MAX, err, errlen);
    if (rc < 0)
        return rc;
    t->known = calloc(len + 1, 1);
    if (t->known)
        memcpy(t->known, text, len);
    t->written = len;
    free(text);
    return t->known ? 0 : -ENOMEM;
}

/* The line of the file that is about this model, the last one, without its key; NULL if there is
 * none. */
static const char *known_line(const struct srv_tune *t, const char *key)
{
    const char *found = NULL;
    size_t n = strlen(key);
    for (const char *line = t->known; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, n) == 0)
            found = line + n;
    }
    return found;
}

static int is_known(const struct srv *s, struct srv_model *m)
{
    char key[KEY], line[ENG_TUNING_TEXT];
    key_of(s, m, key);
    const char *at = known_line(&s->tune, key), *end = at ? strchr(at, '\n') : NULL;
    if (!end || (size_t)(end - at) + 2 > sizeof(line))
        return 0;
    snprintf(line, sizeof(line), "%.*s\n", (int)(end - at), at);
    return eng_tuning_parse(m->eng, line) == 0;
}

static void keep(struct srv *s, const struct srv_model *m)
{
    struct srv_tune *t = &s->tune;
    char line[KEY + ENG_TUNING_TEXT];
    key_of(s, m, line);
    size_t head = strlen(line);
    int len = eng_tuning_print(m->eng, line + head, sizeof(line) - head);
    if (t->fd < 0 || len < 0 || t->written + head + (size_t)len > SRV_TUNE_FILE_MAX)
        return;
    if (write(t->fd, line, head + (size_t)len) < 0)
        srv_log(s->env.log, SRV_WARNING, "tune_cache cannot be written: %s", strerror(errno));
    t->written += head + (size_t)len;
}

/* ---- the thread ---- */

/* 1: to stop. */
static int rest(struct srv_tune *t, unsigned ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&t->lock);
    int rc = 0;
    while (!t->stop && rc == 0)
        rc = pthread_cond_timedwait(&t->changed, &t->lock, &until);
    int stop = t->stop;
    pthread_mutex_unlock(&t->lock);
    return stop;
}

/* Until all workers have had nothing to do for some looks in a row. 1: to stop. */
static int await_quiet(struct srv *s, int looks)
{
    for (int quiet = 0; quiet < looks;) {
        if (rest(&s->tune, LOOK_MS))
            return 1;
        struct srv_pool_state p = srv_pool_state(s->sched.pool);
        quiet = p.queued == 0 && p.running == 0 ? quiet + 1 : 0;
    }
    return 0;
}

static int slice(struct eng_tuner *t, struct srv_team_threads *crew)
{
    struct eng_team *team = srv_team_threads_begin(crew);
    int rc = eng_tuner_step(t, team);
    srv_team_threads_end(crew);
    return rc;
}

/* Ours is the last reference: unloaded meanwhile. */
static int is_gone(const struct srv_model *m)
{
    return atomic_load(&m->refs) == 1;
}

/* 1: to stop. */
static int tune(struct srv *s, struct srv_model *m)
{
    struct eng_tuner *t = NULL;
    struct srv_team_threads *crew = NULL;
    char err[256] = "out of memory";
    uint64_t spent = 0;
    int stop = 0, rc = srv_team_threads_create(&crew, s->env.workers);
    if (rc == 0)
        rc = eng_tuner_create(&t, m->eng, s->env.workers, err, sizeof(err));
    if (rc == 0)
        rc = 1; /* there is more to tune */
    while (rc == 1 && !stop && !is_gone(m)) {
        stop = await_quiet(s, spent ? 1 : QUIET_LOOKS);
        uint64_t start = srv_now_ns();
        if (!stop)
            rc = slice(t, crew);
        spent += srv_now_ns() - start;
    }
    eng_tuner_destroy(t);
    srv_team_threads_destroy(crew);
    if (stop || rc == 1)
        return stop;
    if (rc < 0) {
        srv_log(s->env.log, SRV_WARNING, "model %s/%s is not tuned: %s", m->info->name,
                m->info->version, err);
        return 0;
    }
    keep(s, m);
    srv_log(s->env.log, SRV_INFO, "model %s/%s tuned in %u ms of idle time: %d cuts changed",
            m->info->name, m->info->version, (unsigned)(spent / SRV_NS_PER_MS),
            eng_tuning_changes(m->eng));
    return 0;
}

static struct srv_model *next_model(struct srv_tune *t)
{
    struct srv_model *m = NULL;
    pthread_mutex_lock(&t->lock);
    while (!t->stop && !t->orders)
        pthread_cond_wait(&t->changed, &t->lock);
    struct srv_tune_order *o = t->stop ? NULL : t->orders;
    if (o) {
        t->orders = o->next;
        t->tail = t->orders ? t->tail : &t->orders;
        m = o->model;
    }
    pthread_mutex_unlock(&t->lock);
    free(o);
    return m;
}

static void *tune_main(void *arg)
{
    struct srv *s = arg;
    struct srv_model *m;
    int stop = 0;
    srv_priority_worker(); /* the crew inherits it */
    while (!stop && (m = next_model(&s->tune))) {
        if (!is_known(s, m))
            stop = tune(s, m);
        srv_model_unref(m);
    }
    return NULL;
}

/* ---- the loop ---- */

static int start_thread(struct srv *s)
{
    struct srv_tune *t = &s->tune;
    pthread_condattr_t attr;
    sigset_t all, old;
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->changed, &attr);
    pthread_condattr_destroy(&attr);
    t->tail = &t->orders;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&t->thread, NULL, tune_main, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0)
        t->runs = 1;
    else
        srv_log(s->env.log, SRV_WARNING, "tuning cannot start: %s", strerror(rc));
    return t->runs;
}

/* Models that were unloaded before their turn came must not stay in memory for it. */
static struct srv_tune_order *take_gone(struct srv_tune *t)
{
    struct srv_tune_order **at = &t->orders, *gone = NULL;
    while (*at) {
        struct srv_tune_order *o = *at;
        if (!is_gone(o->model)) {
            at = &o->next;
            continue;
        }
        *at = o->next;
        o->next = gone;
        gone = o;
    }
    t->tail = at;
    return gone;
}

static void forget(struct srv_tune_order *list)
{
    while (list) {
        struct srv_tune_order *next = list->next;
        srv_model_unref(list->model);
        free(list);
        list = next;
    }
}

static void order(struct srv_tune *t, struct srv_model *m)
{
    struct srv_tune_order *o = calloc(1, sizeof(*o));
    if (!o)
        return;
    o->model = srv_model_ref(m);
    m->tuning_ordered = 1;
    pthread_mutex_lock(&t->lock);
    struct srv_tune_order *gone = take_gone(t);
    *t->tail = o;
    t->tail = &o->next;
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
    forget(gone); /* outside: a model is much to free */
}

void srv_tune_models(struct srv *s)
{
    if (!s->cfg->tune || (!s->tune.runs && !start_thread(s)))
        return;
    for (int i = 0; i < s->sched.registry->n; i++)
        if (!s->sched.registry->models[i]->tuning_ordered)
            order(&s->tune, s->sched.registry->models[i]);
}

void srv_tune_finish(struct srv *s)
{
    struct srv_tune *t = &s->tune;
    if (t->runs) {
        pthread_mutex_lock(&t->lock);
        t->stop = 1;
        pthread_cond_broadcast(&t->changed);
        pthread_mutex_unlock(&t->lock);
        pthread_join(t->thread, NULL);
        forget(t->orders);
        pthread_mutex_destroy(&t->lock);
        pthread_cond_destroy(&t->changed);
    }
    if (t->fd >= 0)
        close(t->fd);
    free(t->known);
}
