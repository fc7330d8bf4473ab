/* bm25.c -- FTS5's bm25(), with the lengths of passages in memory.
 *
 * FTS5's own function asks the table full_text_docsize for the length of every row that matches: a
 * statement and a B-tree descent a row, which was most of a query's time where a question's
 * common words match nearly every passage. Here all lengths are read in one pass once a search
 * has asked for a thousand of them, and kept until the file changes: 12 bytes a passage. SciFact
 * in passages of 500 characters (19,514), 100 queries, two busy cores, each run twice: 13 to
 * 23 ms a query, against 29 to 65 with FTS5's.
 *
 * The formula, the constants and the order of operations are FTS5's (sqlite3Fts5Bm25...), so scores are
 * equal in every bit; test_index_search.c compares them. */
#include "index/bm25.h"

#include <math.h>
#include <string.h>

enum { lookups_before_loading = 1000 };

struct wn_bm25 {
    const wn_database *database;
    int64_t version;
    size_t lookups;
    bool loaded;
    int64_t *ids; /* ascending */
    uint32_t *lengths;
    size_t count, ids_capacity, lengths_capacity;
    size_t cursor; /* rows come in ascending order: the next is near */
};

/* What one query needs besides the rows. */
typedef struct query_weights {
    int phrases;
    double average;
    double *idf, *frequency; /* [phrases] each */
} query_weights;

/* ---- Lengths ---------------------------------------------------------------- */

/* SQLite's varint: big-endian groups of seven bits, the ninth byte whole. */
static size_t read_varint(const unsigned char *bytes, size_t len, uint64_t *out) {
    uint64_t value = 0;
    for (size_t i = 0; i < len && i < 9; i++) {
        if (i == 8) {
            *out = value << 8 | bytes[i];
            return 9;
        }
        value = value << 7 | (bytes[i] & 0x7f);
        if (!(bytes[i] & 0x80)) {
            *out = value;
            return i + 1;
        }
    }
    return 0;
}

static wn_status add_length(wn_bm25 *b, sqlite3_stmt *row, wn_error *err) {
    const unsigned char *bytes = sqlite3_column_blob(row, 1);
    size_t len = (size_t)sqlite3_column_bytes(row, 1);
    uint64_t total = 0, value;
    for (size_t at = 0, n; at < len; at += n, total += value) {
        n = read_varint(bytes + at, len - at, &value);
        if (!n || value > INT32_MAX || total > INT32_MAX)
            return wn_database_corrupt(b->database, err, "the length of a passage is damaged");
    }
    WN_TRY(wn_grow(&b->ids, &b->ids_capacity, b->count + 1, sizeof *b->ids, err));
    WN_TRY(wn_grow(&b->lengths, &b->lengths_capacity, b->count + 1, sizeof *b->lengths, err));
    b->ids[b->count] = sqlite3_column_int64(row, 0);
    b->lengths[b->count++] = (uint32_t)total;
    return WN_OK;
}

static wn_status load_lengths(wn_bm25 *b) {
    wn_error err;
    sqlite3_stmt *statement = NULL;
    bool row;
    b->count = b->cursor = 0;
    wn_status st = wn_database_prepare(b->database, "SELECT id, sz FROM full_text_docsize ORDER BY id",
                                       &statement, &err);
    while (st == WN_OK && (st = wn_database_step(b->database, statement, &row, &err)) == WN_OK && row)
        st = add_length(b, statement, &err);
    sqlite3_finalize(statement);
    b->loaded = st == WN_OK;
    return st;
}

static bool find_length(wn_bm25 *b, int64_t id, int *out) {
    size_t low = 0, high = b->count;
    if (b->cursor < b->count && b->ids[b->cursor] <= id) low = b->cursor;
    if (low + 64 < high && b->ids[low + 64] >= id) high = low + 65;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (b->ids[middle] < id) low = middle + 1;
        else high = middle;
    }
    b->cursor = low;
    if (low == b->count || b->ids[low] != id) return false;
    *out = (int)b->lengths[low];
    return true;
}

/* From memory, else from FTS5, which also is the one to complain of a row without a length. */
static int row_length(wn_bm25 *b, const Fts5ExtensionApi *api, Fts5Context *fts, int *out) {
    if (!b->loaded && ++b->lookups == lookups_before_loading) {
        wn_status st = load_lengths(b);
        if (st == WN_ERR_MEMORY) return SQLITE_NOMEM;
        if (st != WN_OK) return SQLITE_CORRUPT_VTAB;
    }
    if (b->loaded && find_length(b, api->xRowid(fts), out)) return SQLITE_OK;
    return api->xColumnSize(fts, -1, out);
}

/* ---- The function ------------------------------------------------------------ */

static int count_row(const Fts5ExtensionApi *api, Fts5Context *fts, void *count) {
    ++*(sqlite3_int64 *)count;
    return SQLITE_OK;
}

static int fill_weights(const Fts5ExtensionApi *api, Fts5Context *fts, query_weights *weights) {
    sqlite3_int64 rows = 0, tokens = 0;
    int rc = api->xRowCount(fts, &rows);
    if (rc == SQLITE_OK) rc = api->xColumnTotalSize(fts, -1, &tokens);
    if (rc == SQLITE_OK && rows <= 0) rc = SQLITE_CORRUPT_VTAB;
    if (rc == SQLITE_OK) weights->average = (double)tokens / (double)rows;
    for (int i = 0; rc == SQLITE_OK && i < weights->phrases; i++) {
        sqlite3_int64 hits = 0;
        rc = api->xQueryPhrase(fts, i, &hits, count_row);
        double idf = log(((double)(rows - hits) + 0.5) / ((double)hits + 0.5));
        weights->idf[i] = idf <= 0.0 ? 1e-6 : idf;
    }
    return rc;
}

static int get_weights(const Fts5ExtensionApi *api, Fts5Context *fts, query_weights **out) {
    *out = api->xGetAuxdata(fts, 0);
    if (*out) return SQLITE_OK;
    int phrases = api->xPhraseCount(fts);
    if (phrases < 0) return SQLITE_CORRUPT_VTAB;
    query_weights *weights = wn_calloc(1, sizeof *weights + 2 * (size_t)phrases * sizeof(double));
    if (!weights) return SQLITE_NOMEM;
    weights->phrases = phrases;
    weights->idf = (double *)(weights + 1);
    weights->frequency = weights->idf + phrases;
    int rc = fill_weights(api, fts, weights);
    if (rc != SQLITE_OK) {
        wn_free(weights);
        return rc;
    }
    *out = weights;
    return api->xSetAuxdata(fts, weights, wn_free); /* frees on failure too */
}

static int score_row(wn_bm25 *b, const Fts5ExtensionApi *api, Fts5Context *fts, double *out) {
    static const double k1 = 1.2, length_weight = 0.75;
    query_weights *weights;
    int instances, length = 0;
    int rc = get_weights(api, fts, &weights);
    if (rc == SQLITE_OK) rc = row_length(b, api, fts, &length);
    if (rc == SQLITE_OK) rc = api->xInstCount(fts, &instances);
    if (rc != SQLITE_OK) return rc;
    memset(weights->frequency, 0, (size_t)weights->phrases * sizeof(double));
    for (int i = 0; i < instances; i++) {
        int phrase, column, offset;
        rc = api->xInst(fts, i, &phrase, &column, &offset);
        if (rc != SQLITE_OK) return rc;
        if (phrase < 0 || phrase >= weights->phrases) return SQLITE_CORRUPT_VTAB;
        weights->frequency[phrase] += 1.0;
    }
    double score = 0, d = (double)length;
    for (int i = 0; i < weights->phrases; i++) {
        double f = weights->frequency[i];
        score += weights->idf[i] * ((f * (k1 + 1.0)) /
                                    (f + k1 * (1 - length_weight + length_weight * d / weights->average)));
    }
    *out = -1.0 * score;
    return SQLITE_OK;
}

static void bm25_function(const Fts5ExtensionApi *api, Fts5Context *fts, sqlite3_context *context,
                          int count, sqlite3_value **values) {
    double score = 0;
    int rc = score_row(api->xUserData(fts), api, fts, &score);
    if (rc == SQLITE_OK) sqlite3_result_double(context, score);
    else sqlite3_result_error_code(context, rc);
}

static wn_status find_api(const wn_database *database, fts5_api **out, wn_error *err) {
    sqlite3_stmt *statement = NULL;
    bool row;
    *out = NULL;
    WN_TRY(wn_database_prepare(database, "SELECT fts5(?1)", &statement, err));
    sqlite3_bind_pointer(statement, 1, out, "fts5_api_ptr", NULL);
    wn_status st = wn_database_step(database, statement, &row, err);
    sqlite3_finalize(statement);
    if (st == WN_OK && !*out) st = wn_fail(err, WN_ERR_UNSUPPORTED, "this SQLite has no FTS5");
    return st;
}

wn_status wn_bm25_register(const wn_database *database, wn_bm25 **out, wn_error *err) {
    fts5_api *api;
    WN_TRY(find_api(database, &api, err));
    wn_bm25 *bm25 = wn_calloc(1, sizeof *bm25);
    if (!bm25) return wn_fail_memory(err, sizeof *bm25);
    bm25->database = database;
    if (api->xCreateFunction(api, "wn_bm25", bm25, bm25_function, NULL) != SQLITE_OK) {
        wn_free(bm25);
        return wn_fail_memory(err, 0);
    }
    *out = bm25;
    return WN_OK;
}

void wn_bm25_free(wn_bm25 *bm25) {
    if (!bm25) return;
    wn_free(bm25->ids);
    wn_free(bm25->lengths);
    wn_free(bm25);
}

void wn_bm25_begin(wn_bm25 *bm25, int64_t version) {
    if (bm25->version != version) {
        bm25->loaded = false;
        bm25->lookups = 0;
    }
    bm25->version = version;
    bm25->cursor = 0;
}
