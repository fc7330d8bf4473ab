/* report_page.h -- `winnow report`: one document of numbers, and the page that is drawn from it.
 *
 * report_data.c and report_losses.c turn studies into one JSON document; report_html.c and
 * report_figures.c draw a page from that document and from nothing else. So the page, the JSON that it
 * carries and `--format json` can't tell different numbers, and a page can be drawn again
 * (`--from`) without a model. docs/EVALUATION.md lists the members.
 *
 * Numbers are rounded when they enter the document, to 9 significant digits at most: what is printed
 * of them with %.9g reads back as the same double. */
#ifndef WN_CLI_REPORT_PAGE_H
#define WN_CLI_REPORT_PAGE_H
#include "studying.h"

#define PAGE_FORMAT "winnow-report"
enum { PAGE_VERSION = 1 };

typedef struct report_request {
    cli_studying s;       /* s.rerankers: the first one's study is told in full */
    cli_list first_stages;
    const char *qrels, *measure, *title;
    size_t *depths, ndepths;
    size_t k, worst;
    int level;            /* wn_label_level */
    double budget_ms;     /* 0: none */
    char *command;        /* as a shell would take it */
} report_request;

/* ---- report_members.c ------------------------------------------------------------- */

/* Ends the process, told; no file is open then. */
_Noreturn void page_out_of_memory(void);
/* Setting a member never fails for the caller: it is page_out_of_memory or done. page_set takes the reference. */
void page_set(json_t *object, const char *key, json_t *value);
void page_append(json_t *array, json_t *value);
/* Text of anybody: bytes that are not UTF-8 become U+FFFD. */
json_t *page_text(const char *text, size_t len);
/* Rounded to so many decimals; null for what is no number. */
json_t *page_real(double value, int decimals);

/* Reading: NaN, "" and NULL for what is not there. */
double page_number(const json_t *object, const char *key);
const char *page_string(const json_t *object, const char *key);
json_t *page_array(const json_t *object, const char *key); /* borrowed; safe to count when NULL */
bool page_true(const json_t *object, const char *key);

/* ---- report_data.c: the document ------------------------------------------------ */

/* The document with settings and empty sections. */
json_t *report_begin(report_request *r);
/* Everything about the main study but its depths. Its reranker is still in r->s.searching. */
wn_status report_add_study(json_t *root, report_request *r, const wn_study *study, wn_error *err);
/* `systems`, every first stage, reranker and depth of all studies; `depths`, those of the first study. */
wn_status report_add_systems(json_t *root, report_request *r, const wn_study *const *studies, size_t n,
                             wn_error *err);
/* report_summary.c: the summary in words, once all studies are in. */
void report_finish(json_t *root);

/* ---- report_losses.c -------------------------------------------------------------- */

/* `losses`: the queries that lost most by reranking (without labels: whose first result changed most),
 * with two passages each and what each sentence of them is worth. Needs `queries`, and the study's own
 * reranker in r->s.searching. */
wn_status report_add_losses(json_t *root, report_request *r, const wn_study *study, wn_error *err);

/* ---- report_html.c, report_style.c, report_figures.c ---------------------------------- */

extern const char REPORT_STYLE[];

void report_write_html(FILE *f, const json_t *root);
/* report_summary.c: "ndcg_cut_10" as people write it: "nDCG@10". */
const char *report_measure_name(const char *name, char *buf, size_t size);

/* Each draws its figure from the document; false, and nothing, when the document has not what it takes. */
bool figure_slopes(FILE *f, const json_t *root);
bool figure_depths(FILE *f, const json_t *root);
bool figure_latency(FILE *f, const json_t *root);
bool figure_systems(FILE *f, const json_t *root);
bool figure_changes(FILE *f, const json_t *root);
#endif
