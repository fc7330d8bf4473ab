/* page.c -- the web page at /. */
#include "service.h"

const srv_route srv_page_routes[] = {{NULL}};
