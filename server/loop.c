/* Start, serve, end: in this order, and the reverse. */
#include "server/loop.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/engine.h"
#include "server/base/clock.h"
#include "server/base/priority.h"
#include "server/drain.h"
#include "server/handlers/auth.h"
#include "server/reload.h"
#include "server/sandbox.h"
#include "server/srv.h"
#include "server/systemd.h"
#include "server/transport/tls.h"
#include "server/watch.h"

/* ---- callbacks ---- */

static void on_answered(void *arg)
{
    struct srv *s = arg;
    srv_transport_pump(&s->transport);
}

static void on_signal(uv_signal_t *h, int number)
{
    struct srv *s = h->data;
    if (number == SIGHUP)
        srv_reload_start(s);
    else
        srv_drain_signal(s);
}

static void on_watchdog(uv_timer_t *t)
{
    struct srv *s = t->data;
    srv_systemd_notify(&s->systemd, "WATCHDOG=1");
}

/* ---- start ---- */

/* Every connection needs a descriptor, and so do files and sockets of our own. max_connections is
 * what each of the two ports may have: none can take the other's. */
static void fit_connections(struct srv *s)
{
    enum { OWN = 64, ADMIN = 32, LEAST = 8 };
    struct rlimit lim;
    rlim_t ports = s->cfg->grpc[0] ? 2 : 1;
    if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
        return;
    rlim_t own = s->cfg->admin_http[0] ? OWN + ADMIN : OWN;
    rlim_t want = (rlim_t)s->cfg->max_connections * ports + own;
    if (lim.rlim_cur < want) {
        lim.rlim_cur = lim.rlim_max < want ? lim.rlim_max : want;
        setrlimit(RLIMIT_NOFILE, &lim);
        getrlimit(RLIMIT_NOFILE, &lim);
    }
    if (lim.rlim_cur >= want)
        return;
    rlim_t fit = lim.rlim_cur > own ? (lim.rlim_cur - own) / ports : 0;
    s->cfg->max_connections = fit > LEAST ? (int64_t)fit : LEAST;
    srv_log(s->env.log, SRV_WARNING,
            "max_connections is %lld: no more descriptors are allowed (%llu)",
            (long long)s->cfg->max_connections, (unsigned long long)lim.rlim_cur);
}

static int choose_cpu(struct srv *s, char *err, size_t errlen)
{
    uint32_t allowed;
    srv_quota_read(&s->quota, "");
    s->env.workers = s->cfg->workers ? (int)s->cfg->workers : s->quota.workers;
    if (eng_cpu_parse(&allowed, s->cfg->isa) < 0) {
        snprintf(err, errlen, "isa = %s is not known", s->cfg->isa);
        return -EINVAL;
    }
    s->env.cpu_bits = eng_cpu_detect() & allowed;
    srv_log(s->env.log, SRV_INFO, "%d workers (%d CPUs, quota %s %.2f), instruction set %s",
            s->env.workers, s->quota.affinity, s->quota.version, s->quota.limit,
            eng_cpu_name(s->env.cpu_bits));
    return 0;
}

/* An assumption that may be wrong is to be seen before its answers are. */
static const char *scores_of(const struct eng_model_info *m)
{
    return strcmp(m->activation_from, "default") == 0 ? "softmax, assumed"
                                                      : eng_activation_name(m->activation);
}

static void log_models(struct srv *s, const struct srv_registry *r)
{
    for (int i = 0; i < r->n; i++) {
        const struct eng_model_info *m = r->models[i]->info;
        srv_log(
            s->env.log, SRV_INFO,
            "model %s/%s: %s %s %dx%d, %.0f M mult-adds, kernels %s, %.3f ms on one core, "
            "batches up to %d, %s%s%s",
            m->name, m->version, m->format, m->precision, m->preprocess.width, m->preprocess.height,
            (double)m->mult_adds / 1e6, m->isa, r->models[i]->run_ns / 1e6,
            r->models[i]->batch_limit,
            m->no_classes[0] ? "no classifier" : "scores: ", m->no_classes[0] ? "" : scores_of(m),
            r->models[i] == r->fallback ? " (default)" : "");
    }
    for (int i = 0; i < r->n_failures; i++)
        srv_log(s->env.log, SRV_ERROR, "model %s/%s: %s", r->failures[i].name,
                r->failures[i].version, r->failures[i].error);
}

static int load_models(struct srv *s, char *err, size_t errlen)
{
    struct srv_registry_options options;
    s->models_dir = strdup(srv_models_dir(s->cfg->models));
    if (!s->models_dir) {
        snprintf(err, errlen, "out of memory");
        return -ENOMEM;
    }
    s->env.models_dir = s->models_dir;
    srv_watch_begin(s);
    srv_registry_options_of(&options, s, s->cfg);
    struct srv_registry *r;
    int rc = srv_registry_load(&r, &options, NULL, err, errlen);
    if (rc < 0)
        return rc;
    log_models(s, r);
    rc = srv_scheduler_init(&s->sched, &s->env, r, on_answered, s);
    if (rc < 0)
        snprintf(err, errlen, "event loop: %s", uv_strerror(rc));
    return rc;
}

void srv_hold_reloads(void)
{
    sigset_t hup;
    sigemptyset(&hup);
    sigaddset(&hup, SIGHUP);
    sigprocmask(SIG_BLOCK, &hup, NULL);
}

static int take_signal(struct srv *s, uv_signal_t *h, int number)
{
    int rc = uv_signal_init(&s->env.loop, h);
    h->data = s;
    return rc < 0 ? rc : uv_signal_start(h, on_signal, number);
}

/* Before anything that takes time: until the loop runs, the signal waits in libuv's pipe. Threads
 * inherit the mask, so it is opened before there are any. */
static int take_reloads(struct srv *s, char *err, size_t errlen)
{
    sigset_t hup;
    int rc = take_signal(s, &s->signals[0], SIGHUP);
    sigemptyset(&hup);
    sigaddset(&hup, SIGHUP);
    sigprocmask(SIG_UNBLOCK, &hup, NULL);
    if (rc < 0)
        snprintf(err, errlen, "SIGHUP: %s", uv_strerror(rc));
    return rc;
}

static int start_handles(struct srv *s, char *err, size_t errlen)
{
    int rc = take_signal(s, &s->signals[1], SIGTERM);
    uv_timer_init(&s->env.loop, &s->drain_timer);
    if (rc == 0)
        rc = take_signal(s, &s->signals[2], SIGINT);
    uv_timer_init(&s->env.loop, &s->watchdog);
    s->watchdog.data = s;
    if (s->systemd.watchdog_ms > 1) /* twice as often as is asked, as its manual says */
        uv_timer_start(&s->watchdog, on_watchdog, 0, s->systemd.watchdog_ms / 2);
    if (rc == 0)
        rc = srv_reload_init(s);
    if (rc == 0)
        srv_watch_init(s);
    else
        snprintf(err, errlen, "event loop: %s", uv_strerror(rc));
    return rc;
}

static int start(struct srv *s, char *err, size_t errlen)
{
    const char(*bound)[128] = s->bound.names;
    signal(SIGPIPE, SIG_IGN);
    /* Bodies come and go: their pages stay, or the loop would spend its time on faulting them in.
     * Larger blocks go back at once; left to itself, malloc raises that size up to 32 MB, and one
     * giant picture stays resident for ever. */
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    mallopt(M_TOP_PAD, 1 << 20);
    int rc = srv_log_create(&s->env.log, STDERR_FILENO);
    if (rc < 0) {
        snprintf(err, errlen, "the log cannot start: %s", strerror(-rc));
        return rc;
    }
    s->api.log_level = s->cfg->log_level;
    srv_log_configure(s->env.log, s->api.log_level, s->cfg->log_format);
    fit_connections(s);
    rc = take_reloads(s, err, errlen);
    if (rc == 0)
        rc = srv_systemd_init(&s->systemd, err, errlen);
    if (rc == 0)
        rc = srv_transport_bind(&s->transport, s->systemd.fds, &s->bound, err, errlen);
    if (rc == 0)
        rc = choose_cpu(s, err, errlen);
    if (rc == 0)
        rc = srv_keys_load(&s->api.keys, s->cfg->api_keys, err, errlen);
    if (rc == 0)
        rc = srv_tls_load(&s->transport.tls, s->cfg->tls_cert, s->cfg->tls_key,
                          s->cfg->tls_client_ca, err, errlen);
    if (rc == 0)
        rc = load_models(s, err, errlen);
    if (rc == 0)
        rc = start_handles(s, err, errlen);
    if (rc == 0)
        rc = srv_tune_open(s, err, errlen);
    if (rc == 0)
        rc = srv_sandbox_files(s, err, errlen);
    if (rc == 0)
        rc = srv_scheduler_start(&s->sched, err, errlen);
    if (rc == 0)
        rc = srv_transport_start(&s->transport, err, errlen);
    srv_priority_loop();
    if (rc == 0)
        rc = srv_sandbox_calls(s, err, errlen);
    if (rc == 0)
        srv_systemd_notify(&s->systemd, "READY=1");
    if (rc == 0)
        srv_tune_models(s);
    if (rc == 0)
        srv_log(s->env.log, SRV_INFO, "ready: http %s, grpc %s, admin %s, default model %s%s",
                bound[SRV_PORT_HTTP], bound[SRV_PORT_GRPC], bound[SRV_PORT_ADMIN],
                s->sched.registry->default_name,
                s->cfg->default_model[0] ? "" : " (the first; option default_model sets it)");
    return rc;
}

/* ---- end ---- */

static void close_handle(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

static void stop(struct srv *s)
{
    srv_transport_stop(&s->transport);
    srv_reload_finish(s);
    srv_tune_finish(s);
    srv_scheduler_stop(&s->sched);
    uv_walk(&s->env.loop, close_handle, NULL);
    uv_run(&s->env.loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->env.loop);
    srv_transport_finish(&s->transport);
    srv_scheduler_finish(&s->sched);
    srv_api_finish(&s->api);
    if (s->env.log)
        srv_log(s->env.log, SRV_INFO, "stopped");
    srv_systemd_finish(&s->systemd);
    srv_log_destroy(s->env.log);
    cfg_destroy(s->cfg);
    free(s->models_dir);
    free(s);
}

int srv_serve(struct cfg *cfg_take, const struct cfg_sources *sources, char *err, size_t errlen)
{
    struct srv *s = calloc(1, sizeof(*s));
    if (!s) {
        cfg_destroy(cfg_take);
        snprintf(err, errlen, "out of memory");
        return -ENOMEM;
    }
    s->cfg = cfg_take;
    s->env.cfg = cfg_take;
    srv_api_init(&s->api, &s->env, &s->sched);
    srv_transport_init(&s->transport, &s->env, &s->api);
    s->sources = sources;
    s->systemd.notify_fd = -1;
    s->tune.fd = -1;
    int rc = uv_loop_init(&s->env.loop);
    if (rc < 0) {
        cfg_destroy(cfg_take);
        free(s);
        snprintf(err, errlen, "event loop: %s", uv_strerror(rc));
        return rc;
    }
    rc = srv_turns_init(&s->env.turns, &s->env.loop);
    if (rc < 0)
        snprintf(err, errlen, "event loop: %s", uv_strerror(rc));
    else
        rc = start(s, err, errlen);
    if (rc == 0)
        uv_run(&s->env.loop, UV_RUN_DEFAULT);
    stop(s);
    return rc < 0 ? rc : 0;
}
