/* openapi.c -- GET /openapi.json: openapi.json beside this file, written by hand, part of the binary.
 *
 * It tells every route of the router; tests/server/test_dialects.py holds the two together, and
 * schemathesis (test_clients.py) holds the answers to it. */
#include "dialects.h"

extern const unsigned char srv_openapi_json[];
extern const size_t srv_openapi_json_size;

void srv_openapi_document(srv_service *service, const srv_request *request, srv_response *response) {
    srv_respond_static(response, "application/json", srv_openapi_json, srv_openapi_json_size);
}
