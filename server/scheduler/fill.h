/* Tensors of a request into the network's input. */
#ifndef SRV_FILL_H
#define SRV_FILL_H

#include "engine/image.h"
#include "server/scheduler/job.h"

/* j->input, pixels or floats of the network's size, into dst: height x width x 3 of p->type. Floats
 * for a quantised network are rounded as eng_preprocess (engine/image.h) says; a NaN becomes the
 * zero point. Any thread. */
void srv_fill(const struct srv_job *j, const struct eng_preprocess *p, void *dst);

/* Bytes of the network's input tensor, of one image. */
size_t srv_tensor_bytes(const struct eng_preprocess *p);

#endif
