/* cmd_report.c -- `winnow report`: one page that says whether reranking pays, and shows why.
 *
 * The page is written whole or not at all: to a file beside it, then renamed. */
#include "report_page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const LEVELS[] = {"document", "passage", NULL};
static const char *const FORMATS[] = {"json", "md", "csv", NULL};
enum { NO_FORMAT = -1, FORMAT_JSON, FORMAT_MD, FORMAT_CSV };

typedef struct {
    report_request r;
    const char *k_values, *output, *from;
    float budget;
    int format; /* of FORMATS; NO_FORMAT: print none */
} arguments;

/* ---- The command as a shell takes it -------------------------------------------------- */

static void quote(FILE *f, const char *text) {
    if (*text &&
        !text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./,=:@%+-")]) {
        fputs(text, f);
        return;
    }
    fputc('\'', f);
    for (; *text; text++) {
        if (*text == '\'') fputs("'\\''", f);
        else fputc(*text, f);
    }
    fputc('\'', f);
}

static char *command_text(int argc, char **argv) {
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    if (!f) return NULL;
    fputs("winnow", f);
    for (int i = 0; i < argc; i++) {
        fputc(' ', f);
        quote(f, argv[i]);
    }
    if (fclose(f) == 0) return text;
    free(text);
    return NULL;
}

/* ---- Writing ------------------------------------------------------------------------------ */

static int cannot_write(const char *path) {
    fprintf(stderr, "winnow: %s: %s\n", path, strerror(errno));
    return EXIT_FAILED;
}

static int write_page(const char *path, const json_t *root) {
    char *partial = NULL;
    if (!strcmp(path, "-")) {
        report_write_html(stdout, root);
        return EXIT_DONE;
    }
    if (asprintf(&partial, "%s.part-%ld", path, (long)getpid()) < 0) return cli_fail_memory();
    FILE *f = fopen(partial, "w");
    int code = f ? EXIT_DONE : cannot_write(partial);
    if (f) {
        report_write_html(f, root);
        bool failed = fflush(f) != 0 || ferror(f);
        if (failed) code = cannot_write(partial);
        if (fclose(f) != 0 && !failed) code = cannot_write(partial);
        if (code == EXIT_DONE && rename(partial, path) != 0) code = cannot_write(path);
        if (code != EXIT_DONE) unlink(partial);
    }
    free(partial);
    return code;
}

/* The document's records and tables, for Markdown and CSV; nested members are left to JSON. */
static void put_members(rec_report *report, json_t *object) {
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        const json_t *first = json_array_get(value, 0);
        if (json_is_string(value) || json_is_null(value))
            rec_put_text(report, key, key, json_string_value(value));
        else if (json_is_boolean(value)) rec_put_bool(report, key, key, json_is_true(value));
        else if (json_is_integer(value)) rec_put_int(report, key, key, json_integer_value(value));
        else if (json_is_real(value)) rec_put_real(report, key, key, json_real_value(value), 4);
        else if (json_array_size(value) == 2 && json_is_number(first) && !strcmp(key, "interval_95"))
            rec_put_interval(report, key, key, json_number_value(first),
                             json_number_value(json_array_get(value, 1)), 4);
    }
}

static int print_sections(json_t *root, report_format format) {
    rec_report *report = cli_report_create();
    const char *key;
    json_t *value, *row;
    size_t i;
    if (!report) return EXIT_FAILED;
    json_object_foreach(root, key, value) {
        if (json_is_object(value)) {
            rec_report_section(report, SECTION_RECORD, key, key);
            put_members(report, value);
        } else if (json_is_array(value)) {
            rec_report_section(report, SECTION_TABLE, key, key);
            json_array_foreach(value, i, row) {
                rec_report_row(report);
                put_members(report, row);
            }
        }
    }
    return cli_report_print(report, format);
}

static int deliver(const arguments *a, json_t *root) {
    int code = a->output ? write_page(a->output, root) : EXIT_DONE;
    if (code == EXIT_DONE && a->format != NO_FORMAT) {
        if (a->format != FORMAT_JSON)
            return print_sections(root, a->format == FORMAT_MD ? REPORT_MD : REPORT_CSV);
        json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
        putchar('\n');
    }
    return code == EXIT_DONE ? cli_finish_output() : code;
}

/* ---- A report drawn again --------------------------------------------------------------------- */

/* The whole of a file, a NUL after it; NULL after telling. */
static char *read_all(const char *path) {
    FILE *f = strcmp(path, "-") ? fopen(path, "r") : stdin, *memory = NULL;
    char *text = NULL, piece[1 << 14];
    size_t len, n;
    bool failed = !f || !(memory = open_memstream(&text, &len));
    while (!failed && (n = fread(piece, 1, sizeof piece, f)) > 0) failed = fwrite(piece, 1, n, memory) != n;
    failed = failed || ferror(f);
    if (failed) fprintf(stderr, "winnow: %s: %s\n", path, strerror(errno));
    if (memory && fclose(memory) != 0) failed = true;
    if (f && f != stdin) fclose(f);
    if (!failed) return text;
    free(text);
    return NULL;
}

/* From a JSON document, or from a page, which carries one. */
static int load(const char *path, json_t **out) {
    static const char opening[] = "id=\"winnow-report\">";
    json_error_t err;
    char *text = read_all(path);
    if (!text) return EXIT_FAILED;
    char *begin = *text == '<' ? strstr(text, opening) : NULL, *end = begin ? strstr(begin, "</script>") : NULL;
    if (end) *end = 0;
    json_t *root = json_loads(begin ? begin + sizeof opening - 1 : text, JSON_ALLOW_NUL, &err);
    free(text);
    if (!root) {
        fprintf(stderr, "winnow: %s: line %d: %s\n", path, err.line, err.text);
        return EXIT_FAILED;
    }
    if (strcmp(page_string(root, "format"), PAGE_FORMAT) != 0 || page_number(root, "version") != PAGE_VERSION) {
        fprintf(stderr,
                "winnow: %s: not a report of this winnow; make one by `winnow report INDEX --format json`\n",
                path);
        json_decref(root);
        return EXIT_FAILED;
    }
    *out = root;
    return -1;
}

/* ---- Studies --------------------------------------------------------------------------------------- */

static int parse_stages(const cli_command *command, const cli_list *names, wn_first_stage *out) {
    for (size_t i = 0; i < names->count; i++) {
        int stage = 0;
        while (REC_FIRST_STAGES[stage] && strcmp(REC_FIRST_STAGES[stage], names->items[i]) != 0) stage++;
        if (!REC_FIRST_STAGES[stage])
            return cli_usage_error(command, "--first-stage is dense, bm25 or hybrid, not \"%s\"",
                                   names->items[i]);
        out[i] = (wn_first_stage)stage;
    }
    return -1;
}

static int add_main(json_t *root, report_request *r, const wn_study *study) {
    wn_error err;
    return report_add_study(root, r, study, &err) == WN_OK ? -1 : cli_fail(&err);
}

static int add_systems(json_t *root, report_request *r, wn_study *const *studies, size_t n) {
    wn_error err;
    wn_status st = report_add_systems(root, r, (const wn_study *const *)studies, n, &err);
    if (st != WN_OK) return cli_fail(&err);
    report_finish(root);
    return -1;
}

/* The first study is the main one: told as soon as it is made, while its reranker is open. */
static int run_studies(report_request *r, json_t *root, const wn_first_stage *stages, size_t nstages) {
    static const char *const by_default[] = {NULL};
    const char *const *rerankers = r->s.rerankers.count ? r->s.rerankers.items : by_default;
    size_t nrerankers = r->s.rerankers.count ? r->s.rerankers.count : 1, n = 0;
    wn_study **studies = calloc(nstages * nrerankers, sizeof *studies);
    if (!studies) return cli_fail_memory();
    int code = -1;
    for (size_t i = 0; code < 0 && i < nrerankers; i++)
        for (size_t j = 0; code < 0 && j < nstages; j++) {
            code = cli_studying_run(&r->s, rerankers[i], stages[j], true, false, r->depths, r->ndepths,
                                    &studies[n]);
            if (code < 0 && n++ == 0) code = add_main(root, r, studies[0]);
        }
    if (code < 0) code = add_systems(root, r, studies, n);
    for (size_t i = 0; i < n; i++) wn_study_free(studies[i]);
    free(studies);
    return code;
}

static int study(arguments *a, const cli_command *command, json_t **out) {
    report_request *r = &a->r;
    size_t nstages = r->first_stages.count ? r->first_stages.count : 1;
    wn_first_stage *stages = calloc(nstages, sizeof *stages);
    if (!stages) return cli_fail_memory();
    int code = parse_stages(command, &r->first_stages, stages);
    r->s.first_stage = (int)stages[0];
    if (code < 0) code = cli_studying_open(&r->s, command);
    if (code < 0) code = cli_studying_labels(&r->s, r->qrels);
    if (code < 0) {
        stages[0] = r->s.stage; /* BM25 where the index has no embeddings */
        json_t *root = report_begin(r);
        code = run_studies(r, root, stages, nstages);
        if (code < 0) *out = root;
        else json_decref(root);
    }
    free(stages);
    return code;
}

static int check(arguments *a, const cli_command *command, const cli_list *operands) {
    report_request *r = &a->r;
    if (!a->output && a->format == NO_FORMAT)
        return cli_usage_error(command, "give the page's file by --output, or --format");
    if (a->output && !strcmp(a->output, "-") && a->format != NO_FORMAT)
        return cli_usage_error(command, "--output - and --format both print");
    if (operands->count != (a->from ? 0 : 1))
        return cli_usage_error(command, a->from ? "--from takes no index" : "give one index");
    if (a->from) return -1;
    r->s.index = operands->items[0];
    int code = cli_parse_sizes(command, "k-values", a->k_values, &r->depths, &r->ndepths);
    for (size_t i = 0; code < 0 && i < r->ndepths; i++)
        if (r->depths[i] < r->k)
            return cli_usage_error(command, "--k-values: %zu is less than --k %zu", r->depths[i], r->k);
    return code;
}

int cmd_report(int argc, char **argv) {
    arguments a = {
        .k_values = "10,20,30,50", .format = NO_FORMAT, .r = {.k = 5, .worst = 5, .measure = "ndcg_cut_10"}};
    report_request *r = &a.r;
    cli_list operands = {0};
    const cli_option options[] = {
        {"output", 'o', OPT_STRING, &a.output, "FILE", "the page"},
        {"format", 'f', OPT_CHOICE, &a.format, NULL, "print the numbers", .choices = FORMATS},
        {"from", 0, OPT_STRING, &a.from, "FILE", "draw an earlier report again: a page, or its JSON"},
        {"queries", 'q', OPT_STRING, &r->s.queries, "FILE", "queries: JSONL, id TAB text, or one a line"},
        {"qrels", 'Q', OPT_STRING, &r->qrels, "FILE", "judgements, TREC or BEIR (expected_source)"},
        {"level", 'l', OPT_CHOICE, &r->level, NULL, "what they judge; a passage is SOURCE#N",
         .choices = LEVELS},
        {"measure", 0, OPT_STRING, &r->measure, "M", "measure of quality (ndcg_cut_10)"},
        {"k", 'k', OPT_SIZE, &r->k, "N", "results that count as shown (5)", 1},
        {"k-values", 'n', OPT_STRING, &a.k_values, "LIST", "numbers of candidates to compare (10,20,30,50)"},
        {"first-stage", 's', OPT_LIST, &r->first_stages, "S", "dense, bm25, hybrid; again: compared"},
        {"reranker", 'r', OPT_LIST, &r->s.rerankers, "M", "cross-encoder; again: compared"},
        {"budget-ms", 0, OPT_FLOAT, &a.budget, "N", "recommend what answers 95 % in that time", 0},
        {"worst", 0, OPT_SIZE, &r->worst, "N", "losses shown (5)", 0},
        {"title", 0, OPT_STRING, &r->title, "T", "the page's title"},
        {"where", 'w', OPT_LIST, &r->s.where, "KEY=VALUE", "filter on metadata; VALUE* is a prefix"},
        {"max-length-policy", 0, OPT_CHOICE, &r->s.policy, NULL, "over-long passages",
         .choices = REC_LENGTH_POLICIES},
        {"max-queries", 0, OPT_SIZE, &r->s.max_queries, "N", "ask only the first N queries", 1},
        {"embedder", 'e', OPT_STRING, &r->s.embedder, "M", "bi-encoder (default: the index's)"},
        {"threads", 't', OPT_INT, &r->s.threads, "N", "worker threads (default: one a processor)", 0},
        {"quiet", 0, OPT_FLAG, &r->s.quiet, NULL, "no progress, no remarks"},
    };
    const cli_command command = {
        "report INDEX --queries FILE -o FILE.html [options]",
        "Studies queries with and without reranking and writes one HTML page: does reranking pay, how\n"
        "surely, for how many candidates, at what cost, and where it loses. The page needs no network\n"
        "and no script. Without labels it shows what reranking changes.",
        options, sizeof options / sizeof *options};
    json_t *root = NULL;
    r->command = command_text(argc, argv); /* before options are moved to the front */
    int code = cli_parse(&command, argc, argv, &operands);
    if (code < 0) code = check(&a, &command, &operands);
    r->budget_ms = a.budget;
    if (code < 0 && !(a.budget >= 0)) code = cli_usage_error(&command, "--budget-ms is negative");
    if (code < 0) code = a.from ? load(a.from, &root) : study(&a, &command, &root);
    if (code < 0) code = deliver(&a, root);
    json_decref(root);
    cli_studying_close(&r->s);
    cli_list_release(&r->first_stages);
    cli_list_release(&operands);
    free(r->depths);
    free(r->command);
    return code;
}
