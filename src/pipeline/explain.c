/* explain.c -- why one passage stands where it stands.
 *
 * Everything is asked of the parts that rank: BM25's score is taken apart by asking for each word alone
 * (its parts add up, since every word is optional), and the cross-encoder by leaving out one sentence
 * at a time. The latter is exact about the model and says nothing about what a reader would find
 * relevant; attention weights, the usual alternative, are neither. */
#include "core/error.h"
#include "core/memory.h"
#include "index/full_text.h"
#include "pipeline/ranking.h"
#include "pipeline/sentences.h"
#include "pipeline/stages.h"
#include <winnow/analysis.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SENTENCES = 256, SENTENCE_BATCH = 32 };

struct wn_explanation {
    wn_explanation_info info;
    wn_passage *passage;
    wn_matched_term *terms;
    wn_left_out *sentences;
    wn_buf words; /* the terms' text */
};

/* ---- Which passage ---------------------------------------------------------- */

static void take_result(wn_explanation_info *info, const wn_result *r) {
    info->candidate = true;
    info->first_stage_rank = r->first_stage_rank;
    info->final_rank = r->final_rank;
    info->first_stage_score = r->first_stage_score;
}

/* "lora.md#3" to "lora.md" and 3; a name without a number leaves *ordinal alone. */
static char *split_name(const char *document, uint32_t *ordinal, bool *numbered) {
    const char *hash = strrchr(document, '#');
    size_t digits = hash ? strspn(hash + 1, "0123456789") : 0;
    *numbered = digits && digits < 10 && !hash[1 + digits];
    if (*numbered) *ordinal = (uint32_t)strtoul(hash + 1, NULL, 10);
    return wn_strndup(document, *numbered ? (size_t)(hash - document) : strlen(document));
}

static wn_status find_document(wn_searcher *searcher, const wn_answer *answer, const char *document,
                               wn_explanation_info *info, int64_t *id, wn_error *err) {
    uint32_t ordinal = 0;
    bool numbered;
    char *name = split_name(document, &ordinal, &numbered);
    if (!name) return wn_fail_memory(err, strlen(document));
    wn_status st = WN_OK;
    *id = 0;
    if (numbered) st = wn_index_find_passage(searcher->index, name, ordinal, id, err);
    for (size_t i = 0; st == WN_OK && !info->candidate && i < wn_answer_count(answer); i++) {
        const wn_result *r = wn_answer_result(answer, i);
        if (numbered ? r->passage->id != *id : !wn_source_matches(r->passage->source, name)) continue;
        take_result(info, r);
        *id = r->passage->id;
    }
    if (st == WN_OK && !*id) st = wn_index_find_passage(searcher->index, name, 0, id, err);
    wn_free(name);
    return st;
}

static wn_status find_passage(wn_searcher *searcher, wn_str query, const wn_search_options *opt,
                              size_t rank, const char *document, wn_explanation *e, wn_error *err) {
    wn_answer *answer = NULL;
    wn_search_options all = *opt;
    all.k = all.first_stage_k;
    all.has_min_score = false;
    WN_TRY(wn_search(searcher, query, &all, &answer, err));
    int64_t id = 0;
    wn_status st = WN_OK;
    e->info.candidates = wn_answer_describe(answer).candidates;
    e->info.first_stage_score = NAN;
    if (rank && rank <= wn_answer_count(answer)) {
        take_result(&e->info, wn_answer_result(answer, rank - 1));
        id = wn_answer_result(answer, rank - 1)->passage->id;
    } else if (rank) {
        st = wn_fail(err, WN_ERR_NOT_FOUND, "there is no rank %zu: the search has %zu candidates", rank,
                     wn_answer_count(answer));
    } else {
        st = find_document(searcher, answer, document, &e->info, &id, err);
    }
    wn_answer_free(answer);
    if (st == WN_OK) st = wn_index_passage(searcher->index, id, &e->passage, err);
    e->info.passage = e->passage;
    return st;
}

/* ---- First stages ------------------------------------------------------------- */

static uint32_t rank_in(const wn_hit *hits, size_t n, int64_t passage, float *score) {
    for (size_t i = 0; i < n; i++)
        if (hits[i].passage == passage) {
            *score = hits[i].score;
            return (uint32_t)i + 1;
        }
    return 0;
}

/* searcher->query holds the query's embedding: wn_search has just put it there. */
static wn_status rank_among_all(wn_searcher *searcher, wn_str query, const wn_search_options *opt,
                                wn_hit *hits, size_t all, wn_explanation_info *info, wn_error *err) {
    size_t n = 0;
    info->cosine = info->bm25_score = NAN;
    if (searcher->scorers.embedder) {
        WN_TRY(wn_index_search_dense(searcher->index, searcher->query, all, opt->filters, opt->nfilters,
                                     hits, &n, err));
        info->dense_rank = rank_in(hits, n, info->passage->id, &info->cosine);
    }
    WN_TRY(wn_index_search_bm25(searcher->index, query, all, opt->filters, opt->nfilters, hits, &n, err));
    info->bm25_rank = rank_in(hits, n, info->passage->id, &info->bm25_score);
    return WN_OK;
}

static int by_part(const void *pa, const void *pb) {
    const wn_matched_term *a = pa, *b = pb;
    if (a->bm25 != b->bm25) return a->bm25 > b->bm25 ? -1 : 1;
    return strcmp(a->term, b->term);
}

/* The expression's quoted words, each cut out in place and followed by a NUL. */
static size_t cut_words(char *expression, const char **words, size_t cap) {
    size_t n = 0;
    for (char *at = expression; at && n < cap;) {
        char *open = strchr(at, '"'), *close = open ? strchr(open + 1, '"') : NULL;
        if (!close) break;
        *close = 0;
        words[n++] = open + 1;
        at = close + 1;
    }
    return n;
}

static wn_status match_terms(wn_searcher *searcher, wn_str query, wn_hit *hits, size_t all,
                             wn_explanation *e, wn_error *err) {
    WN_TRY(wn_full_text_query(query, &e->words, err));
    if (!e->words.len) return WN_OK;
    size_t cap = e->words.len / 3 + 1;
    const char **words = wn_calloc(cap, sizeof *words);
    e->terms = wn_calloc(cap, sizeof *e->terms);
    wn_status st = words && e->terms ? WN_OK : wn_fail_memory(err, cap * sizeof *e->terms);
    size_t n = st == WN_OK ? cut_words(e->words.data, words, cap) : 0;
    for (size_t i = 0; st == WN_OK && i < n; i++) {
        size_t found = 0;
        float score;
        st = wn_index_search_bm25(searcher->index, (wn_str){words[i], strlen(words[i])}, all, NULL, 0, hits,
                                  &found, err);
        if (st == WN_OK && rank_in(hits, found, e->passage->id, &score))
            e->terms[e->info.nterms++] = (wn_matched_term){words[i], score, found};
    }
    wn_free(words);
    if (e->info.nterms) qsort(e->terms, e->info.nterms, sizeof *e->terms, by_part);
    e->info.terms = e->terms;
    e->info.query_terms = n;
    return st;
}

/* ---- The cross-encoder ------------------------------------------------------------ */

static wn_status score_whole(wn_searcher *searcher, wn_str query, const wn_search_options *opt,
                             wn_explanation_info *info, wn_error *err) {
    wn_str text = {info->passage->input, info->passage->input_length};
    wn_pair_score pair, window;
    const wn_scorers *scorers = &searcher->scorers;
    WN_TRY(wn_scorers_score_all(scorers, query, &text, 1, opt->length_policy, 1, &pair, err));
    WN_TRY(wn_scorers_score_all(scorers, query, &text, 1, WN_LENGTH_WINDOWS, 1, &window, err));
    info->rerank_score = pair.score;
    info->rerank_logit = pair.logit;
    info->fit = pair.fit;
    info->window_logit = window.logit;
    info->window_begin = window.fit.window_begin;
    info->window_end = window.fit.window_end;
    return WN_OK;
}

static size_t find_sentences(wn_str text, wn_left_out *out) {
    size_t n = 0, pos = 0;
    while (n < MAX_SENTENCES && wn_sentence_next(text, &pos, &out[n].begin, &out[n].end)) n++;
    return n;
}

/* The text without each of its sentences, one after the other in *all; texts [n] point into it. */
static wn_status write_without(wn_str text, const wn_left_out *sentences, size_t n, wn_buf *all,
                               wn_str *texts, wn_error *err) {
    size_t bytes = 0, at = 0;
    for (size_t i = 0; i < n; i++) bytes += text.len - (sentences[i].end - sentences[i].begin);
    WN_TRY(wn_buf_reserve(all, bytes + 1, err));
    for (size_t i = 0; i < n; i++) {
        const wn_left_out *s = &sentences[i];
        WN_TRY(wn_buf_append(all, text.data, s->begin, err));
        WN_TRY(wn_buf_append(all, text.data + s->end, text.len - s->end, err));
        texts[i] = (wn_str){all->data + at, all->len - at};
        at = all->len;
    }
    return WN_OK;
}

static wn_status leave_out(wn_searcher *searcher, wn_str query, const wn_search_options *opt,
                           wn_explanation *e, wn_error *err) {
    wn_str text = {e->passage->input, e->passage->input_length};
    wn_buf all = {0};
    wn_str *texts = wn_calloc(MAX_SENTENCES, sizeof *texts);
    wn_pair_score *pairs = wn_calloc(MAX_SENTENCES, sizeof *pairs);
    e->sentences = wn_calloc(MAX_SENTENCES, sizeof *e->sentences);
    wn_status st = texts && pairs && e->sentences ? WN_OK : wn_fail_memory(err, MAX_SENTENCES * sizeof *pairs);
    size_t n = st == WN_OK ? find_sentences(text, e->sentences) : 0;
    /* A batch at a time: a long passage of many sentences is otherwise copied as often as it has. */
    for (size_t begin = 0; st == WN_OK && begin < n; begin += SENTENCE_BATCH) {
        size_t count = n - begin < SENTENCE_BATCH ? n - begin : SENTENCE_BATCH;
        wn_buf_clear(&all);
        st = write_without(text, e->sentences + begin, count, &all, texts, err);
        if (st == WN_OK)
            st = wn_scorers_score_all(&searcher->scorers, query, texts, count, opt->length_policy,
                                      SENTENCE_BATCH, pairs + begin, err);
    }
    for (size_t i = 0; st == WN_OK && i < n; i++) {
        e->sentences[i].logit_without = pairs[i].logit;
        e->sentences[i].change = pairs[i].logit - e->info.rerank_logit;
    }
    wn_buf_release(&all);
    wn_free(texts);
    wn_free(pairs);
    e->info.sentences = e->sentences;
    e->info.nsentences = n;
    return st;
}

/* ---- All --------------------------------------------------------------------------- */

wn_status wn_explain(wn_searcher *searcher, wn_str query, const wn_search_options *options, size_t rank,
                     const char *document, wn_explanation **out, wn_error *err) {
    wn_search_options opt = wn_search_options_default();
    if (options) memcpy(&opt, options, options->size < sizeof opt ? options->size : sizeof opt);
    if (!rank && (!document || !*document))
        return wn_fail(err, WN_ERR_ARGUMENT, "say which passage: a rank or a document");
    if (!searcher->scorers.reranker) return wn_fail(err, WN_ERR_ARGUMENT, "explaining needs a cross-encoder; none is loaded");
    opt.rerank = true;
    opt.skip_when_sure = false;
    opt.deadline_ms = 0;
    wn_index_info index;
    WN_TRY(wn_index_describe(searcher->index, &index, err));
    wn_status st = WN_OK;
    wn_hit *hits = NULL;
    wn_explanation *e = wn_calloc(1, sizeof *e);
    if (!e) return wn_fail_memory(err, sizeof *e);
    WN_TRY_GOTO(find_passage(searcher, query, &opt, rank, document, e, err));
    hits = wn_calloc(index.passages + 1, sizeof *hits);
    if (!hits) {
        st = wn_fail_memory(err, index.passages * sizeof *hits);
        goto fail;
    }
    WN_TRY_GOTO(rank_among_all(searcher, query, &opt, hits, index.passages + 1, &e->info, err));
    WN_TRY_GOTO(match_terms(searcher, query, hits, index.passages + 1, e, err));
    WN_TRY_GOTO(score_whole(searcher, query, &opt, &e->info, err));
    WN_TRY_GOTO(leave_out(searcher, query, &opt, e, err));
    wn_free(hits);
    *out = e;
    return WN_OK;
fail:
    wn_free(hits);
    wn_explanation_free(e);
    return st;
}

wn_explanation_info wn_explanation_describe(const wn_explanation *explanation) { return explanation->info; }

void wn_explanation_free(wn_explanation *e) {
    if (!e) return;
    wn_passage_free(e->passage);
    wn_free(e->terms);
    wn_free(e->sentences);
    wn_buf_release(&e->words);
    wn_free(e);
}
