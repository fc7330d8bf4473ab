/* router.h -- method and path to a route. */
#ifndef WN_SERVER_ROUTER_H
#define WN_SERVER_ROUTER_H

#include "http.h"

size_t srv_router_count(void); /* routes of all tables */
/* Route i of all tables, for metrics. */
const srv_route *srv_router_route(size_t i);
/* The route and its number, or NULL: then *allow is the path's methods ("GET, HEAD, POST") with its dialect
 * in *dialect, or "" when the path is unknown. */
const srv_route *srv_router_find(const char *method, const char *path, size_t *number, char allow[64],
                                 srv_dialect *dialect);
#endif
