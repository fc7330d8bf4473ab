/* api_search.c -- winnow's own API. */
#include "service.h"

const srv_route srv_api_routes[] = {{NULL}};
