/* dialect_llamacpp.c -- llama.cpp's server. */
#include "service.h"

const srv_route srv_llamacpp_routes[] = {{NULL}};
