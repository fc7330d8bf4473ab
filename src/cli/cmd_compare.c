/* cmd_compare.c -- a query and passages, scored by both encoders, side by side. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const FORMATS[] = {"table", "json", "tsv", NULL};

typedef struct {
    char **texts;
    wn_str *views;
    size_t n, cap;
} passages;

static bool add_passage(passages *p, const char *text, size_t len) {
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 16;
        char **texts = realloc(p->texts, cap * sizeof *texts);
        if (!texts) return false;
        p->texts = texts;
        wn_str *views = realloc(p->views, cap * sizeof *views);
        if (!views) return false;
        p->views = views;
        p->cap = cap;
    }
    char *copy = malloc(len + 1);
    if (!copy) return false;
    memcpy(copy, text, len);
    copy[len] = 0;
    p->texts[p->n] = copy;
    p->views[p->n++] = (wn_str){copy, len};
    return true;
}

static void release(passages *p) {
    for (size_t i = 0; i < p->n; i++) free(p->texts[i]);
    free(p->texts);
    free(p->views);
}

/* A line that begins with { is a JSON object with "text"; any other line is the passage. */
static bool read_file(passages *p, const char *path) {
    cli_list files = {.items = &path, .count = 1};
    cli_lines *lines = cli_lines_open(&files);
    size_t len;
    bool ok = lines != NULL;
    for (const char *line; ok && (line = cli_lines_next(lines, &len));) {
        json_t *object = *line == '{' ? json_loadb(line, len, JSON_ALLOW_NUL, NULL) : NULL;
        const char *text = line;
        if (object) text = cli_lines_string(lines, object, "text", &len);
        ok = text && add_passage(p, text, len);
        json_decref(object);
    }
    ok = ok && !cli_lines_failed(lines);
    cli_lines_close(lines);
    return ok;
}

static void print_table(const passages *p, const wn_compare_row *rows, const uint32_t *order,
                        bool tsv) {
    bool color = !tsv && cli_color(stdout);
    int width = cli_width(stdout);
    if (tsv)
        printf("rerank_rank\tbi_encoder_rank\trank_change\trerank_score\tbi_encoder_score\tdocument\n");
    else
        printf("%safter before change    rerank  bi-encoder  passage%s\n", color ? "\x1b[1m" : "",
               color ? "\x1b[0m" : "");
    for (size_t r = 0; r < p->n; r++) {
        const wn_compare_row *row = &rows[order[r]];
        if (tsv) {
            printf("%u\t%u\t%d\t%.6g\t%.6g\t", row->rerank_rank, row->bi_encoder_rank,
                   row->rank_change, row->rerank_score, row->bi_encoder_score);
            cli_print_snippet(stdout, p->views[order[r]].data, p->views[order[r]].len, 1 << 20);
        } else {
            printf("%5u %6u  ", row->rerank_rank, row->bi_encoder_rank);
            cli_print_change(stdout, row->rank_change, color);
            printf("  %8.4f  %10.4f  ", row->rerank_score, row->bi_encoder_score);
            cli_print_snippet(stdout, p->views[order[r]].data, p->views[order[r]].len, width - 42);
            if (row->fit.tokens_dropped)
                printf(" [%u tokens not read]", row->fit.tokens_dropped);
        }
        putchar('\n');
    }
}

static int run(const char *query, const passages *p, const char *embedder, const char *reranker,
               int threads, int precision, wn_length_policy policy, int format) {
    wn_error err;
    wn_model *bi_model = NULL, *cross_model = NULL;
    wn_bi_encoder *bi = NULL;
    wn_cross_encoder *cross = NULL;
    wn_compare_row *rows = calloc(p->n, sizeof *rows);
    uint32_t *order = calloc(p->n, sizeof *order);
    int code = EXIT_FAILED;
    if (!rows || !order) {
        code = cli_fail_memory();
    } else if (cli_model_open(embedder, DEFAULT_EMBEDDERS, 0, precision, &bi_model, &err) != WN_OK ||
               cli_model_open(reranker, DEFAULT_RERANKERS, 0, precision, &cross_model, &err) != WN_OK ||
               wn_bi_encoder_create(bi_model, threads, &bi, &err) != WN_OK ||
               wn_cross_encoder_create(cross_model, threads, &cross, &err) != WN_OK ||
               wn_compare(bi, cross, (wn_str){query, strlen(query)}, p->views, p->n, policy, rows,
                          &err) != WN_OK) {
        code = cli_fail(&err);
    } else {
        rec_compare_order(rows, p->n, order);
        if (format == 1) cli_print_json(stdout, rec_compare((wn_str){query, strlen(query)}, p->views, rows, p->n));
        else print_table(p, rows, order, format == 2);
        code = cli_finish_output();
    }
    wn_bi_encoder_free(bi);
    wn_cross_encoder_free(cross);
    wn_model_close(bi_model);
    wn_model_close(cross_model);
    free(rows);
    free(order);
    return code;
}

int cmd_compare(int argc, char **argv) {
    const char *embedder = NULL, *reranker = NULL, *file = NULL;
    cli_list docs = {0}, operands = {0};
    int threads = 0, policy = 0, format = 0, precision = 0;
    const cli_option options[] = {
        {"doc", 'd', OPT_LIST, &docs, "TEXT", "a passage; may be given again"},
        {"docs", 0, OPT_STRING, &file, "FILE", "passages, one a line, plain or {\"text\"}"},
        {"embedder", 'e', OPT_STRING, &embedder, "M", "bi-encoder: directory or cache name"},
        {"reranker", 'r', OPT_STRING, &reranker, "M", "cross-encoder: directory or cache name"},
        {"format", 'f', OPT_CHOICE, &format, NULL, "how to print", .choices = FORMATS},
        {"max-length-policy", 0, OPT_CHOICE, &policy, NULL, "over-long passages",
         .choices = REC_LENGTH_POLICIES},
        {"precision", 0, OPT_CHOICE, &precision, NULL, "of the products; auto: the fastest that is safe",
         .choices = PRECISIONS},
        {"threads", 't', OPT_INT, &threads, "N", "worker threads (default: one a processor)", 0},
    };
    const cli_command command = {"compare QUERY --doc TEXT... | --docs FILE",
                                 "Scores passages with the bi-encoder and with the cross-encoder and prints both\n"
                                 "scores and both ranks, in the cross-encoder's order.",
                                 options, sizeof options / sizeof *options};
    passages p = {0};
    int code = cli_parse(&command, argc, argv, &operands);
    if (code < 0 && operands.count != 1) code = cli_usage_error(&command, "give one query");
    for (size_t i = 0; code < 0 && i < docs.count; i++)
        if (!add_passage(&p, docs.items[i], strlen(docs.items[i]))) code = cli_fail_memory();
    if (code < 0 && file && !read_file(&p, file)) code = EXIT_FAILED;
    if (code < 0 && !p.n) code = cli_usage_error(&command, "give passages by --doc or --docs");
    if (code < 0)
        code = run(operands.items[0], &p, embedder, reranker, threads, precision,
                   (wn_length_policy)policy, format);
    release(&p);
    cli_list_release(&docs);
    cli_list_release(&operands);
    return code;
}
