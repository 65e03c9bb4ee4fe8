/* /v1/classify and /v1/models/{}/classify: a raw image or multipart/form-data in, top-k out. */
#include "protocol/multipart.h"
#include "protocol/query.h"
#include "protocol/reply.h"
#include "server/api.h"
#include "server/api_common.h"
#include "server/call.h"
#include "server/models.h"
#include "server/pool.h"
#include "server/srv.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { BOUNDARY_MAX = 128, FIELDS_MAX = 16 };

/* ---- headers ---- */

/* How far down a family the client lets us go. */
static int read_floor(struct srv_call *c)
{
    struct srv_req *r = c->req;
    char name[SRV_PARAM_MAX];
    long long degrade = 1;
    int there = srv_call_query(c, "min_variant", name, sizeof(name));
    if (there < 0 || srv_call_query_int(c, "degrade", 0, 1, &degrade) < 0)
        return -1;
    if (!r->family)
        return 0;
    int level = there ? srv_family_level(r->family, name) : r->floor;
    if (level < 0) {
        srv_call_error(c, 400, "min_variant: %s has no variant \"%s\"", r->family->name, name);
        return -1;
    }
    r->floor = degrade ? level : 0;
    return 0;
}

static int choose_model(struct srv_call *c)
{
    const char *name = c->params[0], *called;
    struct srv_family *family;
    char argument[SRV_PARAM_MAX];
    if (!name[0]) {
        int there = srv_call_query(c, "model", argument, sizeof(argument));
        if (there < 0)
            return -1;
        name = there ? argument : "";
    }
    struct srv_model *m = srv_registry_pick(c->srv->registry, name, &called, &family);
    if (!m) {
        srv_call_error(c, 404, "there is no model named \"%s\"", name);
        return -1;
    }
    if (family)
        srv_req_set_family(c->req, family);
    else
        srv_req_set_model(c->req, m, called);
    return read_floor(c);
}

static int read_options(struct srv_call *c)
{
    struct srv_req *r = c->req;
    long long top_k = 5, exif = 1, lenient = 0;
    if (srv_call_query_int(c, "top_k", 1, LLONG_MAX, &top_k) < 0 ||
        srv_call_query_int(c, "exif", 0, 1, &exif) < 0 ||
        srv_call_query_int(c, "lenient", 0, 1, &lenient) < 0)
        return -1;
    r->top_k = top_k > INT_MAX ? INT_MAX : (int)top_k;
    r->image.ignore_exif = !exif;
    r->image.lenient = (int)lenient;
    return 0;
}

void srv_classify_begin(struct srv_call *c)
{
    if (choose_model(c) == 0 && read_options(c) == 0)
        srv_api_admit(c);
}

/* ---- answers ---- */

static const char *job_error(const struct srv_job *j)
{
    if (j->error[0])
        return j->error;
    if (j->state == SRV_JOB_EXPIRED)
        return "the deadline passed before the image could be processed";
    return "the client left";
}

static void fill_result(struct proto_result *ret, struct proto_prediction *predictions,
                        const struct srv_req *r, const struct srv_job *j)
{
    *ret = (struct proto_result){
        .status = j->status,
        .error = j->status == 200 ? NULL : job_error(j),
        .model = r->model_name,
        .version = j->model->info->version,
        .variant = j->model->info->variant,
        .degraded = j->model != r->model,
        .predictions = predictions,
        .n_predictions = j->n_predictions,
        .queue_ns = j->queue_ns,
        .decode_ns = j->decode_ns,
        .preprocess_ns = j->preprocess_ns,
        .inference_ns = j->inference_ns,
        .total_ns = r->done_ns - r->submitted_ns,
        .batch = j->batch,
    };
    for (int i = 0; i < j->n_predictions; i++) {
        int number = j->predictions[i].class_number;
        predictions[i] = (struct proto_prediction){
            .class_number = number,
            .label = eng_model_label(j->model->eng, number),
            .score = j->predictions[i].score,
        };
    }
}

static void add_timing(struct srv_call *c, const struct proto_result *results, int n)
{
    char timing[sizeof(c->reply.headers[0].value)];
    const struct proto_result *shown = &results[0];
    for (int i = 1; i < n; i++)
        if (results[i].status == 200 && results[i].total_ns > shown->total_ns)
            shown = &results[i];
    if (proto_server_timing(shown, timing, sizeof(timing)) >= 0)
        srv_call_header(c, "Server-Timing", "%s", timing);
}

static void answer_one(struct srv_call *c, const struct proto_result *result)
{
    size_t len = 0;
    if (result->status != 200) {
        if (result->status == 503)
            srv_call_header(c, "Retry-After", "1");
        srv_call_error(c, result->status, "%s", result->error);
        return;
    }
    add_timing(c, result, 1);
    char *body = proto_reply_one(result, &len);
    srv_call_reply(c, 200, "application/json", body, len);
}

static void answer(struct srv_req *r, void *arg)
{
    struct srv_call *c = arg;
    struct proto_result *results = srv_arena_alloc(&r->arena, (size_t)r->n_jobs * sizeof(*results));
    int rows = r->jobs[0].capacity;
    struct proto_prediction *predictions =
        srv_arena_alloc(&r->arena, (size_t)r->n_jobs * (size_t)rows * sizeof(*predictions));
    if (!results || !predictions) {
        srv_call_reply(c, 503, "application/json", NULL, 0);
        return;
    }
    for (int i = 0; i < r->n_jobs; i++)
        fill_result(&results[i], predictions + (size_t)i * (size_t)rows, r, &r->jobs[i]);
    if (!c->many) {
        answer_one(c, results);
        return;
    }
    size_t len = 0;
    add_timing(c, results, r->n_jobs);
    char *body = proto_reply_many(results, r->n_jobs, &len);
    srv_call_reply(c, 200, "application/json", body, len);
}

/* ---- the body ---- */

static void submit(struct srv_call *c, const struct srv_input *images, int n)
{
    c->images = n;
    c->many = n > 1;
    c->req->done = answer;
    c->req->arg = c;
    int rc = srv_req_submit(c->req, images, n);
    if (rc < 0)
        srv_api_refuse(c, rc);
}

static int is_image_part(const struct proto_part *p)
{
    static const char *const names[] = {"image", "images", "image[]", "images[]", "file"};
    if (p->filename)
        return 1;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == p->name_len && memcmp(names[i], p->name, p->name_len) == 0)
            return 1;
    return 0;
}

static void finish_multipart(struct srv_call *c, const char *boundary)
{
    struct srv_req *r = c->req;
    int limit = (int)c->srv->cfg->max_images, room = limit + FIELDS_MAX, n = 0;
    char err[160] = "";
    struct proto_part *parts = srv_arena_alloc(&r->arena, (size_t)room * sizeof(*parts));
    struct srv_input *images = srv_arena_alloc(&r->arena, (size_t)room * sizeof(*images));
    if (!parts || !images) {
        srv_call_error(c, 503, "out of memory for the images");
        return;
    }
    int found =
        proto_multipart_split(r->body, r->body_len, boundary, parts, room, err, sizeof(err));
    for (int i = 0; i < found; i++)
        if (is_image_part(&parts[i]))
            images[n++] = (struct srv_input){SRV_IMAGE, parts[i].data, parts[i].len};
    if (found == -E2BIG || n > limit)
        srv_call_error(c, 413, "more than %d images in one request", limit);
    else if (found < 0)
        srv_call_error(c, 400, "%s", err[0] ? err : "the multipart body is malformed");
    else if (n == 0)
        srv_call_error(c, 400,
                       "the form holds no image (a part named \"image\", or with a file name)");
    else
        submit(c, images, n);
}

void srv_classify_finish(struct srv_call *c)
{
    struct srv_req *r = c->req;
    const char *type = c->ops->header(c, "Content-Type");
    char boundary[BOUNDARY_MAX];
    int rc = type ? proto_multipart_boundary(type, boundary, sizeof(boundary)) : -ENOENT;
    if (rc == 0)
        finish_multipart(c, boundary);
    else if (rc != -ENOENT)
        srv_call_error(c, 400, "the Content-Type names no valid multipart boundary");
    else if (r->body_len == 0)
        srv_call_error(c, 422, "the body is empty, an image was expected");
    else if (eng_image_sniff(r->body, r->body_len) == ENG_IMAGE_UNKNOWN)
        srv_call_error(c, 415, "the body is not an image of a type that is read here");
    else
        submit(c, &(struct srv_input){SRV_IMAGE, r->body, r->body_len}, 1);
}
