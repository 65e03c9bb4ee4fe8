/* Takes HTTP connections from a listening socket: up to a limit, beyond it in place of such as are
 * of no use, then a few into a reserve; more wait in the kernel's backlog. Loop thread only.
 *
 * libmicrohttpd would do it, but takes its listening socket out of its epoll set at its limit or
 * without descriptors, and puts it back only when something else wakes it. */
#ifndef SRV_ACCEPTOR_H
#define SRV_ACCEPTOR_H

#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

struct srv_log;
struct srv_sockets;

struct srv_acceptor_ops {
    /* A connection (non-blocking, close-on-exec) is the owner's now; 0, or -1 if it was closed.
     * crowded: it is one of the reserve. */
    int (*take)(void *owner, int fd, const struct sockaddr *address, socklen_t len, int crowded);
    /* After the connections of one round. */
    void (*taken)(void *owner);
    /* The limit is reached and so many wait: as many that are of no use may go. Called at once and,
     * once the reserve is full, again and again until there is room. */
    void (*full)(void *owner, int wanted);
};

struct srv_acceptor {
    const struct srv_acceptor_ops *ops;
    void *owner;
    struct srv_log *log;
    struct srv_sockets *sockets; /* its fd and `open` are ours to write */
    int limit;                   /* without the reserve */
    int reserve;
    int polling;
    int starved;                    /* the last accept() found no descriptor or memory */
    uint64_t accepted;              /* ever */
    uint64_t seen;                  /* `accepted` at the last look at the backlog */
    int waited;                     /* looks in a row that found somebody waiting in vain */
    uint64_t starved_ns, waited_ns; /* when the log last heard of either; 0: never */
    uv_poll_t poll;
    uv_timer_t retry; /* while full or starved */
    uv_timer_t look;
};

/* fd_take: a bound socket. 0 or a negative errno, with nothing started and the socket closed.
 */
int srv_acceptor_start(struct srv_acceptor *a, uv_loop_t *loop, struct srv_log *log,
                       struct srv_sockets *sockets, int fd_take, int limit, int reserve,
                       const struct srv_acceptor_ops *ops, void *owner);
/* One of those that take() was given has gone, or what was kept of it. */
void srv_acceptor_closed(struct srv_acceptor *a);
/* Takes what has arrived, then no more; the socket is closed. */
void srv_acceptor_quiesce(struct srv_acceptor *a);
/* Handles are closed: run the loop once more before the memory goes. */
void srv_acceptor_finish(struct srv_acceptor *a);

#endif
