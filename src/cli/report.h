/* report.h -- what a command found out, as a table, JSON, Markdown or CSV from one description.
 *
 * A report is sections; a section is rows of named values. A value is put once, with its key for
 * programs and its title for people, so that the four formats can't tell different numbers. */
#ifndef WN_CLI_REPORT_H
#define WN_CLI_REPORT_H
#include "cli.h"

typedef enum { REPORT_TABLE, REPORT_JSON, REPORT_MD, REPORT_CSV } report_format;
extern const char *const REPORT_FORMATS[]; /* in that order */

typedef enum {
    SECTION_TABLE,  /* an array of objects in JSON */
    SECTION_RECORD  /* one row: an object in JSON, a line a value in a table */
} section_kind;

typedef struct cli_report cli_report;
cli_report *cli_report_create(void); /* NULL when out of memory, told */
void cli_report_free(cli_report *report);
/* What follows goes into this section. key is its name in JSON, title its heading. A record has its row
 * already, a table needs cli_report_row before each. Running out of memory is kept for the end. */
void cli_report_section(cli_report *report, section_kind kind, const char *key, const char *title);
void cli_report_row(cli_report *report);
/* Titles: NULL leaves the column out of tables and Markdown (JSON and CSV have all). */
void cli_put_text(cli_report *report, const char *key, const char *title, const char *value);
void cli_put_int(cli_report *report, const char *key, const char *title, long long value);
void cli_put_bool(cli_report *report, const char *key, const char *title, bool value);
/* decimals are for people; NaN is null, "-" and an empty field. `sign` prints a plus too. */
void cli_put_real(cli_report *report, const char *key, const char *title, double value, int decimals);
void cli_put_signed(cli_report *report, const char *key, const char *title, double value, int decimals);
/* An array in JSON, "[low, high]" for people, two columns KEY_low and KEY_high in CSV. */
void cli_put_interval(cli_report *report, const char *key, const char *title, double low, double high,
                      int decimals);
/* The same without signs. */
void cli_put_range(cli_report *report, const char *key, const char *title, double low, double high,
                   int decimals);
/* A line for people, above (or below, when no row follows) what the current section shows. */
void cli_report_note(cli_report *report, const char *fmt, ...) WN_PRINTF(2, 3);
/* Prints and frees; the exit code. */
int cli_report_print(cli_report *report, report_format format);
#endif
