/* page.c -- the web page at /: files that are part of the binary, and the headers that fence them in.
 *
 * The policy lets the page load scripts and styles from this server alone and talk to it alone; nothing inline runs, so a
 * document's text could not become a script even if it became markup. A browser keeps the files but asks
 * each time (no-cache with an entity tag): a page of the last version must not talk to this one.
 * Rejected: one file with everything inline, which needs hashes in the policy for each block; and
 * compressed copies, 20 kB instead of 70 kB once a visit. */
#include "page_assets.h"
#include "service.h"

#include <string.h>

static const char POLICY[] = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                             "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static const page_asset *find_asset(const char *path) {
    for (const page_asset *asset = PAGE_ASSETS; asset->path; asset++)
        if (strcmp(asset->path, path) == 0) return asset;
    return NULL;
}

/* If-None-Match holds our tag, alone or in a list, strong or weak: then the browser's copy is this one. */
static bool is_known(const srv_request *request, const page_asset *asset) {
    const char *tags = srv_request_header(request, "If-None-Match");
    return tags && strstr(tags, asset->etag);
}

static void serve(srv_service *service, const srv_request *request, srv_response *response) {
    (void)service;
    const page_asset *asset = find_asset(request->path);
    if (!asset) {
        srv_respond_error(response, SRV_DIALECT_OWN, 404, NULL, NULL, "no such file: %s", request->path);
        return;
    }
    if (is_known(request, asset)) srv_respond_bytes(response, 304, asset->content_type, "", 0);
    else srv_respond_static(response, asset->content_type, asset->data, asset->length);
    srv_respond_header(response, "ETag", asset->etag);
    srv_respond_header(response, "Cache-Control", "no-cache");
    srv_respond_header(response, "Content-Security-Policy", POLICY);
    srv_respond_header(response, "X-Content-Type-Options", "nosniff");
    srv_respond_header(response, "Referrer-Policy", "no-referrer");
}

enum { OPEN = SRV_ROUTE_OPEN | SRV_ROUTE_BEFORE_READY };
const srv_route srv_page_routes[] = {
    {"GET", "/", SRV_DIALECT_OWN, serve, OPEN},
    {"GET", "/page.css", SRV_DIALECT_OWN, serve, OPEN},
    {"GET", "/page.js", SRV_DIALECT_OWN, serve, OPEN},
    {"GET", "/page_api.js", SRV_DIALECT_OWN, serve, OPEN},
    {"GET", "/page_compare.js", SRV_DIALECT_OWN, serve, OPEN},
    {"GET", "/page_dom.js", SRV_DIALECT_OWN, serve, OPEN},
    {"GET", "/page_eval.js", SRV_DIALECT_OWN, serve, OPEN},
    {"GET", "/page_moves.js", SRV_DIALECT_OWN, serve, OPEN},
    {"GET", "/page_search.js", SRV_DIALECT_OWN, serve, OPEN},
    {NULL},
};
