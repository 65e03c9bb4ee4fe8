/* A raw picture, multipart/form-data, JSON with base64, or NDJSON. Pictures stay where they lie in
 * the body; only base64 is decoded, into the arena. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "protocol/base64.h"
#include "protocol/multipart.h"
#include "protocol/ndjson.h"
#include "protocol/picture.h"
#include "protocol/query.h"
#include "server/handlers/images.h"
#include "server/handlers/outputs.h"
#include "server/handlers/parameters.h"
#include "server/handlers/tasks/task.h"

enum { FIELDS_MAX = 16 };

static void refuse(struct srv_images *im, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void refuse(struct srv_images *im, int status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(im->error, sizeof(im->error), fmt, ap);
    va_end(ap);
    im->status = status;
}

static void refuse_many(struct srv_images *im)
{
    refuse(im, 413, "more than %d images in one request", im->limit);
}

static void *allocate(struct srv_images *im, size_t n, size_t size)
{
    void *p = srv_arena_alloc(&im->req->arena, n * size);
    if (!p)
        refuse(im, 503, "out of memory for the images");
    return p;
}

/* Room for n images. */
static int make_room(struct srv_images *im, int n)
{
    im->all = allocate(im, (size_t)n, sizeof(*im->all));
    im->inputs = im->all ? allocate(im, (size_t)n, sizeof(*im->inputs)) : NULL;
    return im->inputs ? 0 : -1;
}

static void add_image(struct srv_images *im, const void *data, size_t len)
{
    im->all[im->n++] = (struct srv_image){.input = im->n_inputs};
    im->inputs[im->n_inputs++] = (struct srv_input){SRV_IMAGE, data, len};
}

/* ---- which kind ---- */

static int is_type(const char *type, const char *want)
{
    size_t len = strlen(want);
    return type && strncasecmp(type, want, len) == 0 && strchr("; \t", type[len]) != NULL;
}

static int looks_like_json(const struct srv_req *r)
{
    size_t i = 0;
    while (i < r->body_len && r->body[i] && strchr(" \t\r\n", r->body[i]))
        i++;
    return i < r->body_len && r->body[i] == '{';
}

int srv_images_kind(struct srv_call *c, enum srv_body_kind *ret, char *boundary, size_t len)
{
    const struct srv_req *r = c->req;
    const char *type = c->ops->header(c, "Content-Type");
    int rc = type ? proto_multipart_boundary(type, boundary, len) : -ENOENT;
    if (rc == -EINVAL)
        srv_call_error(c, 400, "the Content-Type names no valid multipart boundary");
    else if (rc == 0)
        *ret = SRV_BODY_MULTIPART;
    else if (r->body_len == 0)
        srv_call_error(c, 422, "the body is empty, an image was expected");
    else if (is_type(type, "application/x-ndjson") || is_type(type, "application/jsonl"))
        *ret = SRV_BODY_LINES;
    else if (is_type(type, "application/json") ||
             (eng_image_sniff(r->body, r->body_len) == ENG_IMAGE_UNKNOWN && looks_like_json(r)))
        *ret = SRV_BODY_JSON;
    else if (eng_image_sniff(r->body, r->body_len) == ENG_IMAGE_UNKNOWN)
        srv_call_error(c, 415,
                       "the body is no image of a type that is read here (%s), no form, no JSON",
                       eng_image_formats());
    else
        *ret = SRV_BODY_RAW;
    return c->reply.status ? -1 : 0;
}

/* ---- the four ---- */

static void read_raw(struct srv_images *im)
{
    const struct srv_req *r = im->req;
    if (make_room(im, 1) == 0)
        add_image(im, r->body, r->body_len);
}

static int is_named(const struct proto_part *p, const char *name)
{
    return strlen(name) == p->name_len && memcmp(name, p->name, p->name_len) == 0;
}

static int is_image_part(const struct proto_part *p)
{
    static const char *const names[] = {"image", "images", "image[]", "images[]", "file"};
    if (p->filename)
        return 1;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (is_named(p, names[i]))
            return 1;
    return 0;
}

/* What the query says, too, and can be said this late: the model was chosen at the headers. */

static void unknown_field(struct srv_images *im, const struct proto_part *p)
{
    char sentence[sizeof(im->error) - 8], known[128];
    if (srv_parameters_has("model version degrade min_variant as", p->name, p->name_len)) {
        refuse(im, 400, "form: %.*s belongs in the query of the URL", (int)p->name_len, p->name);
        return;
    }
    snprintf(known, sizeof(known), "image %s exif lenient", im->req->task->fields);
    srv_parameters_unknown(known, p->name, p->name_len, sentence, sizeof(sentence));
    refuse(im, 400, "form: %s", sentence);
}

static void set_switch(struct srv_images *im, const char *name, const char *value)
{
    long long yes;
    if (proto_parse_int(value, 0, 1, &yes) < 0)
        refuse(im, 400, "form: %s must be a whole number from 0 to 1", name);
    else if (strcmp(name, "exif") == 0)
        im->req->image.ignore_exif = !yes;
    else
        im->req->image.lenient = (int)yes;
}

/* Copies a part's value; one that is too long, or holds a NUL, is like none that could be valid. */
static void copy_value(const struct proto_part *p, char *ret, size_t len)
{
    int fits = p->len < len && !memchr(p->data, 0, p->len);
    snprintf(ret, len, "%.*s", fits ? (int)p->len : 0, (const char *)p->data);
}

static int is_given_before(const struct proto_part *parts, int at)
{
    for (int i = 0; i < at; i++)
        if (parts[i].name_len == parts[at].name_len && !is_image_part(&parts[i]) &&
            memcmp(parts[i].name, parts[at].name, parts[at].name_len) == 0)
            return 1;
    return 0;
}

static void set_field(struct srv_images *im, const char *name, const char *value)
{
    char sentence[sizeof(im->error) - 8];
    if (im->req->task->set(im->req, name, value, sentence, sizeof(sentence)) < 0)
        refuse(im, 400, "form: %s", sentence);
}

static void take_field(struct srv_images *im, const struct proto_part *parts, int at)
{
    const struct proto_part *p = &parts[at];
    char name[SRV_FIELD_MAX], value[SRV_OUTPUTS_LIST];
    int is_switch = is_named(p, "exif") || is_named(p, "lenient");
    if (is_named(p, "_charset_")) /* RFC 7578 4.6: browsers send it unasked */
        return;
    if (!is_switch && !srv_parameters_has(im->req->task->fields, p->name, p->name_len)) {
        unknown_field(im, p);
        return;
    }
    snprintf(name, sizeof(name), "%.*s", (int)p->name_len, p->name);
    copy_value(p, value, sizeof(value));
    if (is_given_before(parts, at))
        refuse(im, 400, "form: %s is given twice", name);
    else if (is_switch)
        set_switch(im, name, value);
    else
        set_field(im, name, value);
}

static void read_multipart(struct srv_images *im, const char *boundary)
{
    const struct srv_req *r = im->req;
    int limit = im->limit, room = limit + FIELDS_MAX;
    char err[160] = "";
    struct proto_part *parts = allocate(im, (size_t)room, sizeof(*parts));
    if (!parts || make_room(im, room) < 0)
        return;
    int found =
        proto_multipart_split(r->body, r->body_len, boundary, parts, room, err, sizeof(err));
    for (int i = 0; i < found && !im->status; i++)
        if (is_image_part(&parts[i]))
            add_image(im, parts[i].data, parts[i].len);
        else
            take_field(im, parts, i);
    im->form = im->n > 1 ? SRV_MANY : SRV_ONE;
    if (im->status)
        return;
    if (found == -E2BIG || im->n > limit)
        refuse_many(im);
    else if (found < 0)
        refuse(im, 400, "%s", err[0] ? err : "the multipart body is malformed");
    else if (im->n == 0)
        refuse(im, 400, "the form holds no image (a part named \"image\", or with a file name)");
}

/* Base64 or a data: URL: 0, -EINVAL, -ENOMEM. */
static int decode(struct srv_images *im, struct proto_span text, struct srv_input *ret)
{
    const char *s = text.s;
    size_t len = text.len;
    if (proto_data_url(text.s, text.len, &s, &len) == -EINVAL)
        return -EINVAL;
    size_t room = proto_base64_decoded_max(len);
    void *to = srv_arena_alloc(&im->req->arena, room);
    if (!to)
        return -ENOMEM;
    long n = proto_base64_decode(s, len, 1, to, room);
    if (n < 0)
        return -EINVAL;
    *ret = (struct srv_input){SRV_IMAGE, to, (size_t)n};
    return 0;
}

/* An image of a list, which fails alone. */
static void add_text(struct srv_images *im, struct proto_span text)
{
    struct srv_image *image = &im->all[im->n++];
    int rc = decode(im, text, &im->inputs[im->n_inputs]);
    image->input = rc == 0 ? im->n_inputs++ : -1;
    if (rc == -EINVAL)
        snprintf(image->error, sizeof(image->error), "the image is not valid base64");
    else if (rc < 0)
        refuse(im, 503, "out of memory for the images");
}

/* A member that only one task reads; the others pass over it, as over any that they do not know. */
static void set_top_k(struct srv_images *im, int64_t top_k)
{
    const struct srv_task *t = im->req->task;
    char value[24];
    snprintf(value, sizeof(value), "%lld", (long long)top_k);
    if (top_k > 0 && srv_parameters_has(t->fields, "top_k", strlen("top_k")) &&
        t->set(im->req, "top_k", value, im->error, sizeof(im->error)) < 0)
        im->status = 400;
}

static void read_json(struct srv_images *im)
{
    const struct srv_req *r = im->req;
    int limit = im->limit;
    struct proto_pictures p;
    struct proto_span *texts = allocate(im, (size_t)limit, sizeof(*texts));
    if (!texts)
        return;
    int rc =
        proto_pictures_parse(&p, r->body, r->body_len, texts, limit, im->error, sizeof(im->error));
    if (rc == -E2BIG)
        refuse_many(im);
    else if (rc < 0)
        im->status = 400;
    if (rc < 0 || make_room(im, p.n) < 0)
        return;
    im->form = p.many ? SRV_MANY : SRV_ONE;
    set_top_k(im, p.top_k);
    for (int i = 0; i < p.n && !im->status; i++)
        add_text(im, texts[i]);
}

static void read_line(struct srv_images *im, struct proto_span line)
{
    struct proto_pictures p;
    struct proto_span text;
    char err[sizeof(im->all[0].error)] = "";
    int rc = proto_pictures_parse(&p, line.s, line.len, &text, 1, err, sizeof(err));
    if (rc == 0) {
        add_text(im, text);
        im->all[im->n - 1].id = p.id;
        return;
    }
    struct srv_image *image = &im->all[im->n++];
    image->input = -1;
    snprintf(image->error, sizeof(image->error), "%s", rc == -E2BIG ? "a line has one image" : err);
}

static void read_lines(struct srv_images *im)
{
    const struct srv_req *r = im->req;
    int limit = im->limit;
    struct proto_span line;
    size_t pos = 0;
    if (make_room(im, limit) < 0)
        return;
    im->form = SRV_LINES;
    while (!im->status &&
           proto_ndjson_next((const char *)r->body, r->body_len, &pos, 1, r->body_len, &line) > 0) {
        if (im->n == limit)
            refuse_many(im);
        else
            read_line(im, line);
    }
    if (im->n == 0)
        refuse(im, 400, "there is no line in the body");
}

void srv_images_read(struct srv_images *im, enum srv_body_kind kind, const char *boundary)
{
    switch (kind) {
    case SRV_BODY_RAW:
        read_raw(im);
        break;
    case SRV_BODY_MULTIPART:
        read_multipart(im, boundary);
        break;
    case SRV_BODY_JSON:
        read_json(im);
        break;
    case SRV_BODY_LINES:
        read_lines(im);
        break;
    }
}
