/* report_parts.h -- the inside of a report, for those who fill it and those who print it. */
#ifndef WN_RECORDS_REPORT_PARTS_H
#define WN_RECORDS_REPORT_PARTS_H
#include "records/records.h"

enum { REC_MAX_COLUMNS = 32 };

typedef struct rec_column {
    char *key, *title; /* title NULL: not for people */
    int decimals;
    bool sign, left;
} rec_column;

typedef struct rec_section {
    rec_section_kind kind;
    char *key, *title, *note;
    json_t *rows; /* array of objects */
    rec_column columns[REC_MAX_COLUMNS];
    size_t ncolumns;
} rec_section;

struct rec_report {
    rec_section *sections;
    size_t count, cap;
    bool failed;
};
#endif
