/* Parallel-for over lent threads.
 *
 * Three words carry the protocol. `gate`: may helpers enter, how many are inside. `job`: a number
 * that is odd while a job takes units; helpers wait for it to change. `active`: how many helpers
 * are at work on the job. A helper counts itself into `active` before it looks at `job` again, and
 * the leader makes `job` even before it waits for `active` to fall to zero (both sequentially
 * consistent): so a helper that still sees the job open is waited for, and one that is not waited
 * for sees it closed. No unit can be held outside of `active`, hence zero also means all done.
 *
 * Units are split into one contiguous range per member inside. A member takes from the front of its
 * own range, then from the back of the others': neighbours in memory stay with one core, and a
 * preempted member delays only the unit in its hands. Waits spin for a bounded time, then sleep on
 * a futex; the waker makes a system call only if someone sleeps. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/team.h"

enum {
    MAX_MEMBERS = 256,
    SPINS = 4000, /* pauses before sleeping: about 40 us, longer than any gap between two layers */
    LINE = 64,
};
#define FLAG_OPEN 0x80000000u   /* gate: a run is open */
#define FLAG_SLEEPS 0x40000000u /* gate, active: the leader sleeps until the count falls */
#define COUNT_MASK 0x3fffffffu

/* Units first .. end-1 that nobody has taken yet, as end << 32 | first: both ends in one word, so
 * that owner and thief cannot take the same unit. */
struct range {
    _Alignas(LINE) _Atomic uint64_t left;
};

struct eng_team {
    _Alignas(LINE) _Atomic uint32_t gate;
    /* One line, which a helper waits for and finds all in: */
    _Alignas(LINE) _Atomic uint32_t job;
    int parts;       /* ranges in use */
    eng_team_fn *fn; /* of the open job; stable while job is odd or active > 0 */
    void *arg;
    _Alignas(LINE) _Atomic uint32_t active;
    _Alignas(LINE) _Atomic uint32_t sleepers; /* helpers asleep on job */
    int max_members;
    struct range *ranges;
};

static void cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

int eng_team_create(struct eng_team **ret, int max_members)
{
    if (max_members < 1 || max_members > MAX_MEMBERS)
        return -EINVAL;
    struct eng_team *t = aligned_alloc(LINE, sizeof(*t));
    struct range *ranges = aligned_alloc(LINE, sizeof(*ranges) * (size_t)max_members);
    if (!t || !ranges) {
        free(t);
        free(ranges);
        return -ENOMEM;
    }
    *t = (struct eng_team){.max_members = max_members, .ranges = ranges};
    for (int i = 0; i < max_members; i++)
        atomic_init(&ranges[i].left, 0);
    *ret = t;
    return 0;
}

void eng_team_destroy(struct eng_team *t)
{
    if (!t)
        return;
    free(t->ranges);
    free(t);
}

/* Leader: waits until the count in *word is zero. */
static void wait_for_none(_Atomic uint32_t *word)
{
    uint32_t w;
    for (int i = 0; i < SPINS; i++) {
        if ((atomic_load(word) & COUNT_MASK) == 0)
            return;
        cpu_pause();
    }
    w = atomic_fetch_or(word, FLAG_SLEEPS) | FLAG_SLEEPS;
    while (w & COUNT_MASK) {
        futex_wait(word, w);
        w = atomic_load(word);
    }
    atomic_fetch_and(word, ~FLAG_SLEEPS);
}

/* Helper: counts itself out of *word. Touches no memory of the team afterwards: the leader may
 * destroy it as soon as the count is zero (the wake call alone may then hit an unmapped address,
 * which the system reports and nobody reads). */
static void count_out(_Atomic uint32_t *word)
{
    uint32_t before = atomic_fetch_sub(word, 1);
    if ((before & FLAG_SLEEPS) && (before & COUNT_MASK) == 1)
        futex_wake(word);
}

void eng_team_begin(struct eng_team *t)
{
    atomic_fetch_or(&t->gate, FLAG_OPEN);
}

static void publish(struct eng_team *t, uint32_t job)
{
    atomic_store(&t->job, job);
    if (atomic_load(&t->sleepers))
        futex_wake(&t->job);
}

void eng_team_end(struct eng_team *t)
{
    atomic_fetch_and(&t->gate, ~FLAG_OPEN);
    publish(t, atomic_load(&t->job) + 2);
    wait_for_none(&t->gate);
}

/* One unit from the front (the owner) or the back (a thief) of a range; -1 if it is empty. */
static int take(struct range *r, int front)
{
    uint64_t old = atomic_load_explicit(&r->left, memory_order_relaxed);
    for (;;) {
        uint32_t first = (uint32_t)old, end = (uint32_t)(old >> 32);
        if (first >= end)
            return -1;
        uint32_t unit = front ? first++ : --end;
        uint64_t rest = (uint64_t)end << 32 | first;
        if (atomic_compare_exchange_weak_explicit(&r->left, &old, rest, memory_order_relaxed,
                                                  memory_order_relaxed))
            return (int)unit;
    }
}

static void work(struct eng_team *t, int member)
{
    int parts = t->parts, own = member < parts ? member : member % parts;
    for (int i = 0; i < parts; i++) {
        int r = (own + i) % parts;
        for (int u; (u = take(&t->ranges[r], r == member)) >= 0;)
            t->fn(t->arg, u, u + 1, member);
    }
}

/* Returns when job differs from `seen`. */
static void wait_for_job(struct eng_team *t, uint32_t seen)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&t->job) != seen)
            return;
        cpu_pause();
    }
    atomic_fetch_add(&t->sleepers, 1);
    while (atomic_load(&t->job) == seen)
        futex_wait(&t->job, seen);
    atomic_fetch_sub(&t->sleepers, 1);
}

int eng_team_help(struct eng_team *t)
{
    uint32_t gate = atomic_load(&t->gate);
    do {
        if (!(gate & FLAG_OPEN) || (gate & COUNT_MASK) + 1 >= (uint32_t)t->max_members)
            return -EAGAIN;
    } while (!atomic_compare_exchange_weak(&t->gate, &gate, gate + 1));
    int member = (int)(gate & COUNT_MASK) + 1; /* nobody leaves before the end: unique */

    uint32_t done = 0; /* even: no job */
    for (;;) {
        uint32_t job = atomic_load(&t->job);
        if (!(atomic_load(&t->gate) & FLAG_OPEN))
            break;
        if (!(job & 1) || job == done) {
            wait_for_job(t, job);
            continue;
        }
        atomic_fetch_add(&t->active, 1);
        uint32_t now = atomic_load(&t->job);
        if (now & 1) {
            work(t, member);
            done = now;
        }
        count_out(&t->active);
    }
    count_out(&t->gate);
    return 0;
}

void eng_team_for(struct eng_team *t, int units, eng_team_fn *fn, void *arg)
{
    if (units <= 0)
        return;
    if (units == 1 || eng_team_capacity(t) == 1) {
        fn(arg, 0, units, 0);
        return;
    }
    /* Offered to all even if nobody is here yet: a job may be as long as the run. */
    int inside = eng_team_members(t);
    int parts = inside < units ? inside : units;
    t->fn = fn;
    t->arg = arg;
    t->parts = parts;
    for (int i = 0; i < parts; i++) {
        uint64_t first = (uint64_t)((int64_t)units * i / parts);
        uint64_t end = (uint64_t)((int64_t)units * (i + 1) / parts);
        atomic_store_explicit(&t->ranges[i].left, end << 32 | first, memory_order_relaxed);
    }
    uint32_t job = atomic_load(&t->job);
    publish(t, job + 1);
    work(t, 0);
    atomic_store(&t->job, job + 2);
    wait_for_none(&t->active);
}

int eng_team_members(const struct eng_team *t)
{
    return t ? 1 + (int)(atomic_load(&t->gate) & COUNT_MASK) : 1;
}

int eng_team_capacity(const struct eng_team *t)
{
    return t ? t->max_members : 1;
}
