/* What a run brings back for the images of a request: one block for each output that is wanted, a
 * row an image, so that a batch's answer is one tensor. The blocks lie in the request's arena; a
 * worker writes the rows of its jobs, the loop reads them when the jobs are back. */
#ifndef SRV_ROWS_H
#define SRV_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/context.h"

struct srv_job;
struct srv_req;

/* A row, and as a bit of srv_req.wants what is wanted; SRV_ROW_OUTPUT + i is output i of the
 * model's files, wanted by bit i of srv_req.outputs. */
enum srv_row {
    SRV_ROW_CLASSES,       /* struct eng_prediction, job->capacity of them */
    SRV_ROW_LOGITS,        /* float, info->outputs of them */
    SRV_ROW_PROBABILITIES, /* the same */
    SRV_ROW_EMBEDDING,     /* float, info->embedding of them */
    SRV_ROW_TENSOR,        /* what the network sees: srv_tensor_bytes() */
    SRV_ROW_OUTPUT,        /* info->output[i].bytes, as the file has them */
};

enum {
    SRV_WANT_CLASSES = 1 << SRV_ROW_CLASSES,
    SRV_WANT_LOGITS = 1 << SRV_ROW_LOGITS,
    SRV_WANT_PROBABILITIES = 1 << SRV_ROW_PROBABILITIES,
    SRV_WANT_EMBEDDING = 1 << SRV_ROW_EMBEDDING,
    SRV_WANT_TENSOR = 1 << SRV_ROW_TENSOR,
};

struct srv_rows {
    int row;
    size_t bytes; /* of one image */
    unsigned char *all;
};

/* Room for what r wants, n images, k classes each. -ENOMEM. */
int srv_rows_make(struct srv_req *r, size_t n, size_t k);
/* The whole block; NULL: it was not wanted. */
void *srv_rows_of(const struct srv_req *r, int row);
/* The row of one job; NULL: it was not wanted. */
void *srv_job_row(const struct srv_job *j, int row);
/* Worker: everything but SRV_ROW_TENSOR from the run into the job's rows. */
void srv_rows_take(struct srv_job *j, struct eng_context *c, int slot);

/* Does an answer need the network at all? */
int srv_rows_need_run(const struct srv_req *r);
/* May any variant of a family give it? Rows of numbers are of one variant's size and meaning. */
int srv_rows_exchange(const struct srv_req *r);

#endif
