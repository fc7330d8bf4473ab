/* report.c -- a report printed in four formats. Markdown is GitHub's; CSV is RFC 4180 with an empty line
 * between sections, each with its own header. */
#include "report.h"
#include "records/report_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

const char *const REPORT_FORMATS[] = {"table", "json", "md", "csv", NULL};

enum { MAX_COLUMNS = REC_MAX_COLUMNS, MAX_CELL = 60 };
typedef rec_column column;
typedef rec_section section;

rec_report *cli_report_create(void) {
    rec_report *report = rec_report_create();
    if (!report) cli_fail_memory();
    return report;
}

/* ---- A value as text -------------------------------------------------------------- */

static int print_number(char *out, size_t size, const json_t *value, const column *c) {
    if (json_is_integer(value))
        return snprintf(out, size, "%lld", (long long)json_integer_value(value));
    if (!json_is_real(value)) return snprintf(out, size, "-");
    return snprintf(out, size, c->sign ? "%+.*f" : "%.*f", c->decimals, json_real_value(value));
}

/* For people. Borrowed: `out`, or the string itself. */
static const char *cell(const json_t *value, const column *c, char *out, size_t size) {
    if (json_is_string(value)) return json_string_value(value);
    if (json_is_true(value)) return "yes";
    if (json_is_false(value)) return "";
    if (json_is_array(value)) {
        char low[32], high[32];
        print_number(low, sizeof low, json_array_get(value, 0), c);
        print_number(high, sizeof high, json_array_get(value, 1), c);
        snprintf(out, size, "[%s, %s]", low, high);
    } else {
        print_number(out, size, value, c);
    }
    return out;
}

static int text_columns(const char *text) {
    int n = 0;
    utf8proc_int32_t cp;
    for (utf8proc_ssize_t step; *text; text += step) {
        step = utf8proc_iterate((const utf8proc_uint8_t *)text, -1, &cp);
        if (step <= 0) step = 1, cp = '?';
        n += utf8proc_charwidth(cp);
    }
    return n;
}

/* ---- Table and Markdown ------------------------------------------------------------- */

static void print_padding(int n) {
    for (; n > 0; n--) putchar(' ');
}

static void print_record(const section *s) {
    const json_t *row = json_array_get(s->rows, 0);
    char buf[96];
    int width = 0;
    for (size_t c = 0; c < s->ncolumns; c++) {
        int n = s->columns[c].title ? text_columns(s->columns[c].title) : 0;
        if (n > width) width = n;
    }
    for (size_t c = 0; c < s->ncolumns; c++) {
        const column *col = &s->columns[c];
        if (!col->title) continue;
        printf("  %s", col->title);
        print_padding(width - text_columns(col->title) + 2);
        const char *text = cell(json_object_get(row, col->key), col, buf, sizeof buf);
        cli_print_snippet(stdout, text, strlen(text), 1000);
        putchar('\n');
    }
}

static void print_table_cell(const char *text, const column *c, int width, bool last) {
    int n = text_columns(text);
    if (!c->left) print_padding(width - n);
    if (c->left && last) cli_print_snippet(stdout, text, strlen(text), width);
    else if (c->left) cli_print_cell(stdout, text, width);
    else fputs(text, stdout);
    if (!last) fputs("  ", stdout);
}

static void print_table(const section *s, bool color) {
    int width[MAX_COLUMNS] = {0};
    size_t last = 0, i;
    json_t *row;
    char buf[96];
    for (size_t c = 0; c < s->ncolumns; c++) {
        const column *col = &s->columns[c];
        if (!col->title) continue;
        last = c;
        width[c] = text_columns(col->title);
        json_array_foreach(s->rows, i, row) {
            int n = text_columns(cell(json_object_get(row, col->key), col, buf, sizeof buf));
            if (n > MAX_CELL) n = MAX_CELL;
            if (n > width[c]) width[c] = n;
        }
    }
    if (color) fputs("\x1b[1m", stdout);
    for (size_t c = 0; c < s->ncolumns; c++)
        if (s->columns[c].title) print_table_cell(s->columns[c].title, &s->columns[c], width[c], c == last);
    puts(color ? "\x1b[0m" : "");
    json_array_foreach(s->rows, i, row) {
        for (size_t c = 0; c < s->ncolumns; c++) {
            const column *col = &s->columns[c];
            if (!col->title) continue;
            print_table_cell(cell(json_object_get(row, col->key), col, buf, sizeof buf), col, width[c],
                             c == last);
        }
        putchar('\n');
    }
}

static void print_people(const rec_report *report) {
    bool color = cli_color(stdout);
    for (size_t i = 0; i < report->count; i++) {
        const section *s = &report->sections[i];
        if (i) putchar('\n');
        if (s->title) printf("%s%s%s\n", color ? "\x1b[1m" : "", s->title, color ? "\x1b[0m" : "");
        if (s->kind == SECTION_RECORD) print_record(s);
        else if (json_array_size(s->rows)) print_table(s, color);
        if (s->note) printf("%s\n", s->note);
    }
}

/* White space folded, | escaped. */
static void print_md_cell(const char *text) {
    for (; *text; text++) {
        if (*text == '|') fputs("\\|", stdout);
        else putchar(strchr("\r\n\t", *text) ? ' ' : *text);
    }
}

static void print_md_rows(const section *s) {
    size_t i;
    json_t *row;
    char buf[96];
    for (int line = 0; line < 2; line++) {
        for (size_t c = 0; c < s->ncolumns; c++) {
            if (!s->columns[c].title) continue;
            fputs("| ", stdout);
            if (line) fputs(s->columns[c].left ? "---" : "--:", stdout);
            else print_md_cell(s->columns[c].title);
            putchar(' ');
        }
        puts("|");
    }
    json_array_foreach(s->rows, i, row) {
        for (size_t c = 0; c < s->ncolumns; c++) {
            if (!s->columns[c].title) continue;
            fputs("| ", stdout);
            print_md_cell(cell(json_object_get(row, s->columns[c].key), &s->columns[c], buf, sizeof buf));
            putchar(' ');
        }
        puts("|");
    }
}

static void print_md(const rec_report *report) {
    char buf[96];
    for (size_t i = 0; i < report->count; i++) {
        const section *s = &report->sections[i];
        if (i) putchar('\n');
        if (s->title) printf("## %s\n\n", s->title);
        if (s->kind == SECTION_RECORD) {
            puts("| | |\n|---|---|");
            for (size_t c = 0; c < s->ncolumns; c++) {
                const column *col = &s->columns[c];
                if (!col->title) continue;
                fputs("| ", stdout);
                print_md_cell(col->title);
                fputs(" | ", stdout);
                print_md_cell(cell(json_object_get(json_array_get(s->rows, 0), col->key), col, buf, sizeof buf));
                puts(" |");
            }
        } else if (json_array_size(s->rows)) {
            print_md_rows(s);
        }
        if (s->note) printf("\n%s\n", s->note);
    }
}

/* ---- CSV and JSON -------------------------------------------------------------------- */

static void print_csv_text(const char *text) {
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, stdout);
        return;
    }
    putchar('"');
    for (; *text; text++) {
        if (*text == '"') putchar('"');
        putchar(*text);
    }
    putchar('"');
}

static void print_csv_value(const json_t *value) {
    if (json_is_string(value)) print_csv_text(json_string_value(value));
    else if (json_is_integer(value)) printf("%lld", (long long)json_integer_value(value));
    else if (json_is_real(value)) printf("%.9g", json_real_value(value));
    else if (json_is_boolean(value)) fputs(json_is_true(value) ? "true" : "false", stdout);
}

static void print_csv_section(const section *s) {
    size_t i;
    json_t *row, *first = json_array_get(s->rows, 0);
    for (size_t c = 0; c < s->ncolumns; c++) {
        const char *key = s->columns[c].key;
        if (c) putchar(',');
        if (json_is_array(json_object_get(first, key))) printf("%s_low,%s_high", key, key);
        else print_csv_text(key);
    }
    fputs("\r\n", stdout);
    json_array_foreach(s->rows, i, row) {
        for (size_t c = 0; c < s->ncolumns; c++) {
            const json_t *value = json_object_get(row, s->columns[c].key);
            if (c) putchar(',');
            print_csv_value(json_is_array(value) ? json_array_get(value, 0) : value);
            if (!json_is_array(value)) continue;
            putchar(',');
            print_csv_value(json_array_get(value, 1));
        }
        fputs("\r\n", stdout);
    }
}

int cli_report_print(rec_report *report, report_format format) {
    json_t *json = rec_report_json(report);
    if (!json) {
        rec_report_free(report);
        return cli_fail_memory();
    }
    switch (format) {
    case REPORT_TABLE: print_people(report); break;
    case REPORT_MD: print_md(report); break;
    case REPORT_JSON: cli_print_json(stdout, json_incref(json)); break;
    case REPORT_CSV:
        for (size_t i = 0; i < report->count; i++) {
            if (i) fputs("\r\n", stdout);
            print_csv_section(&report->sections[i]);
        }
        break;
    }
    json_decref(json);
    rec_report_free(report);
    return cli_finish_output();
}
