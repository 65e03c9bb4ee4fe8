/* tcp(7): the kernel tells the length of the queue in place of what is not acknowledged. */
#include "server/base/backlog.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

int srv_backlog(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    if (fd < 0)
        return 0;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0)
        return (int)info.tcpi_unacked;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}
