/* The outputs of a model's files as they are, under their names. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "server/handlers/tasks/task.h"
#include "server/scheduler/request.h"

static int is_for(const struct srv_model *m)
{
    (void)m;
    return 1;
}

static int check(const struct srv_model *m, char *why, size_t len)
{
    (void)m;
    (void)why;
    (void)len;
    return 0;
}

/* ---- rows ---- */

static size_t output_bytes(const struct srv_rows *rows, const struct eng_model_info *info)
{
    return rows->a < info->n_outputs ? info->output[rows->a].bytes : 0;
}

static void take_output(const struct srv_rows *rows, const struct srv_job *j, struct eng_context *c,
                        int slot, void *row)
{
    (void)j;
    memcpy(row, eng_context_output(c, slot, (int)rows->a), rows->bytes);
}

const struct srv_row_kind srv_row_output = {.bytes = output_bytes, .take = take_output, .kept = 1};

static size_t logits_bytes(const struct srv_rows *rows, const struct eng_model_info *info)
{
    (void)rows;
    return (size_t)info->outputs * sizeof(float);
}

static void take_logits(const struct srv_rows *rows, const struct srv_job *j, struct eng_context *c,
                        int slot, void *row)
{
    (void)j;
    memcpy(row, eng_context_logits(c, slot), rows->bytes);
}

static const struct srv_row_kind row_logits = {
    .bytes = logits_bytes, .take = take_logits, .kept = 1};

/* ---- tensors ---- */

static enum proto_datatype datatype_of(enum eng_type type)
{
    static const enum proto_datatype types[] = {
        [ENG_F32] = PROTO_FP32,  [ENG_U8] = PROTO_UINT8,  [ENG_I8] = PROTO_INT8,
        [ENG_I32] = PROTO_INT32, [ENG_I64] = PROTO_INT64, [ENG_BOOL] = PROTO_BOOL,
        [ENG_BF16] = PROTO_BF16, [ENG_F16] = PROTO_FP16,
    };
    return types[type];
}

/* What is neither a classifier nor makes embeddings, and has one output: its numbers in one row, in
 * float. Of several outputs none is the logits, and a manifest may say that they are not wanted. */
static int gives_logits(const struct eng_model_info *i)
{
    return i->no_classes[0] && !i->embeds && i->n_outputs == 1 && i->task != ENG_TASK_TENSORS;
}

static void put_logits(const struct eng_model_info *i, struct srv_output *ret)
{
    *ret = (struct srv_output){
        .name = "logits",
        .datatype = PROTO_FP32,
        .n_dims = 1,
        .shape = {i->outputs},
        .elements = (size_t)i->outputs,
        .kind = &row_logits,
        .listed = 2,
        .scores = 1,
    };
}

/* A leading dimension of 1 is the batch. */
static void put_output(const struct eng_model_info *i, int index, struct srv_output *ret)
{
    const struct eng_output *o = &i->output[index];
    int batch = o->rank > 0 && o->dim[0] == 1;
    *ret = (struct srv_output){
        .name = o->name,
        .datatype = datatype_of(o->type),
        .n_dims = o->rank - batch,
        .elements = o->elements,
        .kind = &srv_row_output,
        .a = index,
        .listed = i->n_outputs > 1 || i->task == ENG_TASK_TENSORS ? 2 : 0,
        .scores = i->n_outputs == 1 && !i->no_classes[0],
    };
    for (int d = 0; d < ret->n_dims; d++)
        ret->shape[d] = o->dim[d + batch];
}

static int output(const struct srv_model *m, int index, struct srv_output *ret)
{
    const struct eng_model_info *i = m->info;
    int logits = gives_logits(i);
    if (index < logits)
        put_logits(i, ret);
    else if (index - logits < i->n_outputs)
        put_output(i, index - logits, ret);
    else
        return 0;
    return 1;
}

/* ---- our own API ---- */

/* Bit i: output i of the files. */
static int begin(struct srv_req *r)
{
    uint64_t *outputs = srv_arena_alloc(&r->arena, sizeof(*outputs));
    if (!outputs)
        return -ENOMEM;
    *outputs = ~(uint64_t)0 >> (64 - r->model->info->n_outputs);
    r->options = outputs;
    return 0;
}

static int find(const struct eng_model_info *i, const char *name, size_t len)
{
    for (int k = 0; k < i->n_outputs; k++)
        if (strlen(i->output[k].name) == len && memcmp(i->output[k].name, name, len) == 0)
            return k;
    return -1;
}

static int set(struct srv_req *r, const char *name, const char *value, char *err, size_t errlen)
{
    uint64_t *outputs = r->options;
    *outputs = 0;
    for (const char *at = value;; at++) {
        size_t len = strcspn(at, ",");
        int k = find(r->model->info, at, len);
        if (k < 0) {
            snprintf(err, errlen, "%s: the model \"%s\" has no output \"%.*s\"", name,
                     r->model_name, len > 64 ? 64 : (int)len, at);
            return -EINVAL;
        }
        *outputs |= (uint64_t)1 << k;
        at += len;
        if (!*at)
            return 0;
    }
}

static int is_wanted(const struct srv_req *r, int k)
{
    const uint64_t *outputs = r->options;
    return *outputs >> k & 1;
}

static int want(struct srv_req *r)
{
    for (int k = 0; k < r->model->info->n_outputs; k++)
        if (is_wanted(r, k) && srv_rows_want(r, &srv_row_output, k, 0) < 0)
            return -ENOMEM;
    return 0;
}

static size_t cost(const struct srv_req *r)
{
    size_t n = 0;
    for (int k = 0; k < r->model->info->n_outputs; k++)
        n += is_wanted(r, k) ? r->model->info->output[k].elements : 0;
    return n;
}

static void print(struct proto_buf *to, const struct srv_req *r, const struct srv_job *j)
{
    proto_buf_key(to, "outputs");
    proto_buf_text(to, "[");
    for (int i = 0; i < r->n_rows; i++) {
        struct srv_output o;
        put_output(r->model->info, (int)r->rows[i].a, &o);
        struct proto_tensor t = {
            .name = o.name,
            .datatype = o.datatype,
            .n_dims = o.n_dims,
            .elements = o.elements,
            .data = srv_job_row(j, i),
        };
        memcpy(t.shape, o.shape, sizeof(t.shape));
        proto_buf_next(to);
        proto_infer_put_tensor(to, &t);
    }
    proto_buf_text(to, "]");
}

const struct srv_task srv_task_tensors = {
    .name = "tensors",
    .is_for = is_for,
    .check = check,
    .fields = "outputs",
    .begin = begin,
    .set = set,
    .want = want,
    .print = print,
    .cost = cost,
    .output = output,
};
