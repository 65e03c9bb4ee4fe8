/* A daemon without its transport. */
#include "tests/unit/house.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/engine.h"
#include "server/base/clock.h"
#include "tests/unit/put_file.h"
#include "tests/unit/tflite_writer.h"

const unsigned char house_png[67] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48,
    0x44, 0x52, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00,
    0x00, 0x3a, 0x7e, 0x9b, 0x55, 0x00, 0x00, 0x00, 0x0a, 0x49, 0x44, 0x41, 0x54, 0x78,
    0x9c, 0x63, 0x68, 0x00, 0x00, 0x00, 0x82, 0x00, 0x81, 0x77, 0xcd, 0x72, 0xb6, 0x00,
    0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};

static void write_model(struct house *h)
{
    static _Alignas(64) uint8_t file[TFW_BYTES];
    struct tfw_model m;
    char path[96];
    tfw_sample(&m);
    size_t len = tfw_write(&m, file);
    snprintf(h->dir, sizeof(h->dir), "/tmp/mobilenetd-house-XXXXXX");
    assert_non_null(mkdtemp(h->dir));
    snprintf(path, sizeof(path), "%s/tiny", h->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/tiny/1", h->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    put_file(path, "model.tflite", file, len);
    put_file(path, "labels.txt", "red\ngreen\nblue\n", 15);
}

static void load_options(struct house *h, const char *flags)
{
    char text[256], err[256] = "", *argv[32], *rest = text;
    int argc = 0;
    snprintf(text, sizeof(text), "%s", flags);
    while (argc < 32 && (argv[argc] = strtok_r(rest, " ", &rest)))
        argc++;
    const struct cfg_sources sources = {.command = CFG_SERVE, .argc = argc, .argv = argv};
    if (cfg_load(&h->cfg, &sources, err, sizeof(err)) < 0)
        fail_msg("%s", err);
}

static void on_answered(void *arg)
{
    ((struct house *)arg)->pumped++;
}

void house_open(struct house *h, const char *flags)
{
    char err[512] = "";
    struct srv_registry *r = NULL;
    memset(h, 0, sizeof(*h));
    write_model(h);
    load_options(h, flags);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(null >= 0);
    assert_int_equal(srv_log_create(&h->env.log, null), 0);
    assert_int_equal(uv_loop_init(&h->env.loop), 0);
    h->env.cfg = h->cfg;
    h->env.models_dir = h->dir;
    h->env.workers = 2;
    h->env.cpu_bits = ENG_CPU_C;
    srv_api_init(&h->api, &h->env, &h->sched);
    h->api.log_level = h->cfg->log_level;
    const struct srv_registry_options options = {.dir = h->dir,
                                                 .default_model = "",
                                                 .cpu_bits = h->env.cpu_bits,
                                                 .max_batch = (int)h->cfg->max_batch,
                                                 .workers = h->env.workers};
    if (srv_registry_load(&r, &options, NULL, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    assert_int_equal(srv_scheduler_init(&h->sched, &h->env, r, on_answered, h), 0);
    if (srv_scheduler_start(&h->sched, err, sizeof(err)) < 0)
        fail_msg("%s", err);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void remove_model(const struct house *h)
{
    static const char *const names[] = {"/tiny/1/model.tflite", "/tiny/1/labels.txt", "/tiny/1",
                                        "/tiny", ""};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s%s", h->dir, names[i]);
        assert_int_equal(remove(path), 0);
    }
}

void house_close(struct house *h)
{
    srv_scheduler_stop(&h->sched);
    uv_walk(&h->env.loop, close_handle, NULL);
    uv_run(&h->env.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&h->env.loop), 0);
    assert_int_equal(h->api.calls_open, 0);
    assert_null(h->sched.requests);
    assert_int_equal(h->sched.budget.used, 0);
    assert_null(h->sched.budget.keys);
    srv_scheduler_finish(&h->sched);
    srv_api_finish(&h->api);
    srv_log_destroy(h->env.log);
    cfg_destroy(h->cfg);
    remove_model(h);
}

void house_wait(struct house *h, const int *what)
{
    while (!*what)
        uv_run(&h->env.loop, UV_RUN_ONCE);
}

/* ---- one exchange ---- */

static const char *header_of(const struct srv_call *c, const char *name)
{
    const struct visit *v = (const struct visit *)c;
    for (int i = 0; v->headers[i]; i += 2)
        if (strcasecmp(v->headers[i], name) == 0)
            return v->headers[i + 1];
    return NULL;
}

static void answered(struct srv_call *c)
{
    ((struct visit *)c)->answered++;
}

static void grew(struct srv_call *c)
{
    ((struct visit *)c)->grew++;
}

static const struct srv_call_ops ops = {header_of, answered, grew};

void visit_open(struct house *h, struct visit *v, const char *method, const char *target,
                const char *const *headers, int64_t declared)
{
    memset(v, 0, sizeof(*v));
    for (int i = 0; headers && headers[i]; i++)
        v->headers[i] = headers[i];
    srv_call_init(&v->call, &h->api, &ops);
    v->call.method = method;
    v->call.target = target;
    v->call.client = "test";
    v->call.port = h->port;
    v->call.started_ns = srv_now_ns();
    srv_call_start(&v->call);
    srv_call_open(&v->call, declared);
}

void visit_ask(struct house *h, struct visit *v, const char *method, const char *target,
               const char *const *headers, const void *body, size_t len)
{
    visit_open(h, v, method, target, headers, (int64_t)len);
    size_t half = len / 2;
    if (!v->call.reply.status && len > 0) {
        assert_int_equal(srv_call_body(&v->call, body, half), 0);
        assert_int_equal(srv_call_body(&v->call, (const char *)body + half, len - half), 0);
    }
    if (!v->call.reply.status)
        srv_call_finish(&v->call);
    if (v->call.pending)
        house_wait(h, &v->answered);
    assert_true(v->call.reply.status > 0);
}

int visit_says(const struct visit *v, const char *part)
{
    const struct srv_reply *r = &v->call.reply;
    return r->body && memmem(r->body, r->len, part, strlen(part)) != NULL;
}

const char *visit_header(const struct visit *v, const char *name)
{
    for (int i = 0; i < v->call.reply.n_headers; i++)
        if (strcasecmp(v->call.reply.headers[i].name, name) == 0)
            return v->call.reply.headers[i].value;
    return NULL;
}
