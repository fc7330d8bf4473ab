/* dialect_tei.c -- Text Embeddings Inference. */
#include "service.h"

const srv_route srv_tei_routes[] = {{NULL}};
