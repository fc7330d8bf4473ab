/* cmd_index.c -- makes or updates an index. */
#include "cli.h"

#include <string.h>

static const char *const UNITS[] = {"characters", "tokens", NULL};

static void warn(void *ctx, const char *message) {
    cli_progress *progress = ctx;
    if (progress->visible) fputs("\r\x1b[K", stderr);
    fprintf(stderr, "winnow: warning: %s\n", message);
}

static void print_stats(const char *path, const wn_bi_encoder *encoder, const wn_build_stats *s) {
    printf("%s: %llu documents added, %llu changed, %llu unchanged, %llu removed", path,
           (unsigned long long)s->documents_added, (unsigned long long)s->documents_changed,
           (unsigned long long)s->documents_unchanged, (unsigned long long)s->documents_removed);
    if (s->documents_skipped)
        printf(", %llu skipped", (unsigned long long)s->documents_skipped);
    printf("\n%llu passages embedded, %llu reused", (unsigned long long)s->passages_embedded,
           (unsigned long long)s->passages_reused);
    if (encoder) {
        wn_model_info model = wn_model_describe(wn_bi_encoder_model(encoder));
        printf(", by %s", model.name);
        if (model.precision != WN_F32) printf(" in %s", wn_precision_name(model.precision));
    }
    printf(", in %.1f s", s->seconds);
    if (s->passages_embedded && s->seconds > 0)
        printf(" (%.0f tokens/s)", (double)s->tokens_embedded / s->seconds);
    putchar('\n');
    if (s->tokens_dropped)
        printf("%llu tokens of over-long passages were not read by the model (BM25 has them all)\n",
               (unsigned long long)s->tokens_dropped);
}

static int build(const char *path, const cli_list *inputs, wn_bi_encoder *encoder,
                 wn_build_options *options, bool quiet) {
    cli_progress progress;
    wn_build_stats stats = {0};
    wn_error err;
    cli_progress_start(&progress, quiet);
    options->progress = cli_progress_update;
    options->progress_ctx = &progress;
    options->warning = warn;
    options->warning_ctx = &progress;
    wn_status st =
        wn_index_build(path, inputs->items, inputs->count, encoder, options, &stats, &err);
    cli_progress_end(&progress);
    if (st == WN_ERR_CANCELLED) {
        fprintf(stderr, "winnow: stopped; what is in %s is kept, the same command goes on from there\n",
                path);
        return EXIT_INTERRUPTED;
    }
    if (st != WN_OK) return cli_fail(&err);
    if (!quiet) print_stats(path, encoder, &stats);
    return cli_finish_output();
}

int cmd_index(int argc, char **argv) {
    const char *name = NULL, *path = NULL;
    bool bm25_only = false, quiet = false;
    int threads = 0, unit = 0, precision = 0;
    wn_build_options build_options = wn_build_options_default();
    const cli_option options[] = {
        {"output", 'o', OPT_STRING, &path, "FILE", "the index (needed)"},
        {"model", 'm', OPT_STRING, &name, "M", "bi-encoder: directory or cache name"},
        {"bm25-only", 0, OPT_FLAG, &bm25_only, NULL, "no embeddings"},
        {"chunk-size", 0, OPT_SIZE, &build_options.split.chunk_size, "N", "size of a passage (500)", 1},
        {"chunk-overlap", 0, OPT_SIZE, &build_options.split.chunk_overlap, "N", "overlap (100)", 0},
        {"unit", 0, OPT_CHOICE, &unit, NULL, "what sizes count", .choices = UNITS},
        {"no-stemming", 0, OPT_UNFLAG, &build_options.stemming, NULL, "BM25 on words as they are written"},
        {"keep-missing", 0, OPT_FLAG, &build_options.keep_missing, NULL,
         "keep documents whose file is gone"},
        {"precision", 0, OPT_CHOICE, &precision, NULL, "of the products; auto: the fastest that is safe",
         .choices = PRECISIONS},
        {"threads", 't', OPT_INT, &threads, "N", "worker threads (default: one a processor)", 0},
        {"quiet", 'q', OPT_FLAG, &quiet, NULL, "print nothing but errors and warnings"},
    };
    const cli_command command = {
        "index PATH... -o FILE",
        "Makes or updates an index from folders (.md, .markdown, .txt, recursively), files, BEIR\n"
        "corpora (.jsonl) or standard input (-). Only what changed is embedded again; a stopped\n"
        "or killed run is completed by the next one.",
        options, sizeof options / sizeof *options};
    cli_list inputs = {0};
    wn_error err;
    wn_model *model = NULL;
    wn_bi_encoder *encoder = NULL;
    int code = cli_parse(&command, argc, argv, &inputs);
    if (code < 0 && !inputs.count) code = cli_usage_error(&command, "give documents to index");
    if (code < 0 && !path) code = cli_usage_error(&command, "-o FILE is needed");
    if (code < 0 && bm25_only && unit == WN_UNIT_TOKENS && !name)
        code = cli_usage_error(&command, "--unit tokens needs a model's tokenizer: give --model");
    if (code < 0 && build_options.split.chunk_overlap > build_options.split.chunk_size)
        code = cli_usage_error(&command, "--chunk-overlap is larger than --chunk-size");
    if (code < 0) {
        build_options.split.unit = (wn_split_unit)unit;
        if ((!bm25_only || name) &&
            (cli_model_open(name, DEFAULT_EMBEDDERS, 0, precision, &model, &err) != WN_OK ||
             (!bm25_only && wn_bi_encoder_create(model, threads, &encoder, &err) != WN_OK))) {
            code = cli_fail(&err);
        } else {
            if (model) build_options.split.tokenizer = wn_model_tokenizer(model);
            code = build(path, &inputs, encoder, &build_options, quiet);
        }
    }
    wn_bi_encoder_free(encoder);
    wn_model_close(model);
    cli_list_release(&inputs);
    return code;
}
