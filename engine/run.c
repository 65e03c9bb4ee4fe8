/* Walks a plan: for each step and phase one parallel-for. Allocates nothing, takes no lock.
 *
 * Offsets of values are for one image; a run of `batch` images multiplies them, so that a small
 * batch in a large context still touches few pages. What outlives the run (input, results; every
 * tensor of a reference plan) has its own area, at max_batch. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/fail.h"
#include "engine/steps.h"

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

/* One allocation: margin, arena, margin, kept area, margin, scratch of each member, margin. */
static int lay_out(struct eng_run *r, char *err, size_t errlen)
{
    const struct eng_plan *p = r->plan;
    size_t margin = ENG_OVERREAD, batch = (size_t)r->max_batch, members = (size_t)r->max_members;
    r->scratch_bytes = largest_scratch(p, r->max_batch);
    size_t arena, kept, scratch, all;
    if (__builtin_mul_overflow(p->arena_bytes, batch, &arena) ||
        __builtin_mul_overflow(p->kept_bytes, batch, &kept) ||
        __builtin_mul_overflow(r->scratch_bytes, members, &scratch) ||
        __builtin_add_overflow(arena, kept, &all) || __builtin_add_overflow(all, scratch, &all) ||
        all > SIZE_MAX / 2)
        return eng_fail(err, errlen, ENG_E_LIMIT, "a batch of %d needs too much memory",
                        r->max_batch);
    r->bytes = eng_round_up(all + 4 * margin, ENG_ALIGN);
    r->memory = eng_alloc_large(r->bytes);
    r->splits = calloc((size_t)p->n_steps + 1, sizeof *r->splits);
    r->ns = calloc((size_t)p->n_steps + 1, sizeof *r->ns);
    if (!r->memory || !r->splits || !r->ns)
        return eng_fail(err, errlen, -ENOMEM, "out of memory: a run of %d images needs %zu bytes",
                        r->max_batch, r->bytes);
    r->arena = r->memory + margin;
    r->kept = r->arena + arena + margin;
    r->scratch = r->kept + kept + margin;
    return 0;
}

int eng_run_create(struct eng_run **ret, const struct eng_plan *p, int max_batch, int max_members,
                   char *err, size_t errlen)
{
    if (max_batch < 1 || max_batch > MAX_BATCH || max_members < 1 || max_members > MAX_MEMBERS)
        return eng_fail(err, errlen, -EINVAL, "a run takes 1..%d images and 1..%d threads",
                        MAX_BATCH, MAX_MEMBERS);
    struct eng_run *r = calloc(1, sizeof *r);
    if (!r)
        return eng_fail(err, errlen, -ENOMEM, "out of memory");
    r->plan = p;
    r->max_batch = max_batch;
    r->max_members = max_members;
    r->batch = max_batch;
    int rc = lay_out(r, err, errlen);
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
    free(r->splits);
    free(r->ns);
    free(r);
}

size_t eng_run_bytes(const struct eng_run *r)
{
    return r->bytes;
}

void *eng_run_input(struct eng_run *r, int slot)
{
    return eng_value_at(r, r->plan->rep[r->plan->g->input][ENG_REP_FILE], slot);
}

const void *eng_run_tensor(const struct eng_run *r, int tensor, int slot)
{
    if (tensor < 0 || tensor >= r->plan->g->n_tensors || slot < 0 || slot >= r->max_batch)
        return NULL;
    int v = r->plan->rep[tensor][ENG_REP_FILE];
    return v >= 0 && r->plan->values[v].keep ? eng_value_at(r, v, slot) : NULL;
}

/* The cuts of every step for this batch and team; kept for the next run alike. */
static void choose_splits(struct eng_run *r, int batch, int members)
{
    if (r->split_batch == batch && r->split_members == members)
        return;
    for (int i = 0; i < r->plan->n_steps; i++) {
        const struct eng_step *s = &r->plan->steps[i];
        r->splits[i] = (struct eng_split){0};
        s->driver->split(s, batch, members, &r->splits[i]);
    }
    r->split_batch = batch;
    r->split_members = members;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int eng_run_exec(struct eng_run *r, int batch, struct eng_team *team)
{
    int members = eng_team_capacity(team);
    if (batch < 1 || batch > r->max_batch || members > r->max_members)
        return -EINVAL;
    r->batch = batch;
    choose_splits(r, batch, members);
    uint64_t start = r->profile ? now_ns() : 0;
    for (int i = 0; i < r->plan->n_steps; i++) {
        const struct eng_step *s = &r->plan->steps[i];
        struct eng_call call = {.step = s, .run = r, .split = &r->splits[i], .batch = batch};
        for (int phase = 0; phase < 2; phase++)
            if (call.split->units[phase])
                eng_team_for(team, call.split->units[phase], s->driver->phase[phase], &call);
        if (r->profile) {
            uint64_t end = now_ns();
            r->ns[i] = end - start;
            start = end;
        }
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
    *ret_ns = r->ns[step];
    return 0;
}
