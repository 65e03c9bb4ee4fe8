/* The table of routes.def. */
#ifndef SRV_ROUTES_H
#define SRV_ROUTES_H

#include "server/handlers/route.h"

extern const struct srv_route srv_routes[SRV_ROUTES + SRV_RPCS];

#endif
