/* Listening sockets, by the addresses of address.h. */
#ifndef SRV_LISTEN_H
#define SRV_LISTEN_H

#include <stddef.h>

/* Bound, not yet listening: whoever comes is refused until somebody is there to answer.
 * Non-blocking, close-on-exec. ret_bound: the address with the port that was really bound.
 * open_take: a socket that listens already and is taken in place of the address; -1 = none. */
int srv_bind(int *ret_fd, int open_take, const char *address, char *ret_bound, size_t bound_len,
             char *err, size_t errlen);
/* 0 or a negative errno. */
int srv_listen(int fd);
/* Of the socket, for one that was opened for us need not be what an option says. */
int srv_is_unix(int fd);

#endif
