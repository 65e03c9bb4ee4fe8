/* No privileges are needed: the loop asks for shorter slices (Linux 6.12: it may interrupt those
 * with longer ones) and the workers become nicer. The weights decide who gets how much, the slice
 * how soon. */
#include "server/base/priority.h"

#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WORKER_NICE = 5, LOOP_SLICE_NS = 100000, RESET_ON_FORK = 1 };

/* struct sched_attr of the kernel's first version; glibc 2.36 has none. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

void srv_priority_loop(void)
{
    struct attributes a = {.size = sizeof(a)};
    if (syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0) < 0 || a.policy != SCHED_OTHER)
        return;
    a.flags |= RESET_ON_FORK;
    a.runtime = LOOP_SLICE_NS;
    (void)syscall(SYS_sched_setattr, 0, &a, 0);
}

void srv_priority_worker(void)
{
    /* 0 is the calling thread; the sandbox lets no other be named */
    (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + WORKER_NICE);
}
