/* Files that change: the repository is looked at every `watch_models_ms`, and read again when it
 * differs from what is served and has been left alone since the look before, so that a copy under
 * way is not read half. By polling, since network file systems and Kubernetes' links tell nobody.
 * Loop thread; the looking itself is done on the reload thread. */
#ifndef SRV_WATCH_H
#define SRV_WATCH_H

#include <stdint.h>

struct srv;

/* The models are about to be read for the first time. */
void srv_watch_begin(struct srv *s);
void srv_watch_init(struct srv *s);      /* needs the loop */
void srv_watch_configure(struct srv *s); /* the option may have changed */
void srv_watch_seen(struct srv *s, uint64_t stamp);

#endif
