/* Large maps in small pieces, depth first. Internal to engine/.
 *
 * Layer by layer, a map of the first layers falls out of L2 before the next layer reads it. A chain
 * of steps is run instead in waves: each makes the few rows that the rows after it ask for, in
 * buffers that hold just these, and so on to the end of the chain, whose map is whole again. No row
 * is made twice: the last rows of a wave that the next one sees again are kept. Cut for several
 * members, each takes a band of the last map, and rows that the windows of two bands share are made
 * by both; in return nobody waits between the first layer and the last of the chain. */
#ifndef ENG_PLAN_STRIPS_H
#define ENG_PLAN_STRIPS_H

#include "engine/plan/steps.h"

/* What a step of the chain makes in one wave of one band: rows y0 .. y1-1. Its buffer then holds
 * rows lo .. y1-1. */
struct eng_strip_cut {
    int y0, y1, lo;
};

struct eng_strip_buffer {
    size_t stride; /* bytes between channel blocks; 0: not in strips */
    size_t offset;
};

struct eng_strips {
    int first, end; /* steps of the plan */
    int bands, waves;
    size_t bytes;                     /* buffers of one member */
    struct eng_strip_cut *cuts;       /* [bands][waves][end - first] */
    struct eng_strip_buffer *buffers; /* of the output of each step of the chain */
    struct eng_split *splits;         /* of each step of the chain, in a wave */
};

/* Where a member is in them. */
struct eng_strip_at {
    const struct eng_strips *strips;
    const struct eng_strip_cut *cuts; /* of this band and wave */
    int band;
    char *buffers;
};

/* *ret NULL: no chain gains. -ENOMEM. */
int eng_strips_create(struct eng_strips **ret, const struct eng_plan *p, int bands);
void eng_strips_destroy(struct eng_strips *s);

/* Runs the whole chain: a unit is a band. `buffers`: eng_strips.bytes for each member of the team,
 * from member 0 of the run on. `ns`: of each step of the plan, NULL: not asked. */
struct eng_strips_job {
    const struct eng_strips *strips;
    const struct eng_call *call;
    char *buffers;
    _Atomic uint64_t *ns;
    int share;
};
void eng_strips_run(void *job, int begin, int end, int member);

#endif
