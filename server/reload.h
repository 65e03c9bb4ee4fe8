/* SIGHUP: configuration and models are read again on a thread of their own. The old ones serve
 * until the new are ready; if anything is wrong with the new, the old stay. */
#ifndef SRV_RELOAD_H
#define SRV_RELOAD_H

#include "config/config.h"
#include "server/models.h"

struct srv;

/* Loop thread. While one runs, at most one more is remembered. */
void srv_reload_start(struct srv *s);
void srv_reload_init(struct srv *s);   /* needs the loop */
void srv_reload_finish(struct srv *s); /* waits for a running one and drops its result */

void srv_registry_options_of(struct srv_registry_options *ret, const struct srv *s,
                             const struct cfg *cfg);

#endif
