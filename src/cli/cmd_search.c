/* cmd_search.c -- searches an index in two stages; queries from the command line or, one a line, from standard input. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT_TABLE, FORMAT_JSON, FORMAT_TSV };
enum { RERANK_ALWAYS, RERANK_AUTO, RERANK_NEVER };
static const char *const FORMATS[] = {"table", "json", "tsv", NULL};
static const char *const RERANK[] = {"always", "auto", "never", NULL};

typedef struct {
    cli_searching searching;
    wn_search_options options;
    int format;
    bool header_printed, timings, loads_printed;
} search_job;

/* known: what the score cache answered of this query. */
static void print_json(const search_job *job, const char *query, const wn_answer *answer,
                       const wn_score_cache_info *known) {
    json_t *o = rec_search((wn_str){query, strlen(query)}, answer, job->searching.bi_model, job->searching.cross_model);
    wn_answer_info info = wn_answer_describe(answer);
    if (o && job->searching.cache.path)
        json_object_set_new(o, "score_cache", json_pack("{s:I, s:I}", "hits", (json_int_t)known->hits, "misses",
                                                        (json_int_t)known->misses));
    if (o && job->timings) json_object_set_new(o, "timings", cli_timings_json(&job->searching, &info));
    cli_print_json(stdout, o);
}

static void print_tsv(search_job *job, const char *query, const wn_answer *answer) {
    if (!job->header_printed)
        puts("query\tfinal_rank\tfirst_stage_rank\trank_change\trerank_score\tbi_encoder_score\t"
             "bi_encoder_rank\tdocument\tpassage\tcontent");
    job->header_printed = true;
    for (size_t i = 0; i < wn_answer_count(answer); i++) {
        const wn_result *r = wn_answer_result(answer, i);
        cli_print_snippet(stdout, query, strlen(query), 1 << 20);
        printf("\t%u\t%u\t%d\t%.9g\t%.9g\t%u\t", r->final_rank, r->first_stage_rank, r->rank_change,
               r->rerank_score, r->bi_encoder_score, r->bi_encoder_rank);
        cli_print_snippet(stdout, r->passage->source, strlen(r->passage->source), 1 << 20);
        printf("\t%u\t", r->passage->ordinal);
        cli_print_snippet(stdout, r->passage->content, r->passage->content_length, 1 << 20);
        putchar('\n');
    }
}

static void print_row(const wn_result *r, bool color, int width) {
    bool reranked = !isnan(r->rerank_logit);
    printf("%5u %6u  ", r->final_rank, r->first_stage_rank);
    cli_print_change(stdout, r->rank_change, color);
    if (reranked) printf("  %8.4f", r->rerank_score);
    else printf("  %8s", "-");
    if (isnan(r->bi_encoder_score)) printf("  %10s  ", "-");
    else printf("  %10.4f  ", r->bi_encoder_score);
    const char *slash = strrchr(r->passage->source, '/');
    cli_print_cell(stdout, slash ? slash + 1 : r->passage->source, 24);
    printf("  ");
    int room = width - 68;
    if (room < 24) room = 24;
    cli_print_snippet(stdout, r->passage->content, r->passage->content_length, room);
    if (reranked && r->fit.tokens_dropped)
        printf(" [read %u of %u tokens]", r->fit.tokens_seen,
               r->fit.tokens_seen + r->fit.tokens_dropped);
    putchar('\n');
}

/* What a table says of a model's precision: nothing when it is the usual one. */
static const char *precision_text(const wn_model *model) {
    static const char *const texts[] = {[WN_F32] = "", [WN_BF16] = ", bf16", [WN_INT8] = ", int8"};
    return texts[wn_model_describe(model).precision];
}

static void print_table(const search_job *job, const char *query, const wn_answer *answer,
                        const wn_score_cache_info *known) {
    wn_answer_info info = wn_answer_describe(answer);
    bool color = cli_color(stdout);
    const char *bold = color ? "\x1b[1m" : "", *plain = color ? "\x1b[0m" : "";
    printf("%s%s%s\n", bold, query, plain);
    if (!wn_answer_count(answer)) {
        puts("nothing found\n");
        return;
    }
    printf("%safter before change    rerank  bi-encoder  %-24s  passage%s\n", bold, "document",
           plain);
    for (size_t i = 0; i < wn_answer_count(answer); i++)
        print_row(wn_answer_result(answer, i), color, cli_width(stdout));
    printf("stage 1 (%s): %zu candidates in %.1f ms", REC_FIRST_STAGES[info.first_stage],
           info.candidates, info.stage1_time_ms);
    if (info.reranked)
        printf("; stage 2 (%s%s): %zu reranked in %.1f ms", wn_model_describe(job->searching.cross_model).name,
               precision_text(job->searching.cross_model), info.reranked, info.stage2_time_ms);
    if (known->hits) printf(", %llu of them known", (unsigned long long)known->hits);
    if (info.blend > 0) printf("; ordered by logit + %.4g * cosine", info.blend);
    if (info.out_of_time)
        printf("; the deadline left %zu unread, in first-stage order below",
               info.candidates - info.reranked);
    if (info.skipped)
        printf("; stage 2 skipped, confidence %.3f", info.confidence);
    putchar('\n');
    if (info.truncated)
        printf("%zu candidates were cut to the reranker's length (--max-length-policy windows reads all)\n",
               info.truncated);
    if (info.query_tokens_dropped)
        printf("the query was cut: %u tokens were not read\n", info.query_tokens_dropped);
    putchar('\n');
}

static void print_timings(search_job *job, const wn_answer *answer) {
    wn_answer_info info = wn_answer_describe(answer);
    if (!job->loads_printed) cli_timings_print_loads(&job->searching);
    job->loads_printed = true;
    cli_timings_print(&info);
}

static int search_one(search_job *job, const char *query, size_t len) {
    wn_error err;
    wn_answer *answer = NULL;
    wn_score_cache_info before = cli_score_cache_info(&job->searching.cache);
    if (wn_search(job->searching.searcher, (wn_str){query, len}, &job->options, &answer, &err) != WN_OK)
        return cli_fail(&err);
    wn_score_cache_info known = cli_score_cache_info(&job->searching.cache);
    known.hits -= before.hits;
    known.misses -= before.misses;
    if (job->format == FORMAT_JSON) print_json(job, query, answer, &known);
    else if (job->format == FORMAT_TSV) print_tsv(job, query, answer);
    else print_table(job, query, answer, &known);
    if (job->timings && job->format != FORMAT_JSON) print_timings(job, answer);
    wn_answer_free(answer);
    return cli_finish_output();
}

static int search_lines(search_job *job) {
    cli_list none = {0};
    cli_lines *lines = cli_lines_open(&none);
    if (!lines) return EXIT_FAILED;
    int code = EXIT_DONE;
    size_t len;
    for (const char *query; code == EXIT_DONE && (query = cli_lines_next(lines, &len));)
        code = search_one(job, query, len);
    if (cli_lines_failed(lines)) code = EXIT_FAILED;
    cli_lines_close(lines);
    return code;
}

/* --rerank auto without a threshold takes the one that `winnow advise --save` left in the index. */
static wn_status take_threshold(search_job *job, wn_error *err) {
    if (!job->options.skip_when_sure || !isnan(job->options.skip_threshold)) return WN_OK;
    return wn_skip_threshold_load(job->searching.index, job->options.first_stage,
                                  &job->options.skip_threshold, err);
}

static int search_all(search_job *job, const cli_list *operands, const char *embedder,
                      const char *reranker, int threads) {
    wn_error err;
    wn_status st = cli_searching_open(&job->searching, operands->items[0], embedder, threads,
                                      &job->options.first_stage, &err);
    if (st == WN_OK) st = take_threshold(job, &err);
    if (st == WN_OK && job->options.rerank) st = cli_searching_rerank(&job->searching, reranker, &err);
    job->options.blend = job->searching.blend;
    if (st != WN_OK) return cli_fail(&err);
    if (operands->count == 2)
        return search_one(job, operands->items[1], strlen(operands->items[1]));
    return search_lines(job);
}

int cmd_search(int argc, char **argv) {
    const char *embedder = NULL, *reranker = NULL;
    int threads = 0, policy = 0, first_stage = 0, rerank = 0;
    bool no_rerank = false;
    float deadline = 0;
    cli_list operands = {0}, where = {0};
    wn_filter *filters = NULL;
    search_job job = {.options = wn_search_options_default()};
    wn_search_options *o = &job.options;
    const cli_option options[] = {
        {"k", 'k', OPT_SIZE, &o->k, "N", "results (5)", 1},
        {"first-stage-k", 'n', OPT_SIZE, &o->first_stage_k, "N", "candidates to rerank (50)", 1},
        {"first-stage", 's', OPT_CHOICE, &first_stage, NULL, "how candidates are found",
         .choices = REC_FIRST_STAGES},
        {"rerank", 0, OPT_CHOICE, &rerank, NULL, "auto: not where the first stage is sure",
         .choices = RERANK},
        {"skip-threshold", 0, OPT_FLOAT, &o->skip_threshold, "X",
         "how sure that is, 0 to 1 (what winnow advise --save left)"},
        {"deadline-ms", 0, OPT_FLOAT, &deadline, "N", "rerank what fits into N ms"},
        {"no-rerank", 0, OPT_FLAG, &no_rerank, NULL, "stop after the first stage"},
        {"min-score", 0, OPT_FLOAT, &o->min_score, "X", "keep results scoring at least X",
         .seen = &o->has_min_score},
        {"where", 'w', OPT_LIST, &where, "KEY=VALUE", "filter on metadata; VALUE* is a prefix"},
        {"max-length-policy", 0, OPT_CHOICE, &policy, NULL, "over-long passages",
         .choices = REC_LENGTH_POLICIES},
        {"format", 'f', OPT_CHOICE, &job.format, NULL, "how to print", .choices = FORMATS},
        {"embedder", 'e', OPT_STRING, &embedder, "M", "bi-encoder (default: the index's)"},
        {"reranker", 'r', OPT_STRING, &reranker, "M", "cross-encoder: directory or cache name"},
        {"precision", 0, OPT_CHOICE, &job.searching.precision, NULL, "of the products; auto: the fastest that is safe",
         .choices = PRECISIONS},
        BLEND_OPTION(job.searching),
        SCORE_CACHE_OPTIONS(job.searching.cache),
        {"timings", 0, OPT_FLAG, &job.timings, NULL, "tell where the time went (JSON: \"timings\"; else standard error)"},
        {"threads", 't', OPT_INT, &threads, "N", "worker threads (default: one a processor)", 0},
    };
    const cli_command command = {
        "search INDEX [QUERY] [options]",
        "Recalls candidates from the index, reranks them with the cross-encoder and shows what\n"
        "changed. Without QUERY, queries are read from standard input, one a line.",
        options, sizeof options / sizeof *options};
    int code = cli_parse(&command, argc, argv, &operands);
    if (code < 0 && (operands.count < 1 || operands.count > 2))
        code = cli_usage_error(&command, "give an index and at most one query");
    if (code < 0) code = cli_filters_parse(&command, &where, &filters);
    if (code < 0) {
        o->filters = filters;
        o->nfilters = where.count;
        o->length_policy = (wn_length_policy)policy;
        o->first_stage = (wn_first_stage)first_stage;
        o->rerank = !no_rerank && rerank != RERANK_NEVER;
        o->skip_when_sure = o->rerank && rerank == RERANK_AUTO;
        o->deadline_ms = (double)deadline;
        code = search_all(&job, &operands, embedder, reranker, threads);
    }
    cli_searching_close(&job.searching);
    cli_filters_free(filters, where.count);
    cli_list_release(&where);
    cli_list_release(&operands);
    return code;
}
