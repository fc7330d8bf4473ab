/* report_figures.c -- the five figures of a report, each from the document alone.
 *
 * All are 400 units wide, with type of 13, so that they can be read on a phone (where a unit is about 0.9
 * pixels) as well as in two columns. No figure tells by colour alone: what got worse is dashed,
 * systems differ by shape, and every number stands in a table too. Marks carry data-* attributes with
 * the document's numbers as %.9g, which is how the document prints them. */
#include "report_page.h"
#include "svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 400, LEFT = 52, RIGHT = 388, TOP = 40 };

static double at(const json_t *pair, size_t i) {
    const json_t *value = json_array_get(pair, i);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* data-NAME="number", or data-NAME="" for null. */
static void data(FILE *f, const char *name, double value) {
    if (isfinite(value)) fprintf(f, " data-%s=\"%.9g\"", name, value);
    else fprintf(f, " data-%s=\"\"", name);
}

static void line(FILE *f, const char *class_name, double x1, double y1, double x2, double y2) {
    fprintf(f, "<line class=\"%s\" x1=\"%.2f\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\"/>\n", class_name, x1, y1, x2,
            y2);
}

/* Limits that hold all of [n] with some air; equal values get a range too. */
static void limits(const double *values, size_t n, double *low, double *high) {
    *low = INFINITY, *high = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(values[i])) continue;
        if (values[i] < *low) *low = values[i];
        if (values[i] > *high) *high = values[i];
    }
    double air = (*high - *low) * 0.08;
    if (!(air > 1e-9)) air = 0.05;
    *low -= air;
    *high += air;
}

/* ---- Slopes ------------------------------------------------------------------------------ */

enum { SLOPE_X1 = 56, SLOPE_X2 = 344, SLOPE_BOTTOM = 360, SLOPE_NONE = 392, SLOPE_HEIGHT = 412 };

static double slope_y(const svg_axis *ranks, double rank) {
    return isfinite(rank) ? svg_at(ranks, rank) : SLOPE_NONE;
}

static const char *slope_class(double before, double after) {
    if (!isfinite(before) && !isfinite(after)) return "same";
    if (!isfinite(after)) return "loss";
    if (!isfinite(before)) return "gain";
    return after < before ? "gain" : after > before ? "loss" : "same";
}

static void rank_text(double rank, char *buf, size_t size) {
    if (isfinite(rank)) snprintf(buf, size, "%.0f", rank);
    else snprintf(buf, size, "none");
}

static void draw_slope(FILE *f, const svg_axis *ranks, const json_t *slope) {
    double before = page_number(slope, "before"), after = page_number(slope, "after"),
           count = page_number(slope, "count");
    double y1 = slope_y(ranks, before), y2 = slope_y(ranks, after);
    char from[32], to[32];
    const char *id = json_string_value(json_array_get(page_array(slope, "ids"), 0));
    const char *kind = slope_class(before, after);
    rank_text(before, from, sizeof from);
    rank_text(after, to, sizeof to);
    fprintf(f, "<g class=\"slope %s\"", kind);
    data(f, "before", before);
    data(f, "after", after);
    data(f, "count", count);
    fputc('>', f);
    if (count == 1)
        svg_title(f, "rank %s before, %s after: query %s", from, to, id ? id : "");
    else svg_title(f, "rank %s before, %s after: %.0f times", from, to, count);
    fprintf(f, "<line x1=\"%d\" y1=\"%.2f\" x2=\"%d\" y2=\"%.2f\" stroke-width=\"%.2f\"/>", SLOPE_X1, y1,
            SLOPE_X2, y2, count > 1 ? fmin(9, 1.4 * sqrt(count)) : 1.4);
    fprintf(f, "<circle cx=\"%d\" cy=\"%.2f\" r=\"3\"/><circle cx=\"%d\" cy=\"%.2f\" r=\"3\"/></g>\n", SLOPE_X1,
            y1, SLOPE_X2, y2);
}

static void draw_ranks(FILE *f, const svg_axis *ranks, double highest, bool none) {
    static const double marks[] = {1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 500, 1000};
    char label[32];
    svg_text(f, SLOPE_X1, 22, "middle", "name strong", "before");
    svg_text(f, SLOPE_X2, 22, "middle", "name strong", "after");
    line(f, "axis", SLOPE_X1, TOP, SLOPE_X1, SLOPE_BOTTOM);
    line(f, "axis", SLOPE_X2, TOP, SLOPE_X2, SLOPE_BOTTOM);
    for (size_t i = 0; i < sizeof marks / sizeof *marks && marks[i] <= highest; i++) {
        double y = svg_at(ranks, marks[i]);
        snprintf(label, sizeof label, "%.0f", marks[i]);
        svg_text(f, SLOPE_X1 - 9, y + 4, "end", "tick", label);
        svg_text(f, SLOPE_X2 + 9, y + 4, "start", "tick", label);
    }
    if (!none) return;
    svg_text(f, SLOPE_X1 - 9, SLOPE_NONE + 4, "end", "tick", "none");
    svg_text(f, SLOPE_X2 + 9, SLOPE_NONE + 4, "start", "tick", "none");
}

bool figure_slopes(FILE *f, const json_t *root) {
    const json_t *slopes = page_array(root, "slopes"), *slope;
    const bool labels = json_array_size(page_array(root, "measures")) > 0;
    double highest = 5, up = 0, down = 0, same = 0;
    bool none = false;
    size_t i;
    char desc[256];
    json_array_foreach(slopes, i, slope) {
        double before = page_number(slope, "before"), after = page_number(slope, "after"),
               n = page_number(slope, "count");
        const char *kind = slope_class(before, after);
        *(*kind == 'g' ? &up : *kind == 'l' ? &down : &same) += n;
        none = none || !isfinite(before) || !isfinite(after);
        if (before > highest) highest = before;
        if (after > highest) highest = after;
    }
    if (!json_array_size(slopes)) return false;
    svg_axis ranks = {1, highest, TOP, SLOPE_BOTTOM, true};
    snprintf(desc, sizeof desc,
             "%.0f moved up, %.0f moved down, %.0f stayed. Lines join the rank before reranking "
             "(left) and after it (right); rank 1 is at the top. Wider lines stand for more.",
             up, down, same);
    svg_begin(f, "fig-slopes", WIDTH, none ? SLOPE_HEIGHT : SLOPE_BOTTOM + 20,
              labels ? "Rank of the labelled answer before and after reranking"
                     : "Rank of the final results before and after reranking",
              desc);
    draw_ranks(f, &ranks, highest, none);
    /* What stayed lies below, what got worse on top. */
    for (int pass = 0; pass < 3; pass++)
        json_array_foreach(slopes, i, slope)
            if (*slope_class(page_number(slope, "before"), page_number(slope, "after")) == "sgl"[pass])
                draw_slope(f, &ranks, slope);
    svg_end(f);
    return true;
}

/* ---- Quality against first_stage_k ------------------------------------------------------------ */

static const json_t *first_stage_alone(const json_t *root) {
    const char *stage = page_string(json_object_get(root, "settings"), "first_stage");
    const json_t *row;
    size_t i;
    json_array_foreach(page_array(root, "systems"), i, row)
        if (!*page_string(row, "reranker") && !strcmp(page_string(row, "first_stage"), stage)) return row;
    return NULL;
}

static void draw_band(FILE *f, const json_t *rows, const svg_axis *x, const svg_axis *y) {
    const json_t *row;
    size_t i, n = json_array_size(rows);
    fputs("<polygon class=\"band\" points=\"", f);
    json_array_foreach(rows, i, row)
        fprintf(f, "%.2f,%.2f ", svg_at(x, page_number(row, "first_stage_k")),
                svg_at(y, at(page_array(row, "interval_95"), 1)));
    for (i = n; i-- > 0;) {
        row = json_array_get(rows, i);
        fprintf(f, "%.2f,%.2f ", svg_at(x, page_number(row, "first_stage_k")),
                svg_at(y, at(page_array(row, "interval_95"), 0)));
    }
    fputs("\"/>\n", f);
}

static void draw_depth(FILE *f, const json_t *row, const char *key, const svg_axis *x, const svg_axis *y) {
    double k = page_number(row, "first_stage_k"), value = page_number(row, key);
    double low = at(page_array(row, "interval_95"), 0), high = at(page_array(row, "interval_95"), 1);
    double px = svg_at(x, k), py = svg_at(y, value);
    fputs("<g class=\"depth\"", f);
    data(f, "k", k);
    data(f, key, value);
    if (isfinite(low)) {
        data(f, "low", low);
        data(f, "high", high);
        fputc('>', f);
        svg_title(f, "%.0f candidates: %.4f, 95 %% interval %.4f to %.4f", k, value, low, high);
        line(f, "whisker", px, svg_at(y, low), px, svg_at(y, high));
    } else {
        fputc('>', f);
        svg_title(f, "%.0f candidates: %.4f", k, value);
    }
    fprintf(f, "<circle class=\"dot\" cx=\"%.2f\" cy=\"%.2f\" r=\"4\"/>", px, py);
    if (page_true(row, "best")) fprintf(f, "<circle class=\"ring\" cx=\"%.2f\" cy=\"%.2f\" r=\"8\"/>", px, py);
    fputs("</g>\n", f);
    if (page_true(row, "best") || page_true(row, "enough"))
        svg_text(f, px > RIGHT - 30 ? RIGHT : px, py - 13, px > RIGHT - 30 ? "end" : "middle", "note",
                 page_true(row, "best") ? "best" : "enough");
}

/* All values that must be seen, for the limits. */
static size_t depth_values(const json_t *rows, const char *key, double alone, double *values) {
    const json_t *row;
    size_t i, n = 0;
    json_array_foreach(rows, i, row) {
        values[n++] = page_number(row, key);
        values[n++] = at(page_array(row, "interval_95"), 0);
        values[n++] = at(page_array(row, "interval_95"), 1);
    }
    values[n++] = alone;
    return n;
}

static void draw_depths(FILE *f, const json_t *rows, const char *key, double alone, const char *name,
                        double deepest, double low, double high) {
    const json_t *row;
    size_t i, nx, ny;
    int decimals_x, decimals_y;
    double ticks_x[SVG_MAX_TICKS], ticks_y[SVG_MAX_TICKS];
    svg_axis x = {0, deepest, LEFT, RIGHT - 10, false}, y = {low, high, 250, TOP, false};
    nx = svg_ticks(0, deepest, 6, ticks_x, &decimals_x);
    ny = svg_ticks(low, high, 5, ticks_y, &decimals_y);
    svg_axis_left(f, &y, LEFT, RIGHT, ticks_y, ny, decimals_y, name);
    svg_axis_below(f, &x, 250, ticks_x, nx, decimals_x, "candidates a query (first_stage_k)");
    if (isfinite(alone)) {
        double py = svg_at(&y, alone);
        fputs("<g class=\"alone\"", f);
        data(f, "quality", alone);
        fputc('>', f);
        svg_title(f, "first stage alone: %.4f", alone);
        line(f, "baseline", LEFT, py, RIGHT, py);
        fputs("</g>\n", f);
        bool below = py > svg_at(&y, page_number(json_array_get(rows, json_array_size(rows) - 1), key));
        svg_text(f, RIGHT, below ? py + 15 : py - 7, "end", "note", "first stage alone");
    }
    if (json_array_size(page_array(json_array_get(rows, 0), "interval_95")) && json_array_size(rows) > 1)
        draw_band(f, rows, &x, &y);
    fputs("<polyline class=\"curve\" points=\"", f);
    json_array_foreach(rows, i, row)
        fprintf(f, "%.2f,%.2f ", svg_at(&x, page_number(row, "first_stage_k")),
                svg_at(&y, page_number(row, key)));
    fputs("\"/>\n", f);
    json_array_foreach(rows, i, row) draw_depth(f, row, key, &x, &y);
}

bool figure_depths(FILE *f, const json_t *root) {
    const json_t *rows = page_array(root, "depths");
    size_t n = json_array_size(rows);
    bool labels = json_array_size(page_array(root, "measures")) > 0;
    const char *key = "quality";
    double alone = labels ? page_number(first_stage_alone(root), "quality") : NAN, low, high;
    double deepest = page_number(json_array_get(rows, n ? n - 1 : 0), "first_stage_k");
    char buf[64], name[128];
    if (!n || !(deepest > 0)) return false;
    double *values = calloc(3 * n + 1, sizeof *values);
    if (!values) return false;
    limits(values, depth_values(rows, key, alone, values), &low, &high);
    free(values);
    const char *measure =
        report_measure_name(page_string(json_object_get(root, "settings"), "measure"), buf, sizeof buf);
    snprintf(name, sizeof name, "%s", labels ? measure : "rank-biased overlap with the deepest ranking");
    svg_begin(f, "fig-depths", WIDTH, 292,
              labels ? "Quality against the number of candidates" : "Agreement with the deepest reranking",
              labels ? "Dots are averages over the queries, bars and the band their 95 % bootstrap intervals; "
                       "the dashed "
                       "line is the first stage alone."
                     : "Dots are the average rank-biased overlap of the first ten results with those at the "
                       "largest depth, bars and "
                       "the band their 95 % intervals.");
    draw_depths(f, rows, key, alone, name, deepest, low, high);
    svg_end(f);
    return true;
}

/* ---- Latency ------------------------------------------------------------------------------------- */

static void draw_percentile(FILE *f, const svg_axis *x, double value, const char *name, double y) {
    char label[64];
    double px = svg_at(x, value);
    snprintf(label, sizeof label, "%s %.0f ms", name, value);
    fprintf(f, "<g class=\"percentile\" data-name=\"%s\"", name);
    data(f, "value", value);
    fputc('>', f);
    line(f, "baseline", px, y, px, 250);
    fputs("</g>\n", f);
    svg_text(f, px, y - 4, px > RIGHT - 60 ? "end" : px < LEFT + 60 ? "start" : "middle", "note", label);
}

bool figure_latency(FILE *f, const json_t *root) {
    const json_t *latency = json_object_get(root, "latency"), *bins = page_array(latency, "bins"), *bin;
    size_t i, n = json_array_size(bins), nx, ny;
    double most = 0, ticks[SVG_MAX_TICKS];
    int decimals;
    json_array_foreach(bins, i, bin) most = fmax(most, page_number(bin, "count"));
    if (!n || !(most > 0)) return false;
    double low = page_number(json_array_get(bins, 0), "low"),
           high = page_number(json_array_get(bins, n - 1), "high");
    if (!isfinite(high))
        high = 2 * page_number(json_array_get(bins, n - 1), "low") -
               page_number(json_array_get(bins, n > 1 ? n - 2 : 0), "low");
    if (!(high > low)) high = low + 1;
    svg_axis x = {low, high, LEFT, RIGHT - 12, false}, y = {0, most, 250, TOP + 40, false};
    svg_begin(
        f, "fig-latency", WIDTH, 292, "How long queries take",
        "A histogram of the time of both stages together, a bar for each range of milliseconds; lines mark the "
        "median and the 95th percentile.");
    ny = svg_ticks(0, most, 4, ticks, &decimals);
    if (decimals) ny = svg_ticks(0, most, (size_t)most, ticks, &decimals); /* queries are whole */
    svg_axis_left(f, &y, LEFT, RIGHT, ticks, ny, 0, "queries");
    json_array_foreach(bins, i, bin) {
        double from = page_number(bin, "low"), to = page_number(bin, "high"), count = page_number(bin, "count");
        double x1 = svg_at(&x, from), x2 = svg_at(&x, isfinite(to) ? to : high), top = svg_at(&y, count);
        fputs("<g class=\"bar\"", f);
        data(f, "low", from);
        data(f, "high", to);
        data(f, "count", count);
        fputc('>', f);
        if (isfinite(to)) svg_title(f, "%.1f to %.1f ms: %.0f queries", from, to, count);
        else svg_title(f, "%.1f ms and more: %.0f queries", from, count);
        fprintf(f, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/></g>\n", x1 + 0.75, top,
                fmax(1, x2 - x1 - 1.5), 250 - top);
    }
    nx = svg_ticks(low, high, 5, ticks, &decimals);
    svg_axis_below(f, &x, 250, ticks, nx, decimals, "milliseconds, both stages");
    draw_percentile(f, &x, page_number(latency, "p50_ms"), "median", TOP + 4);
    draw_percentile(f, &x, page_number(latency, "p95_ms"), "p95", TOP + 24);
    svg_end(f);
    return true;
}

/* ---- Pareto front ------------------------------------------------------------------------------------- */

enum { MAX_SHAPES = 6, MAX_FRONT = 256 };

/* Systems of one first stage and reranker share a shape: its number, by order of appearance. */
static size_t shape_of(const json_t *systems, const json_t *system, bool *first) {
    const json_t *row, *earlier;
    size_t i, j, shape = 0;
    json_array_foreach(systems, i, row) {
        bool known = false;
        bool same = !strcmp(page_string(row, "first_stage"), page_string(system, "first_stage")) &&
                    !strcmp(page_string(row, "reranker_hash"), page_string(system, "reranker_hash")) &&
                    !strcmp(page_string(row, "reranker"), page_string(system, "reranker"));
        if (same) {
            *first = row == system;
            return shape;
        }
        for (j = 0; j < i && !known; j++) {
            earlier = json_array_get(systems, j);
            known = !strcmp(page_string(row, "first_stage"), page_string(earlier, "first_stage")) &&
                    !strcmp(page_string(row, "reranker_hash"), page_string(earlier, "reranker_hash")) &&
                    !strcmp(page_string(row, "reranker"), page_string(earlier, "reranker"));
        }
        shape += !known;
    }
    *first = false;
    return shape;
}

static void draw_shape(FILE *f, size_t shape, double x, double y) {
    switch (shape % MAX_SHAPES) {
    case 0: fprintf(f, "<rect x=\"%.2f\" y=\"%.2f\" width=\"9\" height=\"9\"/>", x - 4.5, y - 4.5); break;
    case 1: fprintf(f, "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"5\"/>", x, y); break;
    case 2:
        fprintf(f, "<polygon points=\"%.2f,%.2f %.2f,%.2f %.2f,%.2f\"/>", x, y - 6, x + 6, y + 5, x - 6, y + 5);
        break;
    case 3:
        fprintf(f, "<polygon points=\"%.2f,%.2f %.2f,%.2f %.2f,%.2f %.2f,%.2f\"/>", x, y - 6.5, x + 6.5, y, x,
                y + 6.5, x - 6.5, y);
        break;
    case 4:
        fprintf(f, "<polygon points=\"%.2f,%.2f %.2f,%.2f %.2f,%.2f\"/>", x, y + 6, x + 6, y - 5, x - 6, y - 5);
        break;
    default: fprintf(f, "<path d=\"M%.2f %.2fh10M%.2f %.2fv10\" class=\"cross\"/>", x - 5, y, x, y - 5); break;
    }
}

static void system_name(const json_t *row, char *buf, size_t size) {
    if (*page_string(row, "reranker"))
        snprintf(buf, size, "%s + %s", page_string(row, "first_stage"), page_string(row, "reranker"));
    else snprintf(buf, size, "%s alone", page_string(row, "first_stage"));
}

static void draw_system(FILE *f, const json_t *systems, const json_t *row, const svg_axis *x,
                        const svg_axis *y) {
    bool first;
    char name[256], label[32];
    size_t shape = shape_of(systems, row, &first);
    double k = page_number(row, "first_stage_k"), t = page_number(row, "latency_p50_ms"),
           q = page_number(row, "quality");
    double px = svg_at(x, t), py = svg_at(y, q);
    system_name(row, name, sizeof name);
    fprintf(f, "<g class=\"system s%zu%s\" data-front=\"%s\"", shape % MAX_SHAPES,
            page_true(row, "front") ? "" : " beaten", page_true(row, "front") ? "true" : "false");
    data(f, "k", k);
    data(f, "latency", t);
    data(f, "quality", q);
    fputc('>', f);
    if (isfinite(k)) svg_title(f, "%s, %.0f candidates: %.4f at %.1f ms", name, k, q, t);
    else svg_title(f, "%s: %.4f at %.1f ms", name, q, t);
    draw_shape(f, shape, px, py);
    fputs("</g>\n", f);
    if (!isfinite(k)) return;
    snprintf(label, sizeof label, "%.0f", k);
    svg_text(f, px, py - 10, "middle", "note", label);
}

/* Quality falls, going left on the front, in steps: what is between two systems nobody has. */
static void draw_front(FILE *f, const json_t *systems, const svg_axis *x, const svg_axis *y) {
    const json_t *front[MAX_FRONT], *row;
    size_t n = 0, i, j;
    json_array_foreach(systems, i, row) {
        if (!page_true(row, "front") || n == MAX_FRONT) continue;
        for (j = n++; j > 0 && page_number(front[j - 1], "latency_p50_ms") > page_number(row, "latency_p50_ms");
             j--)
            front[j] = front[j - 1];
        front[j] = row;
    }
    if (n < 2) return;
    fputs("<path class=\"front\" d=\"", f);
    for (i = 0; i < n; i++)
        fprintf(f, i ? "H%.2f V%.2f " : "M%.2f %.2f ", svg_at(x, page_number(front[i], "latency_p50_ms")),
                svg_at(y, page_number(front[i], "quality")));
    fputs("\"/>\n", f);
}

static void draw_legend(FILE *f, const json_t *systems, double y) {
    const json_t *row;
    size_t i;
    json_array_foreach(systems, i, row) {
        bool first;
        char name[256];
        size_t shape = shape_of(systems, row, &first);
        if (!first) continue;
        system_name(row, name, sizeof name);
        fprintf(f, "<g class=\"s%zu\">", shape % MAX_SHAPES);
        draw_shape(f, shape, LEFT, y - 4);
        fputs("</g>", f);
        svg_text(f, LEFT + 14, y, "start", "tick", name);
        y += 20;
    }
}

static int legend_lines(const json_t *systems) {
    const json_t *row;
    size_t i;
    int n = 0;
    json_array_foreach(systems, i, row) {
        bool first;
        shape_of(systems, row, &first);
        n += first;
    }
    return n;
}

bool figure_systems(FILE *f, const json_t *root) {
    const json_t *systems = page_array(root, "systems"), *row;
    size_t i, n = json_array_size(systems), nx, ny;
    double slowest = 0, low, high, ticks[SVG_MAX_TICKS], *values = calloc(n + 1, sizeof *values);
    int decimals;
    char buf[64];
    if (!values) return false;
    json_array_foreach(systems, i, row) {
        values[i] = page_number(row, "quality");
        slowest = fmax(slowest, page_number(row, "latency_p50_ms"));
    }
    bool any = n > 1 && isfinite(values[0]) && slowest > 0 && json_array_size(page_array(root, "measures"));
    limits(values, n, &low, &high);
    free(values);
    if (!any) return false;
    svg_axis x = {0, slowest * 1.05, LEFT, RIGHT - 8, true}, y = {low, high, 250, TOP, false};
    svg_begin(f, "fig-systems", WIDTH, 296 + 20 * legend_lines(systems), "Quality against time",
              "Each mark is a first stage and a reranker with a number of candidates; the stepped line joins "
              "those that no "
              "other beats in both quality and time (the Pareto front). Faint marks are beaten. Time has a "
              "square-root scale.");
    ny = svg_ticks(low, high, 5, ticks, &decimals);
    svg_axis_left(
        f, &y, LEFT, RIGHT, ticks, ny, decimals,
        report_measure_name(page_string(json_object_get(root, "settings"), "measure"), buf, sizeof buf));
    nx = svg_ticks(0, slowest * 1.05, 5, ticks, &decimals);
    svg_axis_below(f, &x, 250, ticks, nx, decimals, "median milliseconds a query; numbers: candidates");
    draw_front(f, systems, &x, &y);
    json_array_foreach(systems, i, row) draw_system(f, systems, row, &x, &y);
    draw_legend(f, systems, 308);
    svg_end(f);
    return true;
}

/* ---- Rank changes ------------------------------------------------------------------------------------------ */

/* "down 4 to 2", "stayed", "up 20 or more" */
static void change_label(double low, double high, char *buf, size_t size) {
    if (!isfinite(low)) snprintf(buf, size, "down %.0f or more", -high);
    else if (!isfinite(high)) snprintf(buf, size, "up %.0f or more", low);
    else if (low == 0 && high == 0) snprintf(buf, size, "stayed");
    else if (low == high) snprintf(buf, size, "%s %.0f", low < 0 ? "down" : "up", fabs(low));
    else if (high < 0) snprintf(buf, size, "down %.0f to %.0f", -high, -low);
    else snprintf(buf, size, "up %.0f to %.0f", low, high);
}

bool figure_changes(FILE *f, const json_t *root) {
    const json_t *bins = page_array(root, "rank_changes"), *bin;
    size_t i, n = json_array_size(bins);
    double most = 0, all = 0;
    enum { FROM = 128, TO = 312, ROW = 24 };
    json_array_foreach(bins, i, bin) {
        most = fmax(most, page_number(bin, "count"));
        all += page_number(bin, "count");
    }
    if (!(most > 0) || n > 64) return false;
    svg_axis x = {0, most, FROM, TO, false};
    svg_begin(f, "fig-changes", WIDTH, (int)n * ROW + 12, "How far results moved",
              "Bars count the final results by how many ranks reranking moved them, from the furthest down to "
              "the furthest up.");
    for (i = 0; i < n; i++) {
        double low, high, count, y = 6 + (double)((n - 1 - i) * ROW);
        char label[64], value[64];
        bin = json_array_get(bins, i);
        low = page_number(bin, "low"), high = page_number(bin, "high"), count = page_number(bin, "count");
        change_label(low, high, label, sizeof label);
        svg_text(f, FROM - 8, y + 15, "end", "tick", label);
        fprintf(f, "<g class=\"change %s\"",
                !isfinite(low) || high < 0   ? "loss"
                : low > 0 || !isfinite(high) ? "gain"
                                             : "same");
        data(f, "low", low);
        data(f, "high", high);
        data(f, "count", count);
        fputc('>', f);
        svg_title(f, "%s: %.0f results", label, count);
        fprintf(f, "<rect x=\"%d\" y=\"%.2f\" width=\"%.2f\" height=\"%d\"/></g>\n", FROM, y + 2,
                count > 0 ? fmax(1, svg_at(&x, count) - FROM) : 0.0, ROW - 6);
        snprintf(value, sizeof value, "%.0f (%.0f %%)", count, 100 * count / all);
        svg_text(f, svg_at(&x, count) + 6, y + 15, "start", "tick", value);
    }
    svg_end(f);
    return true;
}
