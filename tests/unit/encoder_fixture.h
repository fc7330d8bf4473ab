/* encoder_fixture.h -- a model opened for computing, and packed batches, for the encoder's tests. */
#ifndef WN_TESTS_ENCODER_FIXTURE_H
#define WN_TESTS_ENCODER_FIXTURE_H
#include "core/memory.h"
#include "model/encoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    wn_model_config config;
    wn_weights *weights;
    wn_encoder *encoder;
    wn_session *session;
} fixture;

static inline fixture fixture_open_in(const char *dir, int threads, wn_precision precision) {
    fixture f = {0};
    wn_error err;
    if (wn_model_config_read(dir, &f.config, &err) || wn_weights_open(dir, &f.weights, &err) ||
        wn_encoder_create(&f.config, f.weights, precision, &f.encoder, &err) ||
        wn_session_create(f.encoder, threads, &f.session, &err))
        fail_msg("%s: %s", dir, err.message);
    return f;
}

static inline fixture fixture_open(const char *dir, int threads) { return fixture_open_in(dir, threads, WN_F32); }

static inline void fixture_close(fixture *f) {
    wn_session_free(f->session);
    wn_encoder_free(f->encoder);
    wn_weights_close(f->weights);
    wn_model_config_release(&f->config);
}

static inline size_t fixture_width(const fixture *f) {
    return f->config.kind == WN_MODEL_CROSS_ENCODER ? f->config.labels : f->config.hidden;
}

/* Logits or embeddings, as the model is made. */
static inline wn_status fixture_run(const fixture *f, wn_session *session, const wn_packed *batch,
                                    float *out, wn_error *err) {
    return f->config.kind == WN_MODEL_CROSS_ENCODER ? wn_session_classify(session, batch, out, err)
                                                    : wn_session_embed(session, batch, out, err);
}

/* Sequences one behind the other, growing. */
typedef struct packed {
    int32_t *ids;
    uint8_t *types;
    uint32_t *starts;
    size_t n;
} packed;

static inline void packed_add(packed *p, const int32_t *ids, const uint8_t *types, size_t n) {
    uint32_t at = p->n ? p->starts[p->n] : 0;
    p->ids = realloc(p->ids, (at + n) * sizeof *p->ids);
    p->types = realloc(p->types, at + n);
    p->starts = realloc(p->starts, (p->n + 2) * sizeof *p->starts);
    memcpy(p->ids + at, ids, n * sizeof *ids);
    memcpy(p->types + at, types, n);
    p->starts[p->n++] = at;
    p->starts[p->n] = at + (uint32_t)n;
}

static inline wn_packed packed_view(const packed *p) {
    return (wn_packed){.ids = p->ids, .type_ids = p->types, .starts = p->starts, .n = p->n};
}

static inline void packed_release(packed *p) {
    free(p->ids), free(p->types), free(p->starts);
    *p = (packed){0};
}
#endif
