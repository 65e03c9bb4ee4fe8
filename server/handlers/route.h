/* Routes: what the server answers, over HTTP by a pattern of paths, over gRPC by the name of a
 * procedure. The list is routes.def. */
#ifndef SRV_ROUTE_H
#define SRV_ROUTE_H

#include <stddef.h>

struct srv_call;

enum {
    SRV_GET = 1 << 0,
    SRV_HEAD = 1 << 1,
    SRV_POST = 1 << 2,
    SRV_PUT = 1 << 3,
    SRV_DELETE = 1 << 4,
    SRV_OPTIONS = 1 << 5,
    SRV_OTHER = 1 << 6,
};

enum { SRV_PARAM_MAX = 256, SRV_PARAMS = 2 };

/* Rows of the table: those of HTTP, then those of gRPC. */
enum {
    SRV_ROUTES = 0
#define ROUTE(...) +1
#define RPC(...)
#include "server/handlers/routes.def"
};
enum {
    SRV_RPCS = 0
#define ROUTE(...)
#define RPC(...) +1
#include "server/handlers/routes.def"
};

/* How messages come and go on the stream of a procedure. */
enum srv_rpc_kind {
    SRV_RPC_UNARY,
    SRV_RPC_INFER_STREAM, /* many messages, each answered by one, in their order */
    SRV_RPC_WATCH,        /* one message, then the state of health and each change of it */
    SRV_RPC_REFLECTION,   /* many messages, each answered at once */
};

struct srv_route {
    /* "{}" stands for a segment or a part of one; SRV_PARAMS at most. Of a procedure
     * "/SERVICE/METHOD": its request message is the body, its answer the reply's, errors are
     * sentences with HTTP's numbers, which the stream translates. */
    const char *pattern;
    unsigned methods;
    /* Takes a body: a request with its arena is made before `begin`. 2: a small one, whose time
     * says nothing about inference. */
    int body;
    /* The headers are known, no byte of the body yet; may reply to refuse. May be NULL. */
    void (*begin)(struct srv_call *c);
    /* The whole body is here: replies, or leaves the call pending and replies later. */
    void (*finish)(struct srv_call *c);
    const char *summary;
    unsigned scopes;   /* SRV_SCOPE_*: a key with any of them may call; 0: infer */
    const char *query; /* parameters, blanks between them; others are 400. NULL: takes none, and
                          passes over what is there */
    enum srv_rpc_kind kind; /* of a procedure */
};

/* The first row of HTTP's whose pattern fits; NULL if none does. `path` is still percent-encoded;
 * what stood for each {} is decoded into params. -EINVAL through ret_rc if it is not valid
 * percent-encoding.
 */
const struct srv_route *srv_route_find(const struct srv_route *routes, const char *path, size_t len,
                                       char params[SRV_PARAMS][SRV_PARAM_MAX], int *ret_rc);
/* The procedure of this path; NULL: there is none. */
const struct srv_route *srv_route_find_rpc(const struct srv_route *routes, const char *path);

unsigned srv_method_parse(const char *name);
/* "GET, HEAD" */
void srv_methods_text(unsigned methods, char *buf, size_t len);

#endif
