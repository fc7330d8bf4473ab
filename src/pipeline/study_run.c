/* study_run.c -- a study's rankings as a run, under the names that the judgements use.
 *
 * Labels name documents as people do: "lora.md" for examples/docs/lora.md. So a source is written by
 * its longest run of last path components that the query's judgements hold, and by itself where they
 * hold none. Two sources of one name become one document, of which the better counts: a label that is
 * too short for the collection is the user's to lengthen, and evaluating either reading silently
 * would be worse than the one stated. */
#include "core/error.h"
#include "core/memory.h"
#include "pipeline/study.h"

#include <string.h>

bool wn_source_matches(const char *source, const char *name) {
    size_t ns = strlen(source), nn = strlen(name);
    if (!nn || nn > ns || strcmp(source + ns - nn, name) != 0) return false;
    return ns == nn || source[ns - nn - 1] == '/';
}

/* The document's name into *out, appended with a NUL. */
static wn_status put_name(const wn_study_candidate *c, const char *query, const wn_qrels *qrels,
                          wn_label_level level, wn_buf *out, wn_error *err) {
    size_t begin = out->len;
    WN_TRY(wn_buf_printf(out, err, "%s", c->source));
    if (level == WN_LABEL_PASSAGE) WN_TRY(wn_buf_printf(out, err, "#%u", c->ordinal));
    const char *whole = out->data + begin;
    size_t len = out->len - begin, skip = 0;
    int relevance;
    while (qrels && !wn_qrels_relevance(qrels, query, whole + skip, &relevance)) {
        const char *slash = memchr(whole + skip, '/', len - skip);
        if (!slash || !slash[1]) {
            skip = 0;
            break;
        }
        skip = (size_t)(slash - whole) + 1;
    }
    memmove(out->data + begin, out->data + begin + skip, len - skip + 1);
    out->len = begin + len - skip + 1; /* with its NUL */
    return WN_OK;
}

static wn_status add_query(const wn_study *study, size_t query, size_t depth, bool reranked,
                           const wn_qrels *qrels, wn_label_level level, wn_study_order *order,
                           wn_buf *text, wn_run *run, wn_error *err) {
    const wn_study_record *r = &study->records[query];
    WN_TRY(wn_study_order_at(study, query, depth, reranked, order, err));
    wn_buf_clear(text);
    for (size_t i = 0; i < order->n; i++)
        WN_TRY(put_name(&r->candidates[order->first[order->final[i]]], r->id, qrels, level, text, err));
    const char **names = wn_calloc(order->n + 1, sizeof *names);
    if (!names) return wn_fail_memory(err, order->n * sizeof *names);
    const char *at = text->data;
    for (size_t i = 0; i < order->n; i++, at += strlen(at) + 1) names[i] = at;
    wn_status st = wn_run_add_ranking(run, r->id, names, order->n, err);
    wn_free(names);
    return st;
}

wn_status wn_study_to_run(const wn_study *study, size_t depth, bool reranked, const wn_qrels *qrels,
                          wn_label_level level, const char *tag, wn_run **out, wn_error *err) {
    wn_run *run = NULL;
    wn_study_order order = {0};
    wn_buf text = {0};
    WN_TRY(wn_run_create(tag, &run, err));
    wn_status st = WN_OK;
    for (size_t i = 0; st == WN_OK && i < study->info.queries; i++)
        st = add_query(study, i, depth, reranked, qrels, level, &order, &text, run, err);
    wn_study_order_release(&order);
    wn_buf_release(&text);
    if (st == WN_OK) *out = run;
    else wn_run_free(run);
    return st;
}
