/* embed_request.h -- one embedding request, whatever dialect it came in. */
#ifndef WN_SERVER_EMBED_REQUEST_H
#define WN_SERVER_EMBED_REQUEST_H

#include "reply_text.h"

typedef struct srv_embed {
    srv_texts inputs;
    wn_role role;
    const char *prompt_name;  /* overrides role; NULL: none */
    size_t dimensions;        /* the first so many components, normalised again; 0: all */
    bool cut_left;
    wn_length_policy policy;
    srv_encoder *encoder;
    const char *model;        /* the name of the one that answers */
    /* out */
    float *vectors;           /* [inputs.n, stride] */
    size_t stride, width;     /* width: components of the answer */
    size_t cut;               /* texts of which tokens were dropped */
    uint64_t tokens;
    double queue_ms, compute_ms;
    json_t *warnings;         /* an array of strings, maybe empty */
} srv_embed;

/* Zero the struct and call in this order; false means that the request is answered with an error. Between
 * read and run a dialect reads its own fields. Release in any case. */
bool srv_embed_read(srv_call *call, srv_embed *embed, const char *input_names, bool empty_allowed);
/* `normalize`: 1: unit length, 0: as pooled, -1: as the model's files say. */
bool srv_embed_run(srv_call *call, srv_embed *embed, int normalize);
void srv_embed_release(srv_embed *embed);

/* What vendors call the side a text is on: input_type or task ("query", "search_query",
 * "retrieval.passage", ...) to a role; others are no error, and WN_ROLE_NONE. */
bool srv_body_role(srv_call *call, const char *names, wn_role *out);
void srv_text_embedding(srv_text *text, const srv_embed *embed, srv_vector_form form, size_t i);
#endif
