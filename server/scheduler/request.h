/* A request: what a transport delivers, in bytes and options, and gets back, in answered jobs.
 * Knows nothing of HTTP or gRPC.
 *
 * Belongs to the loop thread. It owns the arena of its bytes, which workers read through its jobs,
 * so it lives until the last job is back, after a cancel too. */
#ifndef SRV_REQUEST_H
#define SRV_REQUEST_H

#include <stdatomic.h>

#include "engine/image.h"
#include "protocol/inflate.h"
#include "server/base/account.h"
#include "server/base/arena.h"
#include "server/repository/model.h"
#include "server/repository/versions.h"
#include "server/scheduler/items.h"
#include "server/scheduler/job.h"

struct srv_scheduler;
struct srv_family;
struct srv_req;

/* On the loop, once every job is in a final state; the callee destroys the request when it has read
 * the answers. Never called after srv_req_cancel(). */
typedef void srv_req_done_fn(struct srv_req *r, void *arg);

/* On the loop, as each job is back, in any order and before `done`. Not after srv_req_cancel(). */
struct srv_job;
typedef void srv_req_part_fn(struct srv_req *r, const struct srv_job *j, void *arg);

/* Lower runs first. */
enum { SRV_PRIORITY_FIRST = 1, SRV_PRIORITY_DEFAULT = 4, SRV_PRIORITY_LAST = 8 };

/* What the end of a client's bytes means: a client that has left sends the same. */
enum srv_half_close {
    SRV_HALF_CLOSE_AUTO, /* that it has left, if others wait */
    SRV_HALF_CLOSE_ANSWER,
    SRV_HALF_CLOSE_CANCEL,
};

struct srv_task;

/* What stood in the way of a request that is refused. */
enum srv_refusal {
    SRV_REFUSAL_NONE,
    SRV_REFUSAL_QUEUE,    /* queue_limit, queue_bytes */
    SRV_REFUSAL_WAIT,     /* the predicted wait: max_wait_ms */
    SRV_REFUSAL_DEADLINE, /* the predicted wait: its deadline, slo_p99_ms */
    SRV_REFUSAL_MEMORY,   /* max_inflight_bytes */
    SRV_REFUSAL_WORK,     /* too many work items */
};

struct srv_req {
    struct srv_scheduler *sched;
    struct srv_req *next, *prev; /* all live requests */
    struct srv_payer payer;      /* of all that it holds; srv_req_set_payer() */
    struct srv_arena arena;
    unsigned char *body;
    size_t body_len, body_room, body_max;
    size_t body_expected; /* what was announced; 0: nothing */

    /* set by the transport before it submits */
    struct srv_model *model;   /* srv_req_set_model(): its queue takes the jobs */
    struct srv_family *family; /* any variant of it may run them; NULL: the model alone */
    int floor;                 /* the lowest of its variants that will do; 0: the best alone */
    const char *model_name;    /* what answers call it; lives as long as the model */
    int priority;
    unsigned flow;       /* srv_req_set_client() */
    int most_urgent;     /* priorities before it count as it; 0: any may be asked for */
    uint64_t longest_ns; /* no deadline is further from begun_ns; 0: any may be asked for */
    struct eng_image_options image; /* limits are those of the configuration */
    uint64_t begun_ns;              /* srv_req_create() */
    uint64_t deadline_ns;
    int deadline_given; /* by the client, not by the configuration */
    int client_fd;      /* polled by workers for its end; -1 = none */
    enum srv_half_close half_close;

    struct srv_job *jobs;
    int n_jobs, pending;   /* pending: jobs or the work item that are out */
    struct srv_rows *rows; /* what jobs are to bring back, and then did: rows.h */
    int n_rows, rows_room;
    const struct srv_task *task; /* the handlers': what is made of the rows; NULL: as it is named */
    void *options;               /* the task's */
    struct srv_work_item item;
    void *owned_body; /* malloc'ed; in place of one in the arena */
    size_t owned_len;
    enum srv_use owned_use;   /* it is charged as */
    enum proto_coding coding; /* of the body, until it is inflated */
    int inflate_rc;
    int cancelled;
    void (*release)(void *arg); /* called once, when the request goes; NULL: nothing to do */
    void *release_arg;
    atomic_int gone; /* the transport knows that the client left */
    uint64_t submitted_ns, done_ns;
    uint64_t
        predicted_ns;  /* from one to the other, by admission; 0: there was nothing to wait for */
    int retry_after_s; /* set where admission refuses */
    enum srv_refusal refusal;
    int counted;                 /* images that the control law knows of */
    char compare[SRV_LABEL_MAX]; /* canary.h: label whose answer is to be compared; "": none */
    int sharing;                 /* takes part in what coalesce.h does; fixed when it is made */
    int shadow;                  /* no client's: a comparison */
    srv_req_done_fn *done;
    srv_req_part_fn *part; /* NULL: only `done` matters */
    /* On the loop, in place of a work item's `back`: the deadline has passed, whether it ran or
     * not. NULL: `back` is called all the same. */
    void (*late)(struct srv_req *r, void *arg);
    void *late_arg;
    void *arg;
};

/* -ENOMEM. */
int srv_req_create(struct srv_req **ret, struct srv_scheduler *s, srv_req_done_fn *done, void *arg);
void srv_req_destroy(struct srv_req *r); /* no job may be out */

/* Who asks, as the queue takes turns: requests with equal bytes are one client's. Until it is
 * called, those of nobody. */
void srv_req_set_client(struct srv_req *r, const void *name, size_t len);

/* Before anything else of it: who pays for what it holds, beside the budget itself. */
void srv_req_set_payer(struct srv_req *r, struct srv_account *connection_ref,
                       struct srv_account *key_ref);

/* The body: its declared size, then pieces. -EFBIG over max_body, or over what one may ever hold of
 * max_inflight_bytes; -EDQUOT: so much of it is in use that there is no room now (retry_after_s is
 * set); -ENOMEM. */
int srv_req_expect(struct srv_req *r, size_t len);
int srv_req_append(struct srv_req *r, const void *data, size_t len);

/* Nobody will read what came of the body: its memory is free again. */
void srv_req_drop_body(struct srv_req *r);

/* A body in place of the other; malloc'ed, taken over, and charged to the request's payer already.
 * On a worker, too. */
void srv_req_take_body(struct srv_req *r, void *body_take, size_t len, enum srv_use use);
/* Inflates the body in its place, as there is room; what proto_inflate() says. On a worker, too. */
int srv_req_inflate(struct srv_req *r, size_t max);

void srv_req_set_model(struct srv_req *r, struct srv_model *m_ref, const char *name);
/* The best model of a family, or one of the lower variants when the load demands it. */
void srv_req_set_family(struct srv_req *r, struct srv_family *f_ref);

/* Is there a point in going on? The body need not be here yet: `bytes` is what was announced (0 =
 * unknown). 0; -EAGAIN: the queue is full; -EBUSY: what comes before it takes longer than
 * max_wait_ms; -ETIME: the deadline cannot be met at the present load. All set retry_after_s. A
 * server that has nothing to do refuses nothing. */
int srv_req_admit(struct srv_req *r, size_t bytes);

/* One job an input, with the rows that were wanted. 0: `done` will be called, later and never from
 * here. -EAGAIN: the queue is full; -EBUSY, -ETIME as above; -ENOMEM. On failure the request is as
 * before. Every input's length is that of its kind. */
int srv_req_submit(struct srv_req *r, const struct srv_input *inputs, int n);

/* Lends the request to a worker: `run` there, then `back` on the loop, later and never from here.
 * After a cancel `back` is not called, and `run` may not be. One at a time, and no job may be out.
 * Items run by their deadlines; who is past it comes back by `late`. -EAGAIN: too many wait. */
int srv_req_offload(struct srv_req *r, void (*run)(struct srv_req *r, void *arg),
                    void (*back)(struct srv_req *r, void *arg), void *arg);

/* The same if it is long. What is short runs here and now, `run` and then `back`. */
int srv_req_run(struct srv_req *r, int is_long, void (*run)(struct srv_req *r, void *arg),
                void (*back)(struct srv_req *r, void *arg), void *arg);
/* The last step of a request that was admitted and computed: never refused. */
void srv_req_run_last(struct srv_req *r, int is_long, void (*run)(struct srv_req *r, void *arg),
                      void (*back)(struct srv_req *r, void *arg), void *arg);
/* What is short: the loop has it done before a worker is awake. */
enum {
    SRV_LOOP_BYTES = 16 << 10,   /* of an envelope to be read */
    SRV_LOOP_HASHED = 128 << 10, /* of a picture that needs no more than its digest */
    SRV_LOOP_FLOATS = 1024,      /* to be printed */
};

/* The status, and the sentence, for a failure of _admit(), _submit(), _offload() or _run(). */
int srv_req_refusal(int rc, const char **ret_sentence);

/* The transport gives the request up: `done` is not called, and the request goes when its running
 * jobs are back. */
void srv_req_cancel(struct srv_req *r);
/* Every job that still waits ends CANCELLED with this status and sentence; `done` follows. */
void srv_req_abort(struct srv_req *r, int status, const char *sentence);

/* Loop: jobs in the completion list, linked by `next`. */
void srv_req_jobs_back(struct srv_job *list);
/* Loop: work items in the completion list, linked by `next`. */
void srv_req_items_back(struct srv_work_item *list);
/* Loop: jobs that left their queue by srv_pool_expire(). */
void srv_req_jobs_expired(struct srv_job *list);

#endif
