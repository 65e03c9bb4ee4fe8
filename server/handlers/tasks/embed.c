/* A vector to compare pictures by. */
#include <stdio.h>
#include <string.h>

#include "server/handlers/tasks/task.h"
#include "server/scheduler/request.h"

static int is_for(const struct srv_model *m)
{
    return m->info->embeds;
}

static int check(const struct srv_model *m, char *why, size_t len)
{
    snprintf(why, len, "has no embedding");
    return m->info->embedding > 0 ? 0 : -1;
}

static size_t bytes(const struct srv_rows *rows, const struct eng_model_info *info)
{
    (void)rows;
    return (size_t)info->embedding * sizeof(float);
}

static void take(const struct srv_rows *rows, const struct srv_job *j, struct eng_context *c,
                 int slot, void *row)
{
    (void)j;
    memcpy(row, eng_context_embedding(c, slot), rows->bytes);
}

/* Embeddings of different variants have nothing in common. */
const struct srv_row_kind srv_row_embedding = {.bytes = bytes, .take = take, .kept = 1};

static int want(struct srv_req *r)
{
    return srv_rows_want(r, &srv_row_embedding, 0, 0);
}

static size_t cost(const struct srv_req *r)
{
    return (size_t)r->model->info->embedding;
}

static void print(struct proto_buf *to, const struct srv_req *r, const struct srv_job *j)
{
    proto_buf_key(to, "embedding");
    proto_buf_floats(to, srv_job_row(j, srv_rows_find(r, &srv_row_embedding)), cost(r));
}

static int output(const struct srv_model *m, int index, struct srv_output *ret)
{
    int n = m->info->embedding;
    if (index > 0 || n == 0)
        return 0;
    *ret = (struct srv_output){
        .name = "embedding",
        .datatype = PROTO_FP32,
        .n_dims = 1,
        .shape = {n},
        .elements = (size_t)n,
        .kind = &srv_row_embedding,
        .listed = 2,
    };
    return 1;
}

const struct srv_task srv_task_embed = {
    .name = "embed",
    .is_for = is_for,
    .check = check,
    .fields = "",
    .want = want,
    .print = print,
    .cost = cost,
    .output = output,
};
