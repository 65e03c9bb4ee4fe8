/* Two buffers: callers fill one while the thread writes the other. */
#include "server/base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config/utf8.h"

enum { ROOM = 256 << 10, LINE = 2048, LAST_WORDS_S = 1 };

struct srv_log {
    int fd;
    atomic_int level, json;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    int stop;
    char *filling, *writing;
    size_t n;
    uint64_t dropped;
};

static const char *const level_names[] = {"debug", "info", "warning", "error"};

/* How many lines nobody got: the disk is full, or the reader has gone. */
static uint64_t write_all(int fd, const char *p, size_t n)
{
    uint64_t lost = 0;
    while (n > 0) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EAGAIN) { /* somebody made our standard error non-blocking */
            struct pollfd f = {.fd = fd, .events = POLLOUT};
            poll(&f, 1, -1);
            continue;
        }
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            break;
        p += k;
        n -= (size_t)k;
    }
    for (; n > 0; n--)
        lost += *p++ == '\n';
    return lost;
}

static void *writer(void *arg)
{
    struct srv_log *l = arg;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (l->n == 0 && !l->stop)
            pthread_cond_wait(&l->more, &l->lock);
        if (l->n == 0)
            break;
        char *full = l->filling;
        size_t n = l->n;
        l->filling = l->writing;
        l->writing = full;
        l->n = 0;
        pthread_mutex_unlock(&l->lock);
        uint64_t lost = write_all(l->fd, full, n);
        pthread_mutex_lock(&l->lock);
        l->dropped += lost;
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

int srv_log_create(struct srv_log **ret, int fd)
{
    struct srv_log *l = calloc(1, sizeof(*l));
    int rc = -ENOMEM;
    if (!l)
        return rc;
    l->fd = fd;
    atomic_init(&l->level, SRV_INFO);
    atomic_init(&l->json, 0);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->more, NULL);
    l->filling = malloc(ROOM);
    l->writing = malloc(ROOM);
    if (l->filling && l->writing) {
        sigset_t all, old;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        rc = -pthread_create(&l->thread, NULL, writer, l);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    if (rc < 0) {
        free(l->filling);
        free(l->writing);
        free(l);
        return rc;
    }
    *ret = l;
    return 0;
}

void srv_log_destroy(struct srv_log *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = 1;
    pthread_cond_signal(&l->more);
    pthread_mutex_unlock(&l->lock);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LAST_WORDS_S;
    if (pthread_timedjoin_np(l->thread, NULL, &until) != 0) {
        pthread_detach(l->thread); /* nobody reads: it keeps its buffers until the process ends */
        return;
    }
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->more);
    free(l->filling);
    free(l->writing);
    free(l);
}

void srv_log_configure(struct srv_log *l, const char *level, const char *format)
{
    for (int i = 0; i <= SRV_ERROR; i++)
        if (strcmp(level, level_names[i]) == 0)
            atomic_store(&l->level, i);
    atomic_store(&l->json, strcmp(format, "json") == 0);
}

uint64_t srv_log_dropped(struct srv_log *l)
{
    pthread_mutex_lock(&l->lock);
    uint64_t n = l->dropped;
    pthread_mutex_unlock(&l->lock);
    return n;
}

/* ---- lines ---- */

struct line {
    char text[LINE];
    size_t n;
    int json;
};

static void put(struct line *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct line *out, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    size_t room = sizeof(out->text) - 3 - out->n; /* closing brace and newline always fit */
    int k = vsnprintf(out->text + out->n, room, fmt, ap);
    va_end(ap);
    if (k > 0)
        out->n += (size_t)k < room ? (size_t)k : room - 1;
}

/* One valid character of n bytes. U+0080 to U+009F steer terminals like those below a blank. */
static void put_character(struct line *out, const char *s, size_t n)
{
    unsigned char c = (unsigned char)*s, second = (unsigned char)s[n > 1];
    if (c == '"' || c == '\\')
        put(out, "\\%c", c);
    else if (c < 0x20 || c == 0x7f || (c == 0xc2 && second < 0xa0))
        put(out, "\\u%04x", second);
    else
        put(out, "%.*s", (int)n, s);
}

static void put_json(struct line *out, const char *s, size_t most)
{
    while (*s && out->n < most) {
        const char *end = s + cfg_utf8_valid(s, strlen(s));
        while (s < end && out->n < most) {
            unsigned char c = (unsigned char)*s;
            size_t n = c < 0x80 ? 1 : (size_t)2 + (c >= 0xe0) + (c >= 0xf0);
            put_character(out, s, n);
            s += n;
        }
        if (s == end && *s) {
            put(out, "\\ufffd");
            s++;
        }
    }
}

/* What clients send must not break the line or the terminal that shows it, nor fill it: it ends
 * where the line is `most` long. */
static void put_escaped(struct line *out, const char *s, size_t most)
{
    if (out->json) {
        put_json(out, s, most);
        return;
    }
    for (; *s && out->n < most; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            put(out, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            put(out, "\\x%02x", c);
        else
            put(out, "%c", c);
    }
}

static void put_up_to(struct line *out, const char *key, const char *value, size_t most)
{
    if (!value)
        return;
    put(out, out->json ? ",\"%s\":\"" : " %s=\"", key);
    put_escaped(out, value, most);
    put(out, "\"");
}

static void put_string(struct line *out, const char *key, const char *value)
{
    put_up_to(out, key, value, LINE / 2);
}

static void put_number(struct line *out, const char *key, uint64_t value)
{
    put(out, out->json ? ",\"%s\":%llu" : " %s=%llu", key, (unsigned long long)value);
}

static void put_ms(struct line *out, const char *key, uint64_t ns)
{
    put(out, out->json ? ",\"%s_ms\":%.3f" : " %s_ms=%.3f", key, (double)ns / 1e6);
}

static void start_line(struct srv_log *l, struct line *out, enum srv_log_level level)
{
    struct timespec t;
    struct tm tm;
    char stamp[32];
    out->n = 0;
    out->json = atomic_load_explicit(&l->json, memory_order_relaxed);
    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &tm);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
    put(out, out->json ? "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\"" : "%s.%03ldZ %s", stamp,
        t.tv_nsec / 1000000, level_names[level]);
}

static void end_line(struct srv_log *l, struct line *out)
{
    if (out->json)
        out->text[out->n++] = '}';
    out->text[out->n++] = '\n';
    pthread_mutex_lock(&l->lock);
    if (l->n + out->n > ROOM) {
        l->dropped++;
    } else {
        if (l->n == 0)
            pthread_cond_signal(&l->more);
        memcpy(l->filling + l->n, out->text, out->n);
        l->n += out->n;
    }
    pthread_mutex_unlock(&l->lock);
}

void srv_log(struct srv_log *l, enum srv_log_level level, const char *fmt, ...)
{
    if ((int)level < atomic_load_explicit(&l->level, memory_order_relaxed))
        return;
    char message[LINE / 2];
    struct line out;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    start_line(l, &out, level);
    if (out.json)
        put_string(&out, "message", message);
    else {
        put(&out, " ");
        put_escaped(&out, message, LINE / 2);
    }
    end_line(l, &out);
}

void srv_log_request(struct srv_log *l, const struct srv_log_request *r)
{
    if (atomic_load_explicit(&l->level, memory_order_relaxed) > SRV_INFO)
        return;
    struct line out;
    start_line(l, &out, SRV_INFO);
    if (out.json)
        put_string(&out, "message", "request");
    else
        put(&out, " request");
    put_string(&out, "id", r->id);
    put_string(&out, "trace", r->trace);
    put_string(&out, "client", r->client);
    put_string(&out, "key", r->key);
    put_string(&out, "method", r->method);
    put_string(&out, "path", r->path);
    put_number(&out, "status", (uint64_t)r->status);
    put_string(&out, "reason", r->reason);
    put_number(&out, "bytes", r->bytes);
    if (r->model) {
        put_string(&out, "model", r->model);
        put_string(&out, "variant", r->variant);
        put_number(&out, "images", (uint64_t)r->images);
        put_number(&out, "batch", (uint64_t)r->batch);
        put_ms(&out, "queue", r->queue_ns);
        put_ms(&out, "decode", r->decode_ns);
        put_ms(&out, "preprocess", r->preprocess_ns);
        put_ms(&out, "inference", r->inference_ns);
    }
    put_ms(&out, "total", r->total_ns);
    put_up_to(&out, "error", r->error, LINE - 16); /* behind a long path, too */
    end_line(l, &out);
}
