/* report_html.c -- the page: one file, no network, no script, drawn from the document alone.
 *
 * Whatever comes from queries, documents, file names or models is hostile. It is escaped where it
 * is written (html_escape), stands in elements with dir="auto" so that direction overrides end with them,
 * and the page's content security policy forbids every script and every load, should an escape
 * ever be missed. The document itself is carried in a <script type="application/json">, which is data:
 * its "<", ">" and "&" are written as \u003c and so on, so nothing in it can end the element.
 *
 * The page is readable without colour, pointer or script: figures have titles and descriptions, every
 * number stands in a table, what is folded away is <details>, which opens in print. */
#include "report_page.h"
#include "svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 1000 }; /* of the table of queries; the rest is in the JSON */

/* ---- Pieces ------------------------------------------------------------------------------ */

static const json_t *settings_of(const json_t *root) { return json_object_get(root, "settings"); }

static bool labelled(const json_t *root) { return json_array_size(page_array(root, "measures")) > 0; }

static void escaped(FILE *f, const json_t *value) {
    html_escape_bytes(f, json_string_value(value) ? json_string_value(value) : "", json_string_length(value));
}

static const char *measure_of(const json_t *root, char *buf, size_t size) {
    return report_measure_name(page_string(settings_of(root), "measure"), buf, size);
}

/* A number's cell; "-" for none. */
static void cell(FILE *f, double value, int decimals) {
    if (isfinite(value)) fprintf(f, "<td>%.*f</td>", decimals, value);
    else fputs("<td>-</td>", f);
}

static void signed_cell(FILE *f, double value, int decimals) {
    if (!isfinite(value)) fputs("<td>-</td>", f);
    else
        fprintf(f, "<td%s>%+.*f</td>",
                value > 0   ? " class=\"up\""
                : value < 0 ? " class=\"down\""
                            : "",
                decimals, value);
}

static void interval_cell(FILE *f, const json_t *pair, const char *format) {
    if (json_array_size(pair) != 2) {
        fputs("<td>-</td>", f);
        return;
    }
    double low = json_number_value(json_array_get(pair, 0)), high = json_number_value(json_array_get(pair, 1));
    fprintf(f, !strcmp(format, "signed") ? "<td>%+.3f to %+.3f</td>" : "<td>%.3f to %.3f</td>", low, high);
}

/* A table's opening: a box that scrolls by keyboard too. Heads that begin with "<" are left-aligned. */
static void table_begin(FILE *f, const char *label, bool tall, const char *const *heads, size_t n) {
    fprintf(f, "<div class=\"scroll%s\" tabindex=\"0\" role=\"region\" aria-label=\"%s\"><table><thead><tr>",
            tall ? " tall" : "", label);
    for (size_t i = 0; i < n; i++) {
        bool left = *heads[i] == '<';
        fprintf(f, "<th scope=\"col\"%s>%s</th>", left ? " class=\"l\"" : "", heads[i] + left);
    }
    fputs("</tr></thead><tbody>\n", f);
}
#define TABLE_BEGIN(f, label, tall, heads) table_begin(f, label, tall, heads, sizeof heads / sizeof *heads)

static void table_end(FILE *f) { fputs("</tbody></table></div>\n", f); }

static void tile(FILE *f, const char *name, const char *value, const char *note) {
    fprintf(f, "<div><dt>%s</dt><dd>%s", name, value);
    if (note) fprintf(f, "<span>%s</span>", note);
    fputs("</dd></div>\n", f);
}

/* ---- Summary ------------------------------------------------------------------------------- */

static void write_tiles(FILE *f, const json_t *root) {
    const json_t *impact = json_object_get(root, "impact"), *latency = json_object_get(root, "latency");
    const json_t *row = json_array_get(page_array(root, "measures"), 0),
                 *range = page_array(row, "interval_95");
    char buf[64], name[96], value[64], note[96];
    fputs("<dl class=\"tiles\">\n", f);
    if (row) {
        const char *measure = report_measure_name(page_string(row, "measure"), buf, sizeof buf);
        fputs("<div><dt>", f);
        html_escape(f, measure);
        fprintf(f,
                ", before and after</dt><dd>%.3f → %.3f<span>95 %% interval of the difference %+.3f to "
                "%+.3f</span></dd></div>\n",
                page_number(row, "first_stage"), page_number(row, "reranked"),
                json_number_value(json_array_get(range, 0)), json_number_value(json_array_get(range, 1)));
        snprintf(value, sizeof value, "%.0f / %.0f / %.0f", page_number(row, "better"),
                 page_number(row, "worse"), page_number(row, "equal"));
        tile(f, "queries that gain / lose / stay", value, NULL);
    }
    snprintf(value, sizeof value, "%.0f %%", 100 * page_number(impact, "top1_change_rate"));
    tile(f, "queries with another first result", value, NULL);
    snprintf(name, sizeof name, "overlap of the first %.0f results", page_number(settings_of(root), "k"));
    snprintf(value, sizeof value, "%.0f %%", 100 * page_number(impact, "overlap"));
    tile(f, name, value, "with those of the first stage");
    snprintf(value, sizeof value, "%.0f ms", page_number(latency, "stage2_ms"));
    snprintf(note, sizeof note, "for %.0f candidates; first stage %.1f ms",
             page_number(settings_of(root), "first_stage_k"), page_number(latency, "stage1_ms"));
    tile(f, "reranking takes, on average", value, note);
    fputs("</dl>\n", f);
}

static void write_summary(FILE *f, const json_t *root) {
    const json_t *summary = json_object_get(root, "summary"), *sentence;
    const char *verdict = page_string(summary, "verdict");
    size_t i;
    fprintf(f,
            "<section aria-labelledby=\"h-summary\"><h2 id=\"h-summary\">Summary</h2>\n<div class=\"verdict "
            "%s\">\n",
            !strcmp(verdict, "pays")    ? "pays"
            : !strcmp(verdict, "hurts") ? "hurts"
                                        : "open");
    json_array_foreach(page_array(summary, "sentences"), i, sentence) {
        fputs("<p dir=\"auto\">", f);
        escaped(f, sentence);
        fputs("</p>\n", f);
    }
    fputs("</div>\n", f);
    write_tiles(f, root);
    fputs("</section>\n", f);
}

static void write_measures(FILE *f, const json_t *root) {
    static const char *const heads[] = {"<measure",      "first stage", "reranked", "change %", "difference",
                                        "95 % interval", "p",           "better",   "worse",    "equal"};
    const json_t *row;
    size_t i;
    if (!labelled(root)) return;
    fputs(
        "<section aria-labelledby=\"h-quality\"><h2 id=\"h-quality\">Quality with and without reranking</h2>\n",
        f);
    TABLE_BEGIN(f, "Quality with and without reranking", false, heads);
    json_array_foreach(page_array(root, "measures"), i, row) {
        char buf[64];
        fputs("<tr><th scope=\"row\" class=\"l\">", f);
        html_escape(f, report_measure_name(page_string(row, "measure"), buf, sizeof buf));
        fputs("</th>", f);
        cell(f, page_number(row, "first_stage"), 4);
        cell(f, page_number(row, "reranked"), 4);
        signed_cell(f, page_number(row, "improvement_percent"), 1);
        signed_cell(f, page_number(row, "difference"), 4);
        interval_cell(f, page_array(row, "interval_95"), "signed");
        cell(f, page_number(row, "p"), 4);
        cell(f, page_number(row, "better"), 0);
        cell(f, page_number(row, "worse"), 0);
        cell(f, page_number(row, "equal"), 0);
        fputs("</tr>\n", f);
    }
    table_end(f);
    fputs("<p class=\"muted small\">Intervals are paired bootstrap intervals of the difference, p is that of a "
          "paired "
          "permutation test, two-sided; nothing is corrected for looking at several measures.</p></section>\n",
          f);
}

/* ---- Figures ---------------------------------------------------------------------------------- */

static void slope_table(FILE *f, const json_t *root) {
    static const char *const heads[] = {"rank before", "rank after", "number"};
    const json_t *row;
    size_t i;
    fputs("<details><summary>The numbers</summary>\n", f);
    TABLE_BEGIN(f, "Ranks before and after", true, heads);
    json_array_foreach(page_array(root, "slopes"), i, row) {
        fputs("<tr>", f);
        cell(f, page_number(row, "before"), 0);
        cell(f, page_number(row, "after"), 0);
        cell(f, page_number(row, "count"), 0);
        fputs("</tr>\n", f);
    }
    table_end(f);
    fputs("</details>\n", f);
}

static void bin_table(FILE *f, const json_t *bins, const char *label, int decimals) {
    static const char *const heads[] = {"from", "to", "number"};
    const json_t *row;
    size_t i;
    fputs("<details><summary>The numbers</summary>\n", f);
    TABLE_BEGIN(f, label, true, heads);
    json_array_foreach(bins, i, row) {
        fputs("<tr>", f);
        cell(f, page_number(row, "low"), decimals);
        cell(f, page_number(row, "high"), decimals);
        cell(f, page_number(row, "count"), 0);
        fputs("</tr>\n", f);
    }
    table_end(f);
    fputs("</details>\n", f);
}

/* One figure: a heading, the picture, a caption, and what `after` adds. */
static void write_figure(FILE *f, const json_t *root, const char *heading, bool (*draw)(FILE *, const json_t *),
                         const char *caption, void (*after)(FILE *, const json_t *)) {
    fprintf(f, "<figure><h3>%s</h3>\n", heading);
    if (draw(f, root)) fprintf(f, "<figcaption>%s</figcaption>\n", caption);
    else fputs("<p class=\"muted\">Nothing to draw.</p>\n", f);
    if (after) after(f, root);
    fputs("</figure>\n", f);
}

static void latency_table(FILE *f, const json_t *root) {
    bin_table(f, page_array(json_object_get(root, "latency"), "bins"), "Latency in milliseconds", 1);
}

static void change_table(FILE *f, const json_t *root) {
    bin_table(f, page_array(root, "rank_changes"), "Rank changes", 0);
}

static void write_figures(FILE *f, const json_t *root) {
    bool labels = labelled(root);
    fputs("<section aria-labelledby=\"h-figures\"><h2 id=\"h-figures\">Figures</h2>\n<div class=\"figures\">\n",
          f);
    write_figure(f, root, labels ? "Rank of the labelled answer" : "Ranks of the final results", figure_slopes,
                 labels ? "Ranks among documents. “none”: not among the candidates. Dashed lines fell; wider "
                          "lines stand for more queries."
                        : "Ranks among passages. Dashed lines fell; wider lines stand for more results.",
                 slope_table);
    write_figure(f, root, "How far results moved", figure_changes,
                 "Ranks among passages, of the final results of each query.", change_table);
    write_figure(f, root, "How many candidates are enough", figure_depths,
                 labels
                     ? "“best”: highest average; “enough”: fewest candidates that a permutation test can't "
                       "tell from it. The table is below."
                     : "How much the first ten results still change with more candidates. The table is below.",
                 NULL);
    if (labels)
        write_figure(f, root, "Quality against time", figure_systems,
                     "The line joins what nothing else beats in both. The table is below.", NULL);
    write_figure(f, root, "How long queries take", figure_latency,
                 "Both stages together, at the largest number of candidates.", latency_table);
    fputs("</div></section>\n", f);
}

static void write_systems(FILE *f, const json_t *root) {
    static const char *const heads[] = {"<first stage",  "<reranker",      "candidates", "quality",
                                        "95 % interval", "p against best", "stage 1 ms", "stage 2 ms",
                                        "p50 ms",        "p95 ms",         "<remarks"};
    const json_t *row;
    size_t i;
    char buf[64];
    fputs("<section aria-labelledby=\"h-systems\"><h2 id=\"h-systems\">Candidates, quality and "
          "time</h2>\n<p>Quality is ",
          f);
    if (labelled(root)) html_escape(f, measure_of(root, buf, sizeof buf));
    else fputs("the rank-biased overlap of the first ten results with those at the largest depth", f);
    fputs(".</p>\n", f);
    TABLE_BEGIN(f, "Candidates, quality and time", false, heads);
    json_array_foreach(page_array(root, "systems"), i, row) {
        fputs("<tr><th scope=\"row\" class=\"l\">", f);
        html_escape(f, page_string(row, "first_stage"));
        fputs("</th><td class=\"l\" dir=\"auto\">", f);
        html_escape(f, *page_string(row, "reranker") ? page_string(row, "reranker") : "none");
        fputs("</td>", f);
        cell(f, page_number(row, "first_stage_k"), 0);
        cell(f, page_number(row, "quality"), 4);
        interval_cell(f, page_array(row, "interval_95"), "plain");
        cell(f, page_number(row, "p_against_best"), 4);
        cell(f, page_number(row, "stage1_time_ms"), 1);
        cell(f, page_number(row, "stage2_time_ms"), 1);
        cell(f, page_number(row, "latency_p50_ms"), 1);
        cell(f, page_number(row, "latency_p95_ms"), 1);
        fprintf(f, "<td class=\"l\">%s%s%s%s</td></tr>\n", page_true(row, "recommended") ? "recommended " : "",
                page_true(row, "best") ? "best " : "", page_true(row, "enough") ? "enough " : "",
                page_true(row, "front") ? "front" : "");
    }
    table_end(f);
    const json_t *cost = json_object_get(root, "cost");
    if (isfinite(page_number(cost, "per_candidate_ms"))) {
        fprintf(f, "<p class=\"muted small\">Reranking costs about %.2f ms a candidate %s %.1f ms a query (least "
                   "squares over queries and depths",
                page_number(cost, "per_candidate_ms"), page_number(cost, "fixed_ms") < 0 ? "less" : "and",
                fabs(page_number(cost, "fixed_ms")));
        if (isfinite(page_number(cost, "r2"))) fprintf(f, ", R² %.3f", page_number(cost, "r2"));
        fputs("). “best”, “enough”: of their first stage and reranker; “front”: nothing is faster and "
              "better.</p>\n", f);
    }
    fputs("</section>\n", f);
}

/* ---- Losses ------------------------------------------------------------------------------------- */

/* Bytes [from, to) of a passage with its marked words; marks out of order or range are passed over. */
static void write_marked(FILE *f, const json_t *passage, size_t from, size_t to) {
    const char *text = page_string(passage, "text");
    size_t i;
    const json_t *mark;
    json_array_foreach(page_array(passage, "marks"), i, mark) {
        json_int_t begin = json_integer_value(json_array_get(mark, 0)),
                   end = json_integer_value(json_array_get(mark, 1));
        if (begin < (json_int_t)from || end <= begin || end > (json_int_t)to) continue;
        html_escape_bytes(f, text + from, (size_t)begin - from);
        fputs("<mark>", f);
        html_escape_bytes(f, text + begin, (size_t)(end - begin));
        fputs("</mark>", f);
        from = (size_t)end;
    }
    html_escape_bytes(f, text + from, to - from);
}

/* The sentence without which the logit falls most, when it falls at all. */
static const json_t *key_sentence(const json_t *sentences) {
    const json_t *key = NULL, *s;
    size_t i;
    json_array_foreach(sentences, i, s)
        if (page_number(s, "change") < (key ? page_number(key, "change") : 0)) key = s;
    return key;
}

static void write_text(FILE *f, const json_t *passage) {
    const json_t *sentences = page_array(passage, "sentences"), *s, *key = key_sentence(sentences);
    size_t len = json_string_length(json_object_get(passage, "text")), at = 0, i;
    json_array_foreach(sentences, i, s) {
        json_int_t begin = json_integer_value(json_object_get(s, "begin")),
                   end = json_integer_value(json_object_get(s, "end"));
        if (begin < (json_int_t)at || end <= begin || end > (json_int_t)len) continue;
        write_marked(f, passage, at, (size_t)begin);
        fputs(s == key ? "<span class=\"sentence key\">" : "<span class=\"sentence\">", f);
        write_marked(f, passage, (size_t)begin, (size_t)end);
        fprintf(f, "</span><small class=\"change\" data-change=\"%.9g\"> %+.2f </small>",
                page_number(s, "change"), page_number(s, "change"));
        at = (size_t)end;
    }
    write_marked(f, passage, at, len);
}

static void write_passage(FILE *f, const json_t *passage, const char *kind) {
    if (!passage) {
        fprintf(f,
                "<div class=\"passage %s\"><h4>None</h4><p class=\"muted\">No such passage among the "
                "candidates.</p></div>\n",
                kind);
        return;
    }
    fprintf(f, "<div class=\"passage %s\"><h4>", kind);
    html_escape(f, page_string(passage, "role"));
    fprintf(f, ": rank %.0f → %.0f</h4>\n<p class=\"small muted\"><span dir=\"auto\">",
            page_number(passage, "first_stage_rank"), page_number(passage, "final_rank"));
    html_escape(f, page_string(passage, "source"));
    fprintf(f, " #%.0f", page_number(passage, "passage"));
    if (*page_string(passage, "heading")) {
        fputs(" · ", f);
        html_escape(f, page_string(passage, "heading"));
    }
    fprintf(f, "</span><br>first-stage score %.4f, reranker's score %.4f",
            page_number(passage, "first_stage_score"), page_number(passage, "rerank_score"));
    if (page_number(passage, "rerank_logit") != page_number(passage, "rerank_score"))
        fprintf(f, " (logit %+.4f)", page_number(passage, "rerank_logit"));
    if (page_number(passage, "tokens_dropped") > 0)
        fprintf(f, "; %.0f tokens were not read", page_number(passage, "tokens_dropped"));
    fputs("</p>\n<blockquote dir=\"auto\" tabindex=\"0\">", f);
    write_text(f, passage);
    fputs("</blockquote></div>\n", f);
}

static void write_losses(FILE *f, const json_t *root) {
    const json_t *losses = page_array(root, "losses"), *loss;
    bool labels = labelled(root);
    char buf[64];
    size_t i;
    fprintf(f, "<section aria-labelledby=\"h-losses\"><h2 id=\"h-losses\">%s</h2>\n",
            labels ? "The worst losses" : "The largest changes");
    if (!json_array_size(losses))
        fputs(labels ? "<p>No query lost by reranking.</p>\n" : "<p>No query has another first result.</p>\n",
              f);
    else
        fputs(labels ? "<p>The queries that lost most, with the labelled answer at the left and the best of "
                       "the other passages at the right. "
                       "Words of the query are marked, whatever their ending. The number after a sentence says "
                       "how the reranker's logit changes "
                       "without it; the sentence it goes by most is underlined.</p>\n"
                     : "<p>Queries with another first result, with the one before at the left and the one "
                       "after at the right. Words of the query "
                       "are marked, whatever their ending. The number after a sentence says how the reranker's "
                       "logit changes without it; the "
                       "sentence it goes by most is underlined.</p>\n",
              f);
    json_array_foreach(losses, i, loss) {
        fputs("<article class=\"loss\"><h3 dir=\"auto\">", f);
        escaped(f, json_object_get(loss, "query"));
        fputs("</h3>\n<p class=\"small muted\">query <span dir=\"auto\">", f);
        escaped(f, json_object_get(loss, "id"));
        fputs("</span>", f);
        if (labels) {
            fputs("; ", f);
            html_escape(f, measure_of(root, buf, sizeof buf));
            fprintf(f, " %.3f → %.3f (<span class=\"down\">%+.3f</span>)", page_number(loss, "first_stage"),
                    page_number(loss, "reranked"), page_number(loss, "gain"));
            fprintf(f, "; rank of the answer among documents %.0f → %.0f", page_number(loss, "rank_before"),
                    page_number(loss, "rank_after"));
        }
        fputs("</p>\n<div class=\"pair\">\n", f);
        write_passage(f, json_object_get(loss, "left"), labels ? "wanted" : "");
        write_passage(f, json_object_get(loss, "right"), labels ? "other" : "");
        fputs("</div></article>\n", f);
    }
    fputs("</section>\n", f);
}

/* ---- Queries ------------------------------------------------------------------------------------- */

static void write_query(FILE *f, const json_t *row, bool labels) {
    fputs("<tr><th scope=\"row\" class=\"l\" dir=\"auto\">", f);
    escaped(f, json_object_get(row, "id"));
    fputs("</th><td class=\"l\" dir=\"auto\">", f);
    escaped(f, json_object_get(row, "query"));
    fputs("</td>", f);
    if (labels) {
        cell(f, page_number(row, "rank_before"), 0);
        cell(f, page_number(row, "rank_after"), 0);
        cell(f, page_number(row, "first_stage"), 4);
        cell(f, page_number(row, "reranked"), 4);
        signed_cell(f, page_number(row, "gain"), 4);
    }
    fprintf(f, "<td>%s</td>", page_true(row, "top1_changed") ? "yes" : "no");
    cell(f, page_number(row, "mean_rank_change"), 1);
    cell(f, page_number(row, "overlap"), 2);
    cell(f, page_number(row, "stage1_time_ms"), 1);
    cell(f, page_number(row, "stage2_time_ms"), 1);
    fputs("</tr>\n", f);
}

static void write_queries(FILE *f, const json_t *root) {
    static const char *const heads[] = {"<id",        "<query",    "rank before", "rank after",       "before",
                                        "after",      "gain",      "new first",   "mean rank change", "overlap",
                                        "stage 1 ms", "stage 2 ms"};
    const char *some[sizeof heads / sizeof *heads];
    const json_t *rows = page_array(root, "queries"), *row;
    bool labels = labelled(root);
    size_t i, n = 0;
    for (i = 0; i < sizeof heads / sizeof *heads; i++)
        if (labels || i < 2 || i > 6) some[n++] = heads[i];
    fputs("<section aria-labelledby=\"h-queries\"><h2 id=\"h-queries\">Query by query</h2>\n", f);
    fprintf(f, "<details><summary>All %zu queries</summary>\n", json_array_size(rows));
    table_begin(f, "Query by query", true, some, n);
    json_array_foreach(rows, i, row) {
        if (i == MAX_ROWS) break;
        write_query(f, row, labels);
    }
    table_end(f);
    if (json_array_size(rows) > MAX_ROWS)
        fprintf(f, "<p class=\"muted small\">The first %d; all are in the page's JSON.</p>\n", MAX_ROWS);
    fputs("</details></section>\n", f);
}

/* ---- Settings -------------------------------------------------------------------------------------- */

static void write_setting(FILE *f, const char *key, const json_t *value) {
    const json_t *item;
    size_t i;
    fputs("<dt>", f);
    html_escape(f, key);
    fputs("</dt><dd dir=\"auto\">", f);
    if (json_is_string(value)) escaped(f, value);
    else if (json_is_number(value)) fprintf(f, "%.9g", json_number_value(value));
    else if (json_is_boolean(value)) fputs(json_is_true(value) ? "yes" : "no", f);
    else if (json_is_array(value) && json_array_size(value))
        json_array_foreach(value, i, item) {
            if (i) fputs(", ", f);
            if (json_is_string(item)) escaped(f, item);
            else fprintf(f, "%.9g", json_number_value(item));
        }
    else fputs("-", f);
    fputs("</dd>\n", f);
}

static void write_settings(FILE *f, const json_t *root) {
    json_t *settings = json_object_get(root, "settings"), *value;
    const char *key;
    fputs("<section aria-labelledby=\"h-settings\"><h2 id=\"h-settings\">Settings, for doing it "
          "again</h2>\n<pre dir=\"auto\">",
          f);
    html_escape(f, page_string(settings, "command"));
    fputs("</pre>\n<dl class=\"settings\">\n", f);
    json_object_foreach(settings, key, value)
        if (strcmp(key, "command") != 0) write_setting(f, key, value);
    fputs("</dl>\n<p class=\"muted small\">Model hashes are XXH3-128 of the weight files. Times are of this "
          "run on this machine; the "
          "rest comes out the same each time.</p></section>\n",
          f);
}

/* Within a JSON text these three stand in strings alone, where an escape means the same. */
static void write_json(FILE *f, const json_t *root) {
    char *text = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(9));
    fputs("<script type=\"application/json\" id=\"winnow-report\">", f);
    for (const char *c = text ? text : "null"; *c; c++) {
        if (*c == '<' || *c == '>' || *c == '&') fprintf(f, "\\u%04x", *c);
        else fputc(*c, f);
    }
    fputs("</script>\n", f);
    free(text);
}

void report_write_html(FILE *f, const json_t *root) {
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
          "'unsafe-inline'; img-src data:; "
          "base-uri 'none'; form-action 'none'\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" "
          "content=\"no-referrer\">\n"
          "<link rel=\"icon\" href=\"data:,\">\n<title>",
          f);
    html_escape(f, page_string(root, "title"));
    fprintf(f,
            "</title>\n<style>\n%s</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to the "
            "summary</a>\n<header>\n<h1 dir=\"auto\">",
            REPORT_STYLE);
    html_escape(f, page_string(root, "title"));
    fputs("</h1>\n<p class=\"muted\" dir=\"auto\">", f);
    fprintf(f, "%.0f queries of ", page_number(settings_of(root), "queries"));
    html_escape(f, page_string(settings_of(root), "queries_file"));
    fprintf(f, "; %.0f passages of %.0f documents; ", page_number(settings_of(root), "passages"),
            page_number(settings_of(root), "documents"));
    html_escape(f, page_string(settings_of(root), "first_stage"));
    if (*page_string(settings_of(root), "embedder")) fputs(" (", f);
    html_escape(f, page_string(settings_of(root), "embedder"));
    if (*page_string(settings_of(root), "embedder")) fputs(")", f);
    fputs(", then ", f);
    html_escape(f, page_string(settings_of(root), "reranker"));
    fputs("</p>\n</header>\n<main id=\"main\">\n", f);
    write_summary(f, root);
    write_measures(f, root);
    write_figures(f, root);
    write_systems(f, root);
    write_losses(f, root);
    write_queries(f, root);
    write_settings(f, root);
    fputs("</main>\n<footer class=\"muted small\"><p>Made by winnow ", f);
    html_escape(f, page_string(settings_of(root), "winnow"));
    fputs(", ", f);
    html_escape(f, page_string(root, "made"));
    fputs(".</p></footer>\n", f);
    write_json(f, root);
    fputs("</body>\n</html>\n", f);
}
