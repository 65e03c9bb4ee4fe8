/* Addresses to listening sockets. */
#include "server/transport/listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/base/address.h"

enum { BACKLOG = 4096 };

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

static int bind_unix(int *ret_fd, const char *address, char *bound, size_t bound_len, char *err,
                     size_t errlen)
{
    struct sockaddr_un at;
    int rc = srv_address_unix(&at, address, err, errlen);
    if (rc < 0)
        return rc;
    remove_stale(&at);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return srv_address_fail(err, errlen, address, errno);
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
        int error = errno;
        close(fd);
        return srv_address_fail(err, errlen, address, error);
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

static int bind_to(const struct addrinfo *a)
{
    int on = 1;
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, a->ai_addr, a->ai_addrlen) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int srv_bind(int *ret_fd, int open_take, const char *address, char *ret_bound, size_t bound_len,
             char *err, size_t errlen)
{
    if (open_take >= 0) {
        print_bound(open_take, ret_bound, bound_len);
        *ret_fd = open_take;
        return 0;
    }
    if (strncmp(address, "unix:", 5) == 0)
        return bind_unix(ret_fd, address, ret_bound, bound_len, err, errlen);
    struct addrinfo *all;
    int rc = srv_address_resolve(&all, address, AI_PASSIVE, err, errlen), fd = -EADDRNOTAVAIL;
    if (rc < 0)
        return rc;
    for (struct addrinfo *a = all; a && fd < 0; a = a->ai_next)
        fd = bind_to(a);
    freeaddrinfo(all);
    if (fd < 0)
        return srv_address_fail(err, errlen, address, -fd);
    print_bound(fd, ret_bound, bound_len);
    *ret_fd = fd;
    return 0;
}

int srv_listen(int fd)
{
    return listen(fd, BACKLOG) < 0 ? -errno : 0;
}

int srv_is_unix(int fd)
{
    int domain = AF_INET;
    socklen_t len = sizeof(domain);
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
    return domain == AF_UNIX;
}
