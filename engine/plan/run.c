/* Walks a plan. Allocates nothing, takes no lock.
 *
 * A batch is shared out by images: each member takes its own through all steps, in an arena of its
 * own, which stays in its L2, and nobody waits for anybody. Images that do not go round (and a
 * batch smaller than the team) are run by all members together: for each step and phase one
 * parallel-for.
 *
 * Offsets of values are for one image; a call of `batch` images multiplies them. What outlives the
 * run (input, results; every tensor of a reference plan) has its own area, at max_batch. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/fail.h"
#include "engine/plan/bands.h"
#include "engine/plan/strips.h"

enum { MAX_BATCH = 1024, MAX_MEMBERS = 256 };

static size_t largest_scratch(const struct eng_plan *p, int max_batch)
{
    size_t most = 0;
    for (int i = 0; i < p->n_steps; i++) {
        const struct eng_step *s = &p->steps[i];
        size_t need = s->driver->scratch ? s->driver->scratch(s, max_batch) : 0;
        most = need > most ? need : most;
    }
    return eng_round_up(most, ENG_ALIGN);
}

static int make_table(struct eng_split_table *t, int n, const struct eng_plan *p)
{
    t->n = n;
    t->rows = calloc((size_t)n * ((size_t)p->n_steps + 1), sizeof(*t->rows));
    t->made = calloc((size_t)n, 1);
    return t->rows && t->made ? 0 : -ENOMEM;
}

static size_t strip_bytes(const struct eng_run *r)
{
    size_t alone = r->strips_alone ? r->strips_alone->bytes : 0;
    size_t together = r->strips_together ? r->strips_together->bytes : 0;
    return alone > together ? alone : together;
}

/* One allocation: margin, arenas, margin, kept area, margin, scratch of each member, arenas of
 * bands, margin. */
static int lay_out(struct eng_run *r, char *err, size_t errlen)
{
    const struct eng_plan *p = r->plan;
    size_t margin = ENG_OVERREAD, members = (size_t)r->max_members, batch = (size_t)r->max_batch;
    /* One image for each member, or as many as all run together: fewer than there are members. */
    int images = eng_min(r->max_batch, r->max_members);
    r->scratch_bytes = largest_scratch(p, images);
    size_t arena, kept, scratch, all;
    size_t bands = r->bands ? r->bands->bytes * (size_t)r->bands->n : 0;
    bands += strip_bytes(r) * members;
    if (__builtin_mul_overflow(p->arena_bytes, (size_t)images, &arena) ||
        __builtin_mul_overflow(p->kept_bytes, batch, &kept) ||
        __builtin_mul_overflow(r->scratch_bytes, members, &scratch) ||
        __builtin_add_overflow(arena, kept, &all) || __builtin_add_overflow(all, scratch, &all) ||
        __builtin_add_overflow(all, bands, &all) || all > SIZE_MAX / 2)
        return eng_fail(err, errlen, ENG_E_LIMIT, "a batch of %d needs too much memory",
                        r->max_batch);
    r->bytes = eng_round_up(all + 4 * margin, ENG_ALIGN);
    r->memory = eng_alloc_large(r->bytes);
    r->ns = calloc((size_t)p->n_steps + 1, sizeof(*r->ns));
    r->pictures = calloc(batch, 1);
    if (!r->memory || !r->ns || !r->pictures || make_table(&r->alone, 1, p) < 0 ||
        make_table(&r->together, images, p) < 0)
        return eng_fail(err, errlen, -ENOMEM, "out of memory: a run of %d images needs %zu bytes",
                        r->max_batch, r->bytes);
    r->arena = r->memory + margin;
    r->kept = r->arena + arena + margin;
    r->scratch = r->kept + kept + margin;
    r->strip_buffers = r->scratch + scratch;
    r->band_arena = r->strip_buffers + strip_bytes(r) * members;
    return 0;
}

int eng_run_create(struct eng_run **ret, const struct eng_plan *p, int max_batch, int max_members,
                   char *err, size_t errlen)
{
    if (max_batch < 1 || max_batch > MAX_BATCH || max_members < 1 || max_members > MAX_MEMBERS)
        return eng_fail(err, errlen, -EINVAL, "a run takes 1..%d images and 1..%d threads",
                        MAX_BATCH, MAX_MEMBERS);
    struct eng_run *r = calloc(1, sizeof(*r));
    if (!r)
        return eng_fail(err, errlen, -ENOMEM, "out of memory");
    r->plan = p;
    r->trial = -1;
    r->max_batch = max_batch;
    r->max_members = max_members;
    int rc = eng_bands_create(&r->bands, p, max_members);
    if (rc == 0)
        rc = eng_strips_create(&r->strips_alone, p, 1);
    if (rc == 0 && r->bands)
        rc = eng_strips_create(&r->strips_together, p, r->bands->n);
    if (rc < 0)
        eng_fail(err, errlen, rc, "out of memory");
    else
        rc = lay_out(r, err, errlen);
    if (rc < 0) {
        eng_run_destroy(r);
        return rc;
    }
    /* Pad lanes and margins are read before they are written, never used: but not uninitialised. */
    memset(r->memory, 0, ENG_OVERREAD);
    memset(r->kept - ENG_OVERREAD, 0, (size_t)(r->memory + r->bytes - (r->kept - ENG_OVERREAD)));
    *ret = r;
    return 0;
}

void eng_run_destroy(struct eng_run *r)
{
    if (!r)
        return;
    free(r->memory);
    eng_bands_destroy(r->bands);
    eng_strips_destroy(r->strips_alone);
    eng_strips_destroy(r->strips_together);
    free(r->alone.rows);
    free(r->alone.made);
    free(r->together.rows);
    free(r->together.made);
    free(r->ns);
    free(r->pictures);
    free(r);
}

size_t eng_run_bytes(const struct eng_run *r)
{
    return r->bytes;
}

void *eng_run_input(struct eng_run *r, int slot)
{
    r->pictures[slot] = 0;
    return eng_kept_at(r, r->plan->rep[r->plan->g->input][ENG_REP_FILE], slot);
}

void *eng_run_picture(struct eng_run *r, int slot)
{
    if (r->plan->door < 0)
        return eng_run_input(r, slot);
    r->pictures[slot] = 1;
    return eng_kept_at(r, r->plan->door_value, slot);
}

void eng_run_copy(struct eng_run *r, int to, int from)
{
    const struct eng_plan *p = r->plan;
    int quanta = r->pictures[from], tensor = quanta ? p->door : p->g->input;
    const struct eng_tensor *t = &p->g->tensors[tensor];
    size_t bytes = eng_tensor_elements(t) * eng_type_size(t->type);
    if (quanta)
        memcpy(eng_run_picture(r, to), eng_run_picture(r, from), bytes);
    else
        memcpy(eng_run_input(r, to), eng_run_input(r, from), bytes);
}

const void *eng_run_tensor(const struct eng_run *r, int tensor, int slot)
{
    if (tensor < 0 || tensor >= r->plan->g->n_tensors || slot < 0 || slot >= r->max_batch)
        return NULL;
    int v = r->plan->rep[tensor][ENG_REP_FILE];
    return v >= 0 && r->plan->values[v].keep ? eng_kept_at(r, v, slot) : NULL;
}

/* ---- what measurement chose ---- */

static int choice_of(const struct eng_run *r, int step, int members)
{
    const struct eng_tuning *t = r->plan->tuning;
    if (r->trial >= 0)
        return r->trial;
    if (members > 1 && members != atomic_load(&t->members))
        return 0;
    return atomic_load(&t->choice[members > 1][step]);
}

const struct eng_strips *eng_run_strips(const struct eng_run *r, int way)
{
    return way == ENG_TOGETHER ? r->strips_together : r->strips_alone;
}

static const struct eng_strips *strips_of(const struct eng_run *r, int way)
{
    const struct eng_tuning *t = r->plan->tuning;
    int off = r->trial >= 0 ? r->trial_no_strips : atomic_load(&t->no_strips[way]);
    if (way == ENG_TOGETHER && r->trial < 0 && r->max_members != atomic_load(&t->members))
        off = 0;
    return off ? NULL : eng_run_strips(r, way);
}

/* Forgets all cuts; they are made again when they are asked for. */
static void cut_anew(struct eng_run *r)
{
    const struct eng_plan *p = r->plan;
    memset(r->alone.made, 0, (size_t)r->alone.n);
    memset(r->together.made, 0, (size_t)r->together.n);
    for (int i = 0; r->bands && i < p->n_steps; i++) {
        struct eng_split *s = &r->bands->splits[i];
        if (s->by_bands)
            continue;
        *s = (struct eng_split){.choice = choice_of(r, i, r->max_members)};
        p->steps[i].driver->split(&p->steps[i], 1, r->bands->n, s);
    }
}

static void follow_tuning(struct eng_run *r)
{
    unsigned version = atomic_load(&r->plan->tuning->version);
    if (r->tuned == version)
        return;
    r->tuned = version;
    cut_anew(r);
}

void eng_run_try(struct eng_run *r, int choice, int no_strips)
{
    r->trial = choice;
    r->trial_no_strips = no_strips;
    cut_anew(r);
}

/* ---- running ---- */

/* The cuts of every step for this batch and team. */
static const struct eng_split *splits_of(const struct eng_run *r, struct eng_split_table *t,
                                         int batch, int members)
{
    const struct eng_plan *p = r->plan;
    if (t->members != members) {
        memset(t->made, 0, (size_t)t->n);
        t->members = members;
    }
    struct eng_split *row = t->rows + (size_t)(batch - 1) * (size_t)p->n_steps;
    if (t->made[batch - 1])
        return row;
    for (int i = 0; i < p->n_steps; i++) {
        row[i] = (struct eng_split){.choice = batch == 1 ? choice_of(r, i, members) : 0};
        p->steps[i].driver->split(&p->steps[i], batch, members, &row[i]);
    }
    t->made[batch - 1] = 1;
    return row;
}

static void run_strips(const struct eng_call *call, const struct eng_strips *strips,
                       struct eng_team *team, int share)
{
    struct eng_run *r = call->run;
    struct eng_strips_job job = {.strips = strips,
                                 .call = call,
                                 .buffers = r->strip_buffers,
                                 .ns = r->profile ? r->ns : NULL,
                                 .share = share * strips->bands};
    eng_team_for(team, strips->bands, eng_strips_run, &job);
}

/* All steps for the images of `call`, by this thread alone (team NULL) or by the team. `share` is
 * how many such walks run at once: their times are averaged. */
static void walk(struct eng_call *call, const struct eng_split *splits,
                 const struct eng_strips *strips, struct eng_team *team, int share)
{
    struct eng_run *r = call->run;
    uint64_t start = r->profile ? eng_clock_ns() : 0;
    for (int i = 0; i < r->plan->n_steps; i++) {
        const struct eng_step *s = &r->plan->steps[i];
        if (strips && i == strips->first) {
            run_strips(call, strips, team, share);
            i = strips->end - 1;
            start = r->profile ? eng_clock_ns() : 0;
            continue;
        }
        call->step = s;
        call->split = &splits[i];
        for (int phase = 0; phase < 2; phase++)
            if (splits[i].units[phase])
                eng_team_for(team, splits[i].units[phase], s->driver->phase[phase], call);
        if (r->profile) {
            uint64_t end = eng_clock_ns();
            atomic_fetch_add(&r->ns[i], (end - start) / (unsigned)share);
            start = end;
        }
    }
}

/* A batch shared out by images: unit u is slot image0 + u. */
struct apart {
    struct eng_run *run;
    const struct eng_split *splits;
    const struct eng_strips *strips;
    int image0, share;
};

static void run_images(void *arg, int begin, int end, int member)
{
    const struct apart *a = arg;
    struct eng_run *r = a->run;
    for (int u = begin; u < end; u++) {
        struct eng_call call = {.run = r,
                                .batch = 1,
                                .image0 = a->image0 + u,
                                .arena = r->arena + r->plan->arena_bytes * (size_t)member,
                                .member0 = member};
        walk(&call, a->splits, a->strips, NULL, a->share);
    }
}

int eng_run_exec(struct eng_run *r, int batch, struct eng_team *team)
{
    int members = eng_team_capacity(team);
    if (batch < 1 || batch > r->max_batch || members > r->max_members)
        return -EINVAL;
    if (r->profile)
        memset(r->ns, 0, (size_t)r->plan->n_steps * sizeof(*r->ns));
    follow_tuning(r);
    int together = batch % members;
    if (together) {
        struct eng_call call = {.run = r, .batch = together, .arena = r->arena};
        if (together == 1 && members == r->max_members && r->bands) {
            call.bands = r->bands;
            call.band_arena = r->band_arena;
            walk(&call, r->bands->splits, strips_of(r, ENG_TOGETHER), team, 1);
        } else {
            walk(&call, splits_of(r, &r->together, together, members), NULL, team, 1);
        }
    }
    if (batch > together) {
        struct apart a = {.run = r,
                          .splits = splits_of(r, &r->alone, 1, 1),
                          .strips = strips_of(r, ENG_ALONE),
                          .image0 = together,
                          .share = eng_team_members(team)};
        eng_team_for(team, batch - together, run_images, &a);
    }
    r->profiled |= r->profile;
    return 0;
}

void eng_run_profile(struct eng_run *r, int enable)
{
    r->profile = enable;
}

int eng_run_step_ns(const struct eng_run *r, int step, uint64_t *ret_ns)
{
    if (step < 0 || step >= r->plan->n_steps)
        return -ERANGE;
    if (!r->profiled)
        return -ENODATA;
    *ret_ns = atomic_load(&r->ns[step]);
    return 0;
}
