/* Replies of our own image API. Results are written as text; what is asked now and then is built
 * with jansson. */
#include "protocol/reply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/buffer.h"
#include "protocol/json.h"

/* ---- results ---- */

void proto_reply_put_prediction(struct proto_buf *b, const struct proto_prediction *p)
{
    proto_buf_next(b);
    proto_buf_text(b, "{\"class\":");
    proto_buf_int(b, p->class_number);
    proto_buf_text(b, ",\"label\":");
    proto_buf_quoted(b, p->label ? p->label : "");
    proto_buf_text(b, ",\"score\":");
    proto_buf_float(b, p->score);
    proto_buf_text(b, "}");
}

/* Milliseconds with up to three decimals, one at least. */
static void put_ms(struct proto_buf *b, const char *key, uint64_t ns)
{
    char digits[32];
    uint64_t us = ns / 1000 + (ns % 1000 >= 500);
    int n = snprintf(digits, sizeof(digits), "%llu.%03llu", (unsigned long long)us / 1000,
                     (unsigned long long)us % 1000);
    while (digits[n - 1] == '0' && digits[n - 2] != '.')
        n--;
    proto_buf_key(b, key);
    proto_buf_put(b, digits, (size_t)n);
}

static void put_text(struct proto_buf *b, const char *key, const char *value)
{
    proto_buf_key(b, key);
    proto_buf_quoted(b, value);
}

static void put_int(struct proto_buf *b, const char *key, int64_t value)
{
    proto_buf_key(b, key);
    proto_buf_int(b, value);
}

static void put_flag(struct proto_buf *b, const char *key)
{
    proto_buf_key(b, key);
    proto_buf_text(b, "true");
}

static void put_timing(struct proto_buf *b, const struct proto_result *r)
{
    proto_buf_key(b, "timing_ms");
    proto_buf_text(b, "{");
    put_ms(b, "queue", r->queue_ns);
    put_ms(b, "decode", r->decode_ns);
    put_ms(b, "preprocess", r->preprocess_ns);
    put_ms(b, "inference", r->inference_ns);
    put_ms(b, "total", r->total_ns);
    proto_buf_text(b, "}");
}

/* The members of a result's object. */
static void put_result(struct proto_buf *b, const struct proto_result *r)
{
    if (r->status != 200) {
        put_text(b, "error", r->error ? r->error : "");
        return;
    }
    put_text(b, "model", r->model);
    put_text(b, "version", r->version);
    put_text(b, "variant", r->variant);
    if (r->degraded)
        put_flag(b, "degraded");
    if (r->orientation > 1)
        put_int(b, "orientation", r->orientation);
    if (r->truncated)
        put_flag(b, "truncated");
    if (r->members.len > 0) {
        proto_buf_next(b);
        proto_buf_put(b, r->members.s, r->members.len);
    }
    put_timing(b, r);
    if (r->batch > 0)
        put_int(b, "batch", r->batch);
}

char *proto_reply_one(const struct proto_result *r, size_t *ret_len)
{
    struct proto_buf b = {0};
    proto_buf_text(&b, "{");
    put_result(&b, r);
    proto_buf_text(&b, "}\n");
    return proto_buf_take(&b, ret_len);
}

char *proto_reply_many(const struct proto_result *r, int n, size_t *ret_len)
{
    struct proto_buf b = {0};
    proto_buf_text(&b, "{\"results\":[");
    for (int i = 0; i < n; i++) {
        proto_buf_next(&b);
        proto_buf_text(&b, "{");
        put_result(&b, &r[i]);
        put_int(&b, "status", r[i].status);
        proto_buf_text(&b, "}");
    }
    proto_buf_text(&b, "]}\n");
    return proto_buf_take(&b, ret_len);
}

char *proto_reply_lines(const struct proto_result *r, int n, size_t *ret_len)
{
    struct proto_buf b = {0};
    for (int i = 0; i < n; i++) {
        proto_buf_text(&b, "{");
        if (r[i].id.s) { /* as it stood: a number keeps its digits */
            proto_buf_key(&b, "id");
            proto_buf_put(&b, r[i].id.s, r[i].id.len);
        }
        put_result(&b, &r[i]);
        put_int(&b, "status", r[i].status);
        proto_buf_text(&b, "}\n");
    }
    return proto_buf_take(&b, ret_len);
}

/* ---- the others ---- */

char *proto_reply_error(const char *sentence, size_t *ret_len)
{
    struct proto_json w = {0};
    json_t *root = proto_json_object(&w);
    proto_json_text(&w, root, "error", sentence);
    return proto_json_dump(&w, root, ret_len);
}

static json_t *model_object(struct proto_json *w, const struct proto_model *m)
{
    json_t *one = proto_json_object(w), *input = proto_json_object(w);
    proto_json_text(w, one, "name", m->name);
    proto_json_text(w, one, "version", m->version);
    proto_json_text(w, one, "family", m->family);
    proto_json_text(w, one, "variant", m->variant);
    proto_json_text(w, one, "state", m->state);
    proto_json_add(w, one, "default", json_boolean(m->is_default));
    proto_json_text(w, one, "task", m->task);
    proto_json_text(w, one, "format", m->format);
    proto_json_text(w, one, "precision", m->precision);
    proto_json_add(w, input, "height", json_integer(m->input_height));
    proto_json_add(w, input, "width", json_integer(m->input_width));
    proto_json_add(w, one, "input", input);
    proto_json_add(w, one, "classes", json_integer(m->classes));
    proto_json_int(w, one, "mult_adds", m->mult_adds);
    proto_json_int(w, one, "parameters", m->parameters);
    proto_json_text(w, one, "licence", m->licence);
    return one;
}

char *proto_reply_models(const struct proto_model *m, int n, size_t *ret_len)
{
    struct proto_json w = {0};
    json_t *root = proto_json_object(&w), *list = proto_json_array(&w);
    for (int i = 0; i < n && !w.failed; i++)
        proto_json_add(&w, list, NULL, model_object(&w, &m[i]));
    proto_json_add(&w, root, "models", list);
    return proto_json_dump(&w, root, ret_len);
}

char *proto_reply_taught(const struct proto_taught *t, size_t *ret_len)
{
    struct proto_json w = {0};
    json_t *root = proto_json_object(&w), *list = proto_json_array(&w);
    json_t *held_out = proto_json_object(&w);
    proto_json_text(&w, root, "model", t->model);
    proto_json_text(&w, root, "version", t->version);
    for (int i = 0; i < t->n_classes && !w.failed; i++)
        proto_json_text(&w, list, NULL, t->classes[i]);
    proto_json_add(&w, root, "classes", list);
    proto_json_add(&w, root, "images", json_integer(t->images));
    proto_json_add(&w, held_out, "images", json_integer(t->held_out));
    proto_json_add(&w, held_out, "right", json_integer(t->right));
    proto_json_add(&w, root, "held_out", held_out);
    return proto_json_dump(&w, root, ret_len);
}

static int is_quotable(const char *s)
{
    for (; *s; s++)
        if (*s < ' ' || *s > '~' || *s == '"' || *s == '\\')
            return 0;
    return 1;
}

int proto_server_timing(const struct proto_result *r, char *buf, size_t len)
{
    int named = r->variant && r->variant[0] && is_quotable(r->variant);
    int n = snprintf(buf, len,
                     "queue;dur=%.3f, decode;dur=%.3f, preprocess;dur=%.3f, inference;dur=%.3f, "
                     "total;dur=%.3f%s%s%s%s",
                     proto_json_round_ms(r->queue_ns), proto_json_round_ms(r->decode_ns),
                     proto_json_round_ms(r->preprocess_ns), proto_json_round_ms(r->inference_ns),
                     proto_json_round_ms(r->total_ns), named ? ", variant;desc=\"" : "",
                     named ? r->variant : "", named ? "\"" : "", r->degraded ? ", degraded" : "");
    return n < 0 || (size_t)n >= len ? -ENOSPC : n;
}
