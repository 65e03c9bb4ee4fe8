/* Addresses to sockets, one way for listening and for the health probe that follows it. */
#include "server/transport/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

static int fail(char *err, size_t errlen, const char *address, int error)
{
    snprintf(err, errlen, "%s: %s", address, strerror(error));
    return -error;
}

/* "host:port" apart, without the brackets of an IPv6 address. */
static int split(const char *address, char host[256], char port[16])
{
    const char *colon = strrchr(address, ':');
    if (!colon || strlen(colon + 1) >= 16)
        return -EINVAL;
    const char *from = address;
    size_t n = (size_t)(colon - address);
    if (n >= 2 && from[0] == '[' && from[n - 1] == ']') {
        from++;
        n -= 2;
    }
    if (n >= 256)
        return -EINVAL;
    memcpy(host, from, n);
    host[n] = 0;
    snprintf(port, 16, "%s", colon + 1);
    return 0;
}

static int resolve(struct addrinfo **ret, const char *address, int flags, char *err, size_t errlen)
{
    char host[256], port[16];
    struct addrinfo hints = {.ai_flags = flags | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    if (split(address, host, port) < 0)
        return fail(err, errlen, address, EINVAL);
    int rc = getaddrinfo(host[0] ? host : NULL, port, &hints, ret);
    if (rc == 0)
        return 0;
    snprintf(err, errlen, "%s: %s", address, gai_strerror(rc));
    return -EADDRNOTAVAIL;
}

static int unix_address(struct sockaddr_un *ret, const char *address)
{
    const char *path = address + strlen("unix:");
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (!*path || strlen(path) >= sizeof(ret->sun_path))
        return -ENAMETOOLONG;
    memcpy(ret->sun_path, path, strlen(path));
    return 0;
}

/* A socket file that nobody answers on is left over from a crash. */
static void remove_stale(const struct sockaddr_un *at)
{
    struct stat st;
    if (lstat(at->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 && errno == ECONNREFUSED)
        unlink(at->sun_path);
    close(fd);
}

static int listen_unix(int *ret_fd, const char *address, char *bound, size_t bound_len, char *err,
                       size_t errlen)
{
    struct sockaddr_un at;
    if (unix_address(&at, address) < 0)
        return fail(err, errlen, address, ENAMETOOLONG);
    remove_stale(&at);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(err, errlen, address, errno);
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, BACKLOG) < 0) {
        int error = errno;
        close(fd);
        return fail(err, errlen, address, error);
    }
    snprintf(bound, bound_len, "%s", address);
    *ret_fd = fd;
    return 0;
}

static void print_bound(int fd, char *bound, size_t bound_len)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof(at);
    char host[128], port[16];
    bound[0] = 0;
    if (getsockname(fd, (struct sockaddr *)&at, &len) < 0 ||
        getnameinfo((struct sockaddr *)&at, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    snprintf(bound, bound_len, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static int listen_on(const struct addrinfo *a)
{
    int on = 1;
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int srv_listen(int *ret_fd, int open_take, const char *address, char *ret_bound, size_t bound_len,
               char *err, size_t errlen)
{
    if (open_take >= 0) {
        print_bound(open_take, ret_bound, bound_len);
        *ret_fd = open_take;
        return 0;
    }
    if (strncmp(address, "unix:", 5) == 0)
        return listen_unix(ret_fd, address, ret_bound, bound_len, err, errlen);
    struct addrinfo *all;
    int rc = resolve(&all, address, AI_PASSIVE, err, errlen), fd = -EADDRNOTAVAIL;
    if (rc < 0)
        return rc;
    for (struct addrinfo *a = all; a && fd < 0; a = a->ai_next)
        fd = listen_on(a);
    freeaddrinfo(all);
    if (fd < 0)
        return fail(err, errlen, address, -fd);
    print_bound(fd, ret_bound, bound_len);
    *ret_fd = fd;
    return 0;
}

static int connect_to(const struct sockaddr *to, socklen_t len, int timeout_ms)
{
    struct timeval limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)); /* connect() obeys it too */
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (connect(fd, to, len) < 0) {
        int error = errno == EINPROGRESS ? ETIMEDOUT : errno;
        close(fd);
        return -error;
    }
    return fd;
}

int srv_connect(int *ret_fd, const char *address, int timeout_ms, char *err, size_t errlen)
{
    int fd = -EADDRNOTAVAIL;
    if (strncmp(address, "unix:", 5) == 0) {
        struct sockaddr_un at;
        if (unix_address(&at, address) < 0)
            return fail(err, errlen, address, ENAMETOOLONG);
        fd = connect_to((struct sockaddr *)&at, sizeof(at), timeout_ms);
    } else {
        struct addrinfo *all;
        int rc = resolve(&all, address, 0, err, errlen);
        if (rc < 0)
            return rc;
        for (struct addrinfo *a = all; a && fd < 0; a = a->ai_next)
            fd = connect_to(a->ai_addr, a->ai_addrlen, timeout_ms);
        freeaddrinfo(all);
    }
    if (fd < 0)
        return fail(err, errlen, address, -fd);
    *ret_fd = fd;
    return 0;
}
