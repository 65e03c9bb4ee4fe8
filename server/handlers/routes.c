/* The list as a table. Beside api.c, which hands it out, nobody calls into this file: handlers that
 * list routes or look at their own read the table of their api. */
#include "server/handlers/routes.h"

#include <stddef.h>

#include "server/handlers/auth.h"
#include "server/handlers/handlers.h"
#include "server/handlers/rpc_handlers.h"

const struct srv_route srv_routes[SRV_ROUTES + SRV_RPCS] = {
#define ROUTE(pattern_, methods_, body_, begin_, finish_, scopes_, query_, summary_)               \
    {.pattern = pattern_,                                                                          \
     .methods = methods_,                                                                          \
     .body = body_,                                                                                \
     .begin = begin_,                                                                              \
     .finish = finish_,                                                                            \
     .scopes = scopes_,                                                                            \
     .query = query_,                                                                              \
     .summary = summary_},
#define RPC(pattern_, kind_, body_, finish_, scopes_, summary_)                                    \
    {.pattern = pattern_,                                                                          \
     .kind = kind_,                                                                                \
     .methods = SRV_POST,                                                                          \
     .body = body_,                                                                                \
     .finish = finish_,                                                                            \
     .scopes = scopes_,                                                                            \
     .summary = summary_},
#include "server/handlers/routes.def"
};
