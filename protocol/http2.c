/* The one file that knows nghttp2 (1.52: no calls of later versions). It never sends or receives
 * from within its callbacks; owners act by submitting, which is allowed there. */
#include "protocol/http2.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "protocol/http2_calm.h"
#include "protocol/http2_frames.h"

enum {
    RESETS_BURST = 1000, /* streams reset by the client */
    RESETS_A_SECOND = 100,
    SETTINGS_MAX = 32, /* entries of a frame */
    ACKS_MAX = 1000,   /* waiting to be sent */
    CONTINUATIONS_MAX = 8,
    LISTS_MAX = 8, /* times the longest header list: what is longer is decoded no further */
};

struct chunk {
    struct chunk *next;
    unsigned char head[PROTO_H2_HEAD_MAX];
    size_t head_len, len, at; /* at counts over head and body */
    char *body;
};

struct proto_h2_private {
    struct proto_h2_stream pub;
    struct proto_h2 *h;
    struct proto_h2_private *next, *prev;
    char *headers; /* name, NUL, value, NUL, and so on */
    size_t headers_len, headers_room;
    struct chunk *out, **out_tail;
    int responded, finished, opened;
    nghttp2_nv trailers[PROTO_H2_FIELDS_MAX];
    int n_trailers;
};

struct proto_h2 {
    nghttp2_session *session;
    struct proto_h2_limits limits;
    const struct proto_h2_events *events;
    void *arg;
    struct proto_h2_private *streams;
    int n_streams;
    struct proto_h2_calm calm;
    struct proto_h2_frames frames;
    uint64_t seen; /* frames that the session told of, or that were charged because it did not */
    int failed;
};

/* ---- streams ---- */

static struct proto_h2_private *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static struct proto_h2_private *add_stream(struct proto_h2 *h, int32_t id)
{
    struct proto_h2_private *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->pub.id = id;
    s->pub.priv = s;
    s->h = h;
    s->out_tail = &s->out;
    s->next = h->streams;
    if (s->next)
        s->next->prev = s;
    h->streams = s;
    h->n_streams++;
    return s;
}

static void free_chunk(struct chunk *c)
{
    free(c->body);
    free(c);
}

static void free_trailers(struct proto_h2_private *s)
{
    for (int i = 0; i < s->n_trailers; i++) {
        free(s->trailers[i].name);
        free(s->trailers[i].value);
    }
    s->n_trailers = 0;
}

static void remove_stream(struct proto_h2_private *s, uint32_t error)
{
    struct proto_h2 *h = s->h;
    if (s->opened)
        h->events->closed(h->arg, &s->pub, error);
    if (s->prev)
        s->prev->next = s->next;
    else
        h->streams = s->next;
    if (s->next)
        s->next->prev = s->prev;
    h->n_streams--;
    while (s->out) {
        struct chunk *c = s->out;
        s->out = c->next;
        free_chunk(c);
    }
    free_trailers(s);
    free(s->headers);
    free(s);
}

/* ---- what comes in ---- */

/* What it costs us is no longer covered: the connection ends. */
static void tire(struct proto_h2 *h, int over)
{
    if (over)
        nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct proto_h2 *h = arg;
    proto_h2_calm_begin_list(&h->calm);
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct proto_h2_private *s = add_stream(h, frame->hd.stream_id);
    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, s);
    return 0;
}

static int put_header(struct proto_h2_private *s, const uint8_t *name, size_t name_len,
                      const uint8_t *value, size_t value_len)
{
    size_t need = s->headers_len + name_len + value_len + 2;
    if (need > s->headers_room) {
        size_t room = need < 512 ? 1024 : need * 2;
        char *grown = realloc(s->headers, room);
        if (!grown)
            return -ENOMEM;
        s->headers = grown;
        s->headers_room = room;
    }
    char *to = s->headers + s->headers_len;
    memcpy(to, name, name_len);
    to[name_len] = 0;
    memcpy(to + name_len + 1, value, value_len);
    to[name_len + 1 + value_len] = 0;
    s->headers_len = need;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    struct proto_h2 *h = arg;
    struct proto_h2_private *s = stream_of(session, frame->hd.stream_id);
    (void)flags;
    tire(h, proto_h2_calm_field(&h->calm, name_len + value_len));
    if (h->calm.list_bytes > (size_t)LISTS_MAX * h->limits.max_header_bytes) {
        tire(h, 1);
        return NGHTTP2_ERR_CALLBACK_FAILURE; /* not a field more is decoded */
    }
    if (!s || frame->headers.cat != NGHTTP2_HCAT_REQUEST || s->pub.headers_too_large)
        return 0; /* trailers of a request say nothing that we ask for */
    if (h->calm.list_bytes > h->limits.max_header_bytes) {
        s->pub.headers_too_large = 1;
        return 0;
    }
    return put_header(s, name, name_len, value, value_len) < 0
               ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
               : 0;
}

/* RFC 9113 8.3.1: two names of one server make a request that others may read otherwise. */
static int names_two_hosts(const struct proto_h2_private *s)
{
    const char *authority = proto_h2_header(&s->pub, ":authority");
    const char *host = proto_h2_header(&s->pub, "host");
    return authority && host && strcasecmp(authority, host) != 0;
}

static void request_frame(struct proto_h2 *h, const nghttp2_frame *frame)
{
    struct proto_h2_private *s = stream_of(h->session, frame->hd.stream_id);
    if (!s)
        return;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        if (names_two_hosts(s)) {
            proto_h2_reset(&s->pub, NGHTTP2_PROTOCOL_ERROR);
            return;
        }
        proto_h2_calm_request(&h->calm);
        s->opened = 1;
        h->events->open(h->arg, &s->pub);
    }
    if (!s->opened)
        return;
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        h->events->end(h->arg, &s->pub);
    else if (frame->hd.type == NGHTTP2_DATA)
        tire(h, proto_h2_calm_data_frame(&h->calm, frame->hd.length - frame->data.padlen));
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct proto_h2 *h = arg;
    (void)session;
    h->seen++;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        request_frame(h, frame);
        break;
    case NGHTTP2_PING:
    case NGHTTP2_SETTINGS:
        if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
            tire(h, proto_h2_calm_charge(&h->calm));
        break;
    default:
        tire(h, proto_h2_calm_charge(&h->calm));
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *arg)
{
    struct proto_h2 *h = arg;
    struct proto_h2_private *s = stream_of(session, id);
    (void)flags;
    nghttp2_session_consume_connection(session, len); /* one slow stream does not stop the rest */
    proto_h2_calm_data(&h->calm, len);
    if (s && s->opened)
        h->events->data(h->arg, &s->pub, data, len);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
    struct proto_h2_private *s = stream_of(session, id);
    (void)arg;
    if (!s)
        return 0;
    nghttp2_session_set_stream_user_data(session, id, NULL);
    remove_stream(s, error);
    return 0;
}

/* ---- what goes out ---- */

static size_t copy_out(struct proto_h2_private *s, uint8_t *to, size_t room)
{
    size_t n = 0;
    while (s->out && n < room) {
        struct chunk *c = s->out;
        int in_head = c->at < c->head_len;
        const void *from =
            in_head ? (const char *)c->head + c->at : c->body + (c->at - c->head_len);
        size_t left = (in_head ? c->head_len : c->head_len + c->len) - c->at;
        size_t part = left < room - n ? left : room - n;
        if (part)
            memcpy(to + n, from, part);
        n += part;
        c->at += part;
        if (c->at < c->head_len + c->len)
            continue;
        s->out = c->next;
        if (!s->out)
            s->out_tail = &s->out;
        free_chunk(c);
    }
    s->pub.unsent -= n;
    return n;
}

static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len,
                        uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct proto_h2_private *s = source->ptr;
    struct proto_h2 *h = arg;
    size_t n = copy_out(s, buf, len);
    if (n && !s->out && !s->finished)
        h->events->drained(h->arg, &s->pub); /* which may write more, or finish */
    if (!n && !s->finished)
        return NGHTTP2_ERR_DEFERRED;
    if (s->out || !s->finished)
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (s->n_trailers) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(session, id, s->trailers, (size_t)s->n_trailers) != 0)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return (ssize_t)n;
}

/* The library ends the streams whose windows a SETTINGS frame has made too large; RFC 9113 6.9.2
 * demands the end of the connection. */
static void sent_reset(struct proto_h2 *h, uint32_t error)
{
    if (error == NGHTTP2_FLOW_CONTROL_ERROR)
        nghttp2_session_terminate_session(h->session, NGHTTP2_FLOW_CONTROL_ERROR);
    else if (error != NGHTTP2_NO_ERROR)
        tire(h, proto_h2_calm_fault(&h->calm));
}

/* The answer is out and the client still sends: what it sends is of no use to anybody. */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    int32_t id = frame->hd.stream_id;
    if (frame->hd.type == NGHTTP2_RST_STREAM)
        sent_reset(arg, frame->rst_stream.error_code);
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        frame->hd.flags & NGHTTP2_FLAG_END_STREAM &&
        nghttp2_session_get_stream_remote_close(session, id) == 0)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
    return 0;
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

int proto_h2_respond(struct proto_h2_stream *pub, int status, const struct proto_h2_field *fields,
                     int n, int last)
{
    struct proto_h2_private *s = pub->priv;
    nghttp2_data_provider provider = {.source.ptr = s, .read_callback = read_out};
    nghttp2_nv all[PROTO_H2_FIELDS_MAX + 1];
    char digits[16];
    if (n > PROTO_H2_FIELDS_MAX)
        return -E2BIG;
    if (s->responded)
        return -EALREADY;
    snprintf(digits, sizeof(digits), "%d", status);
    all[0] = field(":status", digits);
    for (int i = 0; i < n; i++)
        all[1 + i] = field(fields[i].name, fields[i].value);
    s->responded = 1;
    s->finished |= last;
    return nghttp2_submit_response(s->h->session, pub->id, all, (size_t)n + 1,
                                   last ? NULL : &provider) == 0
               ? 0
               : -ENOMEM;
}

int proto_h2_write(struct proto_h2_stream *pub, const void *head, size_t head_len, void *body_take,
                   size_t len)
{
    struct proto_h2_private *s = pub->priv;
    struct chunk *c = s->finished || head_len > PROTO_H2_HEAD_MAX ? NULL : calloc(1, sizeof(*c));
    if (!c) {
        free(body_take);
        return -ENOMEM;
    }
    if (head_len)
        memcpy(c->head, head, head_len);
    c->head_len = head_len;
    c->body = body_take;
    c->len = len;
    *s->out_tail = c;
    s->out_tail = &c->next;
    pub->unsent += head_len + len;
    nghttp2_session_resume_data(s->h->session, pub->id);
    return 0;
}

int proto_h2_finish(struct proto_h2_stream *pub, const struct proto_h2_field *trailers, int n)
{
    struct proto_h2_private *s = pub->priv;
    if (n > PROTO_H2_FIELDS_MAX)
        return -E2BIG;
    if (s->finished)
        return -EALREADY;
    for (int i = 0; i < n; i++) {
        nghttp2_nv *t = &s->trailers[s->n_trailers++];
        *t = field(trailers[i].name, trailers[i].value);
        t->name = (uint8_t *)strdup(trailers[i].name);
        t->value = (uint8_t *)strdup(trailers[i].value);
        if (!t->name || !t->value) {
            free_trailers(s);
            return -ENOMEM;
        }
    }
    s->finished = 1;
    nghttp2_session_resume_data(s->h->session, pub->id);
    return 0;
}

void proto_h2_reset(struct proto_h2_stream *pub, uint32_t error)
{
    nghttp2_submit_rst_stream(pub->priv->h->session, NGHTTP2_FLAG_NONE, pub->id, error);
}

/* ---- the connection ---- */

static int make_session(struct proto_h2 *h)
{
    nghttp2_session_callbacks *c = NULL;
    nghttp2_option *o = NULL;
    int rc = nghttp2_session_callbacks_new(&c);
    if (rc == 0)
        rc = nghttp2_option_new(&o);
    if (rc == 0) {
        nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
        nghttp2_session_callbacks_set_on_header_callback(c, on_header);
        nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
        nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
        nghttp2_session_callbacks_set_on_frame_send_callback(c, on_sent);
        nghttp2_option_set_no_auto_window_update(o, 1);
        nghttp2_option_set_no_closed_streams(o, 1);
        nghttp2_option_set_max_outbound_ack(o, ACKS_MAX);
        nghttp2_option_set_max_settings(o, SETTINGS_MAX);
        nghttp2_option_set_max_continuations(o, CONTINUATIONS_MAX);
        nghttp2_option_set_stream_reset_rate_limit(o, RESETS_BURST, RESETS_A_SECOND);
        rc = nghttp2_session_server_new2(&h->session, c, h, o);
    }
    nghttp2_option_del(o);
    nghttp2_session_callbacks_del(c);
    return rc;
}

static int greet(struct proto_h2 *h)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h->limits.max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, h->limits.stream_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, h->limits.max_header_bytes},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    int rc = nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings,
                                     sizeof(settings) / sizeof(settings[0]));
    if (rc == 0)
        rc = nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                                   (int32_t)h->limits.connection_window);
    return rc;
}

int proto_h2_create(struct proto_h2 **ret, const struct proto_h2_limits *limits,
                    const struct proto_h2_events *events, void *arg)
{
    struct proto_h2 *h = calloc(1, sizeof(*h));
    if (!h)
        return -ENOMEM;
    *h = (struct proto_h2){.limits = *limits, .events = events, .arg = arg};
    proto_h2_frames_init(&h->frames);
    proto_h2_calm_init(&h->calm);
    if (make_session(h) != 0 || greet(h) != 0) {
        proto_h2_destroy(h);
        return -ENOMEM;
    }
    *ret = h;
    return 0;
}

void proto_h2_destroy(struct proto_h2 *h)
{
    if (!h)
        return;
    while (h->streams) {
        nghttp2_session_set_stream_user_data(h->session, h->streams->pub.id, NULL);
        remove_stream(h->streams, PROTO_H2_CANCEL);
    }
    nghttp2_session_del(h->session);
    free(h);
}

/* Frames of unknown types, on closed streams, CONTINUATION: all but the one that may be incomplete.
 */
static void charge_ignored(struct proto_h2 *h)
{
    for (; h->seen + 1 < h->frames.count; h->seen++)
        tire(h, proto_h2_calm_charge(&h->calm));
}

int proto_h2_feed(struct proto_h2 *h, const void *data, size_t len)
{
    if (h->failed)
        return h->failed;
    uint32_t error = NGHTTP2_NO_ERROR;
    size_t good = proto_h2_frames_check(&h->frames, data, len, &error);
    ssize_t n = nghttp2_session_mem_recv(h->session, data, good);
    if (n < 0)
        h->failed = n == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO;
    charge_ignored(h);
    tire(h, proto_h2_calm_blocks(&h->calm, h->frames.header_bytes));
    if (good == len || h->failed)
        return h->failed;
    nghttp2_session_terminate_session(h->session, error);
    h->failed = -EPROTO;
    return h->failed;
}

long proto_h2_take(struct proto_h2 *h, const void **ret)
{
    const uint8_t *data;
    ssize_t n = nghttp2_session_mem_send(h->session, &data);
    if (n < 0)
        return -ENOMEM;
    *ret = data;
    return (long)n;
}

int proto_h2_is_done(const struct proto_h2 *h)
{
    return !nghttp2_session_want_write(h->session) &&
           (h->failed || !nghttp2_session_want_read(h->session));
}

void proto_h2_tick(struct proto_h2 *h)
{
    proto_h2_calm_tick(&h->calm);
}

uint64_t proto_h2_unfinished(const struct proto_h2 *h)
{
    for (const struct proto_h2_private *s = h->streams; s; s = s->next)
        if (!s->opened)
            return (uint64_t)1 << 63 | (uint32_t)s->pub.id;
    return h->frames.skip || h->frames.head_len ? h->frames.count + 1 : 0;
}

int proto_h2_streams(const struct proto_h2 *h)
{
    return h->n_streams;
}

void proto_h2_announce_end(struct proto_h2 *h)
{
    nghttp2_submit_shutdown_notice(h->session);
}

void proto_h2_end(struct proto_h2 *h)
{
    nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR,
                          NULL, 0);
}

void proto_h2_ping(struct proto_h2 *h)
{
    nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
}

const char *proto_h2_header(const struct proto_h2_stream *pub, const char *name)
{
    const struct proto_h2_private *s = pub->priv;
    const char *p = s->headers, *end = p + s->headers_len;
    while (p < end) {
        const char *value = p + strlen(p) + 1;
        if (strcmp(p, name) == 0)
            return value;
        p = value + strlen(value) + 1;
    }
    return NULL;
}

void proto_h2_consume(struct proto_h2_stream *s, size_t n)
{
    nghttp2_session_consume_stream(s->priv->h->session, s->id, n);
}
