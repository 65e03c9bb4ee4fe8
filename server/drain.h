/* The way out: readiness 503 -> grace -> no new connections -> what is in flight -> end of the
 * loop.
 */
#ifndef SRV_DRAIN_H
#define SRV_DRAIN_H

struct srv;

/* SIGTERM or SIGINT: the first starts the drain, the second ends the process at once. */
void srv_drain_signal(struct srv *s);

#endif
