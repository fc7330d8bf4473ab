/* encoders.h -- one model and its session, as the batcher and the snapshot see it. */
#ifndef WN_SERVER_ENCODERS_H
#define WN_SERVER_ENCODERS_H

#include "batcher.h"

/* One forward pass over n items of one kind; only the batcher's thread calls it. A test may put its own here. */
typedef struct srv_pass {
    const wn_str *queries; /* [n]; NULL: embeddings */
    const wn_str *texts;   /* [n] */
    size_t n;
    wn_role role;
    const char *prompt_name;
    wn_length_policy policy;
    wn_pair_score *scores; /* [n], or */
    float *embeddings;     /* [n, dim] */
    wn_fit *fits;          /* [n], of embeddings */
} srv_pass;
typedef wn_status (*srv_pass_fn)(srv_encoder *encoder, const srv_pass *pass, wn_error *err);

struct srv_encoder {
    wn_model *model;
    wn_bi_encoder *bi;
    wn_cross_encoder *cross;
    wn_model_info info;
    size_t dim;           /* of embeddings; 0: a cross-encoder */
    char *name;           /* as the user gave it */
    wn_score_cache *cache; /* of a cross-encoder; borrowed; NULL: none */
    bool from_cache;      /* the last pass took scores from it: its time tells nothing of the model's */
    srv_pass_fn pass;
    double tokens_per_ms; /* measured by the batcher; 0: not yet. Its thread alone */
};

/* name: a directory or a name of the model cache. The kind is the model's own. */
wn_status srv_encoder_open(const char *name, wn_precision precision, int threads, wn_score_cache *cache,
                           srv_encoder **out, wn_error *err);
void srv_encoder_close(srv_encoder *encoder);
/* Whether a client's name means this model: as given, base name, directory, either side of "owner/name". */
bool srv_encoder_is_called(const srv_encoder *encoder, const char *name);
#endif
