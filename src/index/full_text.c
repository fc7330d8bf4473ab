/* full_text.c -- BM25 over FTS5.
 *
 * Two columns: context (the document's title and the headings a passage stands under) and content. FTS5's bm25() with equal weights treats them as one text. Its k1 = 1.2 and b = 0.75
 * are fixed; its idf is Robertson's, floored at 1e-6.
 *
 * Measured, nDCG@10, whole documents as passages (SQLite 3.40):
 *
 *                          scifact  cranfield  squad2  trecqa  xquad-de  xquad-es  xquad-zh
 *   unicode61               0.6695    0.3297   0.8795  0.5290    0.9221    0.9532    0.1176
 *   porter                  0.6874    0.3532   0.8924  0.5601    0.9303    0.9569    0.1176
 *   porter, stop words      0.6870    0.3529   0.8903  0.5494    0.9321    0.9569
 *   porter, CJK bigrams     as porter                                                0.9645
 *
 * (plain BM25 elsewhere: scifact 0.6635.) Hence: Porter stemming by default, even for
 * languages it was not made for; no stop-word list (it gains 2 to 5 ms a query over 5,000
 * documents and loses up to 0.011); a query's word counts once (0.005 better on scifact than
 * counting repeats). On scifact cut into 500 characters, the title as context of every chunk
 * gives 0.6858, against 0.6573 with the title at the head of the text.
 *
 * unicode61 takes a run of Chinese or Japanese for one word, which no query ever repeats. So each
 * such character is indexed as a word of its own, and a query's run is asked as the phrases
 * of its neighbouring pairs, which is what a bigram index would answer. Thai, Lao, Khmer and
 * Burmese, also written without spaces, are not cut: BM25 finds only whole runs there. */
#include "index/full_text.h"
#include "core/utf8.h"

#include <string.h>
#include <utf8proc.h>

static bool is_unspaced(uint32_t cp) {
    return (cp >= 0x3041 && cp <= 0x30FF && cp != 0x30FB) || /* kana; not the middle dot */
           (cp >= 0x31F0 && cp <= 0x31FF) || (cp >= 0x3400 && cp <= 0x4DBF) ||
           (cp >= 0x4E00 && cp <= 0x9FFF) || (cp >= 0xF900 && cp <= 0xFAFF) ||
           (cp >= 0xFF66 && cp <= 0xFF9D) || (cp >= 0x20000 && cp <= 0x3FFFF) || cp == 0x3005;
}

/* All of them are three or four bytes long and begin with at least this one. */
enum { unspaced_lead = 0xE3 };

wn_status wn_full_text_segment(wn_str text, bool *same, wn_buf *out, wn_error *err) {
    size_t start = 0;
    while (start < text.len && (unsigned char)text.data[start] < unspaced_lead) start++;
    *same = true;
    size_t done = 0;
    for (size_t pos = start; pos < text.len;) {
        size_t at = pos;
        if ((unsigned char)text.data[pos] < unspaced_lead) {
            pos++;
            continue;
        }
        if (!is_unspaced(wn_utf8_next(text.data, text.len, &pos, NULL))) continue;
        *same = false;
        WN_TRY(wn_buf_append(out, text.data + done, at - done, err));
        WN_TRY(wn_buf_append(out, " ", 1, err));
        WN_TRY(wn_buf_append(out, text.data + at, pos - at, err));
        WN_TRY(wn_buf_append(out, " ", 1, err));
        done = pos;
    }
    if (!*same) WN_TRY(wn_buf_append(out, text.data + done, text.len - done, err));
    return WN_OK;
}

/* ---- Queries -------------------------------------------------------------- */

/* Words so far, lower-cased, each followed by a NUL; `table` is an open-addressed set of
 * their positions plus 1. */
typedef struct word_set {
    wn_buf text;
    uint32_t *table;
    size_t table_size, count;
} word_set;

static uint32_t hash_word(const char *word, size_t len) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < len; i++) h = (h ^ (unsigned char)word[i]) * 16777619u;
    return h;
}

static uint32_t *find_slot(const word_set *set, const char *word, size_t len) {
    size_t mask = set->table_size - 1;
    for (size_t i = hash_word(word, len) & mask;; i = (i + 1) & mask) {
        if (!set->table[i]) return &set->table[i];
        const char *other = set->text.data + set->table[i] - 1;
        if (strlen(other) == len && memcmp(other, word, len) == 0) return &set->table[i];
    }
}

static wn_status grow_table(word_set *set, wn_error *err) {
    word_set grown = *set;
    grown.table_size = set->table_size ? set->table_size * 2 : 64;
    grown.table = wn_calloc(grown.table_size, sizeof *grown.table);
    if (!grown.table) return wn_fail_memory(err, grown.table_size * sizeof *grown.table);
    for (size_t i = 0; i < set->table_size; i++) {
        if (!set->table[i]) continue;
        const char *word = set->text.data + set->table[i] - 1;
        *find_slot(&grown, word, strlen(word)) = set->table[i];
    }
    wn_free(set->table);
    *set = grown;
    return WN_OK;
}

/* Adds the word when it is new. It holds no NUL: NUL is no letter. */
static wn_status add_word(word_set *set, const char *word, size_t len, wn_error *err) {
    if (set->text.len + len >= UINT32_MAX)
        return wn_fail(err, WN_ERR_ARGUMENT, "the query is longer than 4 GiB");
    if (2 * (set->count + 1) > set->table_size) WN_TRY(grow_table(set, err));
    uint32_t *slot = find_slot(set, word, len);
    if (*slot) return WN_OK;
    uint32_t at = (uint32_t)set->text.len;
    WN_TRY(wn_buf_append(&set->text, word, len, err));
    WN_TRY(wn_buf_append(&set->text, "", 1, err));
    *slot = at + 1;
    set->count++;
    return WN_OK;
}

typedef enum letter_class { LETTER_NONE, LETTER_WORD, LETTER_UNSPACED } letter_class;

/* Marks belong to the word they stand in: should unicode61 cut there, it cuts passages so too,
 * and the quoted word becomes a phrase of the pieces. */
static letter_class classify(uint32_t cp) {
    if (cp == 0xFFFD) return LETTER_NONE;
    if (is_unspaced(cp)) return LETTER_UNSPACED;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM: case UTF8PROC_CATEGORY_LO: case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL: case UTF8PROC_CATEGORY_NO: case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME:
        return LETTER_WORD;
    default: return LETTER_NONE;
    }
}

/* A run of unspaced characters: its neighbouring pairs, or the one character. */
static wn_status add_run(word_set *set, wn_str run, wn_error *err) {
    char pair[16];
    size_t pos = 0;
    wn_utf8_next(run.data, run.len, &pos, NULL);
    if (pos == run.len) return add_word(set, run.data, run.len, err);
    for (size_t begin = 0; pos < run.len;) {
        size_t middle = pos;
        wn_utf8_next(run.data, run.len, &pos, NULL);
        size_t first = middle - begin, second = pos - middle;
        memcpy(pair, run.data + begin, first);
        pair[first] = ' ';
        memcpy(pair + first + 1, run.data + middle, second);
        WN_TRY(add_word(set, pair, first + 1 + second, err));
        begin = middle;
    }
    return WN_OK;
}

static wn_status add_folded(word_set *set, wn_str word, wn_buf *folded, wn_error *err) {
    wn_buf_clear(folded);
    for (size_t pos = 0; pos < word.len;) {
        uint32_t cp = wn_utf8_next(word.data, word.len, &pos, NULL);
        utf8proc_int32_t lower = utf8proc_tolower((utf8proc_int32_t)cp);
        char bytes[4];
        WN_TRY(wn_buf_append(folded, bytes, wn_utf8_put((uint32_t)lower, bytes), err));
    }
    return add_word(set, folded->data, folded->len, err);
}

static wn_status collect_words(wn_str query, word_set *set, wn_buf *folded, wn_error *err) {
    for (size_t pos = 0; pos < query.len;) {
        size_t begin = pos, end = pos;
        letter_class class = classify(wn_utf8_next(query.data, query.len, &pos, NULL));
        for (end = pos; class != LETTER_NONE && pos < query.len; end = pos)
            if (classify(wn_utf8_next(query.data, query.len, &pos, NULL)) != class) break;
        pos = end;
        wn_str word = {query.data + begin, end - begin};
        if (class == LETTER_UNSPACED) WN_TRY(add_run(set, word, err));
        if (class == LETTER_WORD) WN_TRY(add_folded(set, word, folded, err));
    }
    return WN_OK;
}

wn_status wn_full_text_query(wn_str query, wn_buf *out, wn_error *err) {
    word_set set = {0};
    wn_buf folded = {0};
    wn_status st = collect_words(query, &set, &folded, err);
    const char *word = set.text.data;
    for (size_t i = 0; st == WN_OK && i < set.count; i++, word += strlen(word) + 1)
        st = wn_buf_printf(out, err, "%s\"%s\"", i ? " OR " : "", word);
    wn_free(set.table);
    wn_buf_release(&set.text);
    wn_buf_release(&folded);
    return st;
}

wn_status wn_full_text_search(const wn_database *database, sqlite3_stmt **statement,
                              const char *expression, const wn_allowed *allowed, wn_top_k *top,
                              wn_error *err) {
    /* Not ORDER BY rank: the heap needs no sorter, and breaks ties by id on the score that the
     * caller sees. */
    WN_TRY(wn_database_prepare(database,
                               "SELECT rowid, wn_bm25(full_text) FROM full_text WHERE full_text MATCH ?",
                               statement, err));
    sqlite3_bind_text(*statement, 1, expression, -1, SQLITE_STATIC);
    bool row;
    wn_status st;
    while ((st = wn_database_step(database, *statement, &row, err)) == WN_OK && row) {
        int64_t id = sqlite3_column_int64(*statement, 0);
        if (allowed && !wn_allowed_has(allowed, id)) continue;
        wn_top_k_push(top, id, (float)-sqlite3_column_double(*statement, 1));
    }
    sqlite3_reset(*statement);
    sqlite3_clear_bindings(*statement);
    if (st == WN_OK) wn_top_k_sort(top);
    return st;
}

/* ---- Writing -------------------------------------------------------------- */

static wn_status bind_segmented(sqlite3_stmt *statement, int parameter, wn_str text, wn_buf *buf,
                                wn_error *err) {
    bool same;
    wn_buf_clear(buf);
    WN_TRY(wn_full_text_segment(text, &same, buf, err));
    if (!same) text = (wn_str){buf->data, buf->len};
    if (sqlite3_bind_text64(statement, parameter, text.len ? text.data : "", text.len, SQLITE_STATIC,
                            SQLITE_UTF8) != SQLITE_OK)
        return wn_fail(err, WN_ERR_UNSUPPORTED, "a passage of %zu bytes is too long for SQLite", text.len);
    return WN_OK;
}

static wn_status write_row(const wn_database *database, wn_full_text_writer *writer,
                           sqlite3_stmt *statement, int64_t id, wn_str context, wn_str content,
                           wn_error *err) {
    sqlite3_bind_int64(statement, 1, id);
    WN_TRY(bind_segmented(statement, 2, context, &writer->segmented[0], err));
    WN_TRY(bind_segmented(statement, 3, content, &writer->segmented[1], err));
    return wn_database_run(database, statement, err);
}

wn_status wn_full_text_insert(const wn_database *database, wn_full_text_writer *writer, int64_t id,
                              wn_str context, wn_str content, wn_error *err) {
    WN_TRY(wn_database_prepare(database,
                               "INSERT INTO full_text(rowid, context, content) VALUES(?, ?, ?)",
                               &writer->insert, err));
    return write_row(database, writer, writer->insert, id, context, content, err);
}

wn_status wn_full_text_delete(const wn_database *database, wn_full_text_writer *writer, int64_t id,
                              wn_str context, wn_str content, wn_error *err) {
    WN_TRY(wn_database_prepare(database,
                               "INSERT INTO full_text(full_text, rowid, context, content) "
                               "VALUES('delete', ?, ?, ?)", &writer->delete, err));
    return write_row(database, writer, writer->delete, id, context, content, err);
}

void wn_full_text_writer_release(wn_full_text_writer *writer) {
    sqlite3_finalize(writer->insert);
    sqlite3_finalize(writer->delete);
    wn_buf_release(&writer->segmented[0]);
    wn_buf_release(&writer->segmented[1]);
    *writer = (wn_full_text_writer){0};
}
