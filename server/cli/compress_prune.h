/* The part of `compress` that prunes: shows the pictures to the pruner and takes its steps. */
#ifndef SRV_COMPRESS_PRUNE_H
#define SRV_COMPRESS_PRUNE_H

#include <stdio.h>

#include "engine/prune.h"
#include "server/cli/picture_paths.h"

struct srv_prune {
    struct eng_pruner *pruner; /* after _run(): pruned */
    int seen;                  /* pictures that it learned from */
};

/* Prunes the model of the version folder `from` into `to`. Pictures that cannot be decoded are
 * named and passed over. */
int srv_prune_run(struct srv_prune *p, struct eng_compress_sizes *ret, const char *from,
                  const char *to, double share, const struct srv_picture_paths *pictures,
                  struct eng_decoder *d, char *err, size_t errlen);
void srv_prune_finish(struct srv_prune *p);
/* What each layer kept. */
void srv_prune_text(const struct srv_prune *p, FILE *out);
void srv_prune_json(const struct srv_prune *p, FILE *out); /* members of an object */

#endif
