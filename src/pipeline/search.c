/* search.c -- the two stages of one query.
 *
 * Stage 1 recalls first_stage_k candidates (dense, BM25, or both fused). Stage 2 scores each
 * with the cross-encoder and sorts. The final order is by logit, not by score: sigmoids saturate
 * to 1.0 and would make ties of different logits. Equal logits keep first-stage order, so an
 * answer is a function of index, models and query alone.
 *
 * bi_encoder_score is filled for every candidate whatever the first stage was, because the
 * user's question is "what did reranking change against the embeddings"; it costs one dot
 * product a candidate. */
#include "core/error.h"
#include "core/memory.h"
#include "pipeline/ranking.h"
#include <winnow/search.h>

#include <math.h>
#include <string.h>
#include <time.h>

enum { DEFAULT_K = 5, DEFAULT_FIRST_STAGE_K = 50, RERANK_BATCH = 64, MAX_CANDIDATES = 1 << 20 };

struct wn_searcher {
    wn_index *index;
    wn_bi_encoder *bi;
    wn_cross_encoder *cross;
    float *query; /* [dim] */
};

struct wn_answer {
    wn_result *results; /* [count], passages owned */
    wn_passage **passages;
    size_t count;
    wn_answer_info info;
};

/* Everything of one search that lives shorter than its answer; arrays are [cap]. */
typedef struct {
    wn_hit *hits, *dense, *bm25;  /* hits: first-stage order */
    size_t n, ndense, nbm25;
    float *cosines;
    wn_passage **passages;
    wn_str *texts;
    wn_pair_score *pairs;
    float *keys;
    wn_keyed *scratch;
    uint32_t *order;              /* final order: positions in hits */
    uint32_t *bi_rank;            /* by position */
    bool reranked;
} search_state;

wn_search_options wn_search_options_default(void) {
    return (wn_search_options){
        .size = sizeof(wn_search_options),
        .k = DEFAULT_K,
        .first_stage_k = DEFAULT_FIRST_STAGE_K,
        .first_stage = WN_FIRST_DENSE,
        .rerank = true,
        .length_policy = WN_LENGTH_TRUNCATE,
    };
}

wn_status wn_searcher_create(wn_index *index, wn_bi_encoder *bi, wn_cross_encoder *cross,
                             wn_searcher **out, wn_error *err) {
    if (bi) WN_TRY(wn_index_check_model(index, wn_bi_encoder_model(bi), err));
    wn_searcher *searcher = wn_calloc(1, sizeof *searcher);
    if (!searcher) return wn_fail_memory(err, sizeof *searcher);
    *searcher = (wn_searcher){.index = index, .bi = bi, .cross = cross};
    if (bi) {
        size_t dim = wn_bi_encoder_dim(bi);
        searcher->query = wn_calloc(dim, sizeof *searcher->query);
        if (!searcher->query) {
            wn_free(searcher);
            return wn_fail_memory(err, dim * sizeof *searcher->query);
        }
    }
    *out = searcher;
    return WN_OK;
}

void wn_searcher_free(wn_searcher *searcher) {
    if (!searcher) return;
    wn_free(searcher->query);
    wn_free(searcher);
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static bool is_blank(wn_str text) {
    for (size_t i = 0; i < text.len; i++)
        if (!strchr(" \t\r\n\v\f", text.data[i]) || !text.data[i]) return false;
    return true;
}

static wn_status check_request(const wn_searcher *searcher, wn_str query,
                               const wn_search_options *opt, wn_error *err) {
    if (is_blank(query)) return wn_fail(err, WN_ERR_ARGUMENT, "the query is empty");
    if (opt->k < 1) return wn_fail(err, WN_ERR_ARGUMENT, "k must be at least 1");
    if (opt->first_stage_k < 1 || opt->first_stage_k > MAX_CANDIDATES)
        return wn_fail(err, WN_ERR_ARGUMENT, "first_stage_k must be from 1 to %d", MAX_CANDIDATES);
    if (opt->first_stage != WN_FIRST_BM25 && !searcher->bi)
        return wn_fail(err, WN_ERR_ARGUMENT,
                       "a dense or hybrid first stage needs the index's bi-encoder; choose bm25");
    if (opt->rerank && !searcher->cross)
        return wn_fail(err, WN_ERR_ARGUMENT, "reranking needs a cross-encoder; none is loaded");
    return WN_OK;
}

static wn_status allocate(search_state *s, size_t cap, wn_error *err) {
    size_t fused = 2 * cap;
    s->hits = wn_calloc(fused, sizeof *s->hits);
    s->dense = wn_calloc(cap, sizeof *s->dense);
    s->bm25 = wn_calloc(cap, sizeof *s->bm25);
    s->cosines = wn_calloc(cap, sizeof *s->cosines);
    s->passages = wn_calloc(cap, sizeof *s->passages);
    s->texts = wn_calloc(cap, sizeof *s->texts);
    s->pairs = wn_calloc(cap, sizeof *s->pairs);
    s->keys = wn_calloc(cap, sizeof *s->keys);
    s->scratch = wn_calloc(cap, sizeof *s->scratch);
    s->order = wn_calloc(cap, sizeof *s->order);
    s->bi_rank = wn_calloc(cap, sizeof *s->bi_rank);
    if (!s->hits || !s->dense || !s->bm25 || !s->cosines || !s->passages || !s->texts ||
        !s->pairs || !s->keys || !s->scratch || !s->order || !s->bi_rank)
        return wn_fail_memory(err, fused * sizeof *s->hits);
    return WN_OK;
}

static void release(search_state *s) {
    if (s->passages)
        for (size_t i = 0; i < s->n; i++) wn_passage_free(s->passages[i]);
    wn_free(s->hits);
    wn_free(s->dense);
    wn_free(s->bm25);
    wn_free(s->cosines);
    wn_free(s->passages);
    wn_free(s->texts);
    wn_free(s->pairs);
    wn_free(s->keys);
    wn_free(s->scratch);
    wn_free(s->order);
    wn_free(s->bi_rank);
}

/* Stage 1: s->hits [s->n] in first-stage order, cosines beside them. */
static wn_status recall(wn_searcher *searcher, wn_str query, const wn_search_options *opt,
                        size_t cap, search_state *s, wn_answer_info *info, wn_error *err) {
    if (searcher->bi) {
        wn_fit fit;
        WN_TRY(wn_bi_encoder_embed(searcher->bi, &query, 1, WN_ROLE_QUERY,
                                   opt->length_policy == WN_LENGTH_ERROR ? WN_LENGTH_ERROR
                                                                         : WN_LENGTH_TRUNCATE,
                                   searcher->query, &fit, err));
        info->query_tokens_dropped = fit.tokens_dropped;
    }
    if (opt->first_stage != WN_FIRST_BM25)
        WN_TRY(wn_index_search_dense(searcher->index, searcher->query, cap, opt->filters,
                                     opt->nfilters, s->dense, &s->ndense, err));
    if (opt->first_stage != WN_FIRST_DENSE)
        WN_TRY(wn_index_search_bm25(searcher->index, query, cap, opt->filters, opt->nfilters,
                                    s->bm25, &s->nbm25, err));
    size_t found = wn_fuse_rrf(s->dense, s->ndense, s->bm25, s->nbm25, s->hits);
    if (opt->first_stage == WN_FIRST_DENSE) memcpy(s->hits, s->dense, found * sizeof *s->hits);
    if (opt->first_stage == WN_FIRST_BM25) memcpy(s->hits, s->bm25, found * sizeof *s->hits);
    if (found > cap) found = cap;
    if (searcher->bi) {
        int64_t *ids = wn_calloc(found + 1, sizeof *ids);
        if (!ids) return wn_fail_memory(err, found * sizeof *ids);
        for (size_t i = 0; i < found; i++) ids[i] = s->hits[i].passage;
        wn_status st = wn_index_score_dense(searcher->index, searcher->query, ids, found,
                                            s->cosines, err);
        wn_free(ids);
        WN_TRY(st);
        wn_rank_by_score(s->cosines, found, s->scratch, s->order);
        for (uint32_t r = 0; r < found; r++) s->bi_rank[s->order[r]] = r + 1;
    } else {
        for (size_t i = 0; i < found; i++) s->cosines[i] = NAN;
    }
    /* s->n counts from here on, because release() frees that many passages */
    for (; s->n < found; s->n++)
        WN_TRY(wn_index_passage(searcher->index, s->hits[s->n].passage, &s->passages[s->n], err));
    return WN_OK;
}

/* Stage 2: s->order is the final order of the candidates. */
static wn_status rerank(wn_searcher *searcher, wn_str query, const wn_search_options *opt,
                        search_state *s, wn_answer_info *info, wn_error *err) {
    for (uint32_t i = 0; i < s->n; i++) s->order[i] = i;
    if (!opt->rerank || !s->n) return WN_OK;
    for (size_t i = 0; i < s->n; i++)
        s->texts[i] = (wn_str){s->passages[i]->input, s->passages[i]->input_length};
    WN_TRY(wn_cross_encoder_score_batch(searcher->cross, query, s->texts, s->n,
                                        opt->batch_size ? opt->batch_size : RERANK_BATCH,
                                        opt->length_policy, s->pairs, err));
    for (size_t i = 0; i < s->n; i++) {
        s->keys[i] = s->pairs[i].logit;
        info->truncated += s->pairs[i].fit.tokens_dropped > 0 || s->pairs[i].fit.query_dropped > 0;
    }
    wn_rank_by_score(s->keys, s->n, s->scratch, s->order);
    info->reranked = s->n;
    s->reranked = true;
    return WN_OK;
}

static float bm25_score(const search_state *s, int64_t passage) {
    for (size_t i = 0; i < s->nbm25; i++)
        if (s->bm25[i].passage == passage) return s->bm25[i].score;
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
        float score = s->reranked ? s->pairs[i].score : s->hits[i].score;
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
            .rerank_score = s->reranked ? s->pairs[i].score : NAN,
            .rerank_logit = s->reranked ? s->pairs[i].logit : NAN,
            .rank_change = (int32_t)(i + 1) - (int32_t)(r + 1),
        };
        if (s->reranked) result->fit = s->pairs[i].fit;
        s->passages[i] = NULL;
    }
    return WN_OK;
}

wn_status wn_search(wn_searcher *searcher, wn_str query, const wn_search_options *options,
                    wn_answer **out, wn_error *err) {
    wn_search_options opt = options ? *options : wn_search_options_default();
    WN_TRY(check_request(searcher, query, &opt, err));
    if (opt.first_stage_k < opt.k) opt.first_stage_k = opt.k;
    wn_index_info index;
    WN_TRY(wn_index_describe(searcher->index, &index, err));
    size_t cap = opt.first_stage_k;
    if (cap > index.passages) cap = index.passages;
    if (cap > MAX_CANDIDATES) cap = MAX_CANDIDATES;

    search_state s = {0};
    wn_status st = WN_OK;
    wn_answer *answer = wn_calloc(1, sizeof *answer);
    if (!answer) return wn_fail_memory(err, sizeof *answer);
    WN_TRY_GOTO(allocate(&s, cap, err));
    answer->info.first_stage = opt.first_stage;
    double t0 = now_ms();
    if (cap) WN_TRY_GOTO(recall(searcher, query, &opt, cap, &s, &answer->info, err));
    double t1 = now_ms();
    WN_TRY_GOTO(rerank(searcher, query, &opt, &s, &answer->info, err));
    double t2 = now_ms();
    WN_TRY_GOTO(assemble(&s, &opt, answer, err));
    answer->info.candidates = s.n;
    answer->info.stage1_time_ms = t1 - t0;
    answer->info.stage2_time_ms = s.reranked ? t2 - t1 : 0;
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
