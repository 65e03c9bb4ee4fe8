/* An HTTP exchange of libmicrohttpd: its call, and how far it is. Private to the HTTP port: http.c
 * has the loop and the connections, http_exchange.c what happens on them. Loop thread only. */
#ifndef SRV_HTTP_EXCHANGE_H
#define SRV_HTTP_EXCHANGE_H

#include <microhttpd.h>
#include <uv.h>

#include "server/handlers/call.h"
#include "server/transport/acceptor.h"
#include "server/transport/https.h"
#include "server/transport/linger.h"
#include "server/transport/slots.h"
#include "server/transport/time_limits.h"

struct srv_http {
    struct srv_transport *transport;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;
    enum srv_port port;
    struct srv_sockets *sockets;
    int tls; /* clients speak it here */
    struct srv_slots slots;
    struct srv_slot_address *arriving; /* the place of a connection that libmicrohttpd is given */
    int arriving_crowded;
    uint64_t looked_ns; /* at all connections, to make room */
    struct srv_acceptor acceptor;
    uv_timer_t refusals;
    struct srv_exchange *held, **held_tail; /* suspended with their refusals, oldest first */
    struct srv_https https;
    struct srv_time_limits peers;
    struct srv_linger linger;
    unsigned idle_s; /* libmicrohttpd's timeout of a connection */
    int stopping;    /* nobody may be suspended any more */
};

enum srv_exchange_phase {
    SRV_AT_HEADERS,
    SRV_IN_BODY,
    SRV_DISCARDING, /* refused; the reply waits for the end of the body */
    SRV_WAITING,    /* suspended */
    SRV_GROWING,    /* suspended in the middle of a reply that grows */
    SRV_HELD,       /* suspended with its refusal */
    SRV_REPLIED,
};

struct srv_exchange {
    struct srv_call call;
    struct srv_http *http;
    struct MHD_Connection *connection;
    struct srv_timed *peer;
    enum srv_exchange_phase phase;
    size_t discarded;
    int woken; /* resumed, and not yet asked */
    struct srv_exchange *next_held;
    uint64_t held_until_ns;
    size_t target_len; /* of the request line's, to its first NUL */
    int astray;        /* the request target is none of ours to answer */
    char client[64];
    char target[]; /* path and query of the request line; if it has none, the whole */
};

/* libmicrohttpd's callbacks; cls is the srv_http. */
void *srv_exchange_line(void *cls, const char *uri, struct MHD_Connection *connection);
enum MHD_Result srv_exchange_request(void *cls, struct MHD_Connection *connection, const char *url,
                                     const char *method, const char *version, const char *data,
                                     size_t *size, void **con_cls);
void srv_exchange_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                            enum MHD_RequestTerminationCode how);

/* libmicrohttpd is about to refuse a request by itself, as its log says. If that is one whose head
 * is complete, it is answered before. */
void srv_exchange_refused_by_library(struct srv_http *h, int status);
/* Wakes everybody who is suspended, and lets nobody be suspended again. */
void srv_exchanges_resume(struct srv_http *h);
/* Of a connection; NULL before it is counted. */
struct srv_timed *srv_timed_of(struct MHD_Connection *connection);

#endif
