/* The life of a job as a table of allowed moves. */
#include "server/scheduler/job.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static const unsigned allowed[] = {
    [SRV_JOB_NEW] = 1u << SRV_JOB_QUEUED | 1u << SRV_JOB_DONE | 1u << SRV_JOB_EXPIRED |
                    1u << SRV_JOB_FAILED | 1u << SRV_JOB_CANCELLED,
    [SRV_JOB_QUEUED] = 1u << SRV_JOB_RUNNING | 1u << SRV_JOB_EXPIRED | 1u << SRV_JOB_CANCELLED |
                       1u << SRV_JOB_FAILED,
    [SRV_JOB_RUNNING] =
        1u << SRV_JOB_DONE | 1u << SRV_JOB_EXPIRED | 1u << SRV_JOB_CANCELLED | 1u << SRV_JOB_FAILED,
    [SRV_JOB_DONE] = 0,
    [SRV_JOB_EXPIRED] = 0,
    [SRV_JOB_CANCELLED] = 0,
    [SRV_JOB_FAILED] = 0,
};

void srv_job_move(struct srv_job *j, enum srv_job_state to)
{
    assert(allowed[j->state] & 1u << to);
    j->state = to;
    if (to == SRV_JOB_DONE)
        j->status = 200;
    else if (to == SRV_JOB_EXPIRED)
        j->status = 504;
    else if (to == SRV_JOB_CANCELLED)
        j->status = 499;
}

void srv_job_fail(struct srv_job *j, int status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(j->error, sizeof(j->error), fmt, ap);
    va_end(ap);
    srv_job_move(j, SRV_JOB_FAILED);
    j->status = status;
}

const char *srv_job_sentence(const struct srv_job *j)
{
    if (j->error[0])
        return j->error;
    if (j->state == SRV_JOB_EXPIRED)
        return "the deadline passed before the image could be processed";
    return "the client left";
}
