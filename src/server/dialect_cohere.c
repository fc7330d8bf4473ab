/* dialect_cohere.c -- Cohere: /v2/embed. */
#include "service.h"

const srv_route srv_cohere_routes[] = {{NULL}};
