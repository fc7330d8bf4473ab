/* run.c -- what a system answered: documents with scores, by query.
 *
 * A run of ten million lines is a usual size (7,000 queries, 1,000 documents each, and more). An
 * entry is 24 bytes, its id is kept once in a pool; nothing is sorted that is in order already.
 *
 * The order of evaluation is trec_eval's: score descending, ties by document id descending (byte
 * order). The rank column is not read. Scores are doubles, as in trec_eval 10; up to version 9 they
 * were floats, so two scores that differ by less than a float shows were a tie there. */
#include "core/error.h"
#include "eval/collections.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static wn_status create(const char *name, const char *tag, wn_run **out, wn_error *err) {
    wn_run *run = wn_calloc(1, sizeof *run);
    if (!run) return wn_fail_memory(err, sizeof *run);
    run->name = wn_strdup(name);
    run->tag = wn_strdup(tag);
    if (!run->name || !run->tag) {
        wn_run_free(run);
        return wn_fail_memory(err, strlen(name));
    }
    *out = run;
    return WN_OK;
}

wn_status wn_run_create(const char *tag, wn_run **out, wn_error *err) {
    return create("run", tag ? tag : "winnow", out, err);
}

static wn_status query_of(wn_run *run, wn_str query, wn_ranked_query **out, wn_error *err) {
    uint32_t q;
    WN_TRY(wn_id_table_add(&run->queries, query.data, query.len, &q, NULL, err));
    if (q >= run->ranked_cap) {
        size_t old = run->ranked_cap;
        WN_TRY(wn_grow(&run->ranked, &run->ranked_cap, q + 1, sizeof *run->ranked, err));
        memset(run->ranked + old, 0, (run->ranked_cap - old) * sizeof *run->ranked);
    }
    *out = &run->ranked[q];
    run->sorted = false;
    return WN_OK;
}

static wn_status add(wn_run *run, wn_ranked_query *ranked, wn_str document, double score,
                     uint32_t line, wn_error *err) {
    WN_TRY(wn_grow(&ranked->items, &ranked->cap, ranked->count + 1, sizeof *ranked->items, err));
    const char *id = wn_pool_text_add(&run->text, document.data, document.len);
    if (!id) return wn_fail_memory(err, document.len);
    ranked->items[ranked->count++] = (wn_run_entry){id, score, line};
    ranked->sorted = false;
    run->total++;
    return WN_OK;
}

wn_status wn_run_add(wn_run *run, const char *query, const char *document, double score,
                     wn_error *err) {
    if (!*query || !*document)
        return wn_fail(err, WN_ERR_ARGUMENT, "run: a query and a document have an id");
    if (isnan(score))
        return wn_fail(err, WN_ERR_ARGUMENT, "run: the score of %s for %s is not a number",
                       document, query);
    wn_ranked_query *ranked;
    WN_TRY(query_of(run, (wn_str){query, strlen(query)}, &ranked, err));
    return add(run, ranked, (wn_str){document, strlen(document)}, score, 0, err);
}

wn_status wn_run_add_ranking(wn_run *run, const char *query, const char *const *documents,
                             size_t n, wn_error *err) {
    if (!*query) return wn_fail(err, WN_ERR_ARGUMENT, "run: a query has an id");
    wn_ranked_query *ranked;
    WN_TRY(query_of(run, (wn_str){query, strlen(query)}, &ranked, err));
    if (!n) return WN_OK;
    WN_TRY(wn_document_index_build(&run->index, documents, n, sizeof *documents, NULL, NULL, err));
    for (size_t i = 0; i < n; i++) {
        if (!*documents[i]) return wn_fail(err, WN_ERR_ARGUMENT, "run: a document has an id");
        if (wn_document_index_find(&run->index, documents[i]) != i) continue;
        WN_TRY(add(run, ranked, (wn_str){documents[i], strlen(documents[i])}, (double)(n - i), 0,
                   err));
    }
    return WN_OK;
}

static wn_status read_line(wn_run *run, const wn_lines *lines, wn_str rest, wn_str *tag,
                           wn_str *last_query, wn_ranked_query **ranked, wn_error *err) {
    wn_str query, iteration, document, rank, score;
    double value;
    if (!wn_field_next(&rest, &query) || !wn_field_next(&rest, &iteration) ||
        !wn_field_next(&rest, &document) || !wn_field_next(&rest, &rank) ||
        !wn_field_next(&rest, &score) || !wn_field_next(&rest, tag))
        return wn_fail_line(err, WN_ERR_FORMAT, lines->path, lines->line,
                            "runs have six columns: query Q0 document rank score tag");
    if (!wn_field_real(score, &value))
        return wn_fail_line(err, WN_ERR_FORMAT, lines->path, lines->line,
                            "the score \"%.*s\" is not a number",
                            (int)(score.len < 40 ? score.len : 40), score.data);
    WN_TRY(wn_check_id(lines, document, "the document's id", err));
    if (query.len != last_query->len || memcmp(query.data, last_query->data, query.len) != 0) {
        WN_TRY(wn_check_id(lines, query, "the query's id", err));
        WN_TRY(query_of(run, query, ranked, err));
        *last_query = query;
    }
    return add(run, *ranked, document, value, (uint32_t)lines->line, err);
}

static wn_status read_lines(wn_run *run, wn_lines *lines, wn_error *err) {
    wn_str tag = {0}, last_query = {0};
    wn_ranked_query *ranked = NULL;
    for (wn_str line; wn_lines_next_content(lines, &line);) {
        if (lines->line > UINT32_MAX)
            return wn_fail_line(err, WN_ERR_UNSUPPORTED, lines->path, lines->line, "too many lines");
        WN_TRY(read_line(run, lines, line, &tag, &last_query, &ranked, err));
    }
    if (!run->total) return wn_fail(err, WN_ERR_FORMAT, "%s: no result in it", lines->path);
    char *copy = wn_strndup(tag.data, tag.len);
    if (!copy) return wn_fail_memory(err, tag.len);
    wn_free(run->tag);
    run->tag = copy;
    return WN_OK;
}

wn_status wn_run_read(const char *path, wn_run **out, wn_error *err) {
    wn_lines lines;
    wn_run *run = NULL;
    wn_status st = wn_lines_open(path, &lines, err);
    if (st == WN_OK) st = create(lines.path, "", &run, err);
    if (st == WN_OK) st = read_lines(run, &lines, err);
    if (st == WN_OK) st = wn_run_sort(run, err);
    wn_lines_release(&lines);
    if (st == WN_OK) *out = run;
    else wn_run_free(run);
    return st;
}

void wn_run_free(wn_run *run) {
    if (!run) return;
    for (size_t q = 0; q < run->ranked_cap; q++) wn_free(run->ranked[q].items);
    wn_free(run->ranked);
    wn_free(run->order);
    wn_free(run->name);
    wn_free(run->tag);
    wn_id_table_release(&run->queries);
    wn_pool_text_release(&run->text);
    wn_document_index_release(&run->index);
    wn_free(run);
}

static int by_score(const void *pa, const void *pb) {
    const wn_run_entry *a = pa, *b = pb;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return strcmp(b->document, a->document);
}

static wn_status sort_query(wn_run *run, uint32_t q, wn_error *err) {
    wn_ranked_query *ranked = &run->ranked[q];
    if (ranked->sorted) return WN_OK;
    size_t twice, before = 0;
    WN_TRY(wn_document_index_build(&run->index, ranked->items, ranked->count,
                                   sizeof *ranked->items, &twice, &before, err));
    if (twice != SIZE_MAX) {
        const wn_run_entry *entry = &ranked->items[twice];
        if (entry->line)
            return wn_fail_line(err, WN_ERR_FORMAT, run->name, entry->line,
                                "document %s of query %s was given before, on line %u",
                                entry->document, run->queries.names[q], ranked->items[before].line);
        return wn_fail(err, WN_ERR_FORMAT, "%s: document %s of query %s is given twice", run->name,
                       entry->document, run->queries.names[q]);
    }
    size_t i = 1;
    while (i < ranked->count && by_score(&ranked->items[i - 1], &ranked->items[i]) < 0) i++;
    if (i < ranked->count) qsort(ranked->items, ranked->count, sizeof *ranked->items, by_score);
    ranked->sorted = true;
    return WN_OK;
}

wn_status wn_run_sort(wn_run *run, wn_error *err) {
    if (run->sorted) return WN_OK;
    for (uint32_t q = 0; q < run->queries.count; q++) WN_TRY(sort_query(run, q, err));
    uint32_t *order = NULL;
    WN_TRY(wn_order_by_name(&run->queries, &order, err));
    wn_free(run->order);
    run->order = order;
    run->sorted = true;
    return WN_OK;
}

wn_status wn_run_ranking(wn_run *run, const char *query, const wn_run_entry **out, size_t *count,
                         wn_error *err) {
    uint32_t q;
    *count = 0;
    if (!wn_id_table_find(&run->queries, query, strlen(query), &q)) return WN_OK;
    WN_TRY(sort_query(run, q, err));
    *out = run->ranked[q].items;
    *count = run->ranked[q].count;
    return WN_OK;
}

wn_status wn_run_write(wn_run *run, const char *path, wn_error *err) {
    WN_TRY(wn_run_sort(run, err));
    wn_buf text = {0};
    wn_status st = wn_check_column(run->tag, path, err);
    for (size_t i = 0; st == WN_OK && i < run->queries.count; i++) {
        const wn_ranked_query *ranked = &run->ranked[run->order[i]];
        const char *query = run->queries.names[run->order[i]];
        st = wn_check_column(query, path, err);
        for (size_t r = 0; st == WN_OK && r < ranked->count; r++) {
            st = wn_check_column(ranked->items[r].document, path, err);
            if (st != WN_OK) break;
            /* 17 digits: reading the file back gives the same doubles, hence the same order. */
            st = wn_buf_printf(&text, err, "%s Q0 %s %zu %.17g %s\n", query,
                               ranked->items[r].document, r + 1, ranked->items[r].score, run->tag);
        }
    }
    if (st == WN_OK) st = wn_file_write_atomic(path, text.data ? text.data : "", text.len, err);
    wn_buf_release(&text);
    return st;
}

const char *wn_run_tag(const wn_run *run) { return run->tag; }
size_t wn_run_queries(const wn_run *run) { return run->queries.count; }
size_t wn_run_lines(const wn_run *run) { return run->total; }

const char *wn_run_query(const wn_run *run, size_t i) {
    return run->queries.names[run->sorted ? run->order[i] : i];
}

bool wn_run_has_query(const wn_run *run, const char *query) {
    uint32_t q;
    return wn_id_table_find(&run->queries, query, strlen(query), &q);
}
