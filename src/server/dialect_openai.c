/* dialect_openai.c -- OpenAI: /v1/embeddings, /v1/models. */
#include "service.h"

const srv_route srv_openai_routes[] = {{NULL}};
