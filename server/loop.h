/* The loop: owns every connection and every request; the only thread that talks to clients. */
#ifndef SRV_LOOP_H
#define SRV_LOOP_H

#include <stddef.h>
#include <stdint.h>

struct srv;
struct cfg;
struct cfg_sources;

/* What SIGHUP asks for while the daemon starts waits until it serves: call it first of all. */
void srv_hold_reloads(void);

/* Serves until drained. cfg is taken over. The exit status of the process; on failure to start a
 * negative errno with a sentence. */
int srv_serve(struct cfg *cfg_take, const struct cfg_sources *sources, char *err, size_t errlen);

#endif
