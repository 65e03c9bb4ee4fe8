/* The thread reads only what does not change while it runs: the sources, the old registry, and the
 * configuration, which the loop replaces between two orders alone. */
#include "server/reload.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/priority.h"
#include "server/handlers/auth.h"
#include "server/repository/folder.h"
#include "server/srv.h"
#include "server/transport/tls.h"
#include "server/watch.h"

void srv_registry_options_of(struct srv_registry_options *ret, const struct srv *s,
                             const struct cfg *cfg)
{
    *ret = (struct srv_registry_options){
        .dir = s->models_dir,
        .single = cfg->model_name,
        .default_model = cfg->default_model,
        .cpu_bits = s->env.cpu_bits,
        .max_model_file = (size_t)cfg->max_model_file,
        .max_batch = (int)cfg->max_batch,
        .workers = s->env.workers,
    };
}

/* ---- the thread ---- */

static void read_everything(struct srv *s)
{
    struct srv_reload *r = &s->reload;
    struct srv_registry_options options;
    r->rc = cfg_load(&r->cfg, s->sources, r->error, sizeof(r->error));
    if (r->rc == 0)
        r->rc = srv_keys_load(&r->keys, r->cfg->api_keys, r->error, sizeof(r->error));
    if (r->rc == 0)
        r->rc = srv_tls_load(&r->tls, r->cfg->tls_cert, r->cfg->tls_key, r->cfg->tls_client_ca,
                             r->error, sizeof(r->error));
    if (r->rc == 0) {
        srv_registry_options_of(&options, s, r->cfg);
        options.default_anew = strcmp(r->cfg->default_model, s->cfg->default_model) != 0;
        r->rc = srv_registry_load(&r->registry, &options, s->sched.registry, r->error,
                                  sizeof(r->error));
    }
}

static void read_models(struct srv *s, const struct srv_order *o)
{
    struct srv_reload *r = &s->reload;
    struct srv_registry_options options;
    srv_registry_options_of(&options, s, s->cfg);
    options.change = o->change;
    options.name = o->name;
    r->rc =
        srv_registry_load(&r->registry, &options, s->sched.registry, r->error, sizeof(r->error));
}

static void *reload_main(void *arg)
{
    struct srv *s = arg;
    srv_priority_worker(); /* to read and warm models takes a worker's time */
    if (s->api.orders.first->kind == SRV_ORDER_EVERYTHING)
        read_everything(s);
    else if (s->api.orders.first->kind == SRV_ORDER_LOOK)
        s->reload.stamp = srv_folder_stamp(s->models_dir);
    else
        read_models(s, s->api.orders.first);
    atomic_store(&s->reload.finished, 1);
    srv_wake_send(&s->api.orders.changed);
    return NULL;
}

/* ---- the loop ---- */

static void take_configuration(struct srv *s)
{
    struct srv_reload *r = &s->reload;
    char rows[256];
    if (cfg_reload_conflicts(s->cfg, r->cfg, rows, sizeof(rows)) > 0)
        srv_log(s->env.log, SRV_WARNING, "reload: a restart is needed for: %s", rows);
    if (!s->transport.tls != !r->tls)
        srv_log(s->env.log, SRV_WARNING, "reload: a restart is needed to turn TLS on or off");
    srv_keys_inherit(r->keys, s->api.keys);
    srv_keys_destroy(s->api.keys);
    cfg_destroy(s->cfg);
    s->cfg = r->cfg;
    s->env.cfg = r->cfg;
    s->api.keys = r->keys;
    if (s->transport.tls && r->tls)
        s->transport.tls = srv_tls_replace(s->transport.tls, r->tls);
    else
        srv_tls_destroy(r->tls);
    r->cfg = NULL;
    r->keys = NULL;
    r->tls = NULL;
    s->api.log_level = s->cfg->log_level;
    srv_log_configure(s->env.log, s->api.log_level, s->cfg->log_format);
    srv_scheduler_configure(&s->sched);
    srv_watch_configure(s);
}

static void take_models(struct srv *s)
{
    struct srv_reload *r = &s->reload;
    if (!r->registry->fallback && s->sched.registry->fallback)
        srv_log(s->env.log, SRV_WARNING,
                "the default model %s is not served now: who names no model gets 404",
                r->registry->default_name);
    srv_scheduler_replace(&s->sched, r->registry);
    r->registry = NULL;
    srv_tune_models(s);
}

static void log_failures(struct srv *s, const char *name)
{
    for (int i = 0; i < s->sched.registry->n_failures; i++) {
        const struct srv_model_failure *f = &s->sched.registry->failures[i];
        if (!name || strcmp(f->name, name) == 0)
            srv_log(s->env.log, SRV_ERROR, "model %s%s%s: %s", f->name, f->version[0] ? "/" : "",
                    f->version, f->error);
    }
}

static void everything_read(struct srv *s, const struct srv_order *o)
{
    struct srv_reload *r = &s->reload;
    if (r->rc < 0) {
        s->api.orders.reload_failures++;
        srv_log(s->env.log, SRV_ERROR, "reload failed, nothing changed: %s", r->error);
        return;
    }
    take_models(s); /* while the configuration lives that its default is from */
    if (o->kind == SRV_ORDER_EVERYTHING)
        take_configuration(s);
    s->api.orders.reloads++;
    log_failures(s, NULL);
    srv_log(s->env.log, SRV_INFO, "reloaded: %d models, default %s", s->sched.registry->n,
            s->sched.registry->default_name);
}

static void model_loaded(struct srv *s, struct srv_order *o)
{
    const struct srv_service *now = srv_registry_service(s->sched.registry, o->name);
    const struct srv_model_failure *f = srv_registry_failure(s->sched.registry, o->name, NULL);
    char sentence[512];
    if (f) {
        log_failures(s, o->name);
        snprintf(sentence, sizeof(sentence), "failed to load '%.100s', %s%s%s%.250s%s", o->name,
                 f->version[0] ? "version " : "", f->version, f->version[0] ? ": " : "", f->error,
                 now ? "; what was served still is" : "");
        srv_order_answer(o, 400, sentence);
        return;
    }
    s->api.orders.loads++;
    srv_log(s->env.log, SRV_INFO, "model %s: loaded, version %s", o->name,
            now ? now->standard->info->version : "none");
    srv_order_answer(o, 0, "");
}

static void model_changed(struct srv *s, struct srv_order *o)
{
    struct srv_reload *r = &s->reload;
    int was = srv_registry_service(s->sched.registry, o->name) != NULL;
    if (r->rc < 0) {
        srv_log(s->env.log, SRV_ERROR, "model %s: nothing changed: %s", o->name, r->error);
        srv_order_answer(o, 503, r->error);
        return;
    }
    if (o->change == SRV_CHANGE_UNLOAD && !was) { /* and nothing will remember that it was asked */
        srv_order_answer(o, 400, "failed to unload, there is no such model");
        return;
    }
    take_models(s);
    if (o->change == SRV_CHANGE_LOAD) {
        model_loaded(s, o);
        return;
    }
    s->api.orders.unloads++;
    srv_log(s->env.log, SRV_INFO, "model %s: unloaded", o->name);
    srv_order_answer(o, 0, "");
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

static void run_next(struct srv *s)
{
    struct srv_reload *r = &s->reload;
    while (s->api.orders.first && !r->running) {
        sigset_t all, old;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        int rc = pthread_create(&r->thread, NULL, reload_main, s);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (rc == 0) {
            r->running = 1;
            return;
        }
        srv_log(s->env.log, SRV_ERROR, "reload cannot start: %s", strerror(rc));
        srv_order_answer(s->api.orders.first, 503, "no thread can be started for it");
        srv_orders_drop_first(&s->api.orders);
    }
}

static void on_ready(void *arg)
{
    struct srv *s = arg;
    struct srv_reload *r = &s->reload;
    if (!r->running)
        run_next(s);
    if (!atomic_load(&r->finished)) /* woken for an order that came meanwhile */
        return;
    atomic_store(&r->finished, 0);
    pthread_join(r->thread, NULL);
    struct srv_order *o = s->api.orders.first; /* still first: what is ordered now has to wait */
    if (o->kind == SRV_ORDER_LOOK)
        srv_watch_seen(s, r->stamp);
    else if (o->kind == SRV_ORDER_CHANGE)
        model_changed(s, o);
    else
        everything_read(s, o);
    drop_result(r); /* if it was not taken */
    srv_orders_drop_first(&s->api.orders);
    r->running = 0;
    run_next(s);
    srv_transport_pump(&s->transport); /* whoever waited for it has an answer */
}

static void order_once(struct srv *s, enum srv_order_kind kind)
{
    const struct srv_order *waiting = s->api.orders.first;
    if (waiting && s->reload.running)
        waiting = waiting->next;
    for (; waiting; waiting = waiting->next)
        if (waiting->kind == kind)
            return;
    if (!srv_orders_add(&s->api.orders, kind))
        srv_log(s->env.log, SRV_ERROR, "reload cannot start: too much is to be changed already");
    run_next(s);
}

void srv_reload_start(struct srv *s)
{
    order_once(s, SRV_ORDER_EVERYTHING);
}

void srv_reload_models(struct srv *s)
{
    order_once(s, SRV_ORDER_MODELS);
}

void srv_reload_look(struct srv *s)
{
    if (!s->api.orders.first) /* else what is under way will look */
        order_once(s, SRV_ORDER_LOOK);
}

int srv_reload_init(struct srv *s)
{
    return srv_wake_init(&s->api.orders.changed, &s->env.loop, on_ready, s);
}

void srv_reload_finish(struct srv *s)
{
    struct srv_reload *r = &s->reload;
    if (r->running)
        pthread_join(r->thread, NULL);
    r->running = 0;
    drop_result(r);
}
