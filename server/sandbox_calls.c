/* The seccomp filter, compiled by libseccomp for the architecture that runs. Nothing may start a
 * program, make a socket, write a file or make memory executable: calls that could are absent from
 * sandbox.def, or allowed here with arguments that cannot. */
#include "server/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

struct filter {
    scmp_filter_ctx ctx;
    int n, rc;
};

static void add(struct filter *f, uint32_t action, const char *name, unsigned n,
                const struct scmp_arg_cmp *arguments)
{
    int number = seccomp_syscall_resolve_name(name);
    if (number < 0 || f->rc < 0) /* also what another architecture alone has */
        return;
    f->rc = seccomp_rule_add_array(f->ctx, action, number, n, arguments);
    f->n += action == SCMP_ACT_ALLOW;
}

static void allow(struct filter *f, const char *name)
{
    add(f, SCMP_ACT_ALLOW, name, 0, NULL);
}

/* Only if the bits of `mask` in argument `index` equal `value`. */
static void allow_masked(struct filter *f, const char *name, unsigned index, uint64_t mask,
                         uint64_t value)
{
    struct scmp_arg_cmp argument = SCMP_CMP64(index, SCMP_CMP_MASKED_EQ, mask, value);
    add(f, SCMP_ACT_ALLOW, name, 1, &argument);
}

static void allow_value(struct filter *f, const char *name, unsigned index, uint64_t value)
{
    struct scmp_arg_cmp argument = SCMP_CMP64(index, SCMP_CMP_EQ, value);
    add(f, SCMP_ACT_ALLOW, name, 1, &argument);
}

static void allow_values(struct filter *f, const char *name, unsigned index, uint64_t value,
                         uint64_t next)
{
    struct scmp_arg_cmp arguments[] = {SCMP_CMP64(index, SCMP_CMP_EQ, value),
                                       SCMP_CMP64(index + 1, SCMP_CMP_EQ, next)};
    add(f, SCMP_ACT_ALLOW, name, 2, arguments);
}

/* No signals by way of a descriptor (F_SETOWN, F_SETSIG), no programs of packet filters, no
 * priority but one's own. */
static void allow_some_settings(struct filter *f)
{
    static const uint64_t commands[] = {F_GETFD, F_SETFD, F_GETFL,
                                        F_SETFL, F_DUPFD, F_DUPFD_CLOEXEC};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        allow_value(f, "fcntl", 1, commands[i]);
    allow_values(f, "setsockopt", 1, IPPROTO_TCP, TCP_NODELAY);
    allow_values(f, "setsockopt", 1, IPPROTO_TCP, TCP_CORK);
    allow_values(f, "setsockopt", 1, SOL_SOCKET, SO_LINGER);
    allow_values(f, "setpriority", 0, PRIO_PROCESS, 0);
}

static void allow_some_arguments(struct filter *f)
{
    const uint64_t writing = O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
    const uint64_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    const uint64_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
    allow_masked(f, "open", 1, writing, O_RDONLY);
    allow_masked(f, "openat", 2, writing, O_RDONLY);
    allow_masked(f, "clone", 0, thread | namespaces, thread);
    allow_masked(f, "mmap", 2, PROT_EXEC, 0);
    allow_masked(f, "mprotect", 2, PROT_EXEC, 0);
    allow_value(f, "prctl", 0, PR_SET_NAME);
    allow_value(f, "prlimit64", 2, 0); /* reading a limit */
    allow_value(f, "tgkill", 0, (uint64_t)getpid());
    static const uint64_t requests[] = {FIONBIO, FIONREAD, FIOCLEX, TCGETS};
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
        allow_value(f, "ioctl", 1, requests[i]);
}

static void fill(struct filter *f)
{
    seccomp_attr_set(f->ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    /* No foreign code runs in here that Spectre v4 could serve; the mitigation that filters bring
     * along on older kernels costs every load. */
    seccomp_attr_set(f->ctx, SCMP_FLTATR_CTL_SSB, 1);
    f->rc = seccomp_attr_set(f->ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
#define CALL(name) allow(f, #name);
#define ABSENT(name) add(f, SCMP_ACT_ERRNO(ENOSYS), #name, 0, NULL);
#include "server/sandbox.def"
#undef CALL
#undef ABSENT
    allow_some_arguments(f);
    allow_some_settings(f);
}

int srv_seccomp(enum srv_sandbox_level level)
{
    uint32_t otherwise =
        level == SRV_SANDBOX_STRICT ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(EPERM);
    struct filter f = {.ctx = seccomp_init(otherwise)};
    if (!f.ctx)
        return -ENOMEM;
    fill(&f);
    if (f.rc == 0)
        f.rc = seccomp_load(f.ctx);
    seccomp_release(f.ctx);
    return f.rc < 0 ? f.rc : f.n;
}
