/* rerank_request.c -- see rerank_request.h.
 *
 * Order. By logit, never by the score shown: sigmoids saturate (from a logit of about 17 on, f32 says
 * 1.0), and ties would then fall by chance. Equal logits keep the order of the request.
 * Deadline. What was scored in time is ranked; the rest follows in the order of the request, with
 * "reranked": false, relevance 0 and no raw score. */
#include "rerank_request.h"
#include "text_cut.h"

#include <math.h>
#include <stdlib.h>

static bool read_fields(srv_call *call, srv_rerank *rerank) {
    return srv_body_count(call, "top_n|top_k", 1, &rerank->top_n) &&
           srv_body_bool(call, "raw_scores", &rerank->raw_scores) &&
           srv_body_bool(call, "return_documents", &rerank->return_documents) &&
           srv_body_bool(call, "return_text", &rerank->return_documents) &&
           srv_body_count(call, "max_tokens_per_doc", 1, &rerank->max_tokens_per_doc) &&
           srv_body_cut_left(call, &rerank->cut_left) && srv_body_length_policy(call, &rerank->policy);
}

bool srv_rerank_read(srv_call *call, srv_rerank *rerank) {
    json_t *warning = NULL;
    rerank->warnings = json_array();
    if (!rerank->warnings) return srv_call_no_memory(call);
    if (!srv_body_text(call, "query", &rerank->query) ||
        !srv_body_documents(call, "documents|texts|input|passages", srv_body_field(call, "rank_fields", NULL),
                             &rerank->documents) ||
        !read_fields(call, rerank) ||
        !srv_choose_model(call, WN_MODEL_CROSS_ENCODER, &rerank->encoder, &warning))
        return false;
    if (warning) json_array_append_new(rerank->warnings, warning);
    rerank->model = srv_encoder_describe(rerank->encoder).name;
    return true;
}

/* ---- Cuts that the model does not make by itself ------------------------------------- */

/* What a left cut leaves room for: the model's length less query and special tokens. */
static wn_status left_budget(const srv_rerank *rerank, wn_encoding *encoding, size_t *out, wn_error *err) {
    const wn_tokenizer *tokenizer = wn_model_tokenizer(srv_encoder_model(rerank->encoder));
    wn_status st = wn_tokenizer_encode_raw(tokenizer, rerank->query, encoding, err);
    if (st != WN_OK) return st;
    size_t used = wn_encoding_length(encoding) + wn_tokenizer_special_count(tokenizer, true);
    size_t length = srv_encoder_describe(rerank->encoder).max_length;
    *out = used < length ? length - used : 1;
    return WN_OK;
}

static wn_status cut_documents(srv_rerank *rerank, size_t *dropped, wn_error *err) {
    const wn_tokenizer *tokenizer = wn_model_tokenizer(srv_encoder_model(rerank->encoder));
    size_t limit = rerank->max_tokens_per_doc ? rerank->max_tokens_per_doc : SIZE_MAX;
    bool left = rerank->cut_left && rerank->policy == WN_LENGTH_TRUNCATE;
    /* a limit that no pair can reach cuts nothing: Cohere's own default, 4096 */
    if (!left && limit >= srv_encoder_describe(rerank->encoder).max_length) return WN_OK;
    wn_encoding *encoding = NULL;
    wn_status st = wn_encoding_create(&encoding, err);
    size_t room = SIZE_MAX;
    if (st == WN_OK && left) st = left_budget(rerank, encoding, &room, err);
    for (size_t i = 0; st == WN_OK && i < rerank->documents.n; i++)
        st = srv_text_cut(tokenizer, encoding, limit < room ? limit : room, left,
                          &rerank->documents.items[i], &dropped[i], err);
    wn_encoding_free(encoding);
    return st;
}

/* ---- Scores and order ------------------------------------------------------------------ */

static int by_logit(const void *a, const void *b) {
    const srv_ranked *x = a, *y = b;
    if (x->reranked != y->reranked) return x->reranked ? -1 : 1;
    if (x->reranked && x->logit != y->logit) {
        if (isnan(x->logit) != isnan(y->logit)) return isnan(x->logit) ? 1 : -1;
        if (!isnan(x->logit)) return x->logit > y->logit ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

static void rank(srv_rerank *rerank, const wn_pair_score *scores, const bool *done, const size_t *dropped) {
    for (size_t i = 0; i < rerank->documents.n; i++) {
        srv_ranked *ranked = &rerank->ranked[i];
        *ranked = (srv_ranked){.index = i, .reranked = done[i], .logit = NAN};
        if (!done[i]) continue;
        ranked->logit = scores[i].logit;
        ranked->relevance = 1 / (1 + exp(-ranked->logit));
        ranked->fit = scores[i].fit;
        ranked->fit.tokens_dropped += (uint32_t)dropped[i];
        rerank->cut += ranked->fit.tokens_dropped || ranked->fit.query_dropped;
        rerank->done++;
    }
    qsort(rerank->ranked, rerank->documents.n, sizeof *rerank->ranked, by_logit);
    rerank->count = rerank->top_n && rerank->top_n < rerank->documents.n ? rerank->top_n
                                                                         : rerank->documents.n;
}

static void warn(srv_rerank *rerank) {
    size_t n = rerank->documents.n;
    if (rerank->cut && rerank->policy != WN_LENGTH_WINDOWS)
        json_array_append_new(rerank->warnings,
                              json_sprintf("%zu of %zu documents were cut; the model reads %zu tokens of a "
                                           "query and a document together", rerank->cut, n,
                                           srv_encoder_describe(rerank->encoder).max_length));
    if (rerank->done < n)
        json_array_append_new(rerank->warnings,
                              json_sprintf("the deadline came first: %zu of %zu documents were reranked; the "
                                           "others follow as they were sent", rerank->done, n));
}

bool srv_rerank_run(srv_call *call, srv_rerank *rerank) {
    size_t n = rerank->documents.n;
    bool ranked = false;
    wn_error err;
    bool *done = calloc(n, sizeof *done);
    size_t *dropped = calloc(n, sizeof *dropped);
    wn_pair_score *scores = calloc(n, sizeof *scores);
    rerank->ranked = calloc(n, sizeof *rerank->ranked);
    if (!done || !dropped || !scores || !rerank->ranked) {
        srv_call_no_memory(call);
        goto done;
    }
    srv_work work = {.encoder = rerank->encoder, .queries = &rerank->query, .shared_query = true,
                     .texts = rerank->documents.items, .n = n, .policy = rerank->policy,
                     .client = call->request->client, .gone = call->request->gone,
                     .deadline_ms = call->deadline_ms, .scores = scores, .done = done};
    if (cut_documents(rerank, dropped, &err) != WN_OK ||
        srv_batcher_run(srv_service_batcher(call->service), &work, &err) != WN_OK) {
        srv_call_failed(call, &err);
        goto done;
    }
    rerank->tokens = work.tokens;
    rerank->queue_ms = work.queue_ms;
    rerank->compute_ms = work.compute_ms;
    rank(rerank, scores, done, dropped);
    warn(rerank);
    ranked = true;
done:
    free(done);
    free(dropped);
    free(scores);
    return ranked;
}

void srv_rerank_release(srv_rerank *rerank) {
    srv_texts_release(&rerank->documents);
    free(rerank->ranked);
    json_decref(rerank->warnings);
    rerank->ranked = NULL;
    rerank->warnings = NULL;
}

json_t *srv_rerank_score(const srv_rerank *rerank, const srv_ranked *ranked) {
    double score = rerank->raw_scores ? ranked->logit : ranked->relevance;
    return isfinite(score) ? json_real(score) : json_null();
}
