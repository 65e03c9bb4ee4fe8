/* Landlock by its raw system calls: libc has no wrappers, and the header of an older kernel lacks
 * the later rights. Structures and bits are those of linux/landlock.h and
 * Documentation/userspace-api/landlock.rst; what a version does not know is not asked of it. */
#include "server/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* One number on every architecture, though older libcs do not name it. */
enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446 };
enum { ASK_VERSION = 1, RULE_PATH_BENEATH = 1 };

enum {
    READ_FILE = 1 << 2,
    READ_DIR = 1 << 3,
    REMOVE_FILE = 1 << 5,
    MAKE_SOCK = 1 << 9,
    CONNECT_TCP = 1 << 1,
    SCOPES = 3, /* no abstract Unix sockets, no signals to the world outside */
};

struct ruleset {
    uint64_t fs, net, scoped;
};

struct path_beneath {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

/* All rights to files that a version knows: 13 in the first, then REFER, TRUNCATE, IOCTL_DEV. */
static uint64_t file_rights(int version)
{
    int bits = 13 + (version >= 2) + (version >= 3) + (version >= 5);
    return (UINT64_C(1) << bits) - 1;
}

static int create_ruleset(int version)
{
    struct ruleset r = {.fs = file_rights(version)};
    size_t size = sizeof(r.fs);
    if (version >= 4) {
        r.net = CONNECT_TCP;
        size = sizeof(r.fs) + sizeof(r.net);
    }
    if (version >= 6) {
        r.scoped = SCOPES;
        size = sizeof(r);
    }
    long fd = syscall(CREATE_RULESET, &r, size, 0);
    return fd < 0 ? -errno : (int)fd;
}

static int add_rule(int ruleset, const struct srv_landlock_rule *rule)
{
    struct path_beneath at = {.fd = open(rule->path, O_PATH | O_CLOEXEC)};
    struct stat st;
    if (at.fd < 0)
        return 0;
    int rc = fstat(at.fd, &st) < 0 ? -errno : 0;
    int dir = rc == 0 && S_ISDIR(st.st_mode);
    if (rule->allow & SRV_LANDLOCK_READ)
        at.allowed |= READ_FILE | (dir ? READ_DIR : 0);
    if (rule->allow & SRV_LANDLOCK_SOCKET && dir)
        at.allowed |= MAKE_SOCK | REMOVE_FILE;
    if (rc == 0 && at.allowed && syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, &at, 0) < 0)
        rc = -errno;
    close(at.fd);
    return rc;
}

int srv_landlock(const struct srv_landlock_rule *rules, int n)
{
    int version = (int)syscall(CREATE_RULESET, NULL, 0, ASK_VERSION);
    if (version < 1)
        return -ENOSYS; /* not built in, or switched off at boot */
    int ruleset = create_ruleset(version), rc = ruleset < 0 ? ruleset : 0;
    for (int i = 0; i < n; i++) {
        if (rc < 0)
            break;
        rc = add_rule(ruleset, &rules[i]);
    }
    if (rc == 0 &&
        (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(RESTRICT_SELF, ruleset, 0) < 0))
        rc = -errno;
    if (ruleset >= 0)
        close(ruleset);
    return rc < 0 ? rc : version;
}
