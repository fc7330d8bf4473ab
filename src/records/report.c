/* report.c -- sections of named values.
 *
 * Values are kept as JSON objects from the start (their members keep their order); beside them stands,
 * a column, how people shall see it: the command line prints tables, Markdown and CSV from that. */
#include "records/records.h"
#include "records/report_parts.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

rec_report *rec_report_create(void) {
    return calloc(1, sizeof(rec_report));
}

void rec_report_free(rec_report *report) {
    if (!report) return;
    for (size_t i = 0; i < report->count; i++) {
        rec_section *s = &report->sections[i];
        for (size_t c = 0; c < s->ncolumns; c++) {
            free(s->columns[c].key);
            free(s->columns[c].title);
        }
        free(s->key);
        free(s->title);
        free(s->note);
        json_decref(s->rows);
    }
    free(report->sections);
    free(report);
}

static char *copy(rec_report *report, const char *text) {
    char *mine = text ? strdup(text) : NULL;
    if (text && !mine) report->failed = true;
    return mine;
}

/* ---- Filling ------------------------------------------------------------------- */

static rec_section *current(rec_report *report) {
    return report->failed || !report->count ? NULL : &report->sections[report->count - 1];
}

void rec_report_section(rec_report *report, rec_section_kind kind, const char *key, const char *title) {
    if (report->count == report->cap) {
        size_t cap = report->cap ? 2 * report->cap : 8;
        rec_section *sections = realloc(report->sections, cap * sizeof *sections);
        if (!sections) {
            report->failed = true;
            return;
        }
        report->sections = sections;
        report->cap = cap;
    }
    rec_section *s = &report->sections[report->count++];
    *s = (rec_section){.kind = kind, .key = copy(report, key), .title = copy(report, title),
                   .rows = json_array()};
    if (!s->rows) report->failed = true;
    else if (kind == SECTION_RECORD) rec_report_row(report);
}

void rec_report_row(rec_report *report) {
    rec_section *s = current(report);
    if (s && json_array_append_new(s->rows, json_object()) != 0) report->failed = true;
}

static void put(rec_report *report, const char *key, rec_column how, json_t *value) {
    rec_section *s = current(report);
    json_t *row = s ? json_array_get(s->rows, json_array_size(s->rows) - 1) : NULL;
    if (!row || !value || json_object_set_new(row, key, value) != 0) {
        if (!row) json_decref(value);
        report->failed = true;
        return;
    }
    for (size_t c = 0; c < s->ncolumns; c++)
        if (strcmp(s->columns[c].key, key) == 0) return;
    if (s->ncolumns == REC_MAX_COLUMNS) {
        report->failed = true;
        return;
    }
    const char *title = how.title;
    how.key = copy(report, key);
    how.title = copy(report, title);
    if (how.key) s->columns[s->ncolumns++] = how;
}

void rec_put_text(rec_report *report, const char *key, const char *title, const char *value) {
    put(report, key, (rec_column){.title = (char *)(uintptr_t)title, .left = true}, rec_text(value));
}

void rec_put_int(rec_report *report, const char *key, const char *title, long long value) {
    put(report, key, (rec_column){.title = (char *)(uintptr_t)title}, json_integer(value));
}

void rec_put_bool(rec_report *report, const char *key, const char *title, bool value) {
    put(report, key, (rec_column){.title = (char *)(uintptr_t)title, .left = true}, json_boolean(value));
}

void rec_put_real(rec_report *report, const char *key, const char *title, double value, int decimals) {
    put(report, key, (rec_column){.title = (char *)(uintptr_t)title, .decimals = decimals},
        rec_real(value));
}

void rec_put_signed(rec_report *report, const char *key, const char *title, double value, int decimals) {
    put(report, key, (rec_column){.title = (char *)(uintptr_t)title, .decimals = decimals, .sign = true},
        rec_real(value));
}

static void put_pair(rec_report *report, const char *key, const char *title, double low, double high,
                     int decimals, bool sign) {
    put(report, key, (rec_column){.title = (char *)(uintptr_t)title, .decimals = decimals, .sign = sign},
        json_pack("[o, o]", rec_real(low), rec_real(high)));
}

void rec_put_interval(rec_report *report, const char *key, const char *title, double low, double high,
                      int decimals) {
    put_pair(report, key, title, low, high, decimals, true);
}

void rec_put_range(rec_report *report, const char *key, const char *title, double low, double high,
                   int decimals) {
    put_pair(report, key, title, low, high, decimals, false);
}

void rec_report_note(rec_report *report, const char *fmt, ...) {
    rec_section *s = current(report);
    if (!s) return;
    char *text = NULL, *both = NULL;
    va_list args;
    va_start(args, fmt);
    int n = vasprintf(&text, fmt, args);
    va_end(args);
    if (n < 0 || asprintf(&both, "%s%s%s", s->note ? s->note : "", s->note ? "\n" : "", text) < 0) {
        report->failed = true;
        if (n >= 0) free(text);
        return;
    }
    free(text);
    free(s->note);
    s->note = both;
}

json_t *rec_report_json(const rec_report *report) {
    json_t *all = report->failed ? NULL : json_object();
    for (size_t i = 0; all && i < report->count; i++) {
        const rec_section *s = &report->sections[i];
        if (json_object_set(all, s->key, s->kind == SECTION_RECORD ? json_array_get(s->rows, 0) : s->rows) != 0) {
            json_decref(all);
            all = NULL;
        }
    }
    return all;
}

/* ---- Values ------------------------------------------------------------------- */

json_t *rec_real(double value) { return isfinite(value) ? json_real(value) : json_null(); }

json_t *rec_textn(const char *text, size_t len) {
    json_t *value = json_stringn(text, len);
    if (value) return value;
    char *ascii = malloc(len + 1);
    for (size_t i = 0; ascii && i < len; i++) ascii[i] = (unsigned char)text[i] >= 0x80 ? '?' : text[i];
    value = ascii ? json_stringn(ascii, len) : NULL;
    free(ascii);
    return value;
}

json_t *rec_text(const char *text) { return text ? rec_textn(text, strlen(text)) : json_null(); }
