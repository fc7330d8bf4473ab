/* records.h -- what was found out, as the records that programs read: one shape for every door.
 *
 * `winnow search --format json` and POST /search give the same object because both call rec_search.
 * Reports (impact, eval, explain) are sections of rows of named values: a value is put once, with its
 * key for programs and its title for people, so that the formats can't tell different numbers.
 *
 * An outer room: it sees winnow.h alone. Functions that return json_t give the caller a reference, or
 * NULL when memory ran out. JSON is meant to be written with nine digits (JSON_REAL_PRECISION(9)): every
 * float comes back as it was. */
#ifndef WN_RECORDS_RECORDS_H
#define WN_RECORDS_RECORDS_H
#include <jansson.h>
#include <winnow.h>

/* ---- Names ------------------------------------------------------------------- */

extern const char *const REC_FIRST_STAGES[];    /* in the order of wn_first_stage; NULL-terminated */
extern const char *const REC_LENGTH_POLICIES[]; /* in the order of wn_length_policy */
extern const char *const REC_LABEL_LEVELS[];    /* in the order of wn_label_level */

/* ---- Values ------------------------------------------------------------------ */

json_t *rec_real(double value); /* null for what is not finite */
/* JSON must be UTF-8, a path need not be: then what is not ASCII becomes "?". NULL is null. */
json_t *rec_text(const char *text);
json_t *rec_textn(const char *text, size_t len);

/* ---- Answers ----------------------------------------------------------------- */

/* query, first_stage, embedder, reranker, ..., stage1_time_ms, stage2_time_ms, results. The models that
 * the searcher was made with; NULL where it had none. */
json_t *rec_search(wn_str query, const wn_answer *answer, const wn_model *embedder, const wn_model *reranker);
/* query, results: in the cross-encoder's order, or the bi-encoder's where nothing was reranked. */
json_t *rec_compare(wn_str query, const wn_str *documents, const wn_compare_row *rows, size_t n);
/* The places of rows in that order; order [n]. */
void rec_compare_order(const wn_compare_row *rows, size_t n, uint32_t *order);

/* ---- Reports ----------------------------------------------------------------- */

typedef enum {
    SECTION_TABLE,  /* an array of objects in JSON */
    SECTION_RECORD  /* one row: an object in JSON, a line a value in a table */
} rec_section_kind;

typedef struct rec_report rec_report;
rec_report *rec_report_create(void); /* NULL when out of memory */
void rec_report_free(rec_report *report);
/* What follows goes into this section. key is its name in JSON, title its heading. A record has its row
 * already, a table needs rec_report_row before each. Running out of memory is kept for the end. */
void rec_report_section(rec_report *report, rec_section_kind kind, const char *key, const char *title);
void rec_report_row(rec_report *report);
/* Titles: NULL leaves the column out of tables and Markdown (JSON and CSV have all). */
void rec_put_text(rec_report *report, const char *key, const char *title, const char *value);
void rec_put_int(rec_report *report, const char *key, const char *title, long long value);
void rec_put_bool(rec_report *report, const char *key, const char *title, bool value);
/* decimals are for people; NaN is null, "-" and an empty field. `sign` prints a plus too. */
void rec_put_real(rec_report *report, const char *key, const char *title, double value, int decimals);
void rec_put_signed(rec_report *report, const char *key, const char *title, double value, int decimals);
/* An array in JSON, "[low, high]" for people, two columns KEY_low and KEY_high in CSV. */
void rec_put_interval(rec_report *report, const char *key, const char *title, double low, double high,
                      int decimals);
/* The same without signs. */
void rec_put_range(rec_report *report, const char *key, const char *title, double low, double high,
                   int decimals);
/* A line for people, above (or below, when no row follows) what the current section shows. */
void rec_report_note(rec_report *report, const char *fmt, ...) WN_PRINTF(2, 3);
/* All sections as one object. */
json_t *rec_report_json(const rec_report *report);

/* What a passage's standing is made of. */
void rec_report_explanation(rec_report *report, const char *query, const wn_explanation_info *info);
/* The record "settings" that every report over a study begins with. */
void rec_put_settings(rec_report *report, const char *index, const char *queries, const wn_study *study);
/* "total", and "queries" where rows are given. */
void rec_report_impact(rec_report *report, const wn_study *study, const wn_impact_total *total,
                       const wn_impact_query *rows, size_t k, size_t depth);

/* Quality with and without reranking. */
typedef struct rec_eval {
    const char *index, *queries; /* for the settings; NULL: none */
    const wn_study *study;
    const wn_topics *topics;
    wn_qrels *qrels;
    size_t depth;                /* of the study */
    wn_label_level level;
    const char *cutoffs;         /* "1,3,5,10" */
    const char *measure;         /* of the table by query: "ndcg_cut_10" */
    bool reranked, by_query;
    const char *save_runs;       /* PREFIX.first_stage.trec, PREFIX.reranked.trec; NULL: not */
} rec_eval;
/* WN_ERR_ARGUMENT where `measure` is none that has a value for these judgements: before an hour of work. */
wn_status rec_measure_check(wn_qrels *qrels, const char *measure, wn_error *err);
/* Settings, measures and queries into the report. */
wn_status rec_report_eval(rec_report *report, const rec_eval *eval, wn_error *err);
#endif
