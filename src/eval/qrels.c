/* qrels.c -- which document is how relevant to which query.
 *
 * Five spellings of one thing: TREC's four columns, BEIR's three, and three readings of trec_eval
 * that keep the judge (groups) or that read relevance as preference. All become judgements by query
 * in the order of the file; wn_qrels_sort orders them by query and document and finds a document
 * judged twice, which is an error as in trec_eval: which of the two would count?
 *
 * The relevance is an integer of 32 bits, written maybe as "1.0" (some BEIR exports do). trec_eval
 * reads "high" as 0; here it is an error that names the line. */
#include "core/error.h"
#include "eval/collections.h"

#include <stdlib.h>
#include <string.h>

static wn_status create(const char *name, wn_qrels_format format, wn_qrels **out, wn_error *err) {
    wn_qrels *qrels = wn_calloc(1, sizeof *qrels);
    if (!qrels) return wn_fail_memory(err, sizeof *qrels);
    qrels->name = wn_strdup(name);
    if (!qrels->name) {
        wn_free(qrels);
        return wn_fail_memory(err, strlen(name));
    }
    qrels->format = format;
    *out = qrels;
    return WN_OK;
}

wn_status wn_qrels_create(wn_qrels **out, wn_error *err) {
    return create("qrels", WN_QRELS_TREC, out, err);
}

static wn_status add(wn_qrels *qrels, wn_str query, wn_str document, wn_str group, wn_str subgroup,
                     wn_judgement item, wn_error *err) {
    uint32_t q, g;
    bool fresh;
    WN_TRY(wn_id_table_add(&qrels->queries, query.data, query.len, &q, &fresh, err));
    if (q >= qrels->judged_cap) {
        size_t old = qrels->judged_cap;
        WN_TRY(wn_grow(&qrels->judged, &qrels->judged_cap, q + 1, sizeof *qrels->judged, err));
        memset(qrels->judged + old, 0, (qrels->judged_cap - old) * sizeof *qrels->judged);
    }
    wn_judged_query *judged = &qrels->judged[q];
    WN_TRY(wn_grow(&judged->items, &judged->cap, judged->count + 1, sizeof *judged->items, err));
    WN_TRY(wn_id_table_add(&qrels->groups, group.data, group.len, &g, NULL, err));
    item.group = qrels->groups.names[g];
    WN_TRY(wn_id_table_add(&qrels->groups, subgroup.data, subgroup.len, &g, NULL, err));
    item.subgroup = qrels->groups.names[g];
    item.document = wn_pool_text_add(&qrels->text, document.data, document.len);
    if (!item.document) return wn_fail_memory(err, document.len);
    judged->items[judged->count++] = item;
    qrels->total++;
    qrels->sorted = false;
    return WN_OK;
}

wn_status wn_qrels_add(wn_qrels *qrels, const char *query, const char *document, int relevance,
                       wn_error *err) {
    if (!*query || !*document)
        return wn_fail(err, WN_ERR_ARGUMENT, "qrels: a query and a document have an id");
    wn_judgement item = {.relevance = relevance, .level = relevance};
    return add(qrels, (wn_str){query, strlen(query)}, (wn_str){document, strlen(document)},
               (wn_str){"0", 1}, (wn_str){"0", 1}, item, err);
}

static wn_status read_trec_line(wn_qrels *qrels, const wn_lines *lines, wn_str rest,
                                wn_error *err) {
    bool prefs = qrels->format == WN_QRELS_PREFS;
    wn_str query, group, subgroup = {"0", 1}, document, level, surplus;
    if (!wn_field_next(&rest, &query) || !wn_field_next(&rest, &group) ||
        (prefs && !wn_field_next(&rest, &subgroup)) || !wn_field_next(&rest, &document) ||
        !wn_field_next(&rest, &level) || wn_field_next(&rest, &surplus))
        return wn_fail_line(err, WN_ERR_FORMAT, lines->path, lines->line, "%s",
                            prefs ? "preferences have five columns: query judge part document level"
                                  : "qrels have four columns: query iteration document relevance");
    WN_TRY(wn_check_id(lines, query, "the query's id", err));
    WN_TRY(wn_check_id(lines, group, "the second column", err));
    WN_TRY(wn_check_id(lines, subgroup, "the third column", err));
    WN_TRY(wn_check_id(lines, document, "the document's id", err));
    wn_judgement item = {.line = (uint32_t)lines->line};
    bool preference = prefs || qrels->format == WN_QRELS_AS_PREFS;
    bool good = preference ? wn_field_real(level, &item.level)
                           : wn_field_integer(level, &item.relevance);
    if (!good)
        return wn_fail_line(err, WN_ERR_FORMAT, lines->path, lines->line,
                            "the relevance \"%.*s\" is not %s number",
                            (int)(level.len < 40 ? level.len : 40), level.data,
                            preference ? "a" : "a whole");
    if (!preference) item.level = item.relevance;
    return add(qrels, query, document, group, subgroup, item, err);
}

static wn_status read_beir_line(wn_qrels *qrels, const wn_lines *lines, wn_str rest,
                                wn_error *err) {
    wn_str query, document, score, surplus, number = {0};
    if (!wn_field_next_tab(&rest, &query) || !wn_field_next_tab(&rest, &document) ||
        !wn_field_next_tab(&rest, &score) || wn_field_next_tab(&rest, &surplus))
        return wn_fail_line(err, WN_ERR_FORMAT, lines->path, lines->line,
                            "BEIR qrels have three columns with a tab between: "
                            "query-id corpus-id score");
    WN_TRY(wn_check_id(lines, query, "query-id", err));
    WN_TRY(wn_check_id(lines, document, "corpus-id", err));
    wn_judgement item = {.line = (uint32_t)lines->line};
    wn_str rest_of_score = score;
    if (!wn_field_next(&rest_of_score, &number) || wn_field_next(&rest_of_score, &surplus) ||
        !wn_field_integer(number, &item.relevance))
        return wn_fail_line(err, WN_ERR_FORMAT, lines->path, lines->line,
                            "the score \"%.*s\" is not a whole number",
                            (int)(score.len < 40 ? score.len : 40), score.data);
    item.level = item.relevance;
    return add(qrels, query, document, (wn_str){"0", 1}, (wn_str){"0", 1}, item, err);
}

static bool is_beir_header(wn_str line) {
    static const char HEADER[] = "query-id\t";
    return line.len >= sizeof HEADER - 1 && memcmp(line.data, HEADER, sizeof HEADER - 1) == 0;
}

static wn_status read_lines(wn_qrels *qrels, wn_lines *lines, wn_error *err) {
    bool first = true;
    for (wn_str line; wn_lines_next_content(lines, &line);) {
        if (lines->line > UINT32_MAX)
            return wn_fail_line(err, WN_ERR_UNSUPPORTED, lines->path, lines->line, "too many lines");
        bool header = first && is_beir_header(line);
        if (first && qrels->format == WN_QRELS_AUTO)
            qrels->format = header ? WN_QRELS_BEIR : WN_QRELS_TREC;
        if (first && qrels->format == WN_QRELS_BEIR && !header)
            return wn_fail_line(err, WN_ERR_FORMAT, lines->path, lines->line,
                                "BEIR qrels begin with the line query-id, corpus-id, score");
        if (qrels->format != WN_QRELS_BEIR) WN_TRY(read_trec_line(qrels, lines, line, err));
        else if (!header) WN_TRY(read_beir_line(qrels, lines, line, err));
        first = false;
    }
    if (!qrels->total)
        return wn_fail(err, WN_ERR_FORMAT, "%s: no judgement in it", lines->path);
    return WN_OK;
}

static wn_status read_all(wn_lines *lines, wn_qrels_format format, wn_qrels **out, wn_error *err) {
    wn_qrels *qrels = NULL;
    wn_status st = create(lines->path, format, &qrels, err);
    if (st == WN_OK) st = read_lines(qrels, lines, err);
    if (st == WN_OK) st = wn_qrels_sort(qrels, err);
    if (st == WN_OK) *out = qrels;
    else wn_qrels_free(qrels);
    return st;
}

wn_status wn_qrels_read(const char *path, wn_qrels_format format, wn_qrels **out, wn_error *err) {
    wn_lines lines;
    wn_status st = wn_lines_open(path, &lines, err);
    if (st == WN_OK) st = read_all(&lines, format, out, err);
    wn_lines_release(&lines);
    return st;
}

wn_status wn_qrels_parse(const char *name, wn_str text, wn_qrels_format format, wn_qrels **out,
                         wn_error *err) {
    wn_lines lines;
    wn_lines_over(name, text.len ? text.data : "", text.len, &lines);
    return read_all(&lines, format, out, err);
}

wn_status wn_qrels_from_topics(const wn_topics *topics, wn_qrels **out, wn_error *err) {
    wn_qrels *qrels = NULL;
    WN_TRY(wn_qrels_create(&qrels, err));
    wn_status st = WN_OK;
    for (size_t i = 0; st == WN_OK && i < wn_topics_count(topics); i++) {
        wn_topic topic = wn_topics_get(topics, i);
        for (size_t s = 0; st == WN_OK && s < topic.nexpected; s++)
            st = wn_qrels_add(qrels, topic.id, topic.expected[s], 1, err);
    }
    if (st == WN_OK && !qrels->total)
        st = wn_fail(err, WN_ERR_ARGUMENT, "no query has an expected source");
    if (st == WN_OK) st = wn_qrels_sort(qrels, err);
    if (st == WN_OK) *out = qrels;
    else wn_qrels_free(qrels);
    return st;
}

void wn_qrels_free(wn_qrels *qrels) {
    if (!qrels) return;
    for (size_t q = 0; q < qrels->judged_cap; q++) wn_free(qrels->judged[q].items);
    wn_free(qrels->judged);
    wn_free(qrels->order);
    wn_free(qrels->name);
    wn_id_table_release(&qrels->queries);
    wn_id_table_release(&qrels->groups);
    wn_pool_text_release(&qrels->text);
    wn_free(qrels);
}

/* By judge, part and document: groups lie together, a document judged twice stands side by side. */
static int by_group_and_document(const void *pa, const void *pb) {
    const wn_judgement *a = pa, *b = pb;
    int c = strcmp(a->group, b->group);
    if (!c) c = strcmp(a->subgroup, b->subgroup);
    if (!c) c = strcmp(a->document, b->document);
    return c ? c : (a->line > b->line) - (a->line < b->line);
}

static int by_document(const void *pa, const void *pb) {
    const wn_judgement *a = pa, *b = pb;
    int c = strcmp(a->document, b->document);
    return c ? c : (a->line > b->line) - (a->line < b->line);
}

static wn_status check_twice(const wn_qrels *qrels, uint32_t q, bool grouped, wn_error *err) {
    const wn_judged_query *judged = &qrels->judged[q];
    for (size_t i = 1; i < judged->count; i++) {
        const wn_judgement *a = &judged->items[i - 1], *b = &judged->items[i];
        if (strcmp(a->document, b->document) != 0) continue;
        if (grouped && (strcmp(a->group, b->group) || strcmp(a->subgroup, b->subgroup))) continue;
        if (b->line)
            return wn_fail_line(err, WN_ERR_FORMAT, qrels->name, b->line,
                                "document %s of query %s was judged before, on line %u",
                                b->document, qrels->queries.names[q], a->line);
        return wn_fail(err, WN_ERR_FORMAT, "%s: document %s of query %s is judged twice",
                       qrels->name, b->document, qrels->queries.names[q]);
    }
    return WN_OK;
}

wn_status wn_qrels_sort(wn_qrels *qrels, wn_error *err) {
    if (qrels->sorted) return WN_OK;
    bool grouped = qrels->format >= WN_QRELS_GROUPS;
    for (uint32_t q = 0; q < qrels->queries.count; q++) {
        wn_judged_query *judged = &qrels->judged[q];
        if (judged->count)
            qsort(judged->items, judged->count, sizeof *judged->items,
                  grouped ? by_group_and_document : by_document);
        WN_TRY(check_twice(qrels, q, grouped, err));
    }
    uint32_t *order = NULL;
    WN_TRY(wn_order_by_name(&qrels->queries, &order, err));
    wn_free(qrels->order);
    qrels->order = order;
    qrels->sorted = true;
    return WN_OK;
}

wn_status wn_qrels_write(wn_qrels *qrels, const char *path, wn_qrels_format format,
                         wn_error *err) {
    if (format != WN_QRELS_TREC && format != WN_QRELS_BEIR)
        return wn_fail(err, WN_ERR_ARGUMENT, "qrels are written as TREC or BEIR");
    WN_TRY(wn_qrels_sort(qrels, err));
    wn_buf text = {0};
    bool beir = format == WN_QRELS_BEIR;
    wn_status st = beir ? wn_buf_printf(&text, err, "query-id\tcorpus-id\tscore\n") : WN_OK;
    for (size_t i = 0; st == WN_OK && i < qrels->queries.count; i++) {
        const wn_judged_query *judged = &qrels->judged[qrels->order[i]];
        const char *query = qrels->queries.names[qrels->order[i]];
        if (!beir) st = wn_check_column(query, path, err);
        for (size_t j = 0; st == WN_OK && j < judged->count; j++) {
            const wn_judgement *item = &judged->items[j];
            if (!beir) st = wn_check_column(item->document, path, err);
            if (st != WN_OK) break;
            st = beir ? wn_buf_printf(&text, err, "%s\t%s\t%d\n", query, item->document,
                                      item->relevance)
                      : wn_buf_printf(&text, err, "%s %s %s %d\n", query, item->group,
                                      item->document, item->relevance);
        }
    }
    if (st == WN_OK) st = wn_file_write_atomic(path, text.data ? text.data : "", text.len, err);
    wn_buf_release(&text);
    return st;
}

size_t wn_qrels_queries(const wn_qrels *qrels) { return qrels->queries.count; }
size_t wn_qrels_judgements(const wn_qrels *qrels) { return qrels->total; }

const char *wn_qrels_query(const wn_qrels *qrels, size_t i) {
    return qrels->queries.names[qrels->sorted ? qrels->order[i] : i];
}

bool wn_qrels_has_query(const wn_qrels *qrels, const char *query) {
    uint32_t q;
    return wn_id_table_find(&qrels->queries, query, strlen(query), &q);
}

bool wn_qrels_relevance(const wn_qrels *qrels, const char *query, const char *document, int *out) {
    uint32_t q;
    if (!wn_id_table_find(&qrels->queries, query, strlen(query), &q)) return false;
    for (size_t i = 0; i < qrels->judged[q].count; i++)
        if (strcmp(qrels->judged[q].items[i].document, document) == 0) {
            *out = qrels->judged[q].items[i].relevance;
            return true;
        }
    return false;
}
