/* lines.h -- a text file as lines, a line as fields, a field as a number.
 * Everything that evaluation reads is lines of fields; here is the one place that counts lines. */
#ifndef WN_EVAL_LINES_H
#define WN_EVAL_LINES_H
#include "core/file.h"

typedef struct wn_lines {
    const char *path; /* borrowed; "standard input" for "-" */
    wn_map map;       /* a regular file is mapped, a pipe is read whole */
    wn_buf buffer;
    const char *next, *end;
    int64_t line;     /* of the text that wn_lines_next gave last, from 1 */
} wn_lines;

/* path "-" is standard input. Release also after a failed open. */
wn_status wn_lines_open(const char *path, wn_lines *out, wn_error *err);
/* The same over bytes in memory (borrowed). */
void wn_lines_over(const char *name, const void *bytes, size_t len, wn_lines *out);
void wn_lines_release(wn_lines *lines);
/* The next line without its end (\n or \r\n); false at the end of the file. */
bool wn_lines_next(wn_lines *lines, wn_str *out);
/* The same, passing over empty lines and those that begin with #. */
bool wn_lines_next_content(wn_lines *lines, wn_str *out);

/* The next run of bytes that are not white space; false when the line is used up. */
bool wn_field_next(wn_str *rest, wn_str *out);
/* What stands before the next tab, maybe nothing; false when the line is used up. */
bool wn_field_next_tab(wn_str *rest, wn_str *out);
/* The whole field as a decimal number, or false. No locale is asked. */
bool wn_field_real(wn_str field, double *out);
/* As an integer of 32 bits; zeros after a decimal point are allowed ("1.0"). */
bool wn_field_integer(wn_str field, int32_t *out);

/* A field that is to be an id: WN_ERR_FORMAT with file and line when it holds a NUL byte. */
wn_status wn_check_id(const wn_lines *lines, wn_str id, const char *what, wn_error *err);
/* WN_ERR_ARGUMENT when an id can't stand in a column of a TREC file. */
wn_status wn_check_column(const char *id, const char *path, wn_error *err);
#endif
