/* Start, serve, end: in this order, and the reverse. */
#include "server/loop.h"

#include "engine/engine.h"
#include "server/handlers/auth.h"
#include "server/scheduler/batch.h"
#include "server/scheduler/brownout.h"
#include "server/base/clock.h"
#include "server/drain.h"
#include "server/transport/http2_port.h"
#include "server/transport/http.h"
#include "server/repository/registry.h"
#include "server/scheduler/pool.h"
#include "server/base/priority.h"
#include "server/reload.h"
#include "server/scheduler/request.h"
#include "server/sandbox.h"
#include "server/srv.h"
#include "server/systemd.h"
#include "server/transport/tls.h"
#include "server/watch.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- callbacks ---- */

static void notify(void *arg) /* on a worker */
{
    struct srv *s = arg;
    srv_wake_send(&s->jobs_done);
}

static void on_jobs_done(void *arg)
{
    struct srv *s = arg;
    srv_req_tasks_back(srv_pool_collect_tasks(s->pool));
    srv_req_jobs_back(s, srv_pool_collect(s->pool));
    srv_req_jobs_back(s, srv_share_collect(s));
    srv_http_pump(s->http);
    srv_grpc_pump(s->grpc);
}

static void on_expiry(void *arg)
{
    struct srv *s = arg;
    uint64_t next;
    srv_req_jobs_expired(s, srv_pool_expire(s->pool, srv_now_ns(), &next));
    srv_req_jobs_back(s, srv_share_expire(s, srv_now_ns(), &next));
    srv_alarm_watch(&s->expiry, next);
    srv_http_pump(s->http);
    srv_grpc_pump(s->grpc);
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
    enum { OWN = 64, LEAST = 8 };
    struct rlimit lim;
    rlim_t ports = s->cfg->grpc[0] ? 2 : 1;
    if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
        return;
    rlim_t want = (rlim_t)s->cfg->max_connections * ports + OWN;
    if (lim.rlim_cur < want) {
        lim.rlim_cur = lim.rlim_max < want ? lim.rlim_max : want;
        setrlimit(RLIMIT_NOFILE, &lim);
        getrlimit(RLIMIT_NOFILE, &lim);
    }
    if (lim.rlim_cur >= want)
        return;
    rlim_t fit = lim.rlim_cur > OWN ? (lim.rlim_cur - OWN) / ports : 0;
    s->cfg->max_connections = fit > LEAST ? (int64_t)fit : LEAST;
    srv_log(s->log, SRV_WARNING, "max_connections is %lld: no more descriptors are allowed (%llu)",
            (long long)s->cfg->max_connections, (unsigned long long)lim.rlim_cur);
}

static int choose_cpu(struct srv *s, char *err, size_t errlen)
{
    uint32_t allowed;
    srv_quota_read(&s->quota, "");
    s->workers = s->cfg->workers ? (int)s->cfg->workers : s->quota.workers;
    srv_cost_init(&s->cost, s->workers);
    if (eng_cpu_parse(&allowed, s->cfg->isa) < 0) {
        snprintf(err, errlen, "isa = %s is not known", s->cfg->isa);
        return -EINVAL;
    }
    s->cpu_bits = eng_cpu_detect() & allowed;
    srv_log(s->log, SRV_INFO, "%d workers (%d CPUs, quota %s %.2f), instruction set %s", s->workers,
            s->quota.affinity, s->quota.version, s->quota.limit, eng_cpu_name(s->cpu_bits));
    return 0;
}

static int load_models(struct srv *s, char *err, size_t errlen)
{
    struct srv_registry_options options;
    s->models_dir = strdup(srv_models_dir(s->cfg->models));
    if (!s->models_dir) {
        snprintf(err, errlen, "out of memory");
        return -ENOMEM;
    }
    srv_watch_begin(s);
    srv_registry_options_of(&options, s, s->cfg);
    int rc = srv_registry_load(&s->registry, &options, NULL, err, errlen);
    if (rc < 0)
        return rc;
    for (int i = 0; i < s->registry->n; i++) {
        const struct eng_model_info *m = s->registry->models[i]->info;
        srv_log(s->log, SRV_INFO,
                "model %s/%s: %s %s %dx%d, %.0f M mult-adds, kernels %s, %.3f ms on one core, "
                "batches up to %d%s",
                m->name, m->version, m->format, m->precision, m->preprocess.width,
                m->preprocess.height, (double)m->mult_adds / 1e6, m->isa,
                s->registry->models[i]->run_ns / 1e6, s->registry->models[i]->batch_limit,
                s->registry->models[i] == s->registry->fallback ? " (default)" : "");
    }
    for (int i = 0; i < s->registry->n_failures; i++)
        srv_log(s->log, SRV_ERROR, "model %s/%s: %s", s->registry->failures[i].name,
                s->registry->failures[i].version, s->registry->failures[i].error);
    return 0;
}

static int start_pool(struct srv *s, char *err, size_t errlen)
{
    struct srv_pool_options options = {
        .workers = s->workers,
        .max_batch = (int)s->cfg->max_batch,
        .max_delay_ns = (uint64_t)s->cfg->max_delay_us * 1000,
        .cpu_bits = s->cpu_bits,
        .run = srv_batch_run,
        .notify = notify,
        .arg = s,
    };
    return srv_pool_create(&s->pool, &options, err, errlen);
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
    int rc = uv_signal_init(&s->loop, h);
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
    int rc = srv_wake_init(&s->jobs_done, &s->loop, on_jobs_done, s);
    srv_alarm_init(&s->expiry, &s->loop, on_expiry, s);
    uv_timer_init(&s->loop, &s->drain_timer);
    if (rc == 0)
        rc = take_signal(s, &s->signals[1], SIGTERM);
    if (rc == 0)
        rc = take_signal(s, &s->signals[2], SIGINT);
    uv_timer_init(&s->loop, &s->watchdog);
    s->watchdog.data = s;
    if (s->systemd.watchdog_ms > 1) /* twice as often as is asked, as its manual says */
        uv_timer_start(&s->watchdog, on_watchdog, 0, s->systemd.watchdog_ms / 2);
    if (rc == 0)
        rc = srv_reload_init(s);
    if (rc == 0)
        srv_watch_init(s);
    if (rc == 0)
        srv_share_init(s);
    if (rc == 0)
        srv_brownout_init(s);
    else
        snprintf(err, errlen, "event loop: %s", uv_strerror(rc));
    return rc;
}

static int start(struct srv *s, char *err, size_t errlen)
{
    char bound[128], grpc_bound[128] = "off";
    signal(SIGPIPE, SIG_IGN);
    /* Bodies come and go: their pages stay, or the loop would spend its time on faulting them in.
     * Larger blocks go back at once; left to itself, malloc raises that size up to 32 MB, and one
     * giant picture stays resident for ever. */
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    mallopt(M_TOP_PAD, 1 << 20);
    s->metrics.started_ns = s->counters.window_ns = srv_now_ns();
    int rc = srv_log_create(&s->log, STDERR_FILENO);
    if (rc < 0) {
        snprintf(err, errlen, "the log cannot start: %s", strerror(-rc));
        return rc;
    }
    s->log_level = s->cfg->log_level;
    srv_log_configure(s->log, s->log_level, s->cfg->log_format);
    fit_connections(s);
    rc = take_reloads(s, err, errlen);
    if (rc == 0)
        rc = srv_systemd_init(&s->systemd, err, errlen);
    if (rc == 0)
        rc = choose_cpu(s, err, errlen);
    if (rc == 0)
        rc = srv_keys_load(&s->keys, s->cfg->api_keys, err, errlen);
    if (rc == 0)
        rc = srv_tls_load(&s->tls, s->cfg->tls_cert, s->cfg->tls_key, s->cfg->tls_client_ca, err,
                          errlen);
    if (rc == 0)
        rc = load_models(s, err, errlen);
    if (rc == 0)
        rc = start_handles(s, err, errlen);
    if (rc == 0)
        rc = srv_tune_open(s, err, errlen);
    if (rc == 0)
        rc = srv_sandbox_files(s, err, errlen);
    if (rc == 0)
        rc = start_pool(s, err, errlen);
    if (rc == 0)
        rc = srv_http_start(&s->http, s, bound, sizeof(bound), err, errlen);
    if (rc == 0 && s->cfg->grpc[0])
        rc = srv_grpc_start(&s->grpc, s, grpc_bound, sizeof(grpc_bound), err, errlen);
    srv_priority_loop();
    if (rc == 0)
        rc = srv_sandbox_calls(s, err, errlen);
    if (rc == 0)
        srv_systemd_notify(&s->systemd, "READY=1");
    if (rc == 0)
        srv_tune_models(s);
    if (rc == 0)
        srv_log(s->log, SRV_INFO, "ready: http %s, grpc %s, default model %s%s", bound, grpc_bound,
                s->registry->default_name,
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
    if (s->http)
        srv_http_stop(s->http);
    srv_grpc_stop(s->grpc);
    srv_reload_finish(s);
    srv_tune_finish(s);
    srv_pool_destroy(s->pool);
    uv_walk(&s->loop, close_handle, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->loop);
    srv_wake_finish(&s->jobs_done);
    srv_orders_finish(&s->orders);
    srv_http_destroy(s->http);
    srv_grpc_destroy(s->grpc);
    srv_share_finish(s);
    srv_registry_destroy(s->registry);
    srv_keys_destroy(s->keys);
    srv_tls_destroy(s->tls);
    if (s->log)
        srv_log(s->log, SRV_INFO, "stopped");
    srv_systemd_finish(&s->systemd);
    srv_log_destroy(s->log);
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
    s->sources = sources;
    s->systemd.notify_fd = -1;
    s->tune.fd = -1;
    int rc = uv_loop_init(&s->loop);
    if (rc < 0) {
        cfg_destroy(cfg_take);
        free(s);
        snprintf(err, errlen, "event loop: %s", uv_strerror(rc));
        return rc;
    }
    rc = start(s, err, errlen);
    if (rc == 0)
        uv_run(&s->loop, UV_RUN_DEFAULT);
    stop(s);
    return rc < 0 ? rc : 0;
}
