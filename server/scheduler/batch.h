/* What a worker does with a batch: drop what nobody waits for, decode and preprocess each image
 * into its slot, run the network, rank. */
#ifndef SRV_BATCH_H
#define SRV_BATCH_H

#include "server/scheduler/pool.h"

/* jobs[0..n-1] of one model, QUEUED and out of the queue; all of them end in the completion list.
 */
void srv_batch_run(struct srv_worker *w, struct srv_model *m, struct srv_job **jobs, int n);

#endif
