/* preferences.c -- trec_eval's preference judgements (-R prefs, -R qrels_prefs).
 *
 * A judge gives levels to documents, in one part or several. Within a part, a document is preferred
 * to every one of a lower level. With several parts the preferences are partial, and what follows
 * from them is added: A over B in one part and B over C in another make A over C.
 *
 * Judged documents are numbered by where they stand: those retrieved by rank, then the others by
 * id. A preference (row over column) is fulfilled when row < column. trec_eval keeps two forms, lists
 * of equal documents and a matrix; here both are counted as they are formed and nothing but counts
 * stays.
 *
 * Where documents have equal scores, trec_eval orders them by id ascending for preferences, and
 * descending for everything else; its expected outputs tell, so the order is turned round here.
 *
 * The "balanced" counts serve the *_Rnonrel measures. For a judge of one part, trec_eval also
 * compares the nonrelevant documents with the chosen nonrelevant ones; its expected outputs hold
 * these numbers, so we count the same. */
#include "eval/preferences.h"
#include "core/error.h"

#include <stdlib.h>
#include <string.h>

/* A matrix of two bytes a pair: 128 MB. */
enum { MOST_JUDGED = 8192 };

typedef struct {
    const char *document, *group, *subgroup;
    double level;
    size_t position; /* in the ranking; SIZE_MAX: not retrieved */
    size_t rank;     /* among judged documents */
} item;

typedef struct {
    wn_preferences *result;
    const char *query, *file;
    item *items;
    unsigned char *over; /* [judged, judged], for a judge of several parts */
    double *levels;      /* [judged]; -1: this judge did not see it */
} work;

static int by_position(const void *pa, const void *pb) {
    const item *a = pa, *b = pb;
    if (a->position != b->position) return a->position < b->position ? -1 : 1;
    return strcmp(a->document, b->document);
}

static int by_judge(const void *pa, const void *pb) {
    const item *a = pa, *b = pb;
    int c = strcmp(a->group, b->group);
    if (!c) c = strcmp(a->subgroup, b->subgroup);
    if (c) return c;
    if (a->level != b->level) return a->level > b->level ? -1 : 1;
    return (a->rank > b->rank) - (a->rank < b->rank);
}

static void number_documents(item *items, size_t n, size_t *judged, size_t *retrieved) {
    *judged = *retrieved = 0;
    if (n) qsort(items, n, sizeof *items, by_position);
    for (size_t i = 0; i < n; i++) {
        if (!i || strcmp(items[i].document, items[i - 1].document) != 0) {
            *retrieved += items[i].position != SIZE_MAX;
            ++*judged;
        }
        items[i].rank = *judged - 1;
    }
}

static void count_document(wn_judge_counts *c, double level, bool retrieved) {
    if (level > 0) {
        c->relevant++;
        c->relevant_retrieved += retrieved;
    } else {
        c->nonrelevant++;
        c->nonrelevant_retrieved += retrieved;
    }
}

static void count_preference(work *w, wn_judge_counts *c, size_t row, size_t column) {
    wn_preferences *p = w->result;
    uint16_t *cell = &p->counts[row * p->judged + column];
    if (*cell < UINT16_MAX) ++*cell;
    size_t near = row < column ? row : column, far = row < column ? column : row;
    if (far < p->retrieved) {
        c->possible_both++;
        c->fulfilled_both += row < column;
    } else if (near < p->retrieved) {
        c->possible_one++;
        c->fulfilled_one += row < column;
    } else {
        c->possible_none++;
    }
}

/* One pair of the balanced counts. */
static void count_balanced(const wn_preferences *p, wn_judge_counts *c, size_t row, size_t column,
                           bool all, bool both) {
    if (all) {
        c->possible_balanced++;
        c->fulfilled_balanced += row < column && row < p->retrieved;
    }
    if (both && row < p->retrieved && column < p->retrieved) {
        c->possible_balanced_both++;
        c->fulfilled_balanced_both += row < column;
    }
}

/* A judge of one part: items [n] by level descending, then rank. */
static void count_levels(work *w, const item *items, size_t n, wn_judge_counts *c) {
    size_t last = n; /* where the lowest level begins */
    while (last > 0 && items[last - 1].level == items[n - 1].level) last--;
    for (size_t i = 0; i < n; i++)
        count_document(c, items[i].level, items[i].rank < w->result->retrieved);
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++) {
            if (items[i].level == items[j].level) continue;
            count_preference(w, c, items[i].rank, items[j].rank);
            if (j < last) count_balanced(w->result, c, items[i].rank, items[j].rank, true, true);
        }
    for (size_t i = 0; i < n; i++)
        for (size_t j = last; j < n; j++)
            count_balanced(w->result, c, items[i].rank, items[j].rank, j - last < c->relevant,
                           j - last < c->relevant_retrieved);
}

static wn_status fill_matrix(work *w, const item *items, size_t n, wn_error *err) {
    size_t judged = w->result->judged;
    memset(w->over, 0, judged * judged);
    for (size_t i = 0; i < judged; i++) w->levels[i] = -1;
    for (size_t i = 0; i < n; i++) {
        double *level = &w->levels[items[i].rank];
        if ((*level > 0 && items[i].level == 0) || (*level == 0 && items[i].level > 0))
            return wn_fail(err, WN_ERR_FORMAT,
                           "%s: query %s, judge %s: document %s is nonrelevant in one part and "
                           "relevant in another", w->file, w->query, items[i].group,
                           items[i].document);
        *level = items[i].level;
        for (size_t j = i + 1; j < n && items[i].subgroup == items[j].subgroup; j++)
            if (items[i].level != items[j].level)
                w->over[items[i].rank * judged + items[j].rank] = 1;
    }
    return WN_OK;
}

/* Warshall's transitive closure; a document preferred to itself is a contradiction. */
static wn_status close_matrix(work *w, const char *judge, wn_error *err) {
    size_t n = w->result->judged;
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < n; i++) {
            if (!w->over[i * n + k]) continue;
            for (size_t j = 0; j < n; j++) w->over[i * n + j] |= w->over[k * n + j];
        }
    for (size_t i = 0; i < n; i++)
        if (w->over[i * n + i])
            return wn_fail(err, WN_ERR_FORMAT,
                           "%s: query %s, judge %s: the preferences contradict each other", w->file,
                           w->query, judge);
    return WN_OK;
}

/* The first of `n` documents that is a nonrelevant one beyond as many as there are relevant. */
static size_t first_surplus(const work *w, size_t n, size_t relevant) {
    size_t seen = 0;
    for (size_t i = 0; i < n; i++)
        if (w->levels[i] == 0 && ++seen == relevant + 1) return i;
    return n;
}

static void count_matrix(work *w, wn_judge_counts *c) {
    size_t n = w->result->judged, retrieved = w->result->retrieved;
    for (size_t i = 0; i < n; i++)
        if (w->levels[i] >= 0) count_document(c, w->levels[i], i < retrieved);
    size_t cut = first_surplus(w, n, c->relevant);
    size_t cut_both = first_surplus(w, retrieved, c->relevant);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            if (!w->over[i * n + j]) continue;
            count_preference(w, c, i, j);
            bool i0 = w->levels[i] == 0, j0 = w->levels[j] == 0;
            count_balanced(w->result, c, i, j, !(i0 && i >= cut) && !(j0 && j >= cut),
                           !(i0 && i >= cut_both) && !(j0 && j >= cut_both));
        }
}

static wn_status count_judge(work *w, const item *items, size_t n, wn_judge_counts *c,
                             wn_error *err) {
    bool parts = false;
    for (size_t i = 1; i < n; i++) parts |= items[i].subgroup != items[0].subgroup;
    if (!parts) {
        count_levels(w, items, n, c);
        return WN_OK;
    }
    size_t judged = w->result->judged;
    if (!w->over) {
        w->over = wn_malloc(judged * judged);
        w->levels = wn_calloc(judged, sizeof *w->levels);
        if (!w->over || !w->levels) return wn_fail_memory(err, judged * judged);
    }
    WN_TRY(fill_matrix(w, items, n, err));
    WN_TRY(close_matrix(w, items[0].group, err));
    count_matrix(w, c);
    return WN_OK;
}

/* A copy of the ranking with every block of equal scores turned round; freed by the caller. */
static wn_status turn_ties(const wn_run_entry *entries, size_t n, wn_run_entry **out,
                           wn_error *err) {
    wn_run_entry *turned = wn_calloc(n, sizeof *turned);
    if (!turned) return wn_fail_memory(err, n * sizeof *turned);
    for (size_t begin = 0, end; begin < n; begin = end) {
        for (end = begin + 1; end < n && entries[end].score == entries[begin].score;) end++;
        for (size_t i = begin; i < end; i++) turned[i] = entries[begin + end - 1 - i];
    }
    *out = turned;
    return WN_OK;
}

static wn_status find_positions(const wn_judged_query *judged, const wn_run_entry *entries,
                                size_t nentries, size_t depth, item *items, wn_error *err) {
    wn_document_index index = {0};
    wn_run_entry *turned = NULL;
    WN_TRY(turn_ties(entries, nentries, &turned, err));
    if (depth > nentries) depth = nentries;
    wn_status st = wn_document_index_build(&index, turned, depth, sizeof *turned, NULL, NULL, err);
    for (size_t i = 0; st == WN_OK && i < judged->count; i++) {
        const wn_judgement *j = &judged->items[i];
        items[i] = (item){j->document, j->group, j->subgroup, j->level,
                          wn_document_index_find(&index, j->document), 0};
    }
    wn_document_index_release(&index);
    wn_free(turned);
    return st;
}

static wn_status form(work *w, const wn_judged_query *judged, const wn_run_entry *entries,
                      size_t nentries, size_t depth, wn_error *err) {
    wn_preferences *p = w->result;
    w->items = wn_calloc(judged->count, sizeof *w->items);
    if (!w->items) return wn_fail_memory(err, judged->count * sizeof *w->items);
    WN_TRY(find_positions(judged, entries, nentries, depth, w->items, err));
    number_documents(w->items, judged->count, &p->judged, &p->retrieved);
    if (p->judged > MOST_JUDGED)
        return wn_fail(err, WN_ERR_UNSUPPORTED, "%s: query %s: preferences among %zu documents; "
                       "at most %d can be counted", w->file, w->query, p->judged, MOST_JUDGED);
    if (judged->count) qsort(w->items, judged->count, sizeof *w->items, by_judge);
    p->counts = wn_calloc(p->judged * p->judged, sizeof *p->counts);
    p->judges = wn_calloc(judged->count, sizeof *p->judges);
    if (!p->counts || !p->judges) return wn_fail_memory(err, p->judged * p->judged * 2);
    for (size_t begin = 0, end; begin < judged->count; begin = end) {
        for (end = begin + 1; end < judged->count; end++)
            if (w->items[end].group != w->items[begin].group) break;
        WN_TRY(count_judge(w, w->items + begin, end - begin, &p->judges[p->njudges++], err));
    }
    return WN_OK;
}

wn_status wn_preferences_create(const wn_qrels *qrels, uint32_t number, const wn_run_entry *entries,
                                size_t nentries, size_t depth, wn_preferences **out,
                                wn_error *err) {
    work w = {.result = wn_calloc(1, sizeof *w.result), .query = qrels->queries.names[number],
              .file = qrels->name};
    if (!w.result) return wn_fail_memory(err, sizeof *w.result);
    wn_status st = form(&w, &qrels->judged[number], entries, nentries, depth, err);
    wn_free(w.items);
    wn_free(w.over);
    wn_free(w.levels);
    if (st == WN_OK) *out = w.result;
    else wn_preferences_free(w.result);
    return st;
}

void wn_preferences_free(wn_preferences *preferences) {
    if (!preferences) return;
    wn_free(preferences->judges);
    wn_free(preferences->counts);
    wn_free(preferences);
}
