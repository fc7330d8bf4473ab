/* impact_record.c -- what reranking changes on the user's queries, as a report. */
#include "records/records.h"

#include <math.h>

void rec_put_settings(rec_report *report, const char *index, const char *queries, const wn_study *study) {
    wn_study_info info = wn_study_describe(study);
    rec_report_section(report, SECTION_RECORD, "settings", NULL);
    rec_put_text(report, "index", "index", index);
    rec_put_text(report, "queries_file", "queries", queries);
    rec_put_int(report, "queries", "number of queries", (long long)info.queries);
    rec_put_text(report, "first_stage", "first stage", REC_FIRST_STAGES[info.first_stage]);
    rec_put_text(report, "embedder", "embedder", *info.embedder ? info.embedder : NULL);
    rec_put_text(report, "embedder_hash", NULL, *info.embedder ? info.embedder_hash : NULL);
    rec_put_text(report, "reranker", "reranker", info.reranked ? info.reranker : NULL);
    rec_put_text(report, "reranker_hash", NULL, info.reranked ? info.reranker_hash : NULL);
    rec_put_real(report, "blend", "weight of the cosine beside the logit", info.reranked ? (double)info.blend : NAN, 4);
    rec_put_text(report, "version", NULL, wn_version());
    rec_put_int(report, "pairs", "pairs scored", (long long)info.pairs);
    rec_put_int(report, "truncated", "pairs cut to the model's length", (long long)info.truncated);
    rec_put_real(report, "seconds", "seconds", info.seconds, 1);
}

static void put_total(rec_report *report, const wn_impact_total *t, size_t k, size_t depth) {
    rec_report_section(report, SECTION_RECORD, "total", "What reranking changed");
    rec_put_int(report, "k", "results a query (k)", (long long)k);
    rec_put_int(report, "first_stage_k", "candidates a query (first_stage_k)", (long long)depth);
    rec_put_int(report, "results", "results in all", (long long)t->results);
    rec_put_real(report, "mean_rank_change", "average rank change", t->mean_change, 2);
    rec_put_int(report, "max_rank_change", "largest rank change", t->max_change);
    rec_put_real(report, "moved_up", "share moved up", t->up, 3);
    rec_put_real(report, "moved_down", "share moved down", t->down, 3);
    rec_put_real(report, "unchanged", "share unchanged", t->unchanged, 3);
    rec_put_real(report, "top1_change_rate", "queries with another first result", t->top1_change_rate, 3);
    rec_put_real(report, "overlap", "overlap with the unreranked results", t->overlap, 3);
    rec_put_real(report, "rbo", "rank-biased overlap (p = 0.9)", t->rbo, 3);
    rec_put_real(report, "stage1_time_ms", "stage 1, average ms", t->stage1_time_ms, 2);
    rec_put_real(report, "stage2_time_ms", "stage 2, average ms", t->stage2_time_ms, 2);
    rec_put_real(report, "latency_p50_ms", "both, median ms", t->latency_p50_ms, 2);
    rec_put_real(report, "latency_p95_ms", "both, 95th percentile ms", t->latency_p95_ms, 2);
}

static void put_queries(rec_report *report, const wn_study *study, const wn_impact_query *rows) {
    rec_report_section(report, SECTION_TABLE, "queries", "By query");
    for (size_t i = 0; i < wn_study_describe(study).queries; i++) {
        wn_study_query q = wn_study_get(study, i);
        const wn_impact_query *r = &rows[i];
        rec_report_row(report);
        rec_put_text(report, "id", "id", q.id);
        rec_put_real(report, "mean_rank_change", "change", r->mean_change, 1);
        rec_put_int(report, "max_rank_change", "max", r->max_change);
        rec_put_int(report, "moved_up", "up", (long long)r->up);
        rec_put_int(report, "moved_down", "down", (long long)r->down);
        rec_put_int(report, "unchanged", "same", (long long)r->unchanged);
        rec_put_bool(report, "top1_changed", "new first", r->top1_changed);
        rec_put_real(report, "overlap", "overlap", r->overlap, 2);
        rec_put_real(report, "rbo", "rbo", r->rbo, 2);
        rec_put_int(report, "results", NULL, (long long)r->results);
        rec_put_real(report, "stage1_time_ms", "stage 1 ms", r->stage1_time_ms, 1);
        rec_put_real(report, "stage2_time_ms", "stage 2 ms", r->stage2_time_ms, 1);
        rec_put_text(report, "query", "query", q.text);
    }
}

void rec_report_impact(rec_report *report, const wn_study *study, const wn_impact_total *total,
                       const wn_impact_query *rows, size_t k, size_t depth) {
    put_total(report, total, k, depth);
    if (rows) put_queries(report, study, rows);
}
