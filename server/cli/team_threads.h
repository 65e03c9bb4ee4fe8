/* Threads of the command line tools: they help one leader's runs and do nothing else. */
#ifndef SRV_CREW_H
#define SRV_CREW_H

#include "engine/context.h"

struct srv_crew;

/* `threads` counts the caller. */
int srv_crew_create(struct srv_crew **ret, int threads);
void srv_crew_destroy(struct srv_crew *c);
/* The team, open for a run that the caller leads; NULL if it is alone. */
struct eng_team *srv_crew_begin(struct srv_crew *c);
void srv_crew_end(struct srv_crew *c);
/* eng_context_run() with everybody. */
int srv_crew_run(struct srv_crew *c, struct eng_context *context, int batch);

#endif
