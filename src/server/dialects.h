/* dialects.h -- handlers that one dialect's path borrows from another's file. */
#ifndef WN_SERVER_DIALECTS_H
#define WN_SERVER_DIALECTS_H

#include "json_fields.h"

/* TEI's rerank of a call that has begun: a body with `texts`. dialect_tei.c. */
void srv_tei_rerank(srv_call *call);
/* TEI's tokenize of a call that has begun: a body without `content`. dialect_tei.c. */
void srv_tei_tokenize(srv_call *call);
/* OpenAI's embeddings of a call that has begun. dialect_openai.c. */
void srv_openai_embeddings_of(srv_call *call);
/* The tokenizer of the body's `model`; else the embedder's, else the reranker's. NULL: answered with an
 * error. dialect_tei.c. */
const wn_tokenizer *srv_choose_tokenizer(srv_call *call);
/* GET /openapi.json. openapi.c. */
void srv_openapi_document(srv_service *service, const srv_request *request, srv_response *response);
#endif
