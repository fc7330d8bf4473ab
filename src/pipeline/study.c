/* study.c -- asks both stages about many queries once, and keeps what they said.
 *
 * Several depths cost one pass. The candidates of the smallest depth are scored first, then those that
 * the next depth adds, and so on; the clock is read at each depth, so the time of a depth is measured
 * and not guessed. A pair's score does not depend on its batch (see session.c), so a ranking taken
 * from a study is the ranking that a search with that first_stage_k gives; test_study.c holds the two
 * together. For the fused first stage the candidates of a smaller depth need not be among those of a
 * larger one: the union is scored, and a depth's time is its share of the pairs scored by then.
 *
 * What measuring by depth costs: a batch ends at each depth, so a depth's pairs run in somewhat
 * smaller batches than a search would use, and its time is on the high side. */
#include "pipeline/study.h"
#include "core/error.h"
#include "core/memory.h"
#include "pipeline/skip_rule.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

wn_study_options wn_study_options_default(void) {
    return (wn_study_options){.size = sizeof(wn_study_options), .rerank = true};
}

/* ---- One query ------------------------------------------------------------- */

typedef struct {
    wn_searcher *searcher;
    const wn_study_options *options;
    wn_search_options search;
    wn_study *study;
    size_t cap;              /* deepest list */
    wn_hit *hits;            /* [2 cap] */
    wn_passage **passages;   /* [npassages]: of the candidates that are being scored */
    wn_str *texts;
    wn_pair_score *pairs;
    int64_t *added;          /* [cap], with their cosines */
    float *cosines;
    size_t npassages;
} study_work;

static void drop_passages(study_work *w) {
    for (size_t i = 0; i < w->npassages; i++) wn_passage_free(w->passages[i]);
    w->npassages = 0;
}

static bool is_known(const wn_study_record *r, int64_t passage) {
    for (size_t i = 0; i < r->n; i++)
        if (r->candidates[i].passage == passage) return true;
    return false;
}

/* Appends those of the n hits that no smaller depth had; their passages stay loaded in w. */
static wn_status add_candidates(study_work *w, size_t n, bool all_new, wn_study_record *r,
                                size_t *cap, wn_error *err) {
    size_t begin = all_new ? r->n : 0;
    for (size_t i = begin; i < n; i++) {
        int64_t id = w->hits[i].passage;
        if (!all_new && is_known(r, id)) continue;
        wn_passage *passage = NULL;
        WN_TRY(wn_grow(&r->candidates, cap, r->n + 1, sizeof *r->candidates, err));
        wn_status st = wn_index_passage(w->searcher->index, id, &passage, err);
        if (st == WN_ERR_NOT_FOUND)
            return wn_fail(err, WN_ERR_BUSY, "the index changed while its queries were asked; ask again");
        if (st != WN_OK) return st;
        w->passages[w->npassages++] = passage;
        char *source = wn_strdup(passage->source);
        if (!source) return wn_fail_memory(err, strlen(passage->source));
        r->candidates[r->n++] = (wn_study_candidate){
            .passage = id, .source = source, .ordinal = passage->ordinal,
            .pair = {.logit = NAN, .score = NAN}, .cosine = NAN};
    }
    return WN_OK;
}

/* The cosines of the candidates just added, where the final order needs them. */
static wn_status add_cosines(study_work *w, wn_study_record *r, wn_error *err) {
    size_t n = w->npassages, first = r->n - n;
    if (w->options->blend == 0 || !n || !w->searcher->scorers.embedder) return WN_OK; /* they stay NaN */
    for (size_t i = 0; i < n; i++) w->added[i] = r->candidates[first + i].passage;
    WN_TRY(wn_index_score_dense(w->searcher->index, w->searcher->query, w->added, n, w->cosines, err));
    for (size_t i = 0; i < n; i++) r->candidates[first + i].cosine = w->cosines[i];
    return WN_OK;
}

static wn_status score_added(study_work *w, wn_str query, wn_study_record *r, wn_error *err) {
    size_t n = w->npassages, first = r->n - n;
    for (size_t i = 0; i < n; i++)
        w->texts[i] = (wn_str){w->passages[i]->input, w->passages[i]->input_length};
    WN_TRY(wn_scorers_score_all(&w->searcher->scorers, query, w->texts, n, w->search.length_policy,
                                w->search.batch_size ? w->search.batch_size : WN_RERANK_BATCH, w->pairs, err));
    for (size_t i = 0; i < n; i++) {
        const wn_fit *fit = &w->pairs[i].fit;
        r->candidates[first + i].pair = w->pairs[i];
        w->study->info.pairs++;
        w->study->info.truncated += fit->tokens_dropped > 0 || fit->query_dropped > 0;
    }
    return WN_OK;
}

/* Loading passages counts to stage 1, as it does in wn_search. */
static wn_status answer_query(study_work *w, wn_str query, wn_study_record *r, wn_error *err) {
    const wn_study *study = w->study;
    size_t candidates_cap = 0;
    double begin = wn_now_ms(), stage2 = 0;
    if (w->cap)
        WN_TRY(wn_lists_recall(w->searcher, query, &w->search, w->cap, w->options->confidence,
                               &r->lists, err));
    r->confidence = w->options->confidence
                        ? wn_first_stage_confidence(&r->lists, w->search.first_stage) : NAN;
    for (size_t d = 0; d < study->info.ndepths; d++) {
        size_t n = wn_lists_candidates(&r->lists, w->search.first_stage, study->depths[d], w->hits);
        drop_passages(w);
        WN_TRY(add_candidates(w, n, w->search.first_stage != WN_FIRST_HYBRID, r, &candidates_cap, err));
        WN_TRY(add_cosines(w, r, err));
        double before = wn_now_ms();
        if (w->npassages && w->options->rerank) WN_TRY(score_added(w, query, r, err));
        stage2 += wn_now_ms() - before;
        r->spent_ms[d] = w->options->rerank ? stage2 : 0;
        r->scored[d] = r->n;
    }
    r->stage1_ms = wn_now_ms() - begin - stage2;
    return WN_OK;
}

static wn_status record_init(const wn_study *study, const wn_topic *topic, wn_study_record *r,
                             wn_error *err) {
    r->id = wn_strdup(topic->id);
    r->text = wn_strndup(topic->text.data, topic->text.len);
    r->spent_ms = wn_calloc(study->info.ndepths, sizeof *r->spent_ms);
    r->scored = wn_calloc(study->info.ndepths, sizeof *r->scored);
    if (!r->id || !r->text || !r->spent_ms || !r->scored) return wn_fail_memory(err, topic->text.len);
    if (wn_query_is_blank(topic->text))
        return wn_fail(err, WN_ERR_ARGUMENT, "query %s is empty", topic->id);
    return WN_OK;
}

static void record_release(wn_study_record *r) {
    for (size_t i = 0; i < r->n; i++) wn_free(r->candidates[i].source);
    wn_lists_release(&r->lists);
    wn_free(r->candidates);
    wn_free(r->spent_ms);
    wn_free(r->scored);
    wn_free(r->id);
    wn_free(r->text);
    *r = (wn_study_record){0};
}

/* ---- All queries ----------------------------------------------------------- */

static int by_size(const void *pa, const void *pb) {
    size_t a = *(const size_t *)pa, b = *(const size_t *)pb;
    return a < b ? -1 : a > b;
}

static wn_status take_depths(wn_study *study, const wn_study_options *opt, wn_error *err) {
    static const size_t usual = 50;
    const size_t *depths = opt->ndepths ? opt->depths : &usual;
    size_t n = opt->ndepths ? opt->ndepths : 1;
    study->depths = wn_calloc(n, sizeof *study->depths);
    if (!study->depths) return wn_fail_memory(err, n * sizeof *study->depths);
    memcpy(study->depths, depths, n * sizeof *depths);
    qsort(study->depths, n, sizeof *study->depths, by_size);
    for (size_t i = 0; i < n; i++) {
        if (study->depths[i] < 1 || study->depths[i] > WN_MAX_CANDIDATES)
            return wn_fail(err, WN_ERR_ARGUMENT, "first_stage_k must be from 1 to %d", WN_MAX_CANDIDATES);
        if (i && study->depths[i] == study->depths[i - 1])
            return wn_fail(err, WN_ERR_ARGUMENT, "first_stage_k %zu is given twice", study->depths[i]);
    }
    study->info.depths = study->depths;
    study->info.ndepths = n;
    return WN_OK;
}

static wn_status take_names(wn_study *study, const wn_searcher *searcher, bool rerank, wn_error *err) {
    wn_model_info bi = {.name = "", .weights_hash = ""}, cross = bi;
    if (searcher->scorers.embedder) bi = wn_model_describe(searcher->scorers.embedder);
    if (rerank) cross = wn_model_describe(searcher->scorers.reranker);
    const char *names[4] = {bi.name, bi.weights_hash, cross.name, cross.weights_hash};
    for (int i = 0; i < 4; i++) {
        study->names[i] = wn_strdup(names[i]);
        if (!study->names[i]) return wn_fail_memory(err, strlen(names[i]));
    }
    study->info.embedder = study->names[0];
    study->info.embedder_hash = study->names[1];
    study->info.reranker = study->names[2];
    study->info.reranker_hash = study->names[3];
    return WN_OK;
}

static wn_status work_init(study_work *w, wn_error *err) {
    wn_index_info index;
    WN_TRY(wn_index_describe(w->searcher->index, &index, err));
    w->cap = w->study->depths[w->study->info.ndepths - 1];
    if (w->cap > index.passages) w->cap = index.passages;
    w->hits = wn_calloc(2 * w->cap + 1, sizeof *w->hits);
    w->passages = wn_calloc(w->cap + 1, sizeof *w->passages);
    w->texts = wn_calloc(w->cap + 1, sizeof *w->texts);
    w->pairs = wn_calloc(w->cap + 1, sizeof *w->pairs);
    w->added = wn_calloc(w->cap + 1, sizeof *w->added);
    w->cosines = wn_calloc(w->cap + 1, sizeof *w->cosines);
    if (!w->hits || !w->passages || !w->texts || !w->pairs || !w->added || !w->cosines)
        return wn_fail_memory(err, w->cap * sizeof *w->hits);
    return WN_OK;
}

/* Once, unmeasured: embeddings and weights come into memory. */
static wn_status warm_up(study_work *w, const wn_topic *topic, wn_error *err) {
    wn_study_record record = {0};
    wn_status st = record_init(w->study, topic, &record, err);
    if (st == WN_OK) st = answer_query(w, topic->text, &record, err);
    record_release(&record);
    w->study->info.pairs = w->study->info.truncated = 0;
    return st;
}

static bool is_asked(const wn_study_options *o, const wn_topic *topic) {
    return !o->judged || wn_qrels_has_query(o->judged, topic->id);
}

static size_t count_asked(const wn_topics *topics, const wn_study_options *o) {
    size_t n = 0;
    for (size_t i = 0; i < wn_topics_count(topics); i++) {
        wn_topic topic = wn_topics_get(topics, i);
        n += is_asked(o, &topic);
    }
    return o->max_queries && n > o->max_queries ? o->max_queries : n;
}

static wn_status run_all(study_work *w, const wn_topics *topics, size_t total, wn_error *err) {
    wn_study_info *info = &w->study->info;
    const wn_study_options *o = w->options;
    for (size_t i = 0; info->queries < total; i++) {
        wn_topic topic = wn_topics_get(topics, i);
        if (!is_asked(o, &topic)) continue;
        if (o->progress && !o->progress(o->progress_ctx, "queries", info->queries, total))
            return wn_fail(err, WN_ERR_CANCELLED, "stopped after %zu of %zu queries", info->queries, total);
        if (info->queries == 0) WN_TRY(warm_up(w, &topic, err));
        wn_study_record *record = &w->study->records[info->queries++];
        WN_TRY(record_init(w->study, &topic, record, err));
        WN_TRY(answer_query(w, topic.text, record, err));
    }
    if (o->progress) o->progress(o->progress_ctx, "queries", total, total);
    return WN_OK;
}

static wn_status check_request(const wn_searcher *searcher, const wn_study_options *o, wn_error *err) {
    if (o->first_stage != WN_FIRST_BM25 && !searcher->scorers.embedder)
        return wn_fail(err, WN_ERR_ARGUMENT,
                       "a dense or hybrid first stage needs the index's bi-encoder; choose bm25");
    if (!isfinite(o->blend) || o->blend < 0)
        return wn_fail(err, WN_ERR_ARGUMENT, "the blend weight must be a number of at least 0");
    if (o->rerank && !searcher->scorers.reranker)
        return wn_fail(err, WN_ERR_ARGUMENT, "reranking needs a cross-encoder; none is loaded");
    return WN_OK;
}

wn_status wn_study_run(wn_searcher *searcher, const wn_topics *topics, const wn_study_options *options,
                       wn_study **out, wn_error *err) {
    wn_study_options opt = wn_study_options_default();
    if (options) memcpy(&opt, options, options->size < sizeof opt ? options->size : sizeof opt);
    WN_TRY(check_request(searcher, &opt, err));
    wn_status st = WN_OK;
    double begin = wn_now_ms();
    wn_study *study = wn_calloc(1, sizeof *study);
    study_work w = {.searcher = searcher, .options = &opt, .study = study,
                    .search = wn_search_options_default()};
    if (!study) return wn_fail_memory(err, sizeof *study);
    w.search.first_stage = opt.first_stage;
    w.search.length_policy = opt.length_policy;
    w.search.filters = opt.filters;
    w.search.nfilters = opt.nfilters;
    w.search.batch_size = opt.batch_size;
    study->info.first_stage = opt.first_stage;
    study->info.reranked = opt.rerank;
    study->info.blend = opt.blend;
    WN_TRY_GOTO(take_depths(study, &opt, err));
    WN_TRY_GOTO(take_names(study, searcher, opt.rerank, err));
    WN_TRY_GOTO(work_init(&w, err));
    size_t total = count_asked(topics, &opt);
    study->records = wn_calloc(total + 1, sizeof *study->records);
    if (!study->records) {
        st = wn_fail_memory(err, total * sizeof *study->records);
        goto fail;
    }
    if (!total) {
        st = wn_fail(err, WN_ERR_MISMATCH, "none of the %zu queries is judged; do their ids belong to "
                                           "these judgements?", wn_topics_count(topics));
        goto fail;
    }
    WN_TRY_GOTO(run_all(&w, topics, total, err));
    study->info.seconds = (wn_now_ms() - begin) / 1e3;
    *out = study;
    study = NULL;
fail:
    if (w.passages) drop_passages(&w);
    wn_free(w.passages);
    wn_free(w.hits);
    wn_free(w.texts);
    wn_free(w.pairs);
    wn_free(w.added);
    wn_free(w.cosines);
    wn_study_free(study);
    return st;
}

void wn_study_free(wn_study *study) {
    if (!study) return;
    for (size_t i = 0; study->records && i < study->info.queries; i++) record_release(&study->records[i]);
    for (int i = 0; i < 4; i++) wn_free(study->names[i]);
    wn_free(study->records);
    wn_free(study->depths);
    wn_free(study);
}

/* ---- What it says ------------------------------------------------------------ */

wn_study_info wn_study_describe(const wn_study *study) { return study->info; }

wn_study_query wn_study_get(const wn_study *study, size_t query) {
    const wn_study_record *r = &study->records[query];
    return (wn_study_query){r->id, r->text, r->stage1_ms, r->confidence};
}

wn_status wn_study_depth(const wn_study *study, size_t depth, size_t *out, wn_error *err) {
    char known[128] = "";
    for (size_t i = 0; i < study->info.ndepths; i++) {
        size_t n = strlen(known);
        if (study->depths[i] == depth) {
            *out = i;
            return WN_OK;
        }
        snprintf(known + n, sizeof known - n, "%s%zu", i ? ", " : "", study->depths[i]);
    }
    return wn_fail(err, WN_ERR_ARGUMENT, "the study has no first_stage_k of %zu; it has %s", depth, known);
}

void wn_study_order_release(wn_study_order *order) {
    wn_free(order->hits);
    wn_free(order->first);
    wn_free(order->final);
    wn_free(order->keys);
    wn_free(order->cosines);
    wn_free(order->scratch);
    *order = (wn_study_order){0};
}

static wn_status order_reserve(wn_study_order *o, size_t cap, wn_error *err) {
    if (cap <= o->cap) return WN_OK;
    wn_study_order_release(o);
    o->hits = wn_calloc(2 * cap, sizeof *o->hits);
    o->first = wn_calloc(cap, sizeof *o->first);
    o->final = wn_calloc(cap, sizeof *o->final);
    o->keys = wn_calloc(cap, sizeof *o->keys);
    o->cosines = wn_calloc(cap, sizeof *o->cosines);
    o->scratch = wn_calloc(cap, sizeof *o->scratch);
    if (!o->hits || !o->first || !o->final || !o->keys || !o->cosines || !o->scratch)
        return wn_fail_memory(err, 2 * cap * sizeof *o->hits);
    o->cap = cap;
    return WN_OK;
}

wn_status wn_study_order_at(const wn_study *study, size_t query, size_t depth, bool reranked,
                            wn_study_order *o, wn_error *err) {
    const wn_study_record *r = &study->records[query];
    size_t d = 0;
    WN_TRY(wn_study_depth(study, depth, &d, err));
    if (reranked && !study->info.reranked)
        return wn_fail(err, WN_ERR_ARGUMENT, "the study has no reranking");
    size_t longest = r->lists.ndense > r->lists.nbm25 ? r->lists.ndense : r->lists.nbm25;
    if (depth > 2 * longest) depth = 2 * longest; /* there are no more candidates than that */
    WN_TRY(order_reserve(o, depth + 1, err));
    o->n = depth ? wn_lists_candidates(&r->lists, study->info.first_stage, depth, o->hits) : 0;
    for (uint32_t i = 0; i < o->n; i++) {
        uint32_t at = i < r->n && r->candidates[i].passage == o->hits[i].passage ? i : 0;
        while (r->candidates[at].passage != o->hits[i].passage) at++;
        o->first[i] = at;
        o->keys[i] = r->candidates[at].pair.logit;
        o->cosines[i] = r->candidates[at].cosine;
        o->final[i] = i;
    }
    if (!reranked) return WN_OK;
    wn_final_keys(o->keys, o->cosines, o->n, study->info.blend, o->keys);
    wn_rank_by_score(o->keys, o->n, o->scratch, o->final);
    return WN_OK;
}

wn_status wn_study_ranking(const wn_study *study, size_t query, size_t depth, bool reranked,
                           wn_study_entry *out, size_t *count, wn_error *err) {
    wn_study_order order = {0};
    wn_status st = query < study->info.queries
                       ? wn_study_order_at(study, query, depth, reranked, &order, err)
                       : wn_fail(err, WN_ERR_ARGUMENT, "there is no query %zu", query);
    for (uint32_t i = 0; st == WN_OK && i < order.n; i++) {
        uint32_t f = order.final[i];
        const wn_study_candidate *c = &study->records[query].candidates[order.first[f]];
        out[i] = (wn_study_entry){
            .passage = c->passage, .source = c->source, .ordinal = c->ordinal,
            .first_stage_rank = f + 1, .final_rank = i + 1, .first_stage_score = order.hits[f].score,
            .rerank_score = reranked ? c->pair.score : NAN,
            .rerank_logit = reranked ? c->pair.logit : NAN, .fit = c->pair.fit};
    }
    if (st == WN_OK) *count = order.n;
    wn_study_order_release(&order);
    return st;
}

wn_status wn_study_stage2_ms(const wn_study *study, size_t query, size_t depth, double *out,
                             wn_error *err) {
    size_t d = 0;
    if (query >= study->info.queries) return wn_fail(err, WN_ERR_ARGUMENT, "there is no query %zu", query);
    WN_TRY(wn_study_depth(study, depth, &d, err));
    const wn_study_record *r = &study->records[query];
    size_t n = r->scored[d] < depth ? r->scored[d] : depth; /* of the union, this depth's pairs */
    *out = r->scored[d] ? r->spent_ms[d] * (double)n / (double)r->scored[d] : 0;
    return WN_OK;
}
