/* parse -> (find the model) -> read the tensors -> jobs -> tensors -> write: the first and the last
 * steps on a worker if they are long. */
#include "server/handlers/infer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/clock.h"
#include "server/handlers/api.h"
#include "server/handlers/canary.h"
#include "server/scheduler/coalesce.h"

enum { NAME_LEN = 256 };

static int long_as_int(size_t len, int most)
{
    return len > (size_t)most ? most : (int)len;
}

/* -EINVAL: it is too long for any name, or holds a NUL. */
static int copy_span(char *to, size_t len, struct proto_span s)
{
    if (s.len >= len || (s.len > 0 && memchr(s.s, 0, s.len)))
        return -EINVAL;
    memcpy(to, s.len ? s.s : "", s.len);
    to[s.len] = 0;
    return 0;
}

int srv_infer_find(const struct srv_registry *r, struct proto_span name, struct proto_span version,
                   struct srv_choice *ret, char *err, size_t errlen)
{
    char text[NAME_LEN], number[SRV_LABEL_MAX];
    int rc = -ENOENT;
    if (copy_span(text, sizeof(text), name) == 0)
        rc = copy_span(number, sizeof(number), version) < 0
                 ? -ESRCH
                 : srv_registry_choose(r, text, number, ret);
    if (rc == -ESRCH)
        snprintf(err, errlen, "Request for unknown model: '%s' version %.*s is not found", text,
                 long_as_int(version.len, 32), version.s);
    else if (rc < 0)
        snprintf(err, errlen, "Request for unknown model: '%.*s' is not found",
                 long_as_int(name.len, 128), name.len ? name.s : "");
    return rc;
}

int srv_infer_choose(struct srv_req *r, struct proto_span name, struct proto_span version,
                     char *err, size_t errlen)
{
    struct srv_choice c;
    int rc = srv_infer_find(r->sched->registry, name, version, &c, err, errlen);
    if (rc < 0)
        return rc;
    c.family = NULL; /* tensors are of one variant: the best */
    srv_canary_choose(r, &c);
    return 0;
}

/* ---- the answer ---- */

static void write_reply(struct srv_req *r, void *arg)
{
    struct srv_infer *i = arg;
    (void)r;
    if (srv_infer_make_outputs(i) < 0)
        return;
    i->text = i->codec->write(i, &i->text_len);
    if (i->text)
        i->status = 200;
    else
        srv_infer_fail(i, 503, "out of memory for the answer");
}

static void finish(struct srv_req *r, void *arg)
{
    struct srv_infer *i = arg;
    (void)r;
    i->done(i, i->arg);
}

/* A tensor has no place for an error in one of its rows: the first one is the answer. */
static int any_failed(struct srv_infer *i)
{
    const struct srv_req *r = i->req;
    for (int k = 0; k < r->n_jobs; k++) {
        const struct srv_job *j = &r->jobs[k];
        if (j->status == 200)
            continue;
        if (r->n_jobs > 1)
            srv_infer_fail(i, j->status, "image %d of %d: %s", k + 1, r->n_jobs,
                           srv_job_sentence(j));
        else
            srv_infer_fail(i, j->status, "%s", srv_job_sentence(j));
        return 1;
    }
    return 0;
}

static void jobs_done(struct srv_req *r, void *arg)
{
    struct srv_infer *i = arg;
    srv_canary_compare(i->api, r);
    if (any_failed(i)) {
        finish(r, i);
        return;
    }
    srv_req_run_last(r, srv_infer_cost(i) > SRV_LOOP_FLOATS, write_reply, finish, i);
}

/* ---- the question ---- */

static void set_priority(struct srv_req *r, uint64_t priority)
{
    if (priority >= SRV_PRIORITY_FIRST && priority <= SRV_PRIORITY_LAST)
        r->priority = (int)priority;
}

/* A timeout of the message takes the place of the server's own, and can only shorten another that
 * the client gave. */
static void set_timeout(struct srv_req *r, uint64_t timeout_us)
{
    const uint64_t most = 86400000000u;
    if (timeout_us == 0)
        return;
    uint64_t us = timeout_us < most ? timeout_us : most;
    uint64_t deadline = r->begun_ns + us * 1000u;
    if (!r->deadline_given || deadline < r->deadline_ns)
        r->deadline_ns = deadline;
}

static void fail_submit(struct srv_infer *i, int rc)
{
    const char *sentence;
    int status = srv_req_refusal(rc, &sentence);
    srv_infer_fail(i, status, "%s", sentence);
}

static void submit(struct srv_infer *i)
{
    struct srv_req *r = i->req;
    set_priority(r, i->in.priority);
    set_timeout(r, i->in.timeout_us);
    r->done = jobs_done;
    r->arg = i;
    int rc = srv_req_submit(r, i->inputs, i->n_inputs);
    if (rc == 0)
        return;
    fail_submit(i, rc);
    finish(r, i);
}

static void read_tensors(struct srv_req *r, void *arg)
{
    struct srv_infer *i = arg;
    if (!i->status && srv_infer_choose_outputs(i) == 0 && srv_infer_read_inputs(i) == 0 &&
        r->sharing)
        srv_coalesce_digest(r, i->inputs, i->n_inputs);
}

static void after_tensors(struct srv_req *r, void *arg)
{
    struct srv_infer *i = arg;
    if (i->status)
        finish(r, i);
    else
        submit(i);
}

static void parse(struct srv_req *r, void *arg)
{
    struct srv_infer *i = arg;
    char err[sizeof(i->error)] = "the request is malformed";
    int rc = i->codec->parse(i, err, sizeof(err));
    if (i->status)
        return;
    if (rc < 0)
        srv_infer_fail(i, rc == -ENOMEM ? 503 : 400, "%s",
                       rc == -ENOMEM ? "out of memory for the request" : err);
    else if (r->model)
        read_tensors(r, i);
}

/* Runs a step where it belongs. */
static void step(struct srv_infer *i, void (*run)(struct srv_req *r, void *arg),
                 void (*back)(struct srv_req *r, void *arg))
{
    struct srv_req *r = i->req;
    int rc = srv_req_run(r, r->body_len > SRV_LOOP_BYTES, run, back, i);
    if (rc < 0) {
        fail_submit(i, rc);
        finish(r, i);
    }
}

static void after_parse(struct srv_req *r, void *arg)
{
    struct srv_infer *i = arg;
    char err[sizeof(i->error)];
    if (i->status || r->model) {
        after_tensors(r, i);
        return;
    }
    if (srv_infer_choose(r, i->in.model_name, i->in.model_version, err, sizeof(err)) < 0) {
        srv_infer_fail(i, 404, "%s", err);
        finish(r, i);
        return;
    }
    step(i, read_tensors, after_tensors);
}

void srv_infer_run(struct srv_infer *i)
{
    step(i, parse, after_parse);
}
