/* report_summary.c -- what the numbers of a report come to: verdict and sentences.
 *
 * The verdict asks for both, an interval that leaves 0 out and a p below 0.05; anything less is
 * "unproven", which is not "no": the sentence says how many queries there were. */
#include "report_page.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *report_measure_name(const char *name, char *buf, size_t size) {
    static const struct {
        const char *prefix, *shown;
    } families[] = {{"ndcg_cut_", "nDCG@"}, {"recip_rank_cut_", "MRR@"}, {"map_cut_", "MAP@"},
                    {"recall_", "Recall@"}, {"success_", "Success@"},    {"P_", "P@"}};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        size_t n = strlen(families[i].prefix);
        if (strncmp(name, families[i].prefix, n) != 0) continue;
        snprintf(buf, size, "%s%s", families[i].shown, name + n);
        return buf;
    }
    if (!strcmp(name, "recip_rank")) return "MRR";
    if (!strcmp(name, "map")) return "MAP";
    if (!strcmp(name, "ndcg")) return "nDCG";
    snprintf(buf, size, "%s", name);
    return buf;
}

/* ---- Sentences ------------------------------------------------------------------------ */

static void say(json_t *sentences, const char *fmt, ...) WN_PRINTF(2, 3);
static void say(json_t *sentences, const char *fmt, ...) {
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    int n = vasprintf(&text, fmt, args);
    va_end(args);
    if (n < 0) {
        cli_fail_memory();
        exit(EXIT_FAILED);
    }
    page_append(sentences, page_text(text, (size_t)n));
    free(text);
}

/* 3.21 ms, 45 ms, 1.2 s */
static const char *duration(double ms, char *buf, size_t size) {
    if (ms < 10) snprintf(buf, size, "%.2f ms", ms);
    else if (ms < 1000) snprintf(buf, size, "%.0f ms", ms);
    else snprintf(buf, size, "%.1f s", ms / 1000);
    return buf;
}

static const char *p_text(const json_t *row, char *buf, size_t size) {
    double p = page_number(row, "p");
    if (p < 0.0001) snprintf(buf, size, "p < 0.0001");
    else snprintf(buf, size, "p = %.4f", p);
    return buf;
}

static void say_verdict(json_t *sentences, const json_t *row, const char *verdict) {
    char name[64], p[32], number[64], percent[48] = "";
    double gain = page_number(row, "improvement_percent");
    const json_t *range = page_array(row, "interval_95");
    const char *measure = report_measure_name(page_string(row, "measure"), name, sizeof name);
    if (isfinite(gain)) snprintf(percent, sizeof percent, " (%+.1f %%)", gain);
    double before = page_number(row, "first_stage"), after = page_number(row, "reranked"),
           queries = page_number(row, "queries");
    if (queries == 1) snprintf(number, sizeof number, "this one query");
    else snprintf(number, sizeof number, "these %.0f queries", queries);
    if (!strcmp(verdict, "same")) {
        say(sentences, "No difference: reranking leaves every %s as it is, %.3f on average, on %s.", measure, before, number);
        return;
    }
    const char *opening = !strcmp(verdict, "pays")    ? "Yes: reranking raises"
                          : !strcmp(verdict, "hurts") ? "No: reranking lowers"
                                                      : "Not shown: reranking takes";
    say(sentences, "%s %s from %.3f to %.3f%s on %s.", opening, measure, before, after, percent, number);
    say(sentences,
        "With 95 %% confidence the difference lies between %+.3f and %+.3f; %s in a paired permutation "
        "test. %.0f queries gain, %.0f lose, %.0f stay.",
        json_number_value(json_array_get(range, 0)), json_number_value(json_array_get(range, 1)),
        p_text(row, p, sizeof p), page_number(row, "better"), page_number(row, "worse"),
        page_number(row, "equal"));
    if (!strcmp(verdict, "unproven"))
        say(sentences,
            "With %.0f queries a difference like this may be chance; more labelled queries would tell.",
            queries);
}

static void say_cost(json_t *sentences, const json_t *root) {
    char first[32], second[32], p95[32];
    const json_t *latency = json_object_get(root, "latency");
    say(sentences,
        "It costs %s a query on average for %.0f candidates, after a first stage of %s; 95 %% of the queries "
        "are answered within %s.",
        duration(page_number(latency, "stage2_ms"), second, sizeof second),
        page_number(json_object_get(root, "settings"), "first_stage_k"),
        duration(page_number(latency, "stage1_ms"), first, sizeof first),
        duration(page_number(latency, "p95_ms"), p95, sizeof p95));
}

/* "40 candidates of dense by reranker-x", "dense alone" */
static void system_text(const json_t *row, char *buf, size_t size) {
    if (*page_string(row, "reranker"))
        snprintf(buf, size, "%.0f candidates of %s, reranked by %s", page_number(row, "first_stage_k"),
                 page_string(row, "first_stage"), page_string(row, "reranker"));
    else snprintf(buf, size, "%s alone", page_string(row, "first_stage"));
}

static void say_depth(json_t *sentences, const json_t *root) {
    const json_t *best = NULL, *enough = NULL, *recommended = NULL, *row;
    char a[32], b[32], name[256];
    size_t i;
    json_array_foreach(page_array(root, "depths"), i, row) {
        if (page_true(row, "best")) best = row;
        if (page_true(row, "enough")) enough = row;
    }
    json_array_foreach(page_array(root, "systems"), i, row)
        if (page_true(row, "recommended")) recommended = row;
    if (best && enough && best != enough)
        say(sentences,
            "Best quality is at %.0f candidates (median %s); %.0f candidates (median %s) can't be told from it "
            "on these queries.",
            page_number(best, "first_stage_k"), duration(page_number(best, "latency_p50_ms"), a, sizeof a),
            page_number(enough, "first_stage_k"), duration(page_number(enough, "latency_p50_ms"), b, sizeof b));
    if (!recommended) return;
    system_text(recommended, name, sizeof name);
    say(sentences,
        "Recommended, as the fastest that loses nothing measurable: %s (%s %.3f, 95 %% of the queries within "
        "%s).",
        name, report_measure_name(page_string(json_object_get(root, "settings"), "measure"), a, sizeof a),
        page_number(recommended, "quality"), duration(page_number(recommended, "latency_p95_ms"), b, sizeof b));
}

static void say_changes(json_t *sentences, const json_t *root) {
    const json_t *impact = json_object_get(root, "impact");
    say(sentences,
        "The first result is another for %.0f %% of the queries; of the first %.0f results %.0f %% moved up, "
        "%.0f %% moved down and %.0f %% stayed, by %.1f ranks on average.",
        100 * page_number(impact, "top1_change_rate"), page_number(json_object_get(root, "settings"), "k"),
        100 * page_number(impact, "moved_up"), 100 * page_number(impact, "moved_down"),
        100 * page_number(impact, "unchanged"), page_number(impact, "mean_rank_change"));
}

static const char *verdict_of(const json_t *row) {
    if (!row) return "unlabelled";
    const json_t *range = page_array(row, "interval_95");
    double low = json_number_value(json_array_get(range, 0)),
           high = json_number_value(json_array_get(range, 1));
    if (page_number(row, "better") + page_number(row, "worse") == 0) return "same";
    if (page_number(row, "p") >= 0.05) return "unproven";
    return low > 0 ? "pays" : high < 0 ? "hurts" : "unproven";
}

void report_finish(json_t *root) {
    json_t *summary = json_object_get(root, "summary"), *sentences = json_array();
    const json_t *row = json_array_get(page_array(root, "measures"), 0);
    const char *verdict = verdict_of(row);
    page_set(summary, "verdict", json_string(verdict));
    page_set(summary, "sentences", sentences);
    if (row) say_verdict(sentences, row, verdict);
    else
        say(sentences,
            "These queries have no labels, so this report can't say whether reranking helps; it shows what "
            "reranking changes and what it costs.");
    say_cost(sentences, root);
    if (row) say_depth(sentences, root);
    say_changes(sentences, root);
}
