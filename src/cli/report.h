/* report.h -- a report (records/records.h) as a table, JSON, Markdown or CSV. */
#ifndef WN_CLI_REPORT_H
#define WN_CLI_REPORT_H
#include "cli.h"

typedef enum { REPORT_TABLE, REPORT_JSON, REPORT_MD, REPORT_CSV } report_format;
extern const char *const REPORT_FORMATS[]; /* in that order */

rec_report *cli_report_create(void); /* NULL when out of memory, told */
/* Prints and frees; the exit code. */
int cli_report_print(rec_report *report, report_format format);
#endif
