/* A model as the server sees it: the engine's immutable model, and what is counted of it.
 * Reference-counted: the registry holds one, every request one. */
#ifndef SRV_MODEL_H
#define SRV_MODEL_H

#include <stdatomic.h>
#include <stdint.h>

#include "engine/context.h"
#include "server/base/buckets.h"
#include "server/base/stages.h"

enum { SRV_BATCH_MAX = 256 };

struct srv_lane;

/* A run context, out on loan to one worker at a time. */
struct srv_context {
    struct eng_context *eng;
    int max_batch, max_members;
    struct srv_context *next;
};

/* The last request of a bucket that said of which trace it is. */
struct srv_exemplar {
    char trace[33]; /* 32 hexadecimal digits; "": none yet */
    double value;
    uint64_t at_ms; /* since 1970 */
};

/* What a model did for one task; there are as many as there are tasks. */
struct srv_task;
struct srv_task_stats {
    struct srv_task_stats *next;
    const struct srv_task *task;          /* the handlers'; NULL: outputs by their names */
    struct srv_buckets stage[SRV_STAGES]; /* seconds; of images, the total of answered requests */
    struct srv_exemplar exemplar[SRV_EDGES_MAX + 1]; /* of the total's buckets */
};

/* Counted on the loop thread as answers pass through it. */
struct srv_model_stats {
    uint64_t images_ok, images_failed, gone;
    uint64_t expired, late;     /* not computed; computed, but not in time */
    uint64_t refused, hopeless; /* requests: the queue was full; the deadline could not be met */
    uint64_t batches, inference_ns;
    /* Of requests with all their images; of one's stages the slowest image counts. */
    uint64_t requests_ok, ok_ns, requests_failed, failed_ns;
    uint64_t queue_ns, input_ns, infer_ns;
    uint64_t last_ms; /* since 1970, of the last answer; 0: none yet */
    struct {
        uint64_t runs, input_ns, infer_ns;
    } by_batch[SRV_BATCH_MAX + 1];
    struct srv_task_stats *tasks; /* those that it was asked for */
    /* Of classified images: the best score, and how far the next one is below it. */
    struct srv_buckets confidence, margin;
};

struct srv_model {
    atomic_int refs;
    struct eng_model *eng;
    const struct eng_model_info *info;
    char identity[65]; /* digest of the weights and of what is done to a picture before */
    uint64_t stamp;    /* of the folder's files: tells whether a reload must read them again */
    int batch_limit;   /* larger batches do not pay; set by srv_model_warm() */
    int weight;        /* share of the workers against other models; 1 = normal */

    struct srv_context *warm; /* left by srv_model_warm(); the first lane takes it */
    /* The pool's, made when the first job comes, guarded by its lock. Whoever holds the last
     * reference knows no pool: `lane_destroy` is called with the lane when the model goes. */
    struct srv_lane *lane;
    void (*lane_destroy)(struct srv_lane *lane);

    /* loop thread only, once it serves */
    int tuning_ordered;
    _Atomic double run_ns; /* one image, one core: moving average, from the warm-up on */
    struct srv_model_stats stats;
};

/* Takes eng over (on failure it stays the caller's). */
int srv_model_create(struct srv_model **ret, struct eng_model *eng_take, uint64_t stamp);
struct srv_model *srv_model_ref(struct srv_model *m); /* m */
void srv_model_unref(struct srv_model *m);            /* NULL is fine; the last one frees */

int srv_context_create(struct srv_context **ret, struct srv_model *m, int max_batch,
                       int max_members, char *err, size_t errlen);
void srv_context_destroy(struct srv_context *c);

#endif
