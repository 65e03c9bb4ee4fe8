/* How many wait to be accepted. */
#ifndef SRV_BACKLOG_H
#define SRV_BACKLOG_H

/* Of a listening socket; -1: 0. Of one that is not TCP: at least so many. Any thread. */
int srv_backlog(int fd);

#endif
