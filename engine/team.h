/* Parallel-for over threads that the *caller* lends: the engine creates none.
 *
 * A team belongs to one run at a time, led by the thread that calls eng_team_for(). Any other
 * thread may lend itself with eng_team_help(); it returns when the leader ends the run, so an idle
 * server worker can help for the length of one run and go back to its queue. Helpers may come late
 * or never: the leader alone finishes. Units are claimed by atomic counters, so a preempted helper
 * delays only the units that it holds. Waiting spins for a bounded time, then sleeps (futex). */
#ifndef ENG_TEAM_H
#define ENG_TEAM_H

#include "engine/engine.h"

struct eng_team;

/* max_members: leader + helpers that may ever be inside (1..256). */
int eng_team_create(struct eng_team **ret, int max_members);
void eng_team_destroy(struct eng_team *t); /* nobody may be inside */

/* Leader: opens a run (helpers may now enter) and ends it (returns when every helper has left). */
void eng_team_begin(struct eng_team *t);
void eng_team_end(struct eng_team *t);

/* Helper: joins the open run until it ends. 0, or -EAGAIN at once if no run is open or the team is
 * full. */
int eng_team_help(struct eng_team *t);

/* Leader, inside a run (or t == NULL: alone): calls fn(arg, begin, end, member) until the units
 * 0..units-1 are all done, each exactly once; `member` is 0 for the leader, < max_members, and no
 * two calls with one member overlap. On return every effect of fn is visible to the leader. */
typedef void eng_team_fn(void *arg, int begin, int end, int member);
void eng_team_for(struct eng_team *t, int units, eng_team_fn *fn, void *arg);

/* Leader + helpers inside at this moment; NULL: 1. Only grows until eng_team_end(). */
int eng_team_members(const struct eng_team *t);
int eng_team_capacity(const struct eng_team *t); /* max_members; NULL: 1 */

#endif
