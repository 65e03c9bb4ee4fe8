/* All steps try their k-th choice in the same run: what one takes hardly depends on the others'.
 * The least of some rounds counts, since whatever else runs can only add; at the end whole runs, in
 * turns with the cost model's, must confirm the sum of it. */
#include "engine/tune.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/inside.h"
#include "engine/plan/steps.h"
#include "engine/plan/strips.h"

enum { ROUNDS = 6, CONFIRMATIONS = 8, FORMAT = 2 };

#define GAIN 0.97f      /* a choice has to take this share of the first one's time */
#define CONFIRMED 0.995 /* and all of them together this */

struct eng_tuner {
    struct eng_context *context;
    struct eng_run *run;
    struct eng_tuning *tuning;
    int members, n_steps;
    int way, round;
    const struct eng_strips *strips; /* of this way */
    uint64_t *least;                 /* [ENG_CHOICES][steps], without strips */
    uint64_t *least_strips;          /* [steps], with them, first choices */
    uint64_t before, after;          /* least whole runs: of the cost model's choices, of ours */
};

static void begin_way(struct eng_tuner *t, int way)
{
    t->way = way;
    t->round = 0;
    t->strips = eng_run_strips(t->run, way);
    t->before = t->after = UINT64_MAX;
    memset(t->least, 0xff, (size_t)(ENG_CHOICES + 1) * (size_t)t->n_steps * sizeof(*t->least));
}

int eng_tuner_create(struct eng_tuner **ret, struct eng_model *model_ref, int members, char *err,
                     size_t errlen)
{
    struct eng_tuner *t = calloc(1, sizeof(*t));
    const struct eng_plan *p = eng_model_plan(model_ref);
    if (!t)
        return -ENOMEM;
    t->members = members;
    t->n_steps = eng_plan_steps(p);
    t->tuning = eng_plan_tuning(p);
    t->least = malloc(((size_t)(ENG_CHOICES + 1) * (size_t)t->n_steps + 1) * sizeof(*t->least));
    int rc =
        t->least ? eng_context_create(&t->context, model_ref, 1, members, err, errlen) : -ENOMEM;
    if (rc < 0) {
        eng_tuner_destroy(t);
        return rc;
    }
    t->least_strips = t->least + (size_t)ENG_CHOICES * (size_t)t->n_steps;
    t->run = eng_context_run_inside(t->context);
    begin_way(t, ENG_ALONE);
    *ret = t;
    return 0;
}

void eng_tuner_destroy(struct eng_tuner *t)
{
    if (!t)
        return;
    eng_context_destroy(t->context);
    free(t->least);
    free(t);
}

/* ---- measuring ---- */

static int time_steps(struct eng_tuner *t, struct eng_team *team, int choice, int no_strips,
                      uint64_t *least)
{
    eng_run_try(t->run, choice, no_strips);
    eng_context_profile(t->context, 1);
    int rc = eng_context_run(t->context, 1, team);
    eng_context_profile(t->context, 0);
    if (rc < 0)
        return rc;
    for (int i = 0; i < t->n_steps; i++) {
        uint64_t ns;
        if (eng_context_step_ns(t->context, i, &ns) == 0 && ns < least[i])
            least[i] = ns;
    }
    return 0;
}

static int time_whole(struct eng_tuner *t, struct eng_team *team, int choice, uint64_t *least)
{
    eng_run_try(t->run, choice, 0);
    uint64_t start = eng_clock_ns();
    int rc = eng_context_run(t->context, 1, team);
    uint64_t took = eng_clock_ns() - start;
    if (took < *least)
        *least = took;
    return rc;
}

/* ---- choosing ---- */

static int best_choice(const struct eng_tuner *t, int step)
{
    int best = 0;
    float limit = (float)t->least[step] * GAIN;
    for (int k = 1; k < ENG_CHOICES; k++) {
        uint64_t ns = t->least[(size_t)k * (size_t)t->n_steps + (size_t)step];
        if ((float)ns < limit) {
            limit = (float)ns;
            best = k;
        }
    }
    return best;
}

/* Whether the chain that strips run is faster without them. */
static int better_without(const struct eng_tuner *t)
{
    uint64_t with = 0, without = 0;
    for (int i = t->strips ? t->strips->first : 0; t->strips && i < t->strips->end; i++) {
        with += t->least_strips[i];
        without += t->least[(size_t)best_choice(t, i) * (size_t)t->n_steps + (size_t)i];
    }
    return (float)without < (float)with * GAIN;
}

static void changed(struct eng_tuning *t)
{
    atomic_fetch_add(&t->version, 1);
}

static void choose(struct eng_tuner *t)
{
    atomic_store(&t->tuning->no_strips[t->way], better_without(t));
    for (int i = 0; i < t->n_steps; i++)
        atomic_store(&t->tuning->choice[t->way][i], (unsigned char)best_choice(t, i));
    if (t->way == ENG_TOGETHER)
        atomic_store(&t->tuning->members, t->members);
    changed(t->tuning);
}

static void take_back(struct eng_tuner *t)
{
    atomic_store(&t->tuning->no_strips[t->way], 0);
    for (int i = 0; i < t->n_steps; i++)
        atomic_store(&t->tuning->choice[t->way][i], 0);
    changed(t->tuning);
}

int eng_tuner_step(struct eng_tuner *t, struct eng_team *team)
{
    int rc = 0;
    team = t->way == ENG_TOGETHER ? team : NULL;
    if (t->round < ROUNDS) {
        if (t->strips)
            rc = time_steps(t, team, 0, 0, t->least_strips);
        for (int k = 0; k < ENG_CHOICES; k++) {
            if (rc < 0)
                break;
            rc = time_steps(t, team, k, 1, t->least + (size_t)k * (size_t)t->n_steps);
        }
    } else {
        if (t->round == ROUNDS)
            choose(t);
        rc = time_whole(t, team, 0, &t->before);
        if (rc == 0)
            rc = time_whole(t, team, -1, &t->after);
    }
    if (rc < 0 || ++t->round < ROUNDS + CONFIRMATIONS)
        return rc < 0 ? rc : 1;
    if ((double)t->after > (double)t->before * CONFIRMED)
        take_back(t);
    if (t->way == ENG_TOGETHER || t->members < 2)
        return 0;
    begin_way(t, ENG_TOGETHER);
    return 1;
}

/* ---- as text ---- */

int eng_tuning_print(const struct eng_model *m, char *ret, size_t len)
{
    const struct eng_plan *p = eng_model_plan(m);
    const struct eng_tuning *t = eng_plan_tuning(p);
    size_t n = (size_t)eng_plan_steps(p), at;
    int head = snprintf(ret, len, "%d %d", FORMAT, atomic_load(&t->members));
    if (head < 0 || (size_t)head + 2 * (n + 4) + 2 > len)
        return -ENOSPC;
    at = (size_t)head;
    for (int way = 0; way < 2; way++) {
        at += (size_t)snprintf(ret + at, len - at, " %d ", atomic_load(&t->no_strips[way]) != 0);
        for (size_t i = 0; i < n; i++)
            ret[at++] = (char)('0' + atomic_load(&t->choice[way][i]));
    }
    ret[at++] = '\n';
    ret[at] = '\0';
    return (int)at;
}

/* " STRIPS CHOICES" of n steps. */
static const char *parse_way(const char *at, int n)
{
    if (!at || at[0] != ' ' || (at[1] != '0' && at[1] != '1') || at[2] != ' ')
        return NULL;
    at += 3;
    for (int i = 0; i < n; i++)
        if (at[i] < '0' || at[i] >= '0' + ENG_CHOICES)
            return NULL;
    return at + n;
}

static void take_way(struct eng_tuning *t, int way, const char *at, int n)
{
    atomic_store(&t->no_strips[way], at[1] - '0');
    for (int i = 0; i < n; i++)
        atomic_store(&t->choice[way][i], (unsigned char)(at[3 + i] - '0'));
}

int eng_tuning_parse(struct eng_model *m, const char *line)
{
    const struct eng_plan *p = eng_model_plan(m);
    struct eng_tuning *t = eng_plan_tuning(p);
    int n = eng_plan_steps(p), format, members, head = 0;
    if (sscanf(line, "%3d %5d%n", &format, &members, &head) != 2 || format != FORMAT ||
        members < 0 || members > 256)
        return -EINVAL;
    const char *alone = line + head, *together = parse_way(alone, n);
    const char *end = parse_way(together, n);
    if (!end || strcmp(end, "\n") != 0)
        return -EINVAL;
    take_way(t, ENG_ALONE, alone, n);
    take_way(t, ENG_TOGETHER, together, n);
    atomic_store(&t->members, members);
    changed(t);
    return 0;
}

int eng_tuning_changes(const struct eng_model *m)
{
    const struct eng_plan *p = eng_model_plan(m);
    const struct eng_tuning *t = eng_plan_tuning(p);
    int n = 0;
    for (int way = 0; way < 2; way++) {
        n += atomic_load(&t->no_strips[way]) != 0;
        for (int i = 0; i < eng_plan_steps(p); i++)
            n += atomic_load(&t->choice[way][i]) != 0;
    }
    return n;
}
