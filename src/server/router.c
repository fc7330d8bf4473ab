/* router.c -- the tables of all rooms, one after the other, searched in order.
 * Some fifty paths: a linear search of string compares costs under a microsecond, a forward pass costs
 * thousands. A trie here would be a trie to maintain. */
#include "router.h"

#include <stdio.h>
#include <string.h>

static const srv_route *const TABLES[] = {
    srv_operation_routes, srv_openai_routes, srv_rerank_routes, srv_cohere_routes,
    srv_tei_routes,       srv_llamacpp_routes, srv_api_routes,  srv_page_routes,
};
enum { NTABLES = sizeof TABLES / sizeof *TABLES };

size_t srv_router_count(void) {
    size_t n = 0;
    for (size_t t = 0; t < NTABLES; t++)
        for (const srv_route *r = TABLES[t]; r->method; r++) n++;
    return n;
}

const srv_route *srv_router_route(size_t i) {
    for (size_t t = 0; t < NTABLES; t++)
        for (const srv_route *r = TABLES[t]; r->method; r++)
            if (i-- == 0) return r;
    return NULL;
}

static void add_method(char allow[64], const char *method) {
    size_t n = strlen(allow);
    if (!strstr(allow, method)) snprintf(allow + n, 64 - n, "%s%s", n ? ", " : "", method);
}

/* An unknown path gets the error shape that its neighbours' clients read. */
static srv_dialect dialect_of_neighbours(const char *path) {
    if (!strncmp(path, "/v1/", 4)) return SRV_DIALECT_OPENAI;
    if (!strncmp(path, "/v2/", 4)) return SRV_DIALECT_COHERE;
    return SRV_DIALECT_OWN;
}

/* A route that ends in a star answers for all longer paths: a model's name may hold slashes. */
static bool matches(const char *route, const char *path) {
    size_t n = strlen(route);
    if (route[n - 1] != '*') return strcmp(route, path) == 0;
    return strncmp(route, path, n - 1) == 0 && path[n - 1];
}

const srv_route *srv_router_find(const char *method, const char *path, size_t *number, char allow[64],
                                 srv_dialect *dialect) {
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    size_t i = 0;
    allow[0] = 0;
    *dialect = dialect_of_neighbours(path);
    for (size_t t = 0; t < NTABLES; t++)
        for (const srv_route *r = TABLES[t]; r->method; r++, i++) {
            if (!matches(r->path, path)) continue;
            *dialect = r->dialect;
            if (strcmp(r->method, wanted) == 0) {
                *number = i;
                return r;
            }
            add_method(allow, r->method);
            if (strcmp(r->method, "GET") == 0) add_method(allow, "HEAD");
        }
    return NULL;
}
