/* Threads of the command line tools: they help one leader's runs and do nothing else. */
#ifndef SRV_TEAM_THREADS_H
#define SRV_TEAM_THREADS_H

#include "engine/context.h"

struct srv_team_threads;

/* `threads` counts the caller. */
int srv_team_threads_create(struct srv_team_threads **ret, int threads);
void srv_team_threads_destroy(struct srv_team_threads *c);
/* The team, open for a run that the caller leads; NULL if it is alone. */
struct eng_team *srv_team_threads_begin(struct srv_team_threads *c);
void srv_team_threads_end(struct srv_team_threads *c);
/* eng_context_run() with everybody. */
int srv_team_threads_run(struct srv_team_threads *c, struct eng_context *context, int batch);

#endif
