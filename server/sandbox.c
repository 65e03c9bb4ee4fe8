/* Which paths, which limits, and what it means when the kernel lacks something. */
#include "server/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/srv.h"

enum { PATH = 4096 };

enum srv_sandbox_level srv_sandbox_parse(const char *name)
{
    if (strcmp(name, "strict") == 0)
        return SRV_SANDBOX_STRICT;
    return strcmp(name, "on") == 0 ? SRV_SANDBOX_ON : SRV_SANDBOX_OFF;
}

/* With "on", a line in the log; with "strict", the end of the start. */
static int lacking(struct srv *s, const char *what, int rc, char *err, size_t errlen)
{
    if (s->sandbox.level == SRV_SANDBOX_STRICT) {
        snprintf(err, errlen, "sandbox = strict: no %s here: %s", what, strerror(-rc));
        return rc;
    }
    srv_log(s->env.log, SRV_WARNING, "sandbox: no %s here: %s", what, strerror(-rc));
    return 0;
}

/* The folder that a file lies in, since a file that is replaced is another file. */
static const char *folder_of(const char *path, char buf[PATH])
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return ".";
    snprintf(buf, PATH, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    return buf;
}

static const char *folder_if(const char *path, char buf[PATH])
{
    return path[0] ? folder_of(path, buf) : "";
}

int srv_sandbox_files(struct srv *s, char *err, size_t errlen)
{
    s->sandbox.level = srv_sandbox_parse(s->cfg->sandbox);
    s->api.read_only = s->sandbox.level != SRV_SANDBOX_OFF;
    if (s->sandbox.level == SRV_SANDBOX_OFF)
        return 0;
    char config[PATH], keys[PATH], tls[3][PATH];
    const char *file = s->cfg->config[0] ? s->cfg->config : s->sources->default_file;
    const struct srv_landlock_rule rules[] = {
        {s->models_dir, SRV_LANDLOCK_READ},
        {file ? folder_of(file, config) : "", SRV_LANDLOCK_READ},
        {folder_if(s->cfg->api_keys, keys), SRV_LANDLOCK_READ},
        {folder_if(s->cfg->tls_cert, tls[0]), SRV_LANDLOCK_READ},
        {folder_if(s->cfg->tls_key, tls[1]), SRV_LANDLOCK_READ},
        {folder_if(s->cfg->tls_client_ca, tls[2]), SRV_LANDLOCK_READ},
        {"/proc/self", SRV_LANDLOCK_READ}, /* memory, for the metrics */
    };
    int rc = srv_landlock(rules, sizeof(rules) / sizeof(rules[0]));
    if (rc < 0)
        return lacking(s, "Landlock", rc, err, errlen);
    s->sandbox.landlock = rc;
    return 0;
}

static int lower(int resource, rlim_t hard)
{
    struct rlimit lim;
    if (getrlimit(resource, &lim) < 0)
        return -errno;
    lim.rlim_max = lim.rlim_max < hard ? lim.rlim_max : hard;
    lim.rlim_cur = lim.rlim_cur < lim.rlim_max ? lim.rlim_cur : lim.rlim_max;
    return setrlimit(resource, &lim) < 0 ? -errno : 0;
}

/* No core dump, which would hold people's pictures; no more descriptors than now; no file grows,
 * unless standard error is one, but for that of the tuning. */
static int lower_limits(const struct srv *s)
{
    struct rlimit files;
    struct stat log;
    int rc = getrlimit(RLIMIT_NOFILE, &files) < 0 ? -errno : 0;
    if (rc == 0)
        rc = lower(RLIMIT_NOFILE, files.rlim_cur);
    if (rc == 0)
        rc = lower(RLIMIT_CORE, 0);
    if (rc == 0 && fstat(STDERR_FILENO, &log) == 0 && !S_ISREG(log.st_mode)) {
        signal(SIGXFSZ, SIG_IGN);
        rc = lower(RLIMIT_FSIZE, s->tune.fd >= 0 ? SRV_TUNE_FILE_MAX : 0);
    }
    return rc;
}

int srv_sandbox_calls(struct srv *s, char *err, size_t errlen)
{
    if (s->sandbox.level == SRV_SANDBOX_OFF)
        return 0;
    int rc = lower_limits(s);
    if (rc < 0)
        rc = lacking(s, "lower limits", rc, err, errlen);
    if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        rc = lacking(s, "no_new_privs", -errno, err, errlen);
    /* nobody of the same user looks into its memory, where pictures and keys are */
    if (rc == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        rc = lacking(s, "protection from ptrace", -errno, err, errlen);
    if (rc < 0)
        return rc;
    int calls = srv_seccomp(s->sandbox.level);
    if (calls < 0)
        rc = lacking(s, "seccomp", calls, err, errlen);
    else
        s->sandbox.calls = calls;
    srv_log(s->env.log, SRV_INFO, "sandbox %s: Landlock version %d, %d system calls",
            s->cfg->sandbox, s->sandbox.landlock, s->sandbox.calls);
    return rc;
}
