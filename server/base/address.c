/* Addresses as options have them, and the client's end of one. */
#include "server/base/address.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

int srv_address_fail(char *err, size_t errlen, const char *address, int error)
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

int srv_address_resolve(struct addrinfo **ret, const char *address, int flags, char *err,
                        size_t errlen)
{
    char host[256], port[16];
    struct addrinfo hints = {.ai_flags = flags | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    if (split(address, host, port) < 0)
        return srv_address_fail(err, errlen, address, EINVAL);
#ifdef MOBILENETD_STATIC
    /* Names come from shared libraries of the very glibc it was linked with (NSS): not asked. */
    hints.ai_flags |= AI_NUMERICHOST;
    if (strcasecmp(host, "localhost") == 0)
        snprintf(host, sizeof(host), "127.0.0.1");
#endif
    if (!host[0] && flags & AI_PASSIVE)
        hints.ai_family = AF_INET; /* else the system's order decides which one is taken */
    int rc = getaddrinfo(host[0] ? host : NULL, port, &hints, ret);
    if (rc == 0)
        return 0;
#ifdef MOBILENETD_STATIC
    if (rc == EAI_NONAME) {
        snprintf(err, errlen,
                 "%s: the static program looks up no names: give a numeric address, or localhost "
                 "for 127.0.0.1",
                 address);
        return -EADDRNOTAVAIL;
    }
#endif
    snprintf(err, errlen, "%s: %s", address, gai_strerror(rc));
    return -EADDRNOTAVAIL;
}

int srv_address_unix(struct sockaddr_un *ret, const char *address, char *err, size_t errlen)
{
    const char *path = address + strlen("unix:");
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (!*path || strlen(path) >= sizeof(ret->sun_path))
        return srv_address_fail(err, errlen, address, ENAMETOOLONG);
    memcpy(ret->sun_path, path, strlen(path));
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
        int rc = srv_address_unix(&at, address, err, errlen);
        if (rc < 0)
            return rc;
        fd = connect_to((struct sockaddr *)&at, sizeof(at), timeout_ms);
    } else {
        struct addrinfo *all;
        int rc = srv_address_resolve(&all, address, 0, err, errlen);
        if (rc < 0)
            return rc;
        for (struct addrinfo *a = all; a && fd < 0; a = a->ai_next)
            fd = connect_to(a->ai_addr, a->ai_addrlen, timeout_ms);
        freeaddrinfo(all);
    }
    if (fd < 0)
        return srv_address_fail(err, errlen, address, -fd);
    *ret_fd = fd;
    return 0;
}
