/* report_losses.c -- where reranking lost most: the passages to look at, and the query's words in them.
 *
 * A loss is told by two passages: the labelled answer (of its passages the one that ends
 * highest) and the passage without label that now stands highest. Without labels it is the first
 * result before and the first one after, for the queries where what is first now came from
 * furthest below. Words of the query are marked wherever they stand in a passage, endings left
 * aside ("reduces" is "reduce"): a crude match that shows where to look. What the model went by is
 * told by its logit without each sentence. */
#include "report_page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Words --------------------------------------------------------------------------- */

typedef struct {
    const char *at;
    size_t len;
} word;

static bool word_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c & 0x80);
}

/* The next word from *p on; false at the end. */
static bool next_word(const char **p, const char *end, word *out) {
    while (*p < end && !word_byte(**p)) (*p)++;
    out->at = *p;
    while (*p < end && word_byte(**p)) (*p)++;
    out->len = (size_t)(*p - out->at);
    return out->len > 0;
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

static size_t stem_length(word w) {
    static const char *const endings[] = {"ing", "ies", "ed", "es", "s", "e", "y"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t n = strlen(endings[i]), j = 0;
        if (w.len < n + 3) continue;
        while (j < n && lower(w.at[w.len - n + j]) == endings[i][j]) j++;
        if (j == n) return w.len - n;
    }
    return w.len;
}

static bool same_stem(word a, word b) {
    size_t na = stem_length(a), nb = stem_length(b), i = 0;
    if (na != nb) return false;
    while (i < na && lower(a.at[i]) == lower(b.at[i])) i++;
    return i == na;
}

static bool stop_word(word w) {
    static const char stops[] =
        " a about an and any are as at be by can could did do does for from had has have how i "
        "if in into is it its me my not of on or our so that the their them then there these "
        "they this those to was we were what when where which who why will with would you your ";
    char key[16];
    if (w.len + 3 > sizeof key) return false;
    key[0] = key[w.len + 1] = ' ';
    for (size_t i = 0; i < w.len; i++) key[i + 1] = lower(w.at[i]);
    key[w.len + 2] = 0;
    return strstr(stops, key) != NULL;
}

/* [[begin, end], ...]: bytes of text where words of the query stand. */
static json_t *marks_json(const char *query, const char *text, size_t len) {
    json_t *marks = json_array();
    const char *p = text, *query_end = query + strlen(query);
    word w, term;
    while (next_word(&p, text + len, &w)) {
        const char *q = query;
        bool found = false;
        if (stop_word(w)) continue;
        while (!found && next_word(&q, query_end, &term)) found = same_stem(w, term);
        if (!found) continue;
        json_t *pair = json_array();
        page_append(pair, json_integer((json_int_t)(w.at - text)));
        page_append(pair, json_integer((json_int_t)(w.at - text + (ptrdiff_t)w.len)));
        page_append(marks, pair);
    }
    return marks;
}

/* ---- Labels ---------------------------------------------------------------------------- */

static bool judged_relevant(const report_request *r, const char *query, const char *source, uint32_t ordinal) {
    char name[4096];
    int relevance;
    /* The longest name first, as wn_study_to_run names documents. */
    for (const char *tail = source; tail; tail = strchr(tail, '/') ? strchr(tail, '/') + 1 : NULL) {
        int n = r->level == WN_LABEL_PASSAGE ? snprintf(name, sizeof name, "%s#%u", tail, (unsigned)ordinal)
                                             : snprintf(name, sizeof name, "%s", tail);
        if (n < (int)sizeof name && wn_qrels_relevance(r->s.qrels, query, name, &relevance))
            return relevance > 0;
    }
    return false;
}

/* ---- Sentences ------------------------------------------------------------------------- */

/* [{begin, end, change}]: the cross-encoder's logit without each sentence of the passage. The search
 * that wn_explain makes around it is kept to one candidate: only the passage is asked for, by
 * name, and a passage not recalled is scored all the same. */
static wn_status sentences_json(const report_request *r, wn_first_stage stage, const char *query,
                                const wn_study_entry *e, json_t *out, wn_error *err) {
    wn_search_options options = wn_search_options_default();
    wn_explanation *explanation = NULL;
    char *name = NULL;
    options.k = options.first_stage_k = 1;
    options.first_stage = stage;
    options.length_policy = (wn_length_policy)r->s.policy;
    options.filters = r->s.filters;
    options.nfilters = r->s.where.count;
    if (asprintf(&name, "%s#%u", e->source, (unsigned)e->ordinal) < 0) {
        cli_fail_memory();
        exit(EXIT_FAILED);
    }
    wn_str q = {query, strlen(query)};
    wn_status st = wn_explain(r->s.searching.searcher, q, &options, 0, name, &explanation, err);
    free(name);
    if (st != WN_OK) return st;
    wn_explanation_info info = wn_explanation_describe(explanation);
    /* Another document whose path ends in this one's: then its sentences are not these. */
    size_t n = info.passage->id == e->passage ? info.nsentences : 0;
    for (size_t i = 0; i < n; i++) {
        json_t *sentence = json_object();
        page_set(sentence, "begin", json_integer((json_int_t)info.sentences[i].begin));
        page_set(sentence, "end", json_integer((json_int_t)info.sentences[i].end));
        page_set(sentence, "change", page_real(info.sentences[i].change, 4));
        page_append(out, sentence);
    }
    wn_explanation_free(explanation);
    return WN_OK;
}

/* ---- A loss ------------------------------------------------------------------------------ */

static wn_status passage_json(const report_request *r, wn_first_stage stage, const char *query,
                              const char *role, const wn_study_entry *e, json_t **out, wn_error *err) {
    wn_passage *p = NULL;
    wn_status st = wn_index_passage(r->s.searching.index, e->passage, &p, err);
    if (st != WN_OK) return st;
    json_t *o = json_object(), *text = page_text(p->input, p->input_length), *sentences = json_array();
    if (json_string_length(text) == p->input_length) /* else bytes were replaced and places are others */
        st = sentences_json(r, stage, query, e, sentences, err);
    page_set(o, "role", json_string(role));
    page_set(o, "source", page_text(e->source, strlen(e->source)));
    page_set(o, "passage", json_integer(e->ordinal));
    page_set(o, "heading", page_text(p->heading_path, strlen(p->heading_path)));
    page_set(o, "first_stage_rank", json_integer(e->first_stage_rank));
    page_set(o, "final_rank", json_integer(e->final_rank));
    page_set(o, "first_stage_score", page_real(e->first_stage_score, 6));
    page_set(o, "rerank_score", page_real(e->rerank_score, 6));
    page_set(o, "rerank_logit", page_real(e->rerank_logit, 6));
    page_set(o, "tokens_dropped", json_integer(e->fit.tokens_dropped));
    page_set(o, "marks", marks_json(query, json_string_value(text), json_string_length(text)));
    page_set(o, "sentences", sentences);
    page_set(o, "text", text);
    wn_passage_free(p);
    *out = o;
    return st;
}

/* Labelled: the answer and the best of the others. Else: the first before and the first after. */
static void pick(const report_request *r, const char *id, const wn_study_entry *e, size_t n, size_t *left,
                 size_t *right) {
    *left = *right = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        if (!r->s.qrels) {
            if (e[i].first_stage_rank == 1) *left = i;
            if (e[i].final_rank == 1) *right = i;
            continue;
        }
        size_t *side = judged_relevant(r, id, e[i].source, e[i].ordinal) ? left : right;
        if (*side == SIZE_MAX) *side = i;
    }
}

static wn_status add_loss(json_t *losses, const report_request *r, const wn_study *study, size_t query,
                          size_t depth, const json_t *row, wn_error *err) {
    wn_study_query q = wn_study_get(study, query);
    wn_study_entry *entries = calloc(depth, sizeof *entries);
    json_t *o = json_object(), *left = NULL, *right = NULL;
    size_t n, a, b;
    if (!entries) {
        cli_fail_memory();
        exit(EXIT_FAILED);
    }
    wn_first_stage stage = wn_study_describe(study).first_stage;
    static const char *const copied[] = {"id",   "query",       "first_stage", "reranked",
                                         "gain", "rank_before", "rank_after"};
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
        json_t *value = json_object_get(row, copied[i]);
        if (value) page_set(o, copied[i], json_incref(value));
    }
    wn_status st = wn_study_ranking(study, query, depth, true, entries, &n, err);
    if (st == WN_OK) pick(r, q.id, entries, n, &a, &b);
    if (st == WN_OK && a != SIZE_MAX)
        st = passage_json(r, stage, q.text, r->s.qrels ? "labelled answer" : "first before", &entries[a], &left,
                          err);
    if (st == WN_OK && b != SIZE_MAX)
        st = passage_json(r, stage, q.text, r->s.qrels ? "best of the others" : "first after", &entries[b],
                          &right, err);
    if (left) page_set(o, "left", left);
    if (right) page_set(o, "right", right);
    page_append(losses, o);
    free(entries);
    return st;
}

/* ---- Which queries ------------------------------------------------------------------------- */

typedef struct {
    size_t query;
    double badness; /* the more the worse */
} candidate;

static int worst_first(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->badness != y->badness) return x->badness > y->badness ? -1 : 1;
    return x->query < y->query ? -1 : 1;
}

static double badness(const json_t *row, bool labels) {
    if (!labels) return page_true(row, "top1_changed") ? page_number(row, "mean_rank_change") : 0;
    double gain = page_number(row, "gain"), before = page_number(row, "rank_before"),
           after = page_number(row, "rank_after");
    if (!(gain < 0)) return 0;
    return -gain + (after > before ? 1e-6 * (after - before) : 0);
}

wn_status report_add_losses(json_t *root, report_request *r, const wn_study *study, wn_error *err) {
    wn_study_info info = wn_study_describe(study);
    json_t *losses = json_array(), *rows = page_array(root, "queries");
    candidate *all = calloc(info.queries, sizeof *all);
    size_t n = 0;
    wn_status st = WN_OK;
    if (!all) {
        cli_fail_memory();
        exit(EXIT_FAILED);
    }
    page_set(root, "losses", losses);
    for (size_t q = 0; q < info.queries; q++) {
        double bad = badness(json_array_get(rows, q), r->s.qrels != NULL);
        if (bad > 0) all[n++] = (candidate){q, bad};
    }
    qsort(all, n, sizeof *all, worst_first);
    for (size_t i = 0; st == WN_OK && i < n && i < r->worst; i++)
        st = add_loss(losses, r, study, all[i].query, info.depths[info.ndepths - 1],
                      json_array_get(rows, all[i].query), err);
    free(all);
    return st;
}
