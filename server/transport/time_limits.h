/* Who is connected by HTTP, and for how long they have kept us waiting. Loop thread only.
 *
 * libmicrohttpd bounds silence alone: a byte now and then keeps a connection for ever. And it does
 * not notice a client that left in the middle of its request when the end was there before the last
 * bytes were read (its epoll tells changes, and it takes a short read for the last one). */
#ifndef SRV_TIME_LIMITS_H
#define SRV_TIME_LIMITS_H

#include <stdint.h>
#include <uv.h>

struct srv_sockets;
struct srv_transport;
struct srv_https_session;

/* What a connection does, and what bounds it. */
enum srv_timed_phase {
    SRV_TIMED_HEAD,   /* sends the head of a request, or its first one has to come yet:
                         header_timeout_ms */
    SRV_TIMED_IDLE,   /* had an answer, and asks nothing: idle_timeout_ms */
    SRV_TIMED_BODY,   /* sends a body: body_timeout_ms */
    SRV_TIMED_WAITS,  /* for workers: the request's own deadline */
    SRV_TIMED_ANSWER, /* takes its answer: body_timeout_ms */
    SRV_TIMED_PHASES,
};

struct srv_slot_address;

struct srv_timed {
    struct srv_timed *next, *prev;
    struct srv_timed *older, *newer; /* of those in its phase */
    void *owner;                     /* as given */
    void *exchange;                  /* the owner's: the request that is open, or NULL */
    struct srv_https_session *tls;   /* the owner's, or NULL */
    struct srv_slot_address *place;  /* the owner's, or NULL */
    int crowded;                     /* the owner's */
    int fd;
    enum srv_timed_phase phase;
    uint64_t since_ns;
    int left;    /* it looked gone the last time, too */
    int lingers; /* its last answer leaves before its client has sent everything */
    int evicted; /* it is being closed for another, and in no queue */
    struct srv_time_limits *limits;
};

struct srv_time_limits {
    struct srv_transport *transport;
    struct srv_timed *list;
    struct srv_timed *oldest[SRV_TIMED_PHASES], *newest[SRV_TIMED_PHASES];
    struct srv_sockets *sockets; /* where those are counted that were cut */
    uv_timer_t timer;            /* runs while somebody is connected */
};

void srv_time_limits_init(struct srv_time_limits *p, struct srv_transport *t,
                          struct srv_sockets *sockets);
/* The timer is closed: run the loop once more. All peers are gone before. */
void srv_time_limits_finish(struct srv_time_limits *p);

/* A connection by its descriptor, which stays open until srv_time_limits_remove(). NULL: out of
 * memory.
 */
struct srv_timed *srv_time_limits_add(struct srv_time_limits *p, int fd, void *owner);
void srv_time_limits_remove(struct srv_time_limits *p, struct srv_timed *peer); /* NULL is fine */
/* Ends those who left before the end of a request, as a tick does. */
void srv_time_limits_look(struct srv_time_limits *p);
/* Ends the one that entered this phase first, if it was before `before_ns` and has sent nothing
 * that waits to be read; its library sees that it has left. 1, or 0: there is none. */
int srv_time_limits_evict(struct srv_time_limits *p, enum srv_timed_phase phase,
                          uint64_t before_ns);
/* Nobody waits for an answer or takes one, or began to send since `since_ns`. */
int srv_time_limits_are_quiet(const struct srv_time_limits *p, uint64_t since_ns);
void srv_timed_enter(struct srv_timed *peer, enum srv_timed_phase phase);

#endif
