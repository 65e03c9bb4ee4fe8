/* Blocks are found by a walk over the few that there are. */
#include "server/scheduler/rows.h"

#include <errno.h>
#include <string.h>

#include "server/scheduler/fill.h"
#include "server/scheduler/request.h"

static size_t row_bytes(const struct eng_model_info *i, int row, size_t k)
{
    switch (row) {
    case SRV_ROW_CLASSES:
        return k * sizeof(struct eng_prediction);
    case SRV_ROW_LOGITS:
    case SRV_ROW_PROBABILITIES:
        return (size_t)i->outputs * sizeof(float);
    case SRV_ROW_EMBEDDING:
        return (size_t)i->embedding * sizeof(float);
    case SRV_ROW_TENSOR:
        return srv_tensor_bytes(&i->preprocess);
    default:
        return i->output[row - SRV_ROW_OUTPUT].bytes;
    }
}

static int is_wanted(const struct srv_req *r, int row)
{
    return row < SRV_ROW_OUTPUT ? r->wants >> row & 1 : r->outputs >> (row - SRV_ROW_OUTPUT) & 1;
}

int srv_rows_make(struct srv_req *r, size_t n, size_t k)
{
    const struct eng_model_info *i = r->model->info;
    int wanted = __builtin_popcount(r->wants) + __builtin_popcountll(r->outputs), made = 0;
    struct srv_rows *rows = srv_arena_alloc(&r->arena, (size_t)wanted * sizeof(*rows));
    if (!rows)
        return -ENOMEM;
    for (int row = 0; made < wanted; row++) {
        if (!is_wanted(r, row))
            continue;
        struct srv_rows *to = &rows[made++];
        to->row = row;
        to->bytes = row_bytes(i, row, k);
        to->all = srv_arena_alloc(&r->arena, n * to->bytes);
        if (!to->all)
            return -ENOMEM;
    }
    r->rows = rows;
    r->n_rows = made;
    return 0;
}

static const struct srv_rows *find(const struct srv_req *r, int row)
{
    for (int i = 0; i < r->n_rows; i++)
        if (r->rows[i].row == row)
            return &r->rows[i];
    return NULL;
}

static unsigned char *row_at(const struct srv_rows *rows, const struct srv_job *j)
{
    return rows->all + (size_t)(j - j->req->jobs) * rows->bytes;
}

void *srv_rows_of(const struct srv_req *r, int row)
{
    const struct srv_rows *rows = find(r, row);
    return rows ? rows->all : NULL;
}

void *srv_job_row(const struct srv_job *j, int row)
{
    const struct srv_rows *rows = find(j->req, row);
    return rows ? row_at(rows, j) : NULL;
}

static const void *result_of(struct eng_context *c, int slot, int row)
{
    switch (row) {
    case SRV_ROW_LOGITS:
        return eng_context_logits(c, slot);
    case SRV_ROW_PROBABILITIES:
        return eng_context_probabilities(c, slot);
    case SRV_ROW_EMBEDDING:
        return eng_context_embedding(c, slot);
    default:
        return eng_context_output(c, slot, row - SRV_ROW_OUTPUT);
    }
}

void srv_rows_take(struct srv_job *j, struct eng_context *c, int slot)
{
    for (int i = 0; i < j->req->n_rows; i++) {
        const struct srv_rows *rows = &j->req->rows[i];
        void *to = row_at(rows, j);
        if (rows->row == SRV_ROW_CLASSES)
            j->n_predictions = eng_context_topk(c, slot, j->capacity, to);
        else if (rows->row != SRV_ROW_TENSOR)
            memcpy(to, result_of(c, slot, rows->row), rows->bytes);
    }
}

int srv_rows_need_run(const struct srv_req *r)
{
    return r->wants != SRV_WANT_TENSOR || r->outputs != 0;
}

int srv_rows_exchange(const struct srv_req *r)
{
    return (r->wants & ~(unsigned)SRV_WANT_CLASSES) == 0 && r->outputs == 0;
}
