/* Changes of what is served: SIGHUP reads configuration and models again, a call loads or unloads
 * one model. Each runs on a thread of its own, one after the other. The old models serve until the
 * new are ready; if anything is wrong with the new, the old stay. */
#ifndef SRV_RELOAD_H
#define SRV_RELOAD_H

#include "config/config.h"
#include "server/repository/registry.h"

struct srv;

/* Loop thread. While one runs, at most one more is remembered. */
void srv_reload_start(struct srv *s);
void srv_reload_models(struct srv *s); /* the same without the configuration */
/* Tells srv_watch_seen() how the repository looks now. */
void srv_reload_look(struct srv *s);

int srv_reload_init(struct srv *s);    /* needs the loop; 0, or a libuv error */
void srv_reload_finish(struct srv *s); /* waits for a running one and drops its result */

void srv_registry_options_of(struct srv_registry_options *ret, const struct srv *s,
                             const struct cfg *cfg);

#endif
