/* svg.h -- the few parts that a chart is made of, written as SVG text.
 *
 * A chart is one <svg role="img"> with a title and a description, two axes, and marks that carry their
 * numbers as data-* attributes, so that a program can read off what a person sees. Colours are
 * classes: the page's style sheet decides them, light or dark. All text is escaped. */
#ifndef WN_CLI_SVG_H
#define WN_CLI_SVG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Text of anybody as HTML or XML text, or within double quotes. Control characters, which XML has no
 * way to say, become U+FFFD. */
void html_escape(FILE *f, const char *text);
void html_escape_bytes(FILE *f, const char *text, size_t len);

/* From values to places along one direction of the picture. */
typedef struct svg_axis {
    double low, high; /* values; low < high */
    double from, to;  /* places of them */
    bool root;        /* places by the square root of the distance from low: more room for small values */
} svg_axis;
double svg_at(const svg_axis *axis, double value);

enum { SVG_MAX_TICKS = 12 };
/* Round values within [low, high], about `want` of them, at most SVG_MAX_TICKS; the number of decimals
 * that tells them apart in *decimals. */
size_t svg_ticks(double low, double high, size_t want, double out[SVG_MAX_TICKS], int *decimals);

/* id is an XML name of ours; title and description are anybody's text. */
void svg_begin(FILE *f, const char *id, int width, int height, const char *title, const char *description);
void svg_end(FILE *f);
/* A label of the picture; anchor is start, middle or end. */
void svg_text(FILE *f, double x, double y, const char *anchor, const char *class_name, const char *text);
/* The axis below, at height y, with its ticks' values and a name. */
void svg_axis_below(FILE *f, const svg_axis *x, double y, const double *ticks, size_t n, int decimals,
                    const char *name);
/* The axis at the left, at x, with grid lines to `right`; its name stands above it. */
void svg_axis_left(FILE *f, const svg_axis *y, double x, double right, const double *ticks, size_t n,
                   int decimals, const char *name);
/* A mark's title, which browsers show under the pointer; printf-like, escaped. */
void svg_title(FILE *f, const char *fmt, ...)
#ifdef __GNUC__
    __attribute__((format(printf, 2, 3)))
#endif
    ;
#endif
