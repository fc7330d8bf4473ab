/* json_fields.h -- a request's JSON body, read tolerantly: what dialect handlers share.
 *
 * Clients of different vendors name one thing differently (documents | texts | input), send null for
 * "my default", numbers as 5 or 5.0, texts as strings or {"text": ...}, and fields nobody else knows.
 * All of that is read here. What can't be meant is refused at once with its field's name.
 *
 * A handler lives between srv_call_begin and srv_call_end. Every function that returns false has
 * answered the request already, in the call's dialect: the handler only cleans up. Texts are
 * borrowed from the body, so they live until srv_call_end. */
#ifndef WN_SERVER_JSON_FIELDS_H
#define WN_SERVER_JSON_FIELDS_H

#include "service.h"

typedef struct srv_call {
    srv_service *service;
    const srv_request *request;
    srv_response *response;
    srv_dialect dialect;      /* a handler of two dialects changes it once it has seen the body */
    json_t *body;             /* an object */
    srv_snapshot *snapshot;
    double begin_ms;
    double deadline_ms;       /* the header's and the body's timeout_ms, whichever is earlier; 0: none */
} srv_call;

/* Parses the body (an object), holds the models, reads timeout_ms. */
bool srv_call_begin(srv_call *call, srv_service *service, const srv_request *request,
                    srv_response *response, srv_dialect dialect);
/* The same without a body: a GET. */
bool srv_call_begin_bare(srv_call *call, srv_service *service, const srv_request *request,
                         srv_response *response, srv_dialect dialect);
void srv_call_end(srv_call *call);

/* All of these answer with an error and return false. */
bool srv_call_invalid(srv_call *call, const char *param, const char *format, ...) WN_PRINTF(3, 4);
bool srv_call_empty(srv_call *call, const char *param, const char *format, ...) WN_PRINTF(3, 4);
bool srv_call_too_many(srv_call *call, const char *param, size_t n, size_t limit);
bool srv_call_failed(srv_call *call, const wn_error *err);
bool srv_call_no_memory(srv_call *call);

/* The first of `names` ("documents|texts|input") that the body has and that is not null; *found gets
 * the one name, may be NULL. NULL: none. */
json_t *srv_body_field(const srv_call *call, const char *names, const char **found);
/* Each leaves *out as it is when the field is absent or null. */
bool srv_body_bool(srv_call *call, const char *names, bool *out);
/* A whole number, 5 or 5.0, in [lo, ...]; a value over SIZE_MAX / 2 is read as that. */
bool srv_body_count(srv_call *call, const char *names, size_t lo, size_t *out);
/* Borrowed; without NULs inside. */
bool srv_body_string(srv_call *call, const char *names, const char **out);
/* One of NULL-terminated choices, to its number. */
bool srv_body_choice(srv_call *call, const char *names, const char *const *choices, int *out);
/* A string, or an object with "text". *out: borrowed bytes. Absent is an error. */
bool srv_body_text(srv_call *call, const char *names, wn_str *out);
/* A value's text: a string, or an object's "text"; borrowed. data NULL: neither. */
wn_str srv_json_text(const json_t *value);
/* TEI's truncation_direction: whether a cut takes the beginning. Absent: it takes the end. */
bool srv_body_cut_left(srv_call *call, bool *out);
/* winnow's own length_policy ("truncate", "error", "windows"), and `truncate` (true | false). Absent
 * both: as the server is configured. */
bool srv_body_length_policy(srv_call *call, wn_length_policy *out);

/* Several texts. */
typedef struct srv_texts {
    wn_str *items;           /* [n] */
    const json_t **sources;  /* [n] what the client sent for each: borrowed */
    char **owned;            /* [n] texts that were put together here; NULL where borrowed */
    size_t n;
    bool single;             /* one text was sent without an array around it */
} srv_texts;
void srv_texts_release(srv_texts *texts);
/* An array of strings or objects. rank_fields (an array of strings) or NULL: which members of an object
 * are its text; without it "text". Absent or empty is an error, and so is more than the server's
 * max_documents. */
bool srv_body_documents(srv_call *call, const char *names, const json_t *rank_fields, srv_texts *out);
/* What an embedding request may hold: a text, texts, {"text": ...}, one text's token ids or
 * several's. Token ids must be what the model's own tokenizer makes of some text. `empty_allowed`:
 * whether "" may be embedded. */
bool srv_body_inputs(srv_call *call, const char *names, const wn_tokenizer *tokenizer,
                      bool empty_allowed, srv_texts *out);

/* A model by the body's `model`. See model_choice.c for foreign names. *warning gets a string (json, owned
 * by the caller) when another model answers than the one asked for, else NULL. */
bool srv_choose_model(srv_call *call, wn_model_kind kind, srv_encoder **out, json_t **warning);
#endif
