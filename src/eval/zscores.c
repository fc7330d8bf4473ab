/* zscores.c -- means and deviations of a set of reference runs, and values measured by them.
 * As trec_eval's -Z: a value without a mean becomes -1000000, which no one takes for a z-score. */
#include "core/error.h"
#include "eval/evaluation.h"
#include "eval/lines.h"

#include <string.h>

static const double MISSING = -1000000.0;

typedef struct {
    double mean, deviation;
} reference;

struct wn_zscores {
    wn_id_table keys; /* "query measure"; a blank is in neither */
    reference *references;
    size_t cap;
};

static wn_status read_line(wn_zscores *zscores, const wn_lines *lines, wn_str rest, wn_buf *key,
                           wn_error *err) {
    wn_str query, measure, mean, deviation, surplus;
    reference r;
    if (!wn_field_next(&rest, &query) || !wn_field_next(&rest, &measure) ||
        !wn_field_next(&rest, &mean) || !wn_field_next(&rest, &deviation) ||
        wn_field_next(&rest, &surplus))
        return wn_fail_line(err, WN_ERR_FORMAT, lines->path, lines->line,
                            "z-scores have four columns: query measure mean deviation");
    if (!wn_field_real(mean, &r.mean) || !wn_field_real(deviation, &r.deviation))
        return wn_fail_line(err, WN_ERR_FORMAT, lines->path, lines->line,
                            "mean and deviation must be numbers");
    if (memchr(query.data, 0, query.len) || memchr(measure.data, 0, measure.len))
        return wn_fail_line(err, WN_ERR_FORMAT, lines->path, lines->line, "a NUL byte in an id");
    wn_buf_clear(key);
    WN_TRY(wn_buf_append(key, query.data, query.len, err));
    WN_TRY(wn_buf_append(key, " ", 1, err));
    WN_TRY(wn_buf_append(key, measure.data, measure.len, err));
    uint32_t at;
    bool fresh;
    WN_TRY(wn_id_table_add(&zscores->keys, key->data, key->len, &at, &fresh, err));
    if (!fresh)
        return wn_fail_line(err, WN_ERR_FORMAT, lines->path, lines->line,
                            "%s was given before", key->data);
    WN_TRY(wn_grow(&zscores->references, &zscores->cap, at + 1, sizeof r, err));
    zscores->references[at] = r;
    return WN_OK;
}

wn_status wn_zscores_read(const char *path, wn_zscores **out, wn_error *err) {
    wn_lines lines;
    wn_buf key = {0};
    wn_zscores *zscores = wn_calloc(1, sizeof *zscores);
    if (!zscores) return wn_fail_memory(err, sizeof *zscores);
    wn_status st = wn_lines_open(path, &lines, err);
    for (wn_str line; st == WN_OK && wn_lines_next_content(&lines, &line);)
        st = read_line(zscores, &lines, line, &key, err);
    if (st == WN_OK && !zscores->keys.count)
        st = wn_fail(err, WN_ERR_FORMAT, "%s: no z-score in it", path);
    wn_lines_release(&lines);
    wn_buf_release(&key);
    if (st == WN_OK) *out = zscores;
    else wn_zscores_free(zscores);
    return st;
}

void wn_zscores_free(wn_zscores *zscores) {
    if (!zscores) return;
    wn_id_table_release(&zscores->keys);
    wn_free(zscores->references);
    wn_free(zscores);
}

static double convert(const wn_zscores *zscores, const char *query, const char *measure,
                      double value) {
    char key[512];
    uint32_t at;
    size_t a = strlen(query), b = strlen(measure);
    if (a + b + 2 > sizeof key) return MISSING;
    memcpy(key, query, a);
    key[a] = ' ';
    memcpy(key + a + 1, measure, b);
    if (!wn_id_table_find(&zscores->keys, key, a + b + 1, &at)) return MISSING;
    const reference *r = &zscores->references[at];
    if (r->deviation != 0) return (value - r->mean) / r->deviation;
    return value == r->mean ? 0 : MISSING;
}

void wn_zscores_apply(const wn_zscores *zscores, wn_evaluation *evaluation) {
    for (size_t v = 0; v < evaluation->nvalues; v++) {
        double *column = evaluation->columns + v * evaluation->nqueries;
        for (size_t q = 0; q < evaluation->nqueries; q++)
            column[q] = convert(zscores, evaluation->queries[q], evaluation->infos[v].name,
                                column[q]);
        evaluation->infos[v].integer = false; /* num_q too, as trec_eval prints it */
    }
}
