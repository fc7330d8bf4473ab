/* search.c -- the two stages of one query.
 *
 * Stage 1 recalls first_stage_k candidates (dense, BM25, or both fused). Stage 2 scores each
 * with the cross-encoder and sorts. The final order is by logit, not by score: sigmoids saturate
 * to 1.0 and would make ties of different logits. Equal logits keep first-stage order, so an
 * answer is a function of index, models and query alone. With a blend weight it is by
 * logit + weight * cosine: a small cross-encoder and a bi-encoder err in different ways.
 *
 * bi_encoder_score is filled for every candidate whatever the first stage was, because the
 * user's question is "what did reranking change against the embeddings"; it costs one dot
 * product a candidate. The cross-encoder reads the passage's `input`, as the bi-encoder did: for a
 * corpus line that is title and text.
 *
 * With a deadline, candidates are scored in first-stage order until the next would be late (model/scorers.c).
 * What was not scored keeps first-stage order below what was: a score of another scale can't be compared with a logit, and the first stage's own verdict
 * on the rest, that it is worse than what it put above, is the best there is. Rejected: estimating a
 * logit for the rest from the first-stage score; it would put guesses above measurements. */
#include "core/error.h"
#include "core/memory.h"
#include "pipeline/ranking.h"
#include "pipeline/skip_rule.h"
#include "pipeline/stages.h"

#include <math.h>
#include <string.h>

enum { DEFAULT_K = 5, DEFAULT_FIRST_STAGE_K = 50 };

struct wn_answer {
    wn_result *results; /* [count], passages owned */
    wn_passage **passages;
    size_t count;
    wn_answer_info info;
};

/* Everything of one search that lives shorter than its answer; arrays are [cap]. */
typedef struct {
    wn_lists lists;
    wn_hit *hits;                 /* [2 cap], first-stage order */
    size_t n, nscored;            /* candidates; the first nscored were reranked */
    float *cosines;
    wn_passage **passages;
    wn_str *texts;
    wn_pair_score *pairs;
    float *keys;
    wn_keyed *scratch;
    uint32_t *order;              /* final order: positions in hits */
    uint32_t *bi_rank;            /* by position */
} search_state;

wn_search_options wn_search_options_default(void) {
    return (wn_search_options){
        .size = sizeof(wn_search_options),
        .k = DEFAULT_K,
        .first_stage_k = DEFAULT_FIRST_STAGE_K,
        .first_stage = WN_FIRST_DENSE,
        .rerank = true,
        .length_policy = WN_LENGTH_TRUNCATE,
        .skip_threshold = NAN,
    };
}

wn_status wn_searcher_create_with(wn_index *index, const wn_scorers *given, wn_searcher **out,
                                  wn_error *err) {
    wn_scorers scorers;
    WN_TRY(wn_scorers_take(given, &scorers, err));
    if (scorers.embedder) WN_TRY(wn_index_check_model(index, scorers.embedder, err));
    wn_searcher *searcher = wn_calloc(1, sizeof *searcher);
    if (!searcher) return wn_fail_memory(err, sizeof *searcher);
    *searcher = (wn_searcher){.index = index, .scorers = scorers};
    if (scorers.embedder) {
        size_t dim = wn_model_describe(scorers.embedder).hidden;
        searcher->query = wn_calloc(dim, sizeof *searcher->query);
        if (!searcher->query) {
            wn_free(searcher);
            return wn_fail_memory(err, dim * sizeof *searcher->query);
        }
    }
    *out = searcher;
    return WN_OK;
}

wn_status wn_searcher_create(wn_index *index, wn_bi_encoder *bi, wn_cross_encoder *cross,
                             wn_searcher **out, wn_error *err) {
    wn_scorers scorers = wn_scorers_of(bi, cross);
    return wn_searcher_create_with(index, &scorers, out, err);
}

void wn_searcher_free(wn_searcher *searcher) {
    if (!searcher) return;
    wn_free(searcher->query);
    wn_free(searcher);
}

static wn_status check_request(const wn_searcher *searcher, wn_str query,
                               const wn_search_options *opt, wn_error *err) {
    if (wn_query_is_blank(query)) return wn_fail(err, WN_ERR_ARGUMENT, "the query is empty");
    if (opt->k < 1) return wn_fail(err, WN_ERR_ARGUMENT, "k must be at least 1");
    if (opt->first_stage_k < 1 || opt->first_stage_k > WN_MAX_CANDIDATES)
        return wn_fail(err, WN_ERR_ARGUMENT, "first_stage_k must be from 1 to %d", WN_MAX_CANDIDATES);
    if (opt->first_stage != WN_FIRST_BM25 && !searcher->scorers.embedder)
        return wn_fail(err, WN_ERR_ARGUMENT,
                       "a dense or hybrid first stage needs the index's bi-encoder; choose bm25");
    if (opt->deadline_ms < 0 || isnan(opt->deadline_ms))
        return wn_fail(err, WN_ERR_ARGUMENT, "the deadline must be at least 0 ms");
    if (opt->skip_when_sure && isnan(opt->skip_threshold))
        return wn_fail(err, WN_ERR_ARGUMENT, "the skip rule needs a threshold; `winnow advise` finds one");
    if (!isfinite(opt->blend) || opt->blend < 0)
        return wn_fail(err, WN_ERR_ARGUMENT, "the blend weight must be a number of at least 0");
    if (opt->rerank && !searcher->scorers.reranker)
        return wn_fail(err, WN_ERR_ARGUMENT, "reranking needs a cross-encoder; none is loaded");
    return WN_OK;
}

static wn_status allocate(search_state *s, size_t cap, wn_error *err) {
    s->hits = wn_calloc(2 * cap, sizeof *s->hits);
    s->cosines = wn_calloc(cap, sizeof *s->cosines);
    s->passages = wn_calloc(cap, sizeof *s->passages);
    s->texts = wn_calloc(cap, sizeof *s->texts);
    s->pairs = wn_calloc(cap, sizeof *s->pairs);
    s->keys = wn_calloc(cap, sizeof *s->keys);
    s->scratch = wn_calloc(cap, sizeof *s->scratch);
    s->order = wn_calloc(cap, sizeof *s->order);
    s->bi_rank = wn_calloc(cap, sizeof *s->bi_rank);
    if (!s->hits || !s->cosines || !s->passages || !s->texts || !s->pairs || !s->keys ||
        !s->scratch || !s->order || !s->bi_rank)
        return wn_fail_memory(err, 2 * cap * sizeof *s->hits);
    return WN_OK;
}

static void release(search_state *s) {
    if (s->passages)
        for (size_t i = 0; i < s->n; i++) wn_passage_free(s->passages[i]);
    wn_lists_release(&s->lists);
    wn_free(s->hits);
    wn_free(s->cosines);
    wn_free(s->passages);
    wn_free(s->texts);
    wn_free(s->pairs);
    wn_free(s->keys);
    wn_free(s->scratch);
    wn_free(s->order);
    wn_free(s->bi_rank);
}

/* s->n counts what is loaded, because release() frees that many. A passage that a writer took away
 * since it was recalled is no candidate. (An id is never given to another text.) */
static wn_status load_passages(wn_index *index, size_t found, search_state *s, wn_error *err) {
    for (size_t i = 0; i < found; i++) {
        s->hits[s->n] = s->hits[i];
        wn_status st = wn_index_passage(index, s->hits[i].passage, &s->passages[s->n], err);
        if (st == WN_ERR_NOT_FOUND) continue;
        if (st != WN_OK) return st;
        s->n++;
    }
    return WN_OK;
}

/* Stage 1: s->hits [s->n] in first-stage order, cosines beside them. */
static wn_status recall(wn_searcher *searcher, wn_str query, const wn_search_options *opt,
                        size_t cap, search_state *s, wn_answer_info *info, wn_error *err) {
    WN_TRY(wn_lists_recall(searcher, query, opt, cap, opt->skip_when_sure, &s->lists, err));
    info->query_tokens_dropped = s->lists.query_dropped;
    info->embed_time_ms = s->lists.embed_ms;
    info->dense_time_ms = s->lists.dense_ms;
    info->bm25_time_ms = s->lists.bm25_ms;
    double begin = wn_now_ms();
    size_t found = wn_lists_candidates(&s->lists, opt->first_stage, cap, s->hits);
    double fused = wn_now_ms();
    WN_TRY(load_passages(searcher->index, found, s, err));
    WN_TRY(wn_candidates_cosine(searcher, s->hits, s->n, s->cosines, err));
    info->fusion_time_ms = fused - begin;
    info->passages_time_ms = wn_now_ms() - fused;
    if (!searcher->scorers.embedder) return WN_OK;
    wn_rank_by_score(s->cosines, s->n, s->scratch, s->order);
    for (uint32_t r = 0; r < s->n; r++) s->bi_rank[s->order[r]] = r + 1;
    return WN_OK;
}

/* Scores candidates in first-stage order, all of them or as many as the deadline (0: none) allows. */
static wn_status score(wn_searcher *searcher, wn_str query, const wn_search_options *opt,
                       double deadline, search_state *s, wn_error *err) {
    const wn_scorers *scorers = &searcher->scorers;
    size_t batch = opt->batch_size ? opt->batch_size
                                   : deadline > 0 ? WN_DEADLINE_BATCH : WN_RERANK_BATCH;
    for (size_t i = 0; i < s->n; i++)
        s->texts[i] = (wn_str){s->passages[i]->input, s->passages[i]->input_length};
    if (deadline > 0) {
        double left = deadline - wn_now_ms();
        if (left <= 0) return WN_OK;
        return scorers->score(scorers->score_ctx, query, s->texts, s->n, opt->length_policy, batch, left,
                              s->pairs, &s->nscored, err);
    }
    WN_TRY(wn_scorers_score_all(scorers, query, s->texts, s->n, opt->length_policy, batch, s->pairs, err));
    s->nscored = s->n;
    return WN_OK;
}

/* Stage 2: s->order is the final order of the candidates. */
static wn_status rerank(wn_searcher *searcher, wn_str query, const wn_search_options *opt,
                        double deadline, search_state *s, wn_answer_info *info, wn_error *err) {
    for (uint32_t i = 0; i < s->n; i++) s->order[i] = i;
    if (!opt->rerank || !s->n) return WN_OK;
    if (opt->skip_when_sure) {
        info->confidence = wn_first_stage_confidence(&s->lists, opt->first_stage);
        info->skipped = info->confidence >= opt->skip_threshold;
        if (info->skipped) return WN_OK;
    }
    WN_TRY(score(searcher, query, opt, deadline, s, err));
    for (size_t i = 0; i < s->n; i++) {
        const wn_fit *fit = &s->pairs[i].fit;
        s->keys[i] = i < s->nscored ? s->pairs[i].logit : NAN; /* NaN: last, in first-stage order */
        info->truncated += i < s->nscored && (fit->tokens_dropped > 0 || fit->query_dropped > 0);
    }
    info->blend = wn_final_keys(s->keys, s->cosines, s->nscored, opt->blend, s->keys);
    wn_rank_by_score(s->keys, s->n, s->scratch, s->order);
    info->reranked = s->nscored;
    info->out_of_time = s->nscored < s->n;
    return WN_OK;
}

static float bm25_score(const search_state *s, int64_t passage) {
    for (size_t i = 0; i < s->lists.nbm25; i++)
        if (s->lists.bm25[i].passage == passage) return s->lists.bm25[i].score;
    return NAN;
}

/* The first k of the final order, less those under min_score. Takes over their passages. */
static wn_status assemble(search_state *s, const wn_search_options *opt, wn_answer *answer,
                          wn_error *err) {
    size_t most = opt->k < s->n ? opt->k : s->n;
    answer->results = wn_calloc(most, sizeof *answer->results);
    answer->passages = wn_calloc(most, sizeof *answer->passages);
    if (!answer->results || !answer->passages) return wn_fail_memory(err, most * sizeof(wn_result));
    for (uint32_t r = 0; r < most; r++) {
        uint32_t i = s->order[r];
        bool scored = i < s->nscored;
        /* A candidate that the deadline left unread has no final score, and can't reach a least one. */
        float score = scored ? s->pairs[i].score : s->nscored ? NAN : s->hits[i].score;
        if (opt->has_min_score && !(score >= opt->min_score)) continue;
        wn_result *result = &answer->results[answer->count];
        answer->passages[answer->count++] = s->passages[i];
        *result = (wn_result){
            .passage = s->passages[i],
            .final_rank = r + 1,
            .first_stage_rank = i + 1,
            .first_stage_score = s->hits[i].score,
            .bi_encoder_score = s->cosines[i],
            .bi_encoder_rank = s->bi_rank[i],
            .bm25_score = bm25_score(s, s->hits[i].passage),
            .rerank_score = scored ? s->pairs[i].score : NAN,
            .rerank_logit = scored ? s->pairs[i].logit : NAN,
            .final_score = scored ? s->keys[i] : NAN,
            .rank_change = (int32_t)(i + 1) - (int32_t)(r + 1),
        };
        if (scored) result->fit = s->pairs[i].fit;
        s->passages[i] = NULL;
    }
    return WN_OK;
}

wn_status wn_search(wn_searcher *searcher, wn_str query, const wn_search_options *options,
                    wn_answer **out, wn_error *err) {
    wn_search_options opt = wn_search_options_default();
    if (options) memcpy(&opt, options, options->size && options->size < sizeof opt ? options->size : sizeof opt);
    WN_TRY(check_request(searcher, query, &opt, err));
    if (opt.first_stage_k < opt.k) opt.first_stage_k = opt.k;
    wn_index_info index;
    WN_TRY(wn_index_describe(searcher->index, &index, err));
    size_t cap = opt.first_stage_k;
    if (cap > index.passages) cap = index.passages;
    if (cap > WN_MAX_CANDIDATES) cap = WN_MAX_CANDIDATES;

    search_state s = {0};
    wn_status st = WN_OK;
    wn_answer *answer = wn_calloc(1, sizeof *answer);
    if (!answer) return wn_fail_memory(err, sizeof *answer);
    WN_TRY_GOTO(allocate(&s, cap, err));
    answer->info.first_stage = opt.first_stage;
    answer->info.confidence = NAN;
    double t0 = wn_now_ms(), deadline = opt.deadline_ms > 0 ? t0 + opt.deadline_ms : 0;
    if (cap) WN_TRY_GOTO(recall(searcher, query, &opt, cap, &s, &answer->info, err));
    double t1 = wn_now_ms();
    WN_TRY_GOTO(rerank(searcher, query, &opt, deadline, &s, &answer->info, err));
    double t2 = wn_now_ms();
    WN_TRY_GOTO(assemble(&s, &opt, answer, err));
    answer->info.candidates = s.n;
    answer->info.stage1_time_ms = t1 - t0;
    answer->info.stage2_time_ms = s.nscored ? t2 - t1 : 0;
    release(&s);
    *out = answer;
    return WN_OK;
fail:
    wn_answer_free(answer);
    release(&s);
    return st;
}

void wn_answer_free(wn_answer *answer) {
    if (!answer) return;
    for (size_t i = 0; i < answer->count; i++) wn_passage_free(answer->passages[i]);
    wn_free(answer->passages);
    wn_free(answer->results);
    wn_free(answer);
}

size_t wn_answer_count(const wn_answer *answer) { return answer->count; }

const wn_result *wn_answer_result(const wn_answer *answer, size_t i) {
    return i < answer->count ? &answer->results[i] : NULL;
}

wn_answer_info wn_answer_describe(const wn_answer *answer) { return answer->info; }
