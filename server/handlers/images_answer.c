/* One writer for classify, embed and preprocess: they differ in what a result holds. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/picture.h"
#include "server/handlers/admission.h"
#include "server/handlers/api.h"
#include "server/handlers/describe.h"
#include "server/handlers/images.h"
#include "server/scheduler/coalesce.h"
#include "server/scheduler/fill.h"

enum { LINE_FLOATS_MAX = 2048, FLOATS_A_CLASS = 2, DIGEST = 65, NPY_MAX = 128 };

struct tensor_type {
    const char *name, *descr; /* ours, NumPy's */
};

static struct tensor_type tensor_type(enum eng_type type)
{
    switch (type) {
    case ENG_U8:
        return (struct tensor_type){"UINT8", "|u1"};
    case ENG_I8:
        return (struct tensor_type){"INT8", "|i1"};
    default:
        return (struct tensor_type){"FP32", "<f4"};
    }
}

int srv_images_is_long(const struct srv_images *im)
{
    const struct srv_req *r = im->req;
    size_t floats =
        r->wants & SRV_WANT_EMBEDDING ? (size_t)r->n_jobs * (size_t)r->model->info->embedding : 0;
    if (r->n_jobs > 0 && r->wants & SRV_WANT_CLASSES)
        floats = (size_t)r->n_jobs * (size_t)r->jobs[0].capacity * FLOATS_A_CLASS;
    return r->wants & SRV_WANT_TENSOR || floats > SRV_LOOP_FLOATS;
}

/* ---- results ---- */

static int put_predictions(struct proto_result *ret, struct srv_req *r, const struct srv_job *j)
{
    const struct eng_prediction *best = srv_job_row(j, SRV_ROW_CLASSES);
    struct proto_prediction *all =
        srv_arena_alloc(&r->arena, (size_t)j->n_predictions * sizeof(*all));
    for (int i = 0; all && i < j->n_predictions; i++) {
        int number = best[i].class_number;
        all[i] = (struct proto_prediction){
            .class_number = number,
            .label = eng_model_label(j->model->eng, number),
            .score = best[i].score,
        };
    }
    ret->predictions = all;
    ret->n_predictions = j->n_predictions;
    return all ? 0 : -1;
}

static int put_tensor(struct proto_result *ret, struct srv_req *r, const struct srv_job *j)
{
    const struct eng_preprocess *p = &r->model->info->preprocess;
    char *hex = srv_arena_alloc(&r->arena, DIGEST);
    struct proto_preprocess *how = srv_arena_alloc(&r->arena, sizeof(*how));
    if (!hex || !how)
        return -1;
    srv_describe_preprocess(how, p);
    ret->preprocess = how;
    eng_digest(srv_job_row(j, SRV_ROW_TENSOR), srv_tensor_bytes(p), hex);
    ret->tensor_sha256 = hex;
    ret->tensor_type = tensor_type(p->type).name;
    ret->tensor_shape[0] = 1;
    ret->tensor_shape[1] = p->height;
    ret->tensor_shape[2] = p->width;
    ret->tensor_shape[3] = 3;
    return 0;
}

static int fill_result(struct proto_result *ret, struct srv_req *r, const struct srv_job *j)
{
    *ret = (struct proto_result){
        .status = j->status,
        .error = j->status == 200 ? NULL : srv_job_sentence(j),
        .model = r->model_name,
        .version = j->model->info->version,
        .variant = j->model->info->variant,
        .degraded = j->model != r->model,
        .orientation = j->orientation,
        .truncated = j->truncated,
        .queue_ns = j->queue_ns,
        .decode_ns = j->decode_ns,
        .preprocess_ns = j->preprocess_ns,
        .inference_ns = j->inference_ns,
        .total_ns = r->done_ns - r->submitted_ns,
        .batch = j->batch,
    };
    if (j->status != 200)
        return 0;
    if (r->wants & SRV_WANT_TENSOR)
        return put_tensor(ret, r, j);
    ret->embedding = srv_job_row(j, SRV_ROW_EMBEDDING);
    ret->n_embedding = r->model->info->embedding;
    return ret->embedding ? 0 : put_predictions(ret, r, j);
}

static int make_result(struct srv_images *im, int i, struct proto_result *ret)
{
    const struct srv_image *image = &im->all[i];
    int rc = 0;
    if (image->input < 0)
        *ret = (struct proto_result){.status = 400, .error = image->error};
    else
        rc = fill_result(ret, im->req, &im->req->jobs[image->input]);
    ret->id = image->id;
    return rc;
}

static struct proto_result *make_results(struct srv_images *im)
{
    struct proto_result *all = srv_arena_alloc(&im->req->arena, (size_t)im->n * sizeof(*all));
    for (int i = 0; all && i < im->n; i++)
        if (make_result(im, i, &all[i]) < 0)
            return NULL;
    return all;
}

/* ---- tensors ---- */

static void write_tensor(struct srv_images *im)
{
    const struct srv_req *r = im->req;
    const struct eng_preprocess *p = &r->model->info->preprocess;
    const int64_t shape[] = {r->n_jobs, p->height, p->width, 3};
    size_t len = (size_t)r->n_jobs * srv_tensor_bytes(p);
    char header[NPY_MAX];
    int n = im->tensor_form == SRV_AS_NPY
                ? proto_npy_header(header, sizeof(header), tensor_type(p->type).descr, shape, 4)
                : 0;
    im->body = n < 0 ? NULL : malloc((size_t)n + len);
    if (!im->body)
        return;
    memcpy(im->body, header, (size_t)n);
    memcpy(im->body + n, srv_rows_of(r, SRV_ROW_TENSOR), len);
    im->body_len = (size_t)n + len;
    im->type = "application/octet-stream";
}

/* ---- the answer ---- */

static void fail(struct srv_images *im, int status, const char *sentence)
{
    snprintf(im->error, sizeof(im->error), "%s", sentence);
    im->status = status;
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

static void add_sharing(struct srv_call *c, const struct srv_images *im)
{
    const struct srv_req *r = c->req;
    int computed = 0;
    for (int i = 0; i < r->n_jobs; i++)
        computed += !r->jobs[i].elsewhere;
    srv_call_header(c, "X-Cache", "%s", computed ? "miss" : "hit");
    if (im->form != SRV_ONE || r->wants & SRV_WANT_TENSOR)
        return;
    char tag[SRV_ETAG_MAX];
    srv_coalesce_etag(&r->jobs[0], tag);
    srv_call_header(c, "ETag", "%s", tag);
}

/* The first error, where there is no list to put it in. */
static const struct proto_result *first_error(const struct proto_result *results, int n)
{
    for (int i = 0; i < n; i++)
        if (results[i].status != 200)
            return &results[i];
    return NULL;
}

void srv_images_write(struct srv_images *im)
{
    if (im->status)
        return;
    struct proto_result *results = im->results = make_results(im);
    if (!results) {
        fail(im, 503, "out of memory for the answer");
        return;
    }
    int whole = im->form == SRV_ONE || im->tensor_form != SRV_AS_DIGEST;
    const struct proto_result *error = whole ? first_error(results, im->n) : NULL;
    if (error) {
        fail(im, error->status, error->error);
        return;
    }
    im->type = im->form == SRV_LINES ? "application/x-ndjson" : "application/json";
    if (im->tensor_form != SRV_AS_DIGEST)
        write_tensor(im);
    else if (im->form == SRV_ONE)
        im->body = proto_reply_one(results, &im->body_len);
    else if (im->form == SRV_MANY)
        im->body = proto_reply_many(results, im->n, &im->body_len);
    else
        im->body = proto_reply_lines(results, im->n, &im->body_len);
}

void srv_images_reply(struct srv_images *im)
{
    struct srv_call *c = im->call;
    char *body = im->body;
    if (im->status) {
        if (im->status == 503)
            srv_call_header(c, "Retry-After", "1");
        srv_call_error(c, im->status, "%s", im->error);
        return;
    }
    im->body = NULL;
    if (c->req->sharing)
        add_sharing(c, im);
    add_timing(c, im->results, im->n);
    srv_call_reply(c, 200, body ? im->type : "application/json", body, im->body_len);
}

/* ---- line by line ---- */

int srv_images_stream(struct srv_images *im)
{
    const struct srv_req *r = im->req;
    int floats = r->wants & SRV_WANT_EMBEDDING ? r->model->info->embedding : 0;
    if (im->form != SRV_LINES || r->wants & SRV_WANT_TENSOR || floats > LINE_FLOATS_MAX)
        return 0;
    im->back = srv_arena_alloc(&im->req->arena, (size_t)im->n_inputs);
    if (im->back)
        memset(im->back, 0, (size_t)im->n_inputs);
    return im->back ? 0 : -ENOMEM;
}

static void tell(struct srv_images *im)
{
    static const char no_memory[] = "{\"error\":\"out of memory\",\"status\":503}\n";
    struct proto_result result;
    size_t len = sizeof(no_memory) - 1;
    char *line =
        make_result(im, im->told, &result) == 0 ? proto_reply_lines(&result, 1, &len) : NULL;
    srv_call_append(im->call, line ? line : strdup(no_memory), len);
}

void srv_images_part(struct srv_images *im, const struct srv_job *j)
{
    im->back[j - im->req->jobs] = 1;
    int ready = im->told;
    while (ready < im->n && (im->all[ready].input < 0 || im->back[im->all[ready].input]))
        ready++;
    if (ready == im->told)
        return;
    if (im->told == 0)
        srv_call_stream(im->call, 200, "application/x-ndjson");
    for (; im->told < ready; im->told++)
        tell(im);
    if (im->told == im->n)
        srv_call_stream_end(im->call);
}
