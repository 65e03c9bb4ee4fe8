/* A job: one image or tensor of a request, with one holder at a time (the request, a queue, a
 * worker, the completion list) and one function that changes its state. */
#ifndef SRV_JOB_H
#define SRV_JOB_H

#include <stddef.h>
#include <stdint.h>

#include "engine/context.h"
#include "engine/image.h"
#include "server/base/siphash.h"
#include "server/scheduler/rows.h"

struct srv_flight;
struct srv_model;
struct srv_req;

enum srv_job_state {
    SRV_JOB_NEW,       /* also: waits for the answer of another one (coalesce.h) */
    SRV_JOB_QUEUED,    /* in a model's queue */
    SRV_JOB_RUNNING,   /* on a worker */
    SRV_JOB_DONE,      /* its rows are filled */
    SRV_JOB_EXPIRED,   /* its deadline passed before a worker took it (504) */
    SRV_JOB_CANCELLED, /* its client left, or the server stops: nobody reads the answer */
    SRV_JOB_FAILED,    /* status and error say why */
};

enum srv_input_kind {
    SRV_IMAGE,  /* an encoded picture of any length */
    SRV_PIXELS, /* height x width x 3, RGB, uint8, of the network's size */
    SRV_FLOATS, /* height x width x 3, FP32, normalised, in the network's order of channels; any
                   alignment */
};

/* What one job is made from: a span of the request's memory, which workers only read. */
struct srv_input {
    enum srv_input_kind kind;
    const void *data;
    size_t len;
    struct srv_hash digest; /* srv_coalesce_digest(), if `digested` */
    int digested;
};

/* The picture that was read; all 0: the input was a tensor. */
struct srv_picture {
    int orientation;        /* of EXIF, that was applied: 1..8 */
    int truncated;          /* lenient: there was less than the whole picture */
    uint32_t width, height; /* upright, in pixels, as it was sent */
};

struct srv_job {
    struct srv_req *req;
    struct srv_input input;
    enum srv_job_state state;

    /* Order in the queue, fixed when it is submitted. */
    int priority;  /* lower runs first */
    unsigned flow; /* whose turns it takes: queue.h */
    uint64_t deadline_ns;
    uint64_t sequence;
    size_t heap_index;   /* in its flow's heap, while QUEUED */
    uint64_t cost_ns;    /* predicted, of one core, with the variant that would run it now */
    uint64_t entered_ns; /* the same when it was submitted */
    double price_ns;     /* its decoding, before the learned factor of its format and scale */
    int scale;           /* of the decoding: 0..3, 1/1 to 1/8 */
    enum eng_image_format format;
    uint32_t width, height; /* 0: not known */

    struct srv_job *next; /* in a list of its holder */
    int elsewhere;        /* is not in the queue: coalesce.h has its answer, or will have it */
    struct srv_flight *flight;

    /* The answer: written by the worker, read by the loop once the job is in the completion list.
     */
    int status;              /* HTTP's numbers, on every transport */
    struct srv_model *model; /* ran it, or would have; alive as long as the request */
    char error[160];
    struct srv_picture picture; /* the rows are the request's (rows.h) */
    int batch;                  /* images of the run that it was part of */
    int members;                /* threads of that run */
    int leads_batch;            /* the first of its run: counts the run once */
    uint64_t queued_at_ns, queue_ns, decode_ns, preprocess_ns, inference_ns;
};

/* The only writer of job->state: refuses (asserts) what the comment above does not allow. */
void srv_job_move(struct srv_job *j, enum srv_job_state to);

/* RUNNING or QUEUED -> FAILED with a status and a sentence. */
void srv_job_fail(struct srv_job *j, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* What went wrong with one that is not DONE. */
const char *srv_job_sentence(const struct srv_job *j);

static inline int srv_job_is_final(const struct srv_job *j)
{
    return j->state >= SRV_JOB_DONE;
}

#endif
