/* Makes a loaded model ready to serve: pages it in, times it, and finds out which batch pays. */
#ifndef SRV_WARM_H
#define SRV_WARM_H

#include "server/repository/model.h"

/* Sets m->run_ns and m->batch_limit (1..max_batch), leaves a run context for `workers` members in
 * m->warm. Slow (milliseconds to a few hundred); not on the loop's thread. */
int srv_model_warm(struct srv_model *m, int max_batch, int workers, char *err, size_t errlen);

#endif
