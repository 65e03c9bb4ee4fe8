/* Replies of our own image API. Built with jansson: a reply is a few hundred bytes and its cost is
 * nothing beside an inference. */
#include "protocol/reply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/buffer.h"
#include "protocol/json.h"

static void add_predictions(struct proto_json *w, json_t *to, const struct proto_result *r)
{
    json_t *list = proto_json_array(w);
    for (int i = 0; i < r->n_predictions && !w->failed; i++) {
        const struct proto_prediction *p = &r->predictions[i];
        json_t *one = proto_json_object(w);
        proto_json_add(w, one, "class", json_integer(p->class_number));
        proto_json_text(w, one, "label", p->label ? p->label : "");
        proto_json_float_member(w, one, "score", p->score);
        proto_json_add(w, list, NULL, one);
    }
    proto_json_add(w, to, "predictions", list);
}

static void add_embedding(struct proto_json *w, json_t *to, const struct proto_result *r)
{
    json_t *list = proto_json_array(w);
    for (int i = 0; i < r->n_embedding && !w->failed; i++)
        proto_json_float_member(w, list, NULL, r->embedding[i]);
    proto_json_add(w, to, "embedding", list);
}

static void add_tensor(struct proto_json *w, json_t *to, const struct proto_result *r)
{
    json_t *tensor = proto_json_object(w), *shape = proto_json_array(w);
    proto_json_text(w, tensor, "datatype", r->tensor_type);
    for (int i = 0; i < 4; i++)
        proto_json_add(w, shape, NULL, json_integer(r->tensor_shape[i]));
    proto_json_add(w, tensor, "shape", shape);
    proto_json_text(w, tensor, "sha256", r->tensor_sha256);
    proto_json_add(w, to, "tensor", tensor);
}

static void add_three(struct proto_json *w, json_t *to, const char *key, const float v[3])
{
    json_t *list = proto_json_array(w);
    for (int i = 0; i < 3; i++)
        proto_json_float_member(w, list, NULL, v[i]);
    proto_json_add(w, to, key, list);
}

static void add_preprocess(struct proto_json *w, json_t *to, const struct proto_preprocess *p)
{
    json_t *one = proto_json_object(w);
    proto_json_text(w, one, "resize", p->resize);
    proto_json_text(w, one, "filter", p->filter);
    proto_json_text(w, one, "channels", p->channels);
    add_three(w, one, "mean", p->mean);
    add_three(w, one, "scale", p->scale);
    proto_json_add(w, to, "preprocess", one);
}

static void add_timing(struct proto_json *w, json_t *to, const struct proto_result *r)
{
    json_t *timing = proto_json_object(w);
    proto_json_ms(w, timing, "queue", r->queue_ns);
    proto_json_ms(w, timing, "decode", r->decode_ns);
    proto_json_ms(w, timing, "preprocess", r->preprocess_ns);
    proto_json_ms(w, timing, "inference", r->inference_ns);
    proto_json_ms(w, timing, "total", r->total_ns);
    proto_json_add(w, to, "timing_ms", timing);
}

static void add_result(struct proto_json *w, json_t *to, const struct proto_result *r)
{
    if (r->status != 200) {
        proto_json_text(w, to, "error", r->error ? r->error : "");
        return;
    }
    proto_json_text(w, to, "model", r->model);
    proto_json_text(w, to, "version", r->version);
    proto_json_text(w, to, "variant", r->variant);
    if (r->degraded)
        proto_json_add(w, to, "degraded", json_true());
    if (r->orientation > 1)
        proto_json_add(w, to, "orientation", json_integer(r->orientation));
    if (r->truncated)
        proto_json_add(w, to, "truncated", json_true());
    if (r->embedding)
        add_embedding(w, to, r);
    else if (r->tensor_type)
        add_tensor(w, to, r);
    else
        add_predictions(w, to, r);
    if (r->preprocess)
        add_preprocess(w, to, r->preprocess);
    add_timing(w, to, r);
    if (r->batch > 0)
        proto_json_add(w, to, "batch", json_integer(r->batch));
}

char *proto_reply_one(const struct proto_result *r, size_t *ret_len)
{
    struct proto_json w = {0};
    json_t *root = proto_json_object(&w);
    add_result(&w, root, r);
    return proto_json_dump(&w, root, ret_len);
}

char *proto_reply_many(const struct proto_result *r, int n, size_t *ret_len)
{
    struct proto_json w = {0};
    json_t *root = proto_json_object(&w), *list = proto_json_array(&w);
    for (int i = 0; i < n && !w.failed; i++) {
        json_t *one = proto_json_object(&w);
        add_result(&w, one, &r[i]);
        proto_json_add(&w, one, "status", json_integer(r[i].status));
        proto_json_add(&w, list, NULL, one);
    }
    proto_json_add(&w, root, "results", list);
    return proto_json_dump(&w, root, ret_len);
}

char *proto_reply_lines(const struct proto_result *r, int n, size_t *ret_len)
{
    struct proto_buf b = {0};
    for (int i = 0; i < n && !b.failed; i++) {
        struct proto_json w = {0};
        json_t *one = proto_json_object(&w);
        size_t len = 0;
        add_result(&w, one, &r[i]);
        proto_json_add(&w, one, "status", json_integer(r[i].status));
        char *line = proto_json_dump(&w, one, &len);
        if (line && r[i].id.s) { /* as it stood: a number keeps its digits */
            proto_buf_text(&b, "{\"id\":");
            proto_buf_put(&b, r[i].id.s, r[i].id.len);
            proto_buf_text(&b, ",");
            proto_buf_put(&b, line + 1, len - 1);
        } else if (line) {
            proto_buf_put(&b, line, len);
        } else {
            b.failed = 1;
        }
        free(line);
    }
    return proto_buf_take(&b, ret_len);
}

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
