/* A version that cannot be loaded is not tried again until something changes. */
#include "server/watch.h"

#include "server/reload.h"
#include "server/repository/folder.h"
#include "server/srv.h"

void srv_watch_begin(struct srv *s)
{
    s->watch.served = s->watch.seen = srv_folder_stamp(s->models_dir);
}

static void on_time(uv_timer_t *t)
{
    struct srv *s = t->data;
    if (s->api.phase == SRV_SERVING)
        srv_reload_look(s);
}

void srv_watch_configure(struct srv *s)
{
    uint64_t ms = (uint64_t)s->cfg->watch_models_ms;
    if (ms == 0)
        uv_timer_stop(&s->watch.timer);
    else if (!uv_is_active((uv_handle_t *)&s->watch.timer) ||
             uv_timer_get_repeat(&s->watch.timer) != ms)
        uv_timer_start(&s->watch.timer, on_time, ms, ms);
}

void srv_watch_init(struct srv *s)
{
    uv_timer_init(&s->env.loop, &s->watch.timer);
    s->watch.timer.data = s;
    srv_watch_configure(s);
}

void srv_watch_seen(struct srv *s, uint64_t stamp)
{
    int settled = stamp == s->watch.seen;
    s->watch.seen = stamp;
    if (!settled || stamp == s->watch.served)
        return;
    s->watch.served = stamp;
    srv_log(s->env.log, SRV_INFO, "the model repository has changed");
    srv_reload_models(s);
}
