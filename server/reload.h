/* Changes of what is served: SIGHUP reads configuration and models again, a call loads or unloads
 * one model. Each runs on a thread of its own, one after the other. The old models serve until the
 * new are ready; if anything is wrong with the new, the old stay. */
#ifndef SRV_RELOAD_H
#define SRV_RELOAD_H

#include "config/config.h"
#include "server/repository/registry.h"

struct srv;

/* Called once, on the loop, never from srv_reload_model() itself: status is 0, or in HTTP's numbers
 * with a sentence. */
typedef void srv_changed_fn(void *arg, int status, const char *sentence);

/* Loop thread. While one runs, at most one more is remembered. */
void srv_reload_start(struct srv *s);
void srv_reload_models(struct srv *s); /* the same without the configuration */
/* Tells srv_watch_seen() how the repository looks now. */
void srv_reload_look(struct srv *s);
/* Loads (1) or unloads (0) the model of this name. Returns a handle for srv_reload_forget(); NULL:
 * too many wait, or out of memory. */
struct srv_change_order *srv_reload_model(struct srv *s, const char *name, int load,
                                          srv_changed_fn *done, void *arg);
/* Nobody waits for the answer any more: `done` will not be called. */
void srv_reload_forget(struct srv_change_order *o);
/* The server stops: whoever waits is told so, and what has not begun never will. */
void srv_reload_abort(struct srv *s);

int srv_reload_init(struct srv *s);    /* needs the loop; 0, or a libuv error */
void srv_reload_finish(struct srv *s); /* waits for a running one and drops its result */

void srv_registry_options_of(struct srv_registry_options *ret, const struct srv *s,
                             const struct cfg *cfg);

#endif
