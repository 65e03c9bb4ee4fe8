/* The thread reads only what does not change while it runs: the sources, the old registry. */
#include "server/reload.h"

#include "server/auth.h"
#include "server/brownout.h"
#include "server/pool.h"
#include "server/priority.h"
#include "server/srv.h"
#include "server/tls.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

void srv_registry_options_of(struct srv_registry_options *ret, const struct srv *s,
                             const struct cfg *cfg)
{
    *ret = (struct srv_registry_options){
        .dir = s->models_dir,
        .default_model = cfg->default_model,
        .cpu_bits = s->cpu_bits,
        .max_batch = (int)cfg->max_batch,
        .workers = s->workers,
    };
}

static void *reload_main(void *arg)
{
    struct srv *s = arg;
    struct srv_reload *r = &s->reload;
    srv_priority_worker(); /* to read and warm models takes a worker's time */
    r->rc = cfg_load(&r->cfg, s->sources, r->error, sizeof(r->error));
    if (r->rc == 0)
        r->rc = srv_keys_load(&r->keys, r->cfg->api_keys, r->error, sizeof(r->error));
    if (r->rc == 0)
        r->rc = srv_tls_load(&r->tls, r->cfg->tls_cert, r->cfg->tls_key, r->cfg->tls_client_ca,
                             r->error, sizeof(r->error));
    if (r->rc == 0) {
        struct srv_registry_options options;
        srv_registry_options_of(&options, s, r->cfg);
        r->rc = srv_registry_load(&r->registry, &options, s->registry, r->error, sizeof(r->error));
    }
    uv_async_send(&r->ready);
    return NULL;
}

static void take_over(struct srv *s)
{
    struct srv_reload *r = &s->reload;
    char rows[256];
    if (cfg_reload_conflicts(s->cfg, r->cfg, rows, sizeof(rows)) > 0)
        srv_log(s->log, SRV_WARNING, "reload: a restart is needed for: %s", rows);
    if (!s->tls != !r->tls)
        srv_log(s->log, SRV_WARNING, "reload: a restart is needed to turn TLS on or off");
    srv_brownout_inherit(s, r->registry);
    srv_keys_inherit(r->keys, s->keys);
    srv_keys_destroy(s->keys);
    srv_registry_destroy(s->registry);
    cfg_destroy(s->cfg);
    s->registry = r->registry;
    s->cfg = r->cfg;
    s->keys = r->keys;
    if (s->tls && r->tls)
        s->tls = srv_tls_replace(s->tls, r->tls);
    else
        srv_tls_destroy(r->tls);
    r->registry = NULL;
    r->cfg = NULL;
    r->keys = NULL;
    r->tls = NULL;
    s->log_level = s->cfg->log_level;
    srv_log_configure(s->log, s->log_level, s->cfg->log_format);
    srv_pool_set_max_batch(s->pool, (int)s->cfg->max_batch);
    s->metrics.reloads++;
    for (int i = 0; i < s->registry->n_failures; i++)
        srv_log(s->log, SRV_ERROR, "model %s/%s: %s", s->registry->failures[i].name,
                s->registry->failures[i].version, s->registry->failures[i].error);
    srv_log(s->log, SRV_INFO, "reloaded: %d models, default %s", s->registry->n,
            s->registry->fallback_name);
}

static void drop_result(struct srv_reload *r)
{
    srv_registry_destroy(r->registry);
    cfg_destroy(r->cfg);
    srv_keys_destroy(r->keys);
    srv_tls_destroy(r->tls);
    r->keys = NULL;
    r->tls = NULL;
    r->registry = NULL;
    r->cfg = NULL;
}

static void on_ready(uv_async_t *a)
{
    struct srv *s = a->data;
    struct srv_reload *r = &s->reload;
    if (!r->running)
        return;
    pthread_join(r->thread, NULL);
    r->running = 0;
    if (r->rc == 0) {
        take_over(s);
    } else {
        s->metrics.reload_failures++;
        srv_log(s->log, SRV_ERROR, "reload failed, nothing changed: %s", r->error);
        drop_result(r);
    }
    if (r->again) {
        r->again = 0;
        srv_reload_start(s);
    }
}

void srv_reload_start(struct srv *s)
{
    struct srv_reload *r = &s->reload;
    if (r->running) {
        r->again = 1;
        return;
    }
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&r->thread, NULL, reload_main, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0)
        r->running = 1;
    else
        srv_log(s->log, SRV_ERROR, "reload cannot start: %s", strerror(rc));
}

void srv_reload_init(struct srv *s)
{
    s->reload.ready.data = s;
    uv_async_init(&s->loop, &s->reload.ready, on_ready);
}

void srv_reload_finish(struct srv *s)
{
    if (s->reload.running)
        pthread_join(s->reload.thread, NULL);
    s->reload.running = 0;
    drop_result(&s->reload);
}
