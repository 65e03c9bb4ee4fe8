/* The sandbox from inside: each case runs in a child of its own, since nothing gives a sandbox
 * back. What serving takes must work, what it does not take must fail. */
#include "server/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* The child's verdict: 0, or the line that failed. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return __LINE__;                                                                       \
    } while (0)
#define MUST_FAIL(call, error) MUST((call) < 0 && errno == (error))

static int in_child(int (*body)(void *), void *arg, int *ret_signal)
{
    int pipes[2], line = -1, status;
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        line = body(arg);
        _exit(write(pipes[1], &line, sizeof(line)) != sizeof(line));
    }
    close(pipes[1]);
    if (read(pipes[0], &line, sizeof(line)) != sizeof(line))
        line = -1;
    close(pipes[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *ret_signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return line;
}

static void run(int (*body)(void *), void *arg)
{
    int number, line = in_child(body, arg, &number);
    if (line == -ENOSYS)
        skip();
    if (line || number)
        fail_msg("line %d, signal %d", line, number);
}

static void *nothing(void *arg)
{
    return arg;
}

static int filter(enum srv_sandbox_level level)
{
    int n = srv_seccomp(level);
    return n > 0 ? 0 : n;
}

static int serving(void)
{
    char byte;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    MUST(fd >= 0);
    MUST(read(fd, &byte, 1) == 1);
    MUST(close(fd) == 0);
    void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(p != MAP_FAILED);
    MUST(madvise(p, 1 << 20, MADV_DONTNEED) == 0 && munmap(p, 1 << 20) == 0);
    struct rlimit lim;
    MUST(getrlimit(RLIMIT_NOFILE, &lim) == 0);
    if (!getenv("MOBILENETD_QUICK")) { /* a sanitizer's threads do more */
        pthread_t t;
        MUST(pthread_create(&t, NULL, nothing, NULL) == 0);
        MUST(pthread_join(t, NULL) == 0);
    }
    return 0;
}

static int calls_on(void *arg)
{
    char path[] = "/bin/true", *program[] = {path, NULL};
    const char *file = arg;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(page != MAP_FAILED);
    MUST(filter(SRV_SANDBOX_ON) == 0);
    MUST(serving() == 0);
    MUST_FAIL(open(file, O_WRONLY | O_CLOEXEC), EPERM);
    MUST_FAIL(open(file, O_RDWR | O_CLOEXEC), EPERM);
    MUST_FAIL(open(file, O_RDONLY | O_TRUNC | O_CLOEXEC), EPERM);
    MUST_FAIL(open("/tmp/mobilenetd-sandbox-new", O_RDONLY | O_CREAT | O_CLOEXEC, 0600), EPERM);
    MUST_FAIL(open("/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600), EPERM);
    MUST_FAIL(unlink(file), EPERM);
    MUST_FAIL(rename(file, "/tmp/mobilenetd-sandbox-new"), EPERM);
    MUST_FAIL(chmod(file, 0777), EPERM);
    MUST_FAIL(socket(AF_INET, SOCK_STREAM, 0), EPERM);
    MUST_FAIL(execve(path, program, NULL), EPERM);
    MUST_FAIL(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), EPERM);
    MUST_FAIL(syscall(SYS_clone3, NULL, 0), ENOSYS);
    MUST_FAIL(kill(getppid(), 0), EPERM);
    MUST_FAIL(setuid(0), EPERM);
    MUST_FAIL(mprotect(page, 4096, PROT_READ | PROT_EXEC), EPERM);
    MUST(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    MUST(errno == EPERM);
    int on = 1;
    MUST(fcntl(STDERR_FILENO, F_GETFL) >= 0);
    MUST_FAIL(fcntl(STDERR_FILENO, F_SETOWN, getppid()), EPERM);
    MUST_FAIL(fcntl(STDERR_FILENO, F_SETSIG, SIGKILL), EPERM);
    MUST_FAIL(setsockopt(STDERR_FILENO, SOL_SOCKET, SO_ATTACH_FILTER, &on, sizeof(on)), EPERM);
    MUST_FAIL(setsockopt(STDERR_FILENO, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), ENOTSOCK);
    MUST_FAIL(setpriority(PRIO_PROCESS, (id_t)getppid(), 19), EPERM);
    MUST(setpriority(PRIO_PROCESS, 0, 19) == 0);
    struct rlimit lim = {1, 1};
    MUST_FAIL(setrlimit(RLIMIT_NOFILE, &lim), EPERM);
    return 0;
}

static int calls_strict(void *arg)
{
    (void)arg;
    MUST(filter(SRV_SANDBOX_STRICT) == 0);
    MUST(serving() == 0);
    MUST(syscall(SYS_clone3, NULL, 0) < 0); /* refused, not fatal: libc asks */
    socket(AF_INET, SOCK_STREAM, 0);
    return __LINE__;
}

static void *open_socket(void *arg)
{
    int *go = arg;
    while (!__atomic_load_n(go, __ATOMIC_ACQUIRE))
        usleep(1000);
    return (void *)(intptr_t)socket(AF_INET, SOCK_STREAM, 0);
}

/* A thread that is there already is bound, too. */
static int calls_of_others(void *arg)
{
    int go = 0;
    pthread_t t;
    void *fd;
    (void)arg;
    MUST(pthread_create(&t, NULL, open_socket, &go) == 0);
    MUST(filter(SRV_SANDBOX_ON) == 0);
    __atomic_store_n(&go, 1, __ATOMIC_RELEASE);
    MUST(pthread_join(t, &fd) == 0);
    MUST((intptr_t)fd < 0);
    return 0;
}

static int files(void *arg)
{
    const char *dir = arg;
    char inside[128];
    int fd;
    snprintf(inside, sizeof(inside), "%s/readable", dir);
    const struct srv_landlock_rule rules[] = {
        {dir, SRV_LANDLOCK_READ},
        {"/proc/self/statm", SRV_LANDLOCK_READ},
        {"/nowhere/at/all", SRV_LANDLOCK_READ},
        {"", SRV_LANDLOCK_SOCKET},
    };
    int version = srv_landlock(rules, 4);
    if (version < 0)
        return version;
    MUST(version >= 1);
    MUST((fd = open(inside, O_RDONLY | O_CLOEXEC)) >= 0 && close(fd) == 0);
    MUST((fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0 && close(fd) == 0);
    MUST((fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)) >= 0 && close(fd) == 0);
    MUST_FAIL(open(inside, O_WRONLY | O_CLOEXEC), EACCES);
    MUST_FAIL(unlink(inside), EACCES);
    MUST_FAIL(open("/etc/passwd", O_RDONLY | O_CLOEXEC), EACCES);
    MUST_FAIL(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), EACCES);
    MUST_FAIL(open("/proc/1/maps", O_RDONLY | O_CLOEXEC), EACCES);
    return 0;
}

static int setup(void **state)
{
    static char dir[] = "/tmp/mobilenetd-sandbox-XXXXXX";
    char inside[128];
    if (!mkdtemp(dir))
        return -1;
    snprintf(inside, sizeof(inside), "%s/readable", dir);
    FILE *f = fopen(inside, "w");
    if (!f)
        return -1;
    fclose(f);
    *state = dir;
    return 0;
}

static int teardown(void **state)
{
    char inside[128];
    snprintf(inside, sizeof(inside), "%s/readable", (char *)*state);
    unlink(inside);
    return rmdir(*state);
}

static void forbidden_calls_fail(void **state)
{
    char inside[128];
    snprintf(inside, sizeof(inside), "%s/readable", (char *)*state);
    run(calls_on, inside);
}

static void strict_ends_the_process(void **state)
{
    int number;
    (void)state;
    assert_int_equal(in_child(calls_strict, NULL, &number), -1);
    assert_int_equal(number, SIGSYS);
}

static void running_threads_are_bound(void **state)
{
    (void)state;
    run(calls_of_others, NULL);
}

static void files_out_of_reach(void **state)
{
    run(files, *state);
}

/* A misspelt name would be passed over in silence on every architecture. */
static void names_exist(void **state)
{
    static const struct {
        const char *name;
        int needed_on_arm;
    } rows[] = {
#define CALL(name) {#name, 0},
#define ABSENT(name) {#name, 0},
#include "server/sandbox.def"
#undef CALL
#undef ABSENT
        {"epoll_pwait", 1}, {"ppoll", 1},  {"openat", 1}, {"newfstatat", 1}, {"faccessat", 1},
        {"clone", 1},       {"accept", 1}, {"mmap", 1},   {"prlimit64", 1},  {"readlinkat", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int x86 = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, rows[i].name);
        int arm = seccomp_syscall_resolve_name_arch(SCMP_ARCH_AARCH64, rows[i].name);
        if ((x86 < 0 && arm < 0) || (rows[i].needed_on_arm && arm < 0))
            fail_msg("no system call %s", rows[i].name);
    }
}

static void levels_have_names(void **state)
{
    (void)state;
    assert_int_equal(srv_sandbox_parse("off"), SRV_SANDBOX_OFF);
    assert_int_equal(srv_sandbox_parse("on"), SRV_SANDBOX_ON);
    assert_int_equal(srv_sandbox_parse("strict"), SRV_SANDBOX_STRICT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_have_names),         cmocka_unit_test(names_exist),
        cmocka_unit_test(forbidden_calls_fail),      cmocka_unit_test(strict_ends_the_process),
        cmocka_unit_test(running_threads_are_bound), cmocka_unit_test(files_out_of_reach),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
