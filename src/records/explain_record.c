/* explain_record.c -- why a passage stands where it stands, as a report. */
#include "records/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_standing(rec_report *report, const char *query, const wn_explanation_info *e) {
    const wn_passage *p = e->passage;
    rec_report_section(report, SECTION_RECORD, "standing", "Where it stands");
    rec_put_text(report, "query", "query", query);
    rec_put_text(report, "document", "document", p->source);
    rec_put_int(report, "passage", "passage", p->ordinal);
    rec_put_text(report, "heading", *p->heading_path ? "heading" : NULL, p->heading_path);
    rec_put_text(report, "content", "content", p->content);
    rec_put_bool(report, "candidate", "recalled by the first stage", e->candidate);
    rec_put_int(report, "candidates", "candidates", (long long)e->candidates);
    rec_put_int(report, "first_stage_rank", "first-stage rank (0: none)", e->first_stage_rank);
    rec_put_int(report, "final_rank", "final rank (0: none)", e->final_rank);
    rec_put_real(report, "first_stage_score", "first-stage score", (double)e->first_stage_score, 4);
    rec_put_real(report, "rerank_score", "cross-encoder's score", (double)e->rerank_score, 4);
    rec_put_real(report, "rerank_logit", "cross-encoder's logit", (double)e->rerank_logit, 4);
    rec_put_int(report, "dense_rank", "rank by cosine among all passages", e->dense_rank);
    rec_put_real(report, "cosine", "cosine", (double)e->cosine, 4);
    rec_put_int(report, "bm25_rank", "rank by BM25 among all (0: no word)", e->bm25_rank);
    rec_put_real(report, "bm25_score", "BM25", (double)e->bm25_score, 4);
}

static void put_reading(rec_report *report, const wn_explanation_info *e) {
    char window[64];
    bool whole = e->window_begin == 0 && e->window_end >= e->passage->input_length;
    snprintf(window, sizeof window, "bytes %u to %u", e->window_begin, e->window_end);
    rec_report_section(report, SECTION_RECORD, "reading", "What the cross-encoder read");
    rec_put_int(report, "tokens_seen", "tokens seen", e->fit.tokens_seen);
    rec_put_int(report, "tokens_dropped", "tokens dropped", e->fit.tokens_dropped);
    rec_put_int(report, "query_tokens_dropped", "query tokens dropped", e->fit.query_dropped);
    rec_put_text(report, "best_window", "best window", whole ? "the whole passage" : window);
    rec_put_int(report, "window_begin", NULL, e->window_begin);
    rec_put_int(report, "window_end", NULL, e->window_end);
    rec_put_real(report, "window_logit", "its logit", (double)e->window_logit, 4);
}

static void put_terms(rec_report *report, const wn_explanation_info *e) {
    rec_report_section(report, SECTION_TABLE, "terms", "Words of the query that BM25 found in it");
    for (size_t i = 0; i < e->nterms; i++) {
        rec_report_row(report);
        rec_put_text(report, "term", "word", e->terms[i].term);
        rec_put_real(report, "bm25", "part of BM25", (double)e->terms[i].bm25, 4);
        rec_put_int(report, "passages", "passages that hold it", (long long)e->terms[i].passages);
    }
    rec_report_note(report, "%zu of the query's %zu words", e->nterms, e->query_terms);
}

static void put_sentences(rec_report *report, const wn_explanation_info *e) {
    rec_report_section(report, SECTION_TABLE, "sentences", "The cross-encoder without one sentence");
    for (size_t i = 0; i < e->nsentences; i++) {
        const wn_left_out *s = &e->sentences[i];
        char *text = strndup(e->passage->input + s->begin, s->end - s->begin);
        rec_report_row(report);
        rec_put_signed(report, "change", "change", (double)s->change, 4);
        rec_put_real(report, "logit_without", "logit", (double)s->logit_without, 4);
        rec_put_int(report, "begin", NULL, (long long)s->begin);
        rec_put_int(report, "end", NULL, (long long)s->end);
        rec_put_text(report, "sentence", "without", text);
        free(text);
    }
    rec_report_note(report, "a negative change: the passage scores less without the sentence");
}

void rec_report_explanation(rec_report *report, const char *query, const wn_explanation_info *info) {
    put_standing(report, query, info);
    put_reading(report, info);
    put_terms(report, info);
    put_sentences(report, info);
}
