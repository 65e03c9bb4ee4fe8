/* The input tensor as jobs, one an image: spans of the body where the bytes can stay where they
 * are, else copies in the request's arena. Sizes are compared before anything is allocated, so what
 * a request makes us allocate is in proportion to its own length. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base64.h"
#include "server/handlers/api.h"
#include "server/handlers/infer.h"

static const char *model_name(const struct srv_infer *i)
{
    return i->req->model_name;
}

static int out_of_memory(struct srv_infer *i)
{
    srv_infer_fail(i, 503, "out of memory for the images");
    return -1;
}

static int bad(struct srv_infer *i, int rc, const char *err)
{
    if (rc == -ENOMEM)
        return out_of_memory(i);
    srv_infer_fail(i, 400, "%s", err);
    return -1;
}

static int check_batch(struct srv_infer *i, int64_t n)
{
    int most = i->max_images;
    if (n < 1)
        srv_infer_fail(i, 400, "the batch of input 'input' is empty for model '%s'", model_name(i));
    else if (n > most)
        srv_infer_fail(i, 400, "inference request batch-size must be <= %d for '%s'", most,
                       model_name(i));
    return i->status ? -1 : 0;
}

int srv_infer_make_inputs(struct srv_infer *i, int64_t n, enum srv_input_kind kind)
{
    i->inputs = srv_arena_alloc(&i->req->arena, (size_t)n * sizeof(*i->inputs));
    if (!i->inputs)
        return out_of_memory(i);
    i->n_inputs = (int)n;
    for (int k = 0; k < i->n_inputs; k++)
        i->inputs[k].kind = kind;
    return 0;
}

/* ---- numbers ---- */

static int unexpected_shape(struct srv_infer *i, const struct proto_input *in,
                            const struct eng_preprocess *p)
{
    char got[96] = "";
    size_t n = 0;
    for (int k = 0; k < in->n_dims && n < sizeof(got) - 1; k++)
        n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%lld", k ? "," : "",
                              (long long)in->shape[k]);
    srv_infer_fail(i, 400,
                   "unexpected shape for input 'input' for model '%s'. Expected [-1,%d,%d,3] or "
                   "[-1,3,%d,%d], got [%s]",
                   model_name(i), p->height, p->width, p->height, p->width, got);
    return -1;
}

/* 0: n,h,w,3; 1: n,3,h,w; -1: neither. */
static int layout(const struct proto_input *in, const struct eng_preprocess *p)
{
    const int64_t *s = in->shape;
    if (in->n_dims != 4)
        return -1;
    if (s[1] == p->height && s[2] == p->width && s[3] == 3)
        return 0;
    return s[1] == 3 && s[2] == p->height && s[3] == p->width ? 1 : -1;
}

/* Planes to triples; elements of `size` 1 or 4 bytes. */
static void interleave(const unsigned char *from, unsigned char *to, size_t pixels, size_t size)
{
    for (size_t c = 0; c < 3; c++)
        for (size_t k = 0; k < pixels; k++)
            memcpy(to + (k * 3 + c) * size, from + (c * pixels + k) * size, size);
}

/* The elements as they lie in memory: in the body if they are raw, else converted. */
static int elements_of(struct srv_infer *i, const struct proto_input *in, const unsigned char **ret)
{
    size_t size = proto_datatype_size(in->datatype), need = in->elements * size;
    char err[200];
    if (in->form == PROTO_FORM_RAW) {
        if (in->data.len != need) {
            srv_infer_fail(i, 400,
                           "unexpected total byte size %zu for input 'input', expecting %zu for "
                           "model '%s'",
                           in->data.len, need, model_name(i));
            return -1;
        }
        *ret = (const unsigned char *)in->data.s;
        return 0;
    }
    if (in->data.len < in->elements) { /* a number takes a byte at least, whatever the form */
        srv_infer_fail(i, 400, "unable to parse 'data': fewer than %zu elements for input 'input'",
                       in->elements);
        return -1;
    }
    void *to = srv_arena_alloc(&i->req->arena, need);
    if (!to)
        return out_of_memory(i);
    int rc = in->datatype == PROTO_FP32 ? proto_input_floats(in, to, err, sizeof(err))
                                        : proto_input_bytes(in, to, err, sizeof(err));
    if (rc < 0)
        return bad(i, rc, err);
    *ret = to;
    return 0;
}

static int read_numbers(struct srv_infer *i, const struct proto_input *in)
{
    const struct eng_preprocess *p = &i->req->model->info->preprocess;
    size_t size = proto_datatype_size(in->datatype);
    size_t pixels = (size_t)p->height * (size_t)p->width, one = pixels * 3 * size;
    const unsigned char *from;
    unsigned char *turned = NULL;
    int planes = layout(in, p);
    if (planes < 0)
        return unexpected_shape(i, in, p);
    if (check_batch(i, in->shape[0]) < 0 || elements_of(i, in, &from) < 0 ||
        srv_infer_make_inputs(i, in->shape[0],
                              in->datatype == PROTO_FP32 ? SRV_FLOATS : SRV_PIXELS) < 0)
        return -1;
    if (planes) {
        turned = srv_arena_alloc(&i->req->arena, one * (size_t)i->n_inputs);
        if (!turned)
            return out_of_memory(i);
    }
    for (int k = 0; k < i->n_inputs; k++) {
        const unsigned char *image = from + (size_t)k * one;
        if (planes)
            interleave(image, turned + (size_t)k * one, pixels, size);
        i->inputs[k].data = planes ? turned + (size_t)k * one : image;
        i->inputs[k].len = one;
    }
    return 0;
}

int srv_infer_put_numbers(struct srv_infer *i, int k, struct proto_span text)
{
    const struct eng_preprocess *p = &i->req->model->info->preprocess;
    const struct proto_input in = {
        .name = {"input", 5},
        .data = text,
        .datatype = srv_input_type(i->req->model),
        .elements = (size_t)p->height * (size_t)p->width * 3,
    };
    const unsigned char *from;
    if (elements_of(i, &in, &from) < 0)
        return -1;
    i->inputs[k] = (struct srv_input){
        .kind = in.datatype == PROTO_FP32 ? SRV_FLOATS : SRV_PIXELS,
        .data = from,
        .len = in.elements * proto_datatype_size(in.datatype),
    };
    return 0;
}

/* ---- pictures ---- */

int srv_infer_put_text(struct srv_infer *i, int k, struct proto_span text)
{
    const char *s = text.s;
    size_t len = text.len;
    int rc = proto_data_url(text.s, text.len, &s, &len);
    size_t room = proto_base64_decoded_max(len);
    void *to = rc == -EINVAL ? NULL : srv_arena_alloc(&i->req->arena, room);
    if (rc != -EINVAL && !to)
        return out_of_memory(i);
    long n = to ? proto_base64_decode(s, len, 1, to, room) : -1;
    if (n < 0) {
        srv_infer_fail(i, 400, "an element of input 'input' is not valid base64");
        return -1;
    }
    i->inputs[k] = (struct srv_input){SRV_IMAGE, to, (size_t)n};
    return 0;
}

/* One picture without the length that BYTES elements have in front. */
static int is_bare_picture(const struct proto_input *in)
{
    const unsigned char *s = (const unsigned char *)in->data.s;
    if (in->form != PROTO_FORM_RAW || in->elements != 1 || in->data.len < 4)
        return 0;
    size_t said = s[0] | (size_t)s[1] << 8 | (size_t)s[2] << 16 | (size_t)s[3] << 24;
    return said != in->data.len - 4 && eng_image_sniff(s, in->data.len) != ENG_IMAGE_UNKNOWN;
}

static int one_picture(struct srv_infer *i, struct proto_span bytes)
{
    if (srv_infer_make_inputs(i, 1, SRV_IMAGE) < 0)
        return -1;
    i->inputs[0].data = bytes.s;
    i->inputs[0].len = bytes.len;
    return 0;
}

static int read_pictures(struct srv_infer *i, const struct proto_input *in)
{
    char err[200];
    if (check_batch(i, (int64_t)in->elements) < 0)
        return -1;
    if (is_bare_picture(in))
        return one_picture(i, in->data);
    struct proto_item *items = srv_arena_alloc(&i->req->arena, in->elements * sizeof(*items));
    if (!items)
        return out_of_memory(i);
    int n = proto_input_items(in, items, (int)in->elements, err, sizeof(err));
    if (n == -E2BIG) {
        snprintf(err, sizeof(err), "input 'input': more elements than the shape's %zu",
                 in->elements);
        n = -EINVAL;
    }
    if (n < 0)
        return bad(i, n, err);
    if (srv_infer_make_inputs(i, n, SRV_IMAGE) < 0)
        return -1;
    for (int k = 0; k < n; k++) {
        i->inputs[k].data = items[k].data.s;
        i->inputs[k].len = items[k].data.len;
        if (items[k].is_json && srv_infer_put_text(i, k, items[k].data) < 0)
            return -1;
    }
    return 0;
}

/* ---- which of them ---- */

/* One tensor without a word about it. A picture whose length is by chance that of a tensor is told
 * from it by its header. */
static int read_raw(struct srv_infer *i, const struct proto_input *in)
{
    const struct eng_preprocess *p = &i->req->model->info->preprocess;
    size_t elements = (size_t)p->height * (size_t)p->width * 3;
    struct eng_image_info info;
    struct proto_input typed = *in;
    typed.n_dims = 4;
    typed.shape[0] = 1;
    typed.shape[1] = p->height;
    typed.shape[2] = p->width;
    typed.shape[3] = 3;
    typed.elements = elements;
    typed.datatype = in->data.len == elements                   ? PROTO_UINT8
                     : in->data.len == elements * sizeof(float) ? PROTO_FP32
                                                                : PROTO_NO_TYPE;
    if (typed.datatype == PROTO_NO_TYPE ||
        eng_image_probe(&info, in->data.s, in->data.len, NULL, NULL, 0) == 0)
        return one_picture(i, in->data);
    return read_numbers(i, &typed);
}

int srv_infer_read_inputs(struct srv_infer *i)
{
    const struct proto_input *in = &i->in.inputs[0];
    if (i->n_inputs > 0)
        return 0;
    if (i->in.n_inputs != 1) {
        srv_infer_fail(i, 400, "expected 1 inputs but got %d inputs for model '%s'", i->in.n_inputs,
                       model_name(i));
        return -1;
    }
    if (in->datatype == PROTO_NO_TYPE)
        return read_raw(i, in);
    if (!proto_span_is(in->name, "input")) {
        srv_infer_fail(i, 400, "unexpected inference input '%.*s' for model '%s'",
                       in->name.len > 64 ? 64 : (int)in->name.len, in->name.s, model_name(i));
        return -1;
    }
    if (in->datatype == PROTO_BYTES)
        return read_pictures(i, in);
    if (in->datatype == PROTO_FP32 || in->datatype == PROTO_UINT8)
        return read_numbers(i, in);
    srv_infer_fail(i, 400,
                   "unexpected datatype '%s' for input 'input' for model '%s', expecting FP32, "
                   "UINT8 or BYTES",
                   proto_datatype_name(in->datatype), model_name(i));
    return -1;
}
