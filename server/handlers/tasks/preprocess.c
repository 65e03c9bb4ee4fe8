/* What the network would see: a digest of it, or the tensor itself, without a run. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/picture.h"
#include "server/handlers/tasks/task.h"
#include "server/scheduler/fill.h"
#include "server/scheduler/request.h"

enum { DIGEST = 65, NPY_MAX = 128 };

enum form { AS_DIGEST, AS_NPY, AS_RAW };

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

/* Every model does it, and none is for it. */
static int is_for(const struct srv_model *m)
{
    (void)m;
    return 0;
}

static int check(const struct srv_model *m, char *why, size_t len)
{
    (void)m;
    (void)why;
    (void)len;
    return 0;
}

static int begin(struct srv_req *r)
{
    enum form *form = srv_arena_alloc(&r->arena, sizeof(*form));
    r->options = form;
    return form ? 0 : -ENOMEM;
}

static int set(struct srv_req *r, const char *name, const char *value, char *err, size_t errlen)
{
    static const char *const forms[] = {[AS_DIGEST] = "digest", [AS_NPY] = "npy", [AS_RAW] = "raw"};
    enum form *form = r->options;
    for (int i = AS_DIGEST; i <= AS_RAW; i++)
        if (strcmp(value, forms[i]) == 0) {
            *form = (enum form)i;
            return 0;
        }
    snprintf(err, errlen, "%s must be digest, npy or raw", name);
    return -EINVAL;
}

static int want(struct srv_req *r)
{
    return srv_rows_want(r, &srv_row_input, 0, 0);
}

/* A digest is a look at all of it. */
static size_t cost(const struct srv_req *r)
{
    return srv_tensor_bytes(&r->model->info->preprocess);
}

static void print_how(struct proto_buf *to, const struct eng_preprocess *p)
{
    proto_buf_key(to, "preprocess");
    proto_buf_text(to, "{");
    proto_buf_key(to, "resize");
    proto_buf_quoted(to, eng_resize_name(p->resize));
    proto_buf_key(to, "filter");
    proto_buf_quoted(to, eng_filter_name(p->filter));
    proto_buf_key(to, "channels");
    proto_buf_quoted(to, p->bgr ? "bgr" : "rgb");
    proto_buf_key(to, "mean");
    proto_buf_floats(to, p->mean, 3);
    proto_buf_key(to, "scale");
    proto_buf_floats(to, p->scale, 3);
    proto_buf_text(to, "}");
}

static void print(struct proto_buf *to, const struct srv_req *r, const struct srv_job *j)
{
    const struct eng_preprocess *p = &r->model->info->preprocess;
    const int shape[] = {1, p->height, p->width, 3};
    char hex[DIGEST];
    eng_digest(srv_job_row(j, srv_rows_find(r, &srv_row_input)), srv_tensor_bytes(p), hex);
    proto_buf_key(to, "tensor");
    proto_buf_text(to, "{");
    proto_buf_key(to, "datatype");
    proto_buf_quoted(to, tensor_type(p->type).name);
    proto_buf_key(to, "shape");
    proto_buf_text(to, "[");
    for (int i = 0; i < 4; i++) {
        proto_buf_next(to);
        proto_buf_int(to, shape[i]);
    }
    proto_buf_text(to, "]");
    proto_buf_key(to, "sha256");
    proto_buf_quoted(to, hex);
    proto_buf_text(to, "}");
    print_how(to, p);
}

static const char *body(const struct srv_req *r, char **ret, size_t *ret_len)
{
    const struct eng_preprocess *p = &r->model->info->preprocess;
    const int64_t shape[] = {r->n_jobs, p->height, p->width, 3};
    const enum form *form = r->options;
    char header[NPY_MAX];
    if (*form == AS_DIGEST)
        return NULL;
    if (!ret)
        return "application/octet-stream";
    size_t len = (size_t)r->n_jobs * srv_tensor_bytes(p);
    int n = *form == AS_NPY
                ? proto_npy_header(header, sizeof(header), tensor_type(p->type).descr, shape, 4)
                : 0;
    *ret = n < 0 ? NULL : malloc((size_t)n + len);
    if (*ret) {
        memcpy(*ret, header, (size_t)n);
        memcpy(*ret + n, srv_rows_all(r, srv_rows_find(r, &srv_row_input)), len);
        *ret_len = (size_t)n + len;
    }
    return "application/octet-stream";
}

const struct srv_task srv_task_preprocess = {
    .name = "preprocess",
    .is_for = is_for,
    .check = check,
    .fields = "as",
    .begin = begin,
    .set = set,
    .want = want,
    .print = print,
    .cost = cost,
    .body = body,
};
