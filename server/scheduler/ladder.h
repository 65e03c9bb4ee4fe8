/* The control law of a family: which of its variants, best first, a batch should run now so that
 * the latency objective holds. Pure: no clock, no I/O, no lock; the same inputs give the same
 * level.
 *
 * Down at once, as far as needed, when what waits could not be answered within its share of the
 * objective, or when the measured 99th percentile says so. Up one step at a time, when for a while
 * the better variant would have carried the offered load with room to spare. A step up that does
 * not last doubles the time until the next is tried. Once the best variant would be at ease for
 * three seconds, a burst is over, and the best variant runs again at once. */
#ifndef SRV_LADDER_H
#define SRV_LADDER_H

#include <stdint.h>

enum srv_ladder_reason {
    SRV_LADDER_STAY,
    SRV_LADDER_QUEUE,   /* down: what waits would be late */
    SRV_LADDER_LATENCY, /* down: the measured percentile is over the objective */
    SRV_LADDER_LOAD,    /* up: the load has fallen */
    SRV_LADDER_OFF,     /* up: there is no objective any more */
    SRV_LADDER_REASONS,
};

struct srv_ladder_input {
    uint64_t now_ns;
    uint64_t objective_ns; /* of the 99th percentile; 0 = none: the best variant always */
    uint64_t budget_ns;    /* half of it: what waiting may take before a step down */
    int n;                 /* variants, at least 1 */
    const double *cost_ns; /* full path (decode, preprocess, run) of one image on one core */
    double rate;           /* cores: cost done per nanosecond by a busy pool */
    double waiting;        /* images of the family that wait or run, those just arriving included */
    double other_ns;       /* cost of the work of other models that comes before them */
    double arrived;        /* images since the last call, refused ones included */
    uint64_t p99_ns;       /* measured since the last switch; 0 = too few answers to tell */
};

struct srv_ladder {
    int level; /* 0 = the best variant */
    uint64_t last_ns;
    double pending;            /* arrived since last_ns */
    double offered, sustained; /* images a second: over a quarter of a second, over a second */
    double least;              /* waiting, since it became calm */
    uint64_t calm_ns;          /* since when a step up has looked safe; 0 = it does not */
    uint64_t easy_ns;          /* since when the best variant would be at ease; 0 = it would not */
    uint64_t raised_ns;        /* last step up; 0 = none, or its trial is over */
    uint64_t hold_ns;          /* calm time that a step up takes; 0 = the shortest */
    uint64_t switches[SRV_LADDER_REASONS];
};

/* Returns why the level changed; at most one change a call. */
enum srv_ladder_reason srv_ladder_step(struct srv_ladder *l, const struct srv_ladder_input *in);

#endif
