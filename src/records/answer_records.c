/* answer_records.c -- answers of a search and of a comparison as JSON objects. */
#include "records/records.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const REC_FIRST_STAGES[] = {"dense", "bm25", "hybrid", NULL};
const char *const REC_LENGTH_POLICIES[] = {"truncate", "error", "windows", NULL};
const char *const REC_LABEL_LEVELS[] = {"document", "passage", NULL};

/* Sets a member; a failed allocation makes the object NULL, and stays so. */
static void set(json_t **object, const char *key, json_t *value) {
    if (*object && value && json_object_set_new(*object, key, value) == 0) return;
    if (!*object) json_decref(value);
    json_decref(*object);
    *object = NULL;
}

static json_t *number(uint64_t n) { return json_integer((json_int_t)n); }
static json_t *rank(uint32_t r) { return r ? number(r) : json_null(); }

static json_t *metadata_json(const wn_passage *passage) {
    json_t *metadata = json_loads(passage->metadata && *passage->metadata ? passage->metadata : "{}",
                                  JSON_ALLOW_NUL, NULL);
    if (!json_is_object(metadata)) {
        json_decref(metadata);
        metadata = json_object();
    }
    set(&metadata, "source", rec_text(passage->source));
    set(&metadata, "title", rec_text(passage->title));
    set(&metadata, "heading_path", rec_text(passage->heading_path));
    set(&metadata, "begin", number(passage->begin));
    set(&metadata, "end", number(passage->end));
    set(&metadata, "passage", number(passage->ordinal));
    return metadata;
}

static json_t *result_json(const wn_result *r) {
    json_t *o = json_object();
    set(&o, "document", rec_text(r->passage->source));
    set(&o, "content", rec_textn(r->passage->content, r->passage->content_length));
    set(&o, "metadata", metadata_json(r->passage));
    set(&o, "final_rank", rank(r->final_rank));
    set(&o, "rerank_score", rec_real((double)r->rerank_score));
    set(&o, "rerank_logit", rec_real((double)r->rerank_logit));
    set(&o, "final_score", rec_real((double)r->final_score));
    set(&o, "bi_encoder_score", rec_real((double)r->bi_encoder_score));
    set(&o, "bi_encoder_rank", rank(r->bi_encoder_rank));
    set(&o, "first_stage_score", rec_real((double)r->first_stage_score));
    set(&o, "first_stage_rank", rank(r->first_stage_rank));
    set(&o, "bm25_score", rec_real((double)r->bm25_score));
    set(&o, "rank_change", json_integer(r->rank_change));
    if (isnan(r->rerank_logit)) return o;
    set(&o, "tokens_seen", number(r->fit.tokens_seen));
    set(&o, "tokens_dropped", number(r->fit.tokens_dropped));
    set(&o, "query_tokens_dropped", number(r->fit.query_dropped));
    set(&o, "window", json_pack("[I, I]", (json_int_t)r->fit.window_begin, (json_int_t)r->fit.window_end));
    return o;
}

static json_t *model_name(const wn_model *model) {
    return model ? rec_text(wn_model_describe(model).name) : json_null();
}

json_t *rec_search(wn_str query, const wn_answer *answer, const wn_model *embedder, const wn_model *reranker) {
    wn_answer_info info = wn_answer_describe(answer);
    /* Both models compute in the same precision; null when there is none. */
    const wn_model *any = reranker ? reranker : embedder;
    json_t *o = json_object(), *results = json_array();
    for (size_t i = 0; i < wn_answer_count(answer); i++)
        if (!results || json_array_append_new(results, result_json(wn_answer_result(answer, i))) != 0) {
            json_decref(results);
            results = NULL;
        }
    set(&o, "query", rec_textn(query.data, query.len));
    set(&o, "first_stage", json_string(REC_FIRST_STAGES[info.first_stage]));
    set(&o, "embedder", model_name(embedder));
    set(&o, "reranker", info.reranked ? model_name(reranker) : json_null());
    set(&o, "precision", any ? json_string(wn_precision_name(wn_model_describe(any).precision)) : json_null());
    set(&o, "blend", rec_real((double)info.blend));
    set(&o, "candidates", number(info.candidates));
    set(&o, "reranked", number(info.reranked));
    set(&o, "truncated", number(info.truncated));
    set(&o, "out_of_time", json_boolean(info.out_of_time));
    set(&o, "skipped", json_boolean(info.skipped));
    set(&o, "confidence", rec_real((double)info.confidence));
    set(&o, "query_tokens_dropped", number(info.query_tokens_dropped));
    set(&o, "stage1_time_ms", rec_real(info.stage1_time_ms));
    set(&o, "stage2_time_ms", rec_real(info.stage2_time_ms));
    set(&o, "results", results);
    return o;
}

/* ---- Comparison ------------------------------------------------------------------ */

void rec_compare_order(const wn_compare_row *rows, size_t n, uint32_t *order) {
    for (uint32_t i = 0; i < n; i++) {
        uint32_t place = rows[i].rerank_rank ? rows[i].rerank_rank : rows[i].bi_encoder_rank;
        order[place ? place - 1 : i] = i;
    }
}

static json_t *row_json(size_t i, wn_str document, const wn_compare_row *row) {
    json_t *o = json_object();
    set(&o, "index", number(i));
    set(&o, "document", rec_textn(document.data, document.len));
    set(&o, "bi_encoder_score", rec_real((double)row->bi_encoder_score));
    set(&o, "bi_encoder_rank", rank(row->bi_encoder_rank));
    set(&o, "rerank_score", rec_real((double)row->rerank_score));
    set(&o, "rerank_logit", rec_real((double)row->rerank_logit));
    set(&o, "rerank_rank", rank(row->rerank_rank));
    set(&o, "rank_change", json_integer(row->rank_change));
    set(&o, "tokens_seen", number(row->fit.tokens_seen));
    set(&o, "tokens_dropped", number(row->fit.tokens_dropped));
    return o;
}

json_t *rec_compare(wn_str query, const wn_str *documents, const wn_compare_row *rows, size_t n) {
    uint32_t *order = calloc(n ? n : 1, sizeof *order);
    json_t *o = json_object(), *results = order ? json_array() : NULL;
    if (order) rec_compare_order(rows, n, order);
    for (size_t r = 0; results && r < n; r++)
        if (json_array_append_new(results, row_json(order[r], documents[order[r]], &rows[order[r]])) != 0) {
            json_decref(results);
            results = NULL;
        }
    free(order);
    set(&o, "query", rec_textn(query.data, query.len));
    set(&o, "results", results);
    return o;
}
