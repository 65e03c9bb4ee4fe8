/* One writer for all tasks: they differ in what a result holds. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/handlers/admission.h"
#include "server/handlers/api.h"
#include "server/handlers/images.h"
#include "server/handlers/tasks/task.h"
#include "server/scheduler/coalesce.h"

enum { LINE_FLOATS_MAX = 2048 };

int srv_images_is_long(const struct srv_images *im)
{
    const struct srv_req *r = im->req;
    return (size_t)r->n_jobs * r->task->cost(r) > SRV_LOOP_FLOATS;
}

/* ---- results ---- */

static void fill_result(struct proto_result *ret, const struct srv_req *r, const struct srv_job *j)
{
    *ret = (struct proto_result){
        .status = j->status,
        .error = j->status == 200 ? NULL : srv_job_sentence(j),
        .model = r->model_name,
        .version = j->model->info->version,
        .variant = j->model->info->variant,
        .degraded = j->model != r->model,
        .orientation = j->picture.orientation,
        .truncated = j->picture.truncated,
        .queue_ns = j->queue_ns,
        .decode_ns = j->decode_ns,
        .preprocess_ns = j->preprocess_ns,
        .inference_ns = j->inference_ns,
        .total_ns = r->done_ns - r->submitted_ns,
        .batch = j->batch,
    };
}

/* The members go behind what stands in `text`; where it lies is known when it grows no more. */
static void make_result(const struct srv_images *im, int i, struct proto_result *ret,
                        struct proto_buf *text)
{
    const struct srv_image *image = &im->all[i];
    const struct srv_req *r = im->req;
    if (image->input < 0) {
        *ret = (struct proto_result){.status = 400, .error = image->error, .id = image->id};
        return;
    }
    const struct srv_job *j = &r->jobs[image->input];
    fill_result(ret, r, j);
    ret->id = image->id;
    if (j->status != 200)
        return;
    proto_buf_put(text, "{", 1); /* what follows a bracket has no comma in front */
    size_t from = text->len;
    r->task->print(text, r, j);
    ret->members.len = text->len - from;
}

static void point_at_members(struct proto_result *all, int n, const struct proto_buf *text)
{
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        if (all[i].members.len == 0)
            continue;
        all[i].members.s = text->data + at + 1;
        at += all[i].members.len + 1;
    }
}

/* Their text is the caller's to throw away. */
static struct proto_result *make_results(const struct srv_images *im, struct proto_buf *text)
{
    struct proto_result *all = srv_arena_alloc(&im->req->arena, (size_t)im->n * sizeof(*all));
    for (int i = 0; all && i < im->n; i++)
        make_result(im, i, &all[i], text);
    if (!all || text->failed)
        return NULL;
    point_at_members(all, im->n, text);
    return all;
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
    if (im->form != SRV_ONE || !srv_rows_kept(r))
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

static void write_json(struct srv_images *im, const struct proto_result *results)
{
    im->type = im->form == SRV_LINES ? "application/x-ndjson" : "application/json";
    if (im->form == SRV_ONE)
        im->body = proto_reply_one(results, &im->body_len);
    else if (im->form == SRV_MANY)
        im->body = proto_reply_many(results, im->n, &im->body_len);
    else
        im->body = proto_reply_lines(results, im->n, &im->body_len);
}

static void write_results(struct srv_images *im, struct proto_buf *text)
{
    const struct srv_req *r = im->req;
    const struct proto_result *results = im->results = make_results(im, text);
    if (!results) {
        fail(im, 503, "out of memory for the answer");
        return;
    }
    int is_json = !r->task->body || !r->task->body(r, NULL, NULL);
    const struct proto_result *error =
        im->form == SRV_ONE || !is_json ? first_error(results, im->n) : NULL;
    if (error)
        fail(im, error->status, error->error);
    else if (is_json)
        write_json(im, results);
    else
        im->type = r->task->body(r, &im->body, &im->body_len);
}

void srv_images_write(struct srv_images *im)
{
    struct proto_buf text = {0};
    if (!im->status)
        write_results(im, &text);
    proto_buf_finish(&text);
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
    if (im->form != SRV_LINES || r->task->cost(r) > LINE_FLOATS_MAX)
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
    struct proto_buf text = {0};
    size_t len = sizeof(no_memory) - 1;
    make_result(im, im->told, &result, &text);
    point_at_members(&result, 1, &text);
    char *line = text.failed ? NULL : proto_reply_lines(&result, 1, &len);
    proto_buf_finish(&text);
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
