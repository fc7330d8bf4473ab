/* scorers.c -- two sessions behind the calls of wn_scorers.
 *
 * With a deadline, pairs are scored in the order given in small batches, and no batch is begun that
 * would end late if it took as long as the slowest before it. The first batch has no measure: so the
 * call is late by one batch at most. */
#include "core/clock.h"
#include "core/error.h"
#include "model/model.h"

static wn_status embed(void *ctx, const wn_str *texts, size_t n, wn_role role, wn_length_policy policy,
                       float *out, wn_fit *fits, wn_error *err) {
    return wn_bi_encoder_embed(ctx, texts, n, role, policy, out, fits, err);
}

static wn_status score(void *ctx, wn_str query, const wn_str *passages, size_t n, wn_length_policy policy,
                       size_t batch_size, double time_left_ms, wn_pair_score *out, size_t *done,
                       wn_error *err) {
    double deadline = time_left_ms > 0 ? wn_now_ms() + time_left_ms : 0, slowest = 0;
    size_t scored = 0, batch = deadline > 0 && batch_size && batch_size < n ? batch_size : n;
    while (scored < n) {
        double begin = wn_now_ms();
        if (deadline > 0 && begin + slowest > deadline) break;
        size_t count = n - scored < batch ? n - scored : batch;
        WN_TRY(wn_cross_encoder_score_batch(ctx, query, passages + scored, count, batch_size, policy,
                                            out + scored, err));
        double took = wn_now_ms() - begin;
        if (took > slowest) slowest = took;
        scored += count;
    }
    *done = scored;
    return WN_OK;
}

wn_scorers wn_scorers_of(wn_bi_encoder *bi, wn_cross_encoder *cross) {
    wn_scorers scorers = {.size = sizeof scorers};
    if (bi) {
        scorers.embedder = wn_bi_encoder_model(bi);
        scorers.embed_ctx = bi;
        scorers.embed = embed;
    }
    if (cross) {
        scorers.reranker = wn_cross_encoder_model(cross);
        scorers.score_ctx = cross;
        scorers.score = score;
    }
    return scorers;
}
