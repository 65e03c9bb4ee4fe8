/* The table of routes: THE list of what the server answers over any HTTP version. */
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

struct srv_route {
    const char *pattern; /* "{}" stands for a segment or a part of one; SRV_PARAMS at most */
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
};

/* The first row whose pattern fits; NULL if none does. `path` is still percent-encoded; what stood
 * for each {} is decoded into params. -EINVAL through ret_rc if it is not valid percent-encoding.
 */
const struct srv_route *srv_route_find(const char *path, size_t len,
                                       char params[SRV_PARAMS][SRV_PARAM_MAX], int *ret_rc);
int srv_route_index(const struct srv_route *r);
const struct srv_route *srv_route_at(int index); /* NULL behind the last */

unsigned srv_method_parse(const char *name);
/* "GET, HEAD" */
void srv_methods_text(unsigned methods, char *buf, size_t len);

#endif
