/* What a daemon that has started gives up: new privileges, files but those that a reload reads,
 * system calls but those that serving takes, core dumps. docs/SANDBOX.md says what is left.
 *
 * Two steps, because Landlock binds only the calling thread and the threads that it creates later:
 * files before the workers start, calls when every socket is open. Nothing gives anything back. */
#ifndef SRV_SANDBOX_H
#define SRV_SANDBOX_H

#include <stddef.h>

struct srv;

enum srv_sandbox_level {
    SRV_SANDBOX_OFF,
    SRV_SANDBOX_ON,     /* as much as the kernel offers; a forbidden call fails with EPERM */
    SRV_SANDBOX_STRICT, /* all of it or no start; a forbidden call ends the process */
};

struct srv_sandbox {
    enum srv_sandbox_level level;
    int landlock; /* its version that is in force; 0: none */
    int calls;    /* system calls that are allowed; 0: no filter */
};

/* "off", "on" or "strict". */
enum srv_sandbox_level srv_sandbox_parse(const char *name);

/* Loop thread, with no worker running yet; s->cfg and s->models_dir say what stays readable.
 * A negative errno with a sentence only if strict cannot be had. */
int srv_sandbox_files(struct srv *s, char *err, size_t errlen);
/* Loop thread, all threads bound at once; the last step of a start. */
int srv_sandbox_calls(struct srv *s, char *err, size_t errlen);

/* ---- the two mechanisms ---- */

/* A path, and a bit set of what is allowed at it and below. */
enum { SRV_LANDLOCK_READ = 1, SRV_LANDLOCK_SOCKET = 2 /* make and remove Unix sockets */ };
struct srv_landlock_rule {
    const char *path;
    int allow;
};
/* The version in force, -ENOSYS where the kernel has none, or another negative errno. Paths that do
 * not exist are passed over. Sets no_new_privs. */
int srv_landlock(const struct srv_landlock_rule *rules, int n);

/* Number of calls allowed, or a negative errno. */
int srv_seccomp(enum srv_sandbox_level level);

#endif
