/* Blocks are found by a walk over the few that there are. */
#include "server/scheduler/rows.h"

#include <errno.h>
#include <string.h>

#include "server/scheduler/fill.h"
#include "server/scheduler/request.h"

enum { FIRST_ROWS = 4 };

static size_t input_bytes(const struct srv_rows *rows, const struct eng_model_info *info)
{
    (void)rows;
    return srv_tensor_bytes(&info->preprocess);
}

const struct srv_row_kind srv_row_input = {.bytes = input_bytes};

/* ---- the question ---- */

static int make_room(struct srv_req *r)
{
    int room = r->rows_room ? r->rows_room * 2 : FIRST_ROWS;
    void *rows = srv_arena_grow(&r->arena, r->rows, (size_t)room * sizeof(*r->rows));
    if (!rows)
        return -ENOMEM;
    r->rows = rows;
    r->rows_room = room;
    return 0;
}

int srv_rows_want(struct srv_req *r, const struct srv_row_kind *kind, int64_t a, int64_t b)
{
    for (int i = 0; i < r->n_rows; i++)
        if (r->rows[i].kind == kind && r->rows[i].a == a && r->rows[i].b == b)
            return i;
    if (r->n_rows == r->rows_room && make_room(r) < 0)
        return -ENOMEM;
    r->rows[r->n_rows] = (struct srv_rows){.kind = kind, .a = a, .b = b};
    return r->n_rows++;
}

int srv_rows_find(const struct srv_req *r, const struct srv_row_kind *kind)
{
    for (int i = 0; i < r->n_rows; i++)
        if (r->rows[i].kind == kind)
            return i;
    return -1;
}

int srv_rows_make(struct srv_req *r, size_t n)
{
    for (int i = 0; i < r->n_rows; i++) {
        struct srv_rows *rows = &r->rows[i];
        rows->bytes = rows->kind->bytes(rows, r->model->info);
        rows->all = srv_arena_alloc(&r->arena, n * rows->bytes);
        if (!rows->all)
            return -ENOMEM;
    }
    return 0;
}

/* ---- the answer ---- */

void *srv_rows_all(const struct srv_req *r, int index)
{
    return index < 0 ? NULL : r->rows[index].all;
}

void *srv_job_row(const struct srv_job *j, int index)
{
    if (index < 0)
        return NULL;
    const struct srv_rows *rows = &j->req->rows[index];
    return rows->all + (size_t)(j - j->req->jobs) * rows->bytes;
}

void srv_rows_take(struct srv_job *j, struct eng_context *c, int slot)
{
    for (int i = 0; i < j->req->n_rows; i++) {
        const struct srv_rows *rows = &j->req->rows[i];
        if (rows->kind->take)
            rows->kind->take(rows, j, c, slot, srv_job_row(j, i));
    }
}

int srv_rows_need_run(const struct srv_req *r)
{
    for (int i = 0; i < r->n_rows; i++)
        if (r->rows[i].kind->take)
            return 1;
    return 0;
}

int srv_rows_exchange(const struct srv_req *r)
{
    for (int i = 0; i < r->n_rows; i++)
        if (!r->rows[i].kind->any_variant)
            return 0;
    return 1;
}

int srv_rows_kept(const struct srv_req *r)
{
    for (int i = 0; i < r->n_rows; i++)
        if (!r->rows[i].kind->kept)
            return 0;
    return 1;
}
