/* reply_text.h -- a JSON reply written as text.
 *
 * Replies with vectors have a number for every 12 bytes, a tokenised body may be a million tokens: a tree of
 * jansson values would cost several allocations each. Everything else of the server builds trees. A failed
 * allocation is kept until srv_text_send, which then answers 503: callers need no checks in between. */
#ifndef WN_SERVER_REPLY_TEXT_H
#define WN_SERVER_REPLY_TEXT_H

#include "json_fields.h"

typedef struct srv_text {
    char *data;
    size_t length, capacity;
    bool failed;
} srv_text; /* zero-initialise */

void srv_text_add(srv_text *text, const char *bytes, size_t length);
void srv_text_printf(srv_text *text, const char *format, ...) WN_PRINTF(2, 3);
/* A comma, unless what comes is the first in its array or object. */
void srv_text_next(srv_text *text);
/* A string of these bytes, escaped; "" where they are no UTF-8 (a token may end within a character). */
void srv_text_string(srv_text *text, const char *bytes, size_t length);
/* "key": with its quotes, after a comma unless first in its object. */
void srv_text_key(srv_text *text, const char *key);
void srv_text_json(srv_text *text, json_t *value); /* steals value; NULL counts as no memory */
/* "[0.5,...]", nine digits: every float comes back as it was. */
void srv_text_floats(srv_text *text, const float *values, size_t n);
/* A string of base64 of bytes. */
void srv_text_base64(srv_text *text, const unsigned char *bytes, size_t n);
/* Base64 of little-endian f32, as OpenAI's and Cohere's clients read it. */
void srv_text_floats_base64(srv_text *text, const float *values, size_t n);
/* Vectors in an integer form, as "[1,-2,...]". int8 and uint8 scale the vector's largest component to
 * 127 (compare by cosine); binary and ubinary are sign bits, eight a byte, the first the highest. */
typedef enum srv_vector_form {
    SRV_FORM_FLOAT = 0, SRV_FORM_BASE64, SRV_FORM_INT8, SRV_FORM_UINT8, SRV_FORM_BINARY, SRV_FORM_UBINARY
} srv_vector_form;
void srv_text_vector(srv_text *text, srv_vector_form form, const float *values, size_t n);
void srv_text_send(srv_text *text, srv_call *call); /* 200, and frees */
void srv_text_release(srv_text *text);              /* of one that is not sent */
#endif
