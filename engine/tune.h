/* Refines the plan's cuts by measurement. The cost model rates ways to cut a step into units
 * (fused with its depthwise or not, rows, panels) and to run the first layers (in strips or whole
 * maps); its first choice holds until a tuner has timed the best few of them on this machine.
 *
 * Two ways to run are tuned, those that serving uses: one image on one thread, and one image by all
 * members of a team. Every choice gives the same results. */
#ifndef ENG_TUNE_H
#define ENG_TUNE_H

#include "engine/context.h"

struct eng_tuner;

enum { ENG_TUNING_TEXT = 16384 }; /* bytes that any tuning fits into as text */

/* Times in a context of its own. members 1: the first way alone. -ENOMEM and what
 * eng_context_create() says. */
int eng_tuner_create(struct eng_tuner **ret, struct eng_model *model_ref, int members, char *err,
                     size_t errlen);
void eng_tuner_destroy(struct eng_tuner *t);

/* One slice of the work: a few runs of one image. `team` as for eng_context_run(), with room for
 * `members`; begun anew for each slice. 1: there is more; 0: done, and all contexts of the model
 * follow from their next run on. What is measured while other work has the processor is noise: call
 * it when nothing else runs. */
int eng_tuner_step(struct eng_tuner *t, struct eng_team *team);

/* One line, "2 MEMBERS STRIPS CHOICES STRIPS CHOICES\n"; for the same file, kernels and members.
 * Its length, or -ENOSPC. */
int eng_tuning_print(const struct eng_model *m, char *ret, size_t len);
/* 0; -EINVAL: not such a line, or one for another plan; nothing is changed then. Any thread. */
int eng_tuning_parse(struct eng_model *m, const char *line);
/* How many steps (strips count as one) differ from what the cost model says. */
int eng_tuning_changes(const struct eng_model *m);

#endif
