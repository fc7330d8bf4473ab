/* encoder.h -- the forward pass of a BERT or XLM-R encoder over packed tokens.
 *
 * wn_encoder: immutable weights, prepacked for the GEMM. wn_session: workers and their
 * arenas, sized at creation; forward allocates nothing. An encoder may be shared by many sessions; a session
 * belongs to one caller at a time.
 *
 * A sequence's result is the same bits alone, in any batch and order, with any number of threads.
 *
 * Packed: the sequences of a batch lie one after the other, no padding; starts [n + 1] marks them. */
#ifndef WN_MODEL_ENCODER_H
#define WN_MODEL_ENCODER_H
#include "core/threadpool.h"
#include "model/config.h"
#include "model/weights.h"

typedef struct wn_encoder wn_encoder;
typedef struct wn_session wn_session;

/* config is copied; weights are read (and may be closed afterwards, but for the word embeddings,
 * which stay mapped: keep `weights` open until wn_encoder_free). precision is that of the layers; a
 * cross-encoder's head is f32 always. */
wn_status wn_encoder_create(const wn_model_config *config, const wn_weights *weights,
                            wn_precision precision, wn_encoder **out, wn_error *err);
void wn_encoder_free(wn_encoder *encoder);
wn_precision wn_encoder_precision(const wn_encoder *encoder); /* never WN_AUTO */
uint64_t wn_encoder_parameters(const wn_encoder *encoder);

/* threads <= 0: one a processor. */
wn_status wn_session_create(const wn_encoder *encoder, int threads, wn_session **out, wn_error *err);
/* The same with another number of tokens a worker takes through the model at a time (0: the default).
 * Results do not depend on it, memory and speed do. */
wn_status wn_session_create_grouped(const wn_encoder *encoder, int threads, size_t group_tokens,
                                    wn_session **out, wn_error *err);
void wn_session_free(wn_session *session);

typedef struct wn_packed {
    const int32_t *ids;       /* [starts[n]] each in [0, vocab) (checked) */
    const uint8_t *type_ids;  /* [starts[n]] or NULL: all 0 */
    const uint32_t *starts;   /* [n + 1], starts[0] = 0 */
    size_t n;                 /* sequences, each of 1 to max_length tokens (checked) */
} wn_packed;

/* Pooled sentence embeddings (pooling and normalisation by the config) into out [n, hidden]. A cross-encoder
 * is refused. */
wn_status wn_session_embed(wn_session *session, const wn_packed *batch, float *out, wn_error *err);
/* Classification logits into out [n, labels]. */
wn_status wn_session_classify(wn_session *session, const wn_packed *batch, float *out, wn_error *err);
/* Last hidden states of every token into out [starts[n], hidden]: for tests. */
wn_status wn_session_hidden(wn_session *session, const wn_packed *batch, float *out, wn_error *err);
#endif
