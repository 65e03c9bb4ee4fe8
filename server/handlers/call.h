/* A call: one HTTP exchange, whatever carries it. The transport feeds a target, headers and a body
 * in and takes a reply out; the routes never see the transport. Loop thread only. */
#ifndef SRV_CALL_H
#define SRV_CALL_H

#include "server/handlers/api.h"
#include "server/handlers/auth.h"
#include "server/handlers/reason.h"
#include "server/handlers/route.h"
#include "server/scheduler/request.h"

enum { SRV_TRACE_MAX = 33, SRV_ID_MAX = 128, SRV_ERROR_MAX = 512, SRV_REPLY_HEADERS = 13 };

struct srv_header {
    const char *name;
    char value[448]; /* room for the page's policy */
};

struct srv_reply {
    int status; /* 0: none yet */
    char *body; /* malloc'ed; the transport may take it (and sets it NULL) */
    size_t len;
    int grows; /* srv_call_stream(): `body` holds what the transport has not taken yet */
    int whole; /* and nothing follows */
    const char *type;
    int n_headers;
    struct srv_header headers[SRV_REPLY_HEADERS];
};

struct srv_call;

struct srv_call_ops {
    /* Value of a request header, or NULL. */
    const char *(*header)(const struct srv_call *c, const char *name);
    /* A pending call has its reply now, or the beginning of one that grows. */
    void (*answered)(struct srv_call *c);
    /* A reply that grows has more in its body, or is whole. */
    void (*grew)(struct srv_call *c);
};

struct srv_call {
    struct srv_api *api;
    const struct srv_call_ops *ops;
    const char *method;  /* as the client wrote it */
    const char *target;  /* path and query, percent-encoded; the transport keeps it */
    const char *client;  /* its address, for the log */
    int client_fd;       /* to notice that it left; -1 = none */
    uint64_t started_ns; /* request line */
    enum srv_port port;  /* it came by */
    int crowded; /* its connection has no place but in the reserve: health alone is answered */

    const struct srv_route *route;
    struct srv_req *req;        /* if the route takes a body */
    struct srv_payer payer;     /* the transport may set its connection, by a reference */
    size_t charged;             /* of the answer, as long as the call is open */
    unsigned scopes;            /* of the key that it came with */
    char key[SRV_KEY_NAME_MAX]; /* that key's name, for the log; "": none */
    int most_urgent;            /* that key's limits: auth.h */
    uint64_t longest_ns;
    int pending;
    int plain;              /* errors are bare sentences, not JSON */
    int64_t declared;       /* length of the body; -1 = chunked */
    enum srv_reason reason; /* of its status, where that does not tell it */
    char id[SRV_ID_MAX + 1];
    char trace[SRV_TRACE_MAX]; /* 32 hexadecimal digits, from traceparent; "": not traced */
    char error[SRV_ERROR_MAX]; /* the sentence of a refusal, for the log; else "" */
    char params[SRV_PARAMS][SRV_PARAM_MAX]; /* what stands for {} in the route's pattern; else "" */
    struct srv_reply reply;
};

/* Everything 0 or "", client_fd -1; the owner then sets what stands above `route`. The texts, four
 * fifths of a call, are not written to. */
void srv_call_init(struct srv_call *c, struct srv_api *api, const struct srv_call_ops *ops);

/* Counts the call, gives it its id and the headers that every answer has, refusals of the transport
 * included; srv_call_close() must follow, whatever comes between. */
void srv_call_start(struct srv_call *c);
/* Headers are complete and well-formed. declared: the body's length, -1 if it is not known. The
 * route is found by the target, unless the transport has set it.
 * Afterwards reply.status != 0 means that the call is refused: the body need not be read. */
void srv_call_open(struct srv_call *c, int64_t declared);
/* Its deadline passed more than `grace_ns` ago. */
int srv_call_is_late(const struct srv_call *c, uint64_t grace_ns);
/* A piece of the body. -1: the call has just been refused. */
int srv_call_body(struct srv_call *c, const void *data, size_t len);
/* The body is complete. Afterwards either reply.status != 0, or the call is pending. */
void srv_call_finish(struct srv_call *c);
/* The exchange is over, sent or not: logs, counts, frees. A pending call is cancelled. */
void srv_call_close(struct srv_call *c);

/* For routes: 504, its deadline has passed. */
void srv_call_late(struct srv_call *c);
/* For routes: 429, no room in max_inflight_bytes. */
void srv_call_no_room(struct srv_call *c);
/* For routes that are open to some: replies unless the call has a key with one of these scopes. */
void srv_call_key(struct srv_call *c, unsigned scopes);
/* For routes: 429, too many work items wait. */
void srv_call_busy(struct srv_call *c);
/* For routes. The first reply of a call stands. body_take may be NULL: out of memory (503). What is
 * no error becomes 504 if its deadline has passed, and 429 if there is no room to hold it. */
void srv_call_reply(struct srv_call *c, int status, const char *type, char *body_take, size_t len);
/* A reply in pieces, begun by a pending call: its status and headers leave at once. */
void srv_call_stream(struct srv_call *c, int status, const char *type);
/* The next piece. data_take may be NULL: out of memory, the piece is left out. */
void srv_call_append(struct srv_call *c, char *data_take, size_t len);
/* The last piece was the last. */
void srv_call_stream_end(struct srv_call *c);
void srv_call_error(struct srv_call *c, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void srv_call_header(struct srv_call *c, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A query argument, decoded. 1 = there, 0 = not, -1 = refused (already replied). */
int srv_call_query(struct srv_call *c, const char *name, char *buf, size_t len);
/* The same as a whole number in min..max; on 0, *ret is untouched. */
int srv_call_query_int(struct srv_call *c, const char *name, long long min, long long max,
                       long long *ret);

#endif
