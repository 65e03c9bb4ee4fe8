/* What a run brings back for the images of a request: one block for each kind of row that is
 * wanted, a row an image, so that a batch's answer is one tensor. The blocks lie in the request's
 * arena; a worker writes the rows of its jobs, the loop reads them when the jobs are back.
 *
 * The scheduler knows no task: it fills, keeps and hands out rows, and what is in them is the
 * business of their kind, which a handler hands down. */
#ifndef SRV_ROWS_H
#define SRV_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/context.h"

struct srv_job;
struct srv_req;
struct srv_rows;

/* One kind of row; a constant. The functions but `verdict` and `sure` are called on any thread. */
struct srv_row_kind {
    /* Of one image, a multiple of the alignment of what is in it; 0: the model does not have it. */
    size_t (*bytes)(const struct srv_rows *rows, const struct eng_model_info *info);
    /* The row of image `slot` of the last run. NULL: srv_row_input. */
    void (*take)(const struct srv_rows *rows, const struct srv_job *j, struct eng_context *c,
                 int slot, void *row);
    /* Loop, for the canary: by what number two versions agree or not; -1: this row does not say.
     * NULL: rows of this kind are not compared. */
    int (*verdict)(const struct srv_job *j, const void *row);
    /* Loop: how sure the answer is, by its best score and the next; how many of the two there are.
     * May be NULL. */
    int (*sure)(const struct srv_job *j, const void *row, double *ret_best, double *ret_next);
    /* A family may answer with any of its variants. Else the best one does: rows of numbers are of
     * one variant's size and meaning. */
    int any_variant;
    /* The cache keeps it, and equal questions in flight share a run. Its key holds the kind and
     * both arguments, the picture and the model: a row may depend on nothing else. */
    int kept;
};

struct srv_rows {
    const struct srv_row_kind *kind;
    int64_t a, b; /* what the kind makes of them: how many, which one, a threshold's bits */
    size_t bytes; /* of one image */
    unsigned char *all;
};

/* What the network sees, height x width x 3 of info->preprocess.type. Where nothing else is wanted,
 * nothing is run. */
extern const struct srv_row_kind srv_row_input;

/* Asks for a row of each image, before the request is submitted, by whoever holds it. Its index;
 * the same question has the same. -ENOMEM. */
int srv_rows_want(struct srv_req *r, const struct srv_row_kind *kind, int64_t a, int64_t b);
/* The first of a kind; -1: none is wanted. */
int srv_rows_find(const struct srv_req *r, const struct srv_row_kind *kind);

/* The whole block, and the row of one job; NULL: index is -1. */
void *srv_rows_all(const struct srv_req *r, int index);
void *srv_job_row(const struct srv_job *j, int index);

/* For the scheduler. Room for n images; -ENOMEM. */
int srv_rows_make(struct srv_req *r, size_t n);
/* Worker: what comes of a run into the rows of a job. */
void srv_rows_take(struct srv_job *j, struct eng_context *c, int slot);
/* Does an answer need the network at all? May any variant of a family give it? May the cache? */
int srv_rows_need_run(const struct srv_req *r);
int srv_rows_exchange(const struct srv_req *r);
int srv_rows_kept(const struct srv_req *r);

#endif
