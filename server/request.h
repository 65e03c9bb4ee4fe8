/* A request: what a transport delivers, in bytes and options, and gets back, in answered jobs.
 * Knows nothing of HTTP or gRPC.
 *
 * Belongs to the loop thread. It owns the arena of its bytes, which workers read through its jobs,
 * so it lives until the last job is back, after a cancel too. */
#ifndef SRV_REQUEST_H
#define SRV_REQUEST_H

#include "engine/image.h"
#include "server/arena.h"
#include "server/job.h"
#include "server/model.h"

#include <stdatomic.h>

struct srv;
struct srv_req;

/* On the loop, once every job is in a final state; the callee destroys the request when it has read
 * the answers. Never called after srv_req_cancel(). */
typedef void srv_req_done_fn(struct srv_req *r, void *arg);

struct srv_span {
    const void *data;
    size_t len;
};

struct srv_req {
    struct srv *srv;
    struct srv_req *next, *prev; /* all live requests */
    struct srv_arena arena;
    unsigned char *body;
    size_t body_len, body_room, body_max;

    /* set by the transport before it submits */
    struct srv_model *model; /* srv_req_set_model() */
    const char *model_name;  /* what answers call it; lives as long as the model */
    int top_k, priority;
    struct eng_image_options image;
    uint64_t deadline_ns;
    int client_fd; /* polled by workers for POLLRDHUP; -1 = none */

    struct srv_job *jobs;
    int n_jobs, pending;
    atomic_int gone; /* the transport knows that the client left */
    uint64_t submitted_ns, done_ns;
    int retry_after_s; /* set where admission refuses */
    srv_req_done_fn *done;
    void *arg;
};

/* -ENOMEM. */
int srv_req_create(struct srv_req **ret, struct srv *s, srv_req_done_fn *done, void *arg);
void srv_req_destroy(struct srv_req *r); /* no job may be out */

/* The body: room for a declared size, then pieces. -EFBIG over max_body, -ENOMEM. */
int srv_req_expect(struct srv_req *r, size_t len);
int srv_req_append(struct srv_req *r, const void *data, size_t len);

void srv_req_set_model(struct srv_req *r, struct srv_model *m_ref, const char *name);

/* Is there a point in going on? The body need not be here yet: `bytes` is what was announced (0 =
 * unknown). 0; -EAGAIN: the queue is full; -ETIME: the deadline cannot be met at the present load.
 * Both set retry_after_s. A server that has nothing to do refuses nothing. */
int srv_req_admit(struct srv_req *r, size_t bytes);

/* One job an image. 0: `done` will be called, later and never from here. -EAGAIN: the queue is
 * full; -ENOMEM. On failure the request is as before. */
int srv_req_submit(struct srv_req *r, const struct srv_span *images, int n);

/* The transport gives the request up: `done` is not called, and the request goes when its running
 * jobs are back. */
void srv_req_cancel(struct srv_req *r);
/* Every job that still waits ends CANCELLED with this status and sentence; `done` follows. */
void srv_req_abort(struct srv_req *r, int status, const char *sentence);

/* Loop: jobs in the completion list, linked by `next`. */
void srv_req_jobs_back(struct srv *s, struct srv_job *list);
/* Loop: jobs that left their queue by srv_pool_expire(). */
void srv_req_jobs_expired(struct srv *s, struct srv_job *list);

#endif
