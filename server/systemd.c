/* The manager's side is documented in sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3). */
#include "server/systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST_FD = 3, MOST_FDS = 16 };

/* A whole number of the environment; 0 if it is not there or not one. */
static uint64_t number_of(const char *name)
{
    const char *text = getenv(name);
    char *end;
    if (!text || text[0] < '0' || text[0] > '9')
        return 0;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    return errno || *end ? 0 : n;
}

/* Variables go to whoever is started; those with a process id are for that one alone. */
static int is_for_us(const char *pid_name)
{
    return number_of(pid_name) == (uint64_t)getpid();
}

static int connect_notify(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path ? strlen(path) : 0;
    if (len < 2 || len >= sizeof(at.sun_path) || (path[0] != '/' && path[0] != '@'))
        return -1;
    memcpy(at.sun_path, path, len);
    if (path[0] == '@')
        at.sun_path[0] = 0; /* the abstract name space */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, size) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static int is_listening(int fd)
{
    int on = 0, type = 0;
    socklen_t len = sizeof(on);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) < 0 || !on)
        return 0;
    len = sizeof(type);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

/* The name of socket number i in "a:b:c". */
static int has_name(const char *names, int i, const char *name)
{
    while (i-- > 0 && names)
        names = (names = strchr(names, ':')) ? names + 1 : NULL;
    size_t len = strlen(name);
    return names && strncmp(names, name, len) == 0 && (names[len] == ':' || !names[len]);
}

/* By name, else the first is for HTTP, the second for gRPC, the third for administration. */
static int *place_of(struct srv_systemd *sd, int i)
{
    const char *names = getenv("LISTEN_FDNAMES");
    static const char *const ports[SRV_PORTS] = {"http", "grpc", "admin"};
    for (int port = 0; port < SRV_PORTS; port++)
        if (has_name(names, i, ports[port]))
            return &sd->fds[port];
    return &sd->fds[i < SRV_PORTS ? i : SRV_PORTS - 1];
}

static int take_sockets(struct srv_systemd *sd, char *err, size_t errlen)
{
    uint64_t n = is_for_us("LISTEN_PID") ? number_of("LISTEN_FDS") : 0;
    for (int i = 0; i < (int)(n < MOST_FDS ? n : MOST_FDS); i++) {
        int fd = FIRST_FD + i, *place = place_of(sd, i);
        if (!is_listening(fd) || *place >= 0) {
            snprintf(err, errlen, "descriptor %d of the service manager is %s", fd,
                     is_listening(fd) ? "one socket too many" : "not a listening stream socket");
            return -EINVAL;
        }
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        *place = fd;
    }
    return 0;
}

int srv_systemd_init(struct srv_systemd *sd, char *err, size_t errlen)
{
    *sd = (struct srv_systemd){.notify_fd = connect_notify(), .fds = {-1, -1, -1}};
    if (!getenv("WATCHDOG_PID") || is_for_us("WATCHDOG_PID"))
        sd->watchdog_ms = number_of("WATCHDOG_USEC") / 1000;
    return take_sockets(sd, err, errlen);
}

void srv_systemd_finish(struct srv_systemd *sd)
{
    if (sd->notify_fd >= 0)
        close(sd->notify_fd);
    sd->notify_fd = -1;
}

void srv_systemd_notify(const struct srv_systemd *sd, const char *state)
{
    if (sd->notify_fd >= 0)
        (void)!send(sd->notify_fd, state, strlen(state), MSG_NOSIGNAL);
}
