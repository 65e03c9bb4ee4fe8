/* Connections that have had their last answer while their clients still send: a socket that is
 * closed with bytes unread is reset, and the reset takes the answer with it, out of the client's
 * own buffer. What comes is read and discarded until the client closes, within bounds of bytes and
 * time (RFC 9112 9.6). Loop thread only. */
#ifndef SRV_LINGER_H
#define SRV_LINGER_H

#include <stdint.h>
#include <uv.h>

struct srv_lingerer;

struct srv_linger {
    uv_loop_t *loop;
    uint64_t max_bytes; /* of one connection */
    void (*gone)(void *owner);
    void *owner;
    struct srv_lingerer *first, *last; /* the longest here comes first */
    int n;
    uv_timer_t timer; /* runs while there are some */
};

/* gone: called once for every connection that srv_linger_add() took. */
void srv_linger_init(struct srv_linger *l, uv_loop_t *loop, uint64_t max_bytes,
                     void (*gone)(void *owner), void *owner);
/* A connection whose answer is in its socket: `fd` stays the caller's, who closes it. 0, or a
 * negative errno, and nothing is kept. */
int srv_linger_add(struct srv_linger *l, int fd);
/* Others need the room: the older half goes. */
void srv_linger_yield(struct srv_linger *l);
/* Nobody has sent anything since. */
int srv_linger_is_quiet(const struct srv_linger *l, uint64_t since_ns);
/* Closes all. Handles are closed: run the loop once more before the memory goes. */
void srv_linger_finish(struct srv_linger *l);

#endif
