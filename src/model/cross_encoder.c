/* cross_encoder.c -- scores of query-passage pairs.
 *
 * Follows sentence-transformers' CrossEncoder: the pair is cut longest-first to the
 * model's length, the activation is applied to the f32 logit. Departure: what was cut
 * is counted and returned, and a passage that is too long can be read in windows.
 *
 * Windows. The query keeps at most half of the room; the passage is cut into runs of
 * the rest, each beginning half a run after the one before, the last one ending with the
 * passage's last token. The passage's score is its best window's, and the result says
 * which bytes that window covers. Half-overlap bounds the cost at twice the passage, and
 * every span of up to half a window is read whole by some window.
 *
 * A query is tokenised once for all of its passages. */
#include "core/error.h"
#include "model/model.h"
#include "model/packing.h"

#include <math.h>
#include <string.h>

enum { DEFAULT_BATCH = 32 };

struct wn_cross_encoder {
    const wn_model *model;
    wn_session *session;
    wn_encoding *query, *document, *joined;
    wn_packing packing;
    float *logits;     /* [sequences of the batch] */
    size_t *owner;     /* [sequences of the batch]: which pair the sequence belongs to */
    wn_fit *fits;      /* [sequences of the batch] */
    size_t logits_cap, owner_cap, fits_cap;
    size_t specials, max_length;
};

wn_status wn_cross_encoder_create(const wn_model *model, int threads, wn_cross_encoder **out,
                                  wn_error *err) {
    if (model->config.kind != WN_MODEL_CROSS_ENCODER)
        return wn_fail(err, WN_ERR_MISMATCH,
                       "%s is a bi-encoder (%s); a cross-encoder with a classification head is "
                       "needed here",
                       model->path, model->config.architecture);
    if (model->config.labels != 1)
        return wn_fail(err, WN_ERR_UNSUPPORTED, "%s has %zu labels; a reranker has one",
                       model->path, model->config.labels);
    wn_status st = WN_OK;
    wn_cross_encoder *encoder = wn_calloc(1, sizeof *encoder);
    if (!encoder) return wn_fail_memory(err, sizeof *encoder);
    encoder->model = model;
    encoder->specials = wn_tokenizer_special_count(model->tokenizer, true);
    encoder->max_length = model->max_length;
    WN_TRY_GOTO(wn_encoding_create(&encoder->query, err));
    WN_TRY_GOTO(wn_encoding_create(&encoder->document, err));
    WN_TRY_GOTO(wn_encoding_create(&encoder->joined, err));
    WN_TRY_GOTO(wn_session_create(model->encoder, threads, &encoder->session, err));
    *out = encoder;
    return WN_OK;
fail:
    wn_cross_encoder_free(encoder);
    return st;
}

void wn_cross_encoder_free(wn_cross_encoder *encoder) {
    if (!encoder) return;
    wn_session_free(encoder->session);
    wn_encoding_free(encoder->query);
    wn_encoding_free(encoder->document);
    wn_encoding_free(encoder->joined);
    wn_packing_release(&encoder->packing);
    wn_free(encoder->logits);
    wn_free(encoder->owner);
    wn_free(encoder->fits);
    wn_free(encoder);
}

const wn_model *wn_cross_encoder_model(const wn_cross_encoder *encoder) { return encoder->model; }

/* Joins the query's first nq tokens and the passage's tokens [begin, end) into one
 * sequence of the batch, cut longest-first where they do not fit. */
static wn_status add_sequence(wn_cross_encoder *encoder, size_t pair, size_t nq, size_t begin,
                              size_t end, wn_str document, wn_error *err) {
    size_t slot = encoder->packing.n;
    WN_TRY(wn_grow(&encoder->owner, &encoder->owner_cap, slot + 1, sizeof *encoder->owner, err));
    WN_TRY(wn_grow(&encoder->fits, &encoder->fits_cap, slot + 1, sizeof *encoder->fits, err));
    WN_TRY(wn_tokenizer_join(encoder->model->tokenizer, wn_encoding_ids(encoder->query), nq,
                             wn_encoding_ids(encoder->document) + begin, end - begin, true,
                             encoder->max_length, WN_TRUNCATE_LONGEST_FIRST, encoder->joined, err));
    size_t total = wn_encoding_length(encoder->document);
    size_t kept = end - begin - wn_encoding_dropped_second(encoder->joined);
    const uint32_t *offsets = wn_encoding_offsets(encoder->document);
    bool whole = kept == total;
    encoder->owner[slot] = pair;
    encoder->fits[slot] = (wn_fit){
        .tokens_seen = (uint32_t)kept,
        .tokens_dropped = (uint32_t)(total - kept),
        .query_dropped = (uint32_t)(wn_encoding_length(encoder->query) - nq +
                                    wn_encoding_dropped_first(encoder->joined)),
        .window_begin = whole || !kept ? 0 : offsets[2 * begin],
        .window_end = whole ? (uint32_t)document.len : kept ? offsets[2 * (begin + kept) - 1] : 0,
    };
    return wn_packing_add(&encoder->packing, encoder->joined, err);
}

static wn_status add_windows(wn_cross_encoder *encoder, size_t pair, wn_str document,
                             wn_error *err) {
    size_t room = encoder->max_length - encoder->specials;
    size_t nq = wn_encoding_length(encoder->query), nd = wn_encoding_length(encoder->document);
    if (nq > room / 2) nq = room / 2;
    size_t width = room - nq, step = width > 1 ? width / 2 : 1;
    for (size_t begin = 0;; begin += step) {
        if (begin + width >= nd) {
            size_t last = nd > width ? nd - width : 0;
            return add_sequence(encoder, pair, nq, last, nd, document, err);
        }
        WN_TRY(add_sequence(encoder, pair, nq, begin, begin + width, document, err));
    }
}

/* One pair into the batch: one sequence, or several under the windows policy. */
static wn_status add_pair(wn_cross_encoder *encoder, size_t pair, wn_str document,
                          wn_length_policy policy, wn_error *err) {
    if (document.len > UINT32_MAX)
        return wn_fail(err, WN_ERR_ARGUMENT, "passage %zu is over 4 GiB", pair);
    WN_TRY(wn_tokenizer_encode_raw(encoder->model->tokenizer, document, encoder->document, err));
    size_t nq = wn_encoding_length(encoder->query), nd = wn_encoding_length(encoder->document);
    bool fits = nq + nd + encoder->specials <= encoder->max_length;
    if (!fits && policy == WN_LENGTH_ERROR)
        return wn_fail(err, WN_ERR_TOO_LONG,
                       "query and passage %zu have %zu tokens, %s reads %zu; shorten them or choose "
                       "the policy truncate or windows",
                       pair, nq + nd + encoder->specials, encoder->model->name,
                       encoder->max_length);
    if (!fits && policy == WN_LENGTH_WINDOWS) return add_windows(encoder, pair, document, err);
    return add_sequence(encoder, pair, nq, 0, nd, document, err);
}

/* Scores the batch and gives each pair its best sequence. Of equal windows the first wins. */
static wn_status score_packed(wn_cross_encoder *encoder, wn_pair_score *out, wn_error *err) {
    size_t n = encoder->packing.n;
    WN_TRY(wn_grow(&encoder->logits, &encoder->logits_cap, n, sizeof(float), err));
    wn_packed batch = wn_packing_view(&encoder->packing);
    WN_TRY(wn_session_classify(encoder->session, &batch, encoder->logits, err));
    for (size_t i = 0; i < n; i++) {
        wn_pair_score *pair = &out[encoder->owner[i]];
        bool first = i == 0 || encoder->owner[i - 1] != encoder->owner[i];
        float logit = encoder->logits[i];
        if (!first && !(logit > pair->logit)) continue;
        *pair = (wn_pair_score){
            .logit = logit,
            .score = encoder->model->config.activation == WN_ACT_SIGMOID
                         ? 1.0f / (1.0f + expf(-logit))
                         : logit,
            .fit = encoder->fits[i],
        };
    }
    wn_packing_clear(&encoder->packing);
    return WN_OK;
}

/* The query of i is queries[i], or queries[0] for all when they share one. Neighbours with the very same query
 * (a server's shared batch) have it tokenised once. */
static wn_status score_pairs(wn_cross_encoder *encoder, const wn_str *queries, bool shared,
                             const wn_str *documents, size_t n, size_t batch_size,
                             wn_length_policy policy, wn_pair_score *out, wn_error *err) {
    if (!batch_size) batch_size = DEFAULT_BATCH;
    wn_packing_clear(&encoder->packing);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || (!shared && (queries[i].data != queries[i - 1].data || queries[i].len != queries[i - 1].len)))
            WN_TRY(wn_tokenizer_encode_raw(encoder->model->tokenizer, queries[i], encoder->query,
                                           err));
        WN_TRY(add_pair(encoder, i, documents[i], policy, err));
        if ((i + 1) % batch_size == 0 || i + 1 == n) WN_TRY(score_packed(encoder, out, err));
    }
    return WN_OK;
}

wn_status wn_cross_encoder_score_batch(wn_cross_encoder *encoder, wn_str query,
                                       const wn_str *documents, size_t n, size_t batch_size,
                                       wn_length_policy policy, wn_pair_score *out, wn_error *err) {
    return score_pairs(encoder, &query, true, documents, n, batch_size, policy, out, err);
}

wn_status wn_cross_encoder_score_pairs(wn_cross_encoder *encoder, const wn_str *queries,
                                       const wn_str *documents, size_t n, size_t batch_size,
                                       wn_length_policy policy, wn_pair_score *out, wn_error *err) {
    return score_pairs(encoder, queries, false, documents, n, batch_size, policy, out, err);
}

wn_status wn_cross_encoder_score(wn_cross_encoder *encoder, wn_str query, wn_str document,
                                 float *score, wn_error *err) {
    wn_pair_score pair;
    WN_TRY(wn_cross_encoder_score_batch(encoder, query, &document, 1, 1, WN_LENGTH_TRUNCATE, &pair,
                                        err));
    *score = pair.score;
    return WN_OK;
}
