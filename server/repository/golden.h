/* The golden answer of a manifest: a picture, and what the model says to it. A model that says
 * something else is not what it was, and does not get into service. */
#ifndef SRV_GOLDEN_H
#define SRV_GOLDEN_H

#include <stdio.h>

#include "server/repository/model.h"

/* Of a warm model that nobody uses yet, from the version folder `dir`. 0 if it has none. -EBADMSG:
 * another answer, with a sentence; or what keeps the picture from being read. */
int srv_golden_check(struct srv_model *m, const char *dir, uint32_t cpu_bits, char *err,
                     size_t errlen);
/* The member of a manifest that expects this answer to the picture of this path. */
void srv_golden_print(FILE *out, const char *path, const struct eng_prediction *best, int n);

#endif
