/* dialect_rerank.c -- /v1/rerank, which Cohere v1, Jina and llama.cpp share, and /v2/rerank. */
#include "service.h"

const srv_route srv_rerank_routes[] = {{NULL}};
