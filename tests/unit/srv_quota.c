/* CPU quotas of cgroup v1 and v2, read from made-up trees. */
#include "server/base/quota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define V1_MOUNT                                                                                   \
    "30 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
#define V1_OTHER "31 24 0:28 / /sys/fs/cgroup/cpuset rw shared:9 - cgroup cgroup rw,cpuset\n"
#define V2_MOUNT "30 24 0:27 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"

static char root[] = "/tmp/mobilenetd-quota-XXXXXX";

static void put(const char *path, const char *text)
{
    char name[1024];
    snprintf(name, sizeof(name), "%s%s", root, path);
    for (char *p = name + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = 0;
        mkdir(name, 0700);
        *p = '/';
    }
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int fresh(void **state)
{
    (void)state;
    memcpy(root + sizeof(root) - 7, "XXXXXX", 6);
    return mkdtemp(root) ? 0 : -1;
}

static int gone(void **state)
{
    char command[sizeof(root) + 16];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    return system(command);
}

static int workers_for(double limit, int affinity)
{
    int n = limit > 0 && limit < affinity ? (int)(limit + 0.5) : affinity;
    return n < 1 ? 1 : n;
}

static void expect(double limit, const char *version)
{
    struct srv_quota q;
    srv_quota_read(&q, root);
    assert_true(q.affinity >= 1);
    assert_true(q.limit > limit - 1e-9 && q.limit < limit + 1e-9);
    assert_string_equal(q.version, version);
    assert_int_equal(q.workers, workers_for(limit, q.affinity));
}

static void nothing_there(void **state)
{
    (void)state;
    expect(0, "none");
}

static void v2(void **state)
{
    (void)state;
    put("/proc/self/mountinfo", V2_MOUNT);
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    expect(0, "none");
    put("/sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
    expect(0.5, "v2");
    put("/sys/fs/cgroup/a/cpu.max", "25000 100000\n"); /* the parent is tighter */
    expect(0.25, "v2");
    put("/sys/fs/cgroup/a/cpu.max", "garbage\n");
    expect(0.5, "v2");
}

static void v2_in_a_container(void **state) /* our path is not below the mount */
{
    (void)state;
    put("/proc/self/mountinfo", V2_MOUNT);
    put("/proc/self/cgroup", "0::/docker/abc\n");
    put("/sys/fs/cgroup/cpu.max", "150000 100000\n");
    expect(1.5, "v2");
}

static void v1(void **state)
{
    (void)state;
    put("/proc/self/mountinfo", V1_OTHER V1_MOUNT);
    put("/proc/self/cgroup", "5:cpuset:/x\n4:cpu,cpuacct:/job\n1:name=systemd:/\n0::/\n");
    put("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
    expect(0, "none");
    put("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "70000\n");
    expect(0.7, "v1");
    put("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "0\n");
    expect(0, "none");
}

static void the_tighter_of_both(void **state)
{
    (void)state;
    put("/proc/self/mountinfo", V1_MOUNT "40 24 0:29 / /cg2 rw - cgroup2 none rw\n");
    put("/proc/self/cgroup", "4:cpu,cpuacct:/\n0::/\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "80000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    put("/cg2/cpu.max", "60000 100000\n");
    expect(0.6, "v2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_there, fresh, gone),
        cmocka_unit_test_setup_teardown(v2, fresh, gone),
        cmocka_unit_test_setup_teardown(v2_in_a_container, fresh, gone),
        cmocka_unit_test_setup_teardown(v1, fresh, gone),
        cmocka_unit_test_setup_teardown(the_tighter_of_both, fresh, gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
