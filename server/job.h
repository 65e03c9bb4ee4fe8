/* A job: one image of a request, with one holder at a time (the request, a queue, a worker, the
 * completion list) and one function that changes its state. */
#ifndef SRV_JOB_H
#define SRV_JOB_H

#include "engine/context.h"
#include "engine/image.h"

#include <stddef.h>
#include <stdint.h>

struct srv_req;

enum srv_job_state {
    SRV_JOB_NEW,
    SRV_JOB_QUEUED,    /* in a model's queue */
    SRV_JOB_RUNNING,   /* on a worker */
    SRV_JOB_DONE,      /* has predictions */
    SRV_JOB_EXPIRED,   /* its deadline passed before a worker took it (504) */
    SRV_JOB_CANCELLED, /* its client left, or the server stops: nobody reads the answer */
    SRV_JOB_FAILED,    /* status and error say why */
};

struct srv_job {
    struct srv_req *req;
    const void *bytes; /* span of the request's arena; workers only read it */
    size_t len;
    enum srv_job_state state;

    /* Order in the queue, fixed when it is submitted. */
    int priority; /* lower runs first */
    uint64_t deadline_ns;
    uint64_t sequence;
    size_t heap_index; /* while QUEUED */
    uint64_t cost_ns;  /* predicted, of one core */
    double price_ns;   /* its decoding, before the learned factor of its format */
    enum eng_image_format format;

    struct srv_job *next; /* in a list of its holder */

    /* The answer: written by the worker, read by the loop once the job is in the completion list.
     */
    int status; /* HTTP's numbers, on every transport */
    char error[160];
    struct eng_prediction *predictions; /* room for `capacity`, in the request's arena */
    int capacity, n_predictions;
    int batch;       /* images of the run that it was part of */
    int members;     /* threads of that run */
    int leads_batch; /* the first of its run: counts the run once */
    uint64_t queued_at_ns, queue_ns, decode_ns, preprocess_ns, inference_ns;
};

/* The only writer of job->state: refuses (asserts) what the comment above does not allow. */
void srv_job_move(struct srv_job *j, enum srv_job_state to);

/* RUNNING or QUEUED -> FAILED with a status and a sentence. */
void srv_job_fail(struct srv_job *j, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static inline int srv_job_is_final(const struct srv_job *j)
{
    return j->state >= SRV_JOB_DONE;
}

#endif
