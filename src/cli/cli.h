/* cli.h -- what the commands share. The command line sees winnow.h alone, never an inner header.
 *
 * A command is `int cmd_NAME(int argc, char **argv)`: argv[0] is the command's name, the result is
 * the exit code: 0 done, 1 failed, 2 used wrongly. */
#ifndef WN_CLI_CLI_H
#define WN_CLI_CLI_H
#include "records/records.h"
#include <jansson.h>
#include <stdio.h>
#include <winnow.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

int cmd_tokenize(int argc, char **argv);
int cmd_embed(int argc, char **argv);
int cmd_score(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_index(int argc, char **argv);
int cmd_search(int argc, char **argv);
int cmd_model(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_impact(int argc, char **argv);
int cmd_rerank(int argc, char **argv);
int cmd_sweep(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_advise(int argc, char **argv);
int cmd_serve(int argc, char **argv);

/* ---- options.c: a table of options over getopt_long ------------------------ */

typedef enum {
    OPT_FLAG,   /* bool: set to true */
    OPT_UNFLAG, /* bool: set to false */
    OPT_STRING, /* const char * */
    OPT_SIZE,   /* size_t, from `lo` up */
    OPT_INT,    /* int, from `lo` up */
    OPT_FLOAT,  /* float; *seen is set when not NULL */
    OPT_CHOICE, /* int: position in `choices` */
    OPT_LIST    /* cli_list: may be given again */
} option_kind;

typedef struct cli_list {
    const char **items;
    size_t count, cap;
} cli_list;

typedef struct cli_option {
    const char *name; /* without the dashes */
    char letter;      /* or 0 */
    option_kind kind;
    void *target;
    const char *arg;  /* what the help calls the value */
    const char *help;
    long lo;
    bool *seen;
    const char *const *choices; /* NULL-terminated */
} cli_option;

typedef struct cli_command {
    const char *usage; /* "search INDEX [QUERY] [options]" */
    const char *about; /* one paragraph */
    const cli_option *options;
    size_t noptions;
} cli_command;

/* Parses argv; the operands are left in *operands. Returns -1 to go on, else the exit code
 * (0 after --help, 2 after a wrong option, already told). */
int cli_parse(const cli_command *command, int argc, char **argv, cli_list *operands);
void cli_list_release(cli_list *list);
/* "winnow NAME: message" on standard error; EXIT_USAGE. */
int cli_usage_error(const cli_command *command, const char *fmt, ...) WN_PRINTF(2, 3);
/* The library's error on standard error; EXIT_USAGE for a wrong argument, else EXIT_FAILED. */
int cli_fail(const wn_error *err);
int cli_fail_memory(void);

extern const char *const PRECISIONS[];      /* in the order of wn_precision */

/* ---- input.c: lines and JSON lines from files or standard input ------------- */

typedef struct cli_lines cli_lines;
/* files empty: standard input; "-" is standard input too. */
cli_lines *cli_lines_open(const cli_list *files);
/* The next line without its newline; NULL at the end or on failure (see cli_lines_failed).
 * Borrowed until the next call. Never gives an empty line. */
const char *cli_lines_next(cli_lines *lines, size_t *len);
/* The next line as a JSON object; the caller owns it. NULL as above. */
json_t *cli_lines_next_object(cli_lines *lines);
/* A member that must be a string; NULL after telling file and line. */
const char *cli_lines_string(cli_lines *lines, const json_t *object, const char *key, size_t *len);
bool cli_lines_failed(const cli_lines *lines);
void cli_lines_close(cli_lines *lines);

/* ---- output.c --------------------------------------------------------------- */

bool cli_color(FILE *stream);           /* a terminal, and NO_COLOR is not set */
int cli_width(FILE *stream);            /* columns of the terminal, else 100 */
/* At most `columns` wide, white space folded, "…" where cut. */
void cli_print_snippet(FILE *stream, const char *text, size_t len, int columns);
/* Padded to `columns`; cut when longer. */
void cli_print_cell(FILE *stream, const char *text, int columns);
void cli_print_change(FILE *stream, int change, bool color); /* "▲3", "▼2", "=" in 5 columns */
void cli_print_json(FILE *stream, json_t *object);           /* one line; takes the reference */
/* Flushes standard output; EXIT_FAILED with a message when something could not be written. */
int cli_finish_output(void);

/* ---- models.c ----------------------------------------------------------------- */

extern const char *const DEFAULT_EMBEDDERS[]; /* NULL-terminated, best first */
extern const char *const DEFAULT_RERANKERS[];
/* Opens `name`, or the first of `defaults` that the cache has. precision: a wn_precision; what WN_AUTO
 * became is told on standard error. */
wn_status cli_model_open(const char *name, const char *const *defaults, size_t max_length, int precision,
                         wn_model **out, wn_error *err);

/* ---- score_caching.c: --score-cache ------------------------------------------------ */

typedef struct cli_score_cache {
    const char *path; /* as given */
    size_t mebibytes; /* its bound; 0: the library's own */
    wn_score_cache *open;
    wn_cached_scorers *scorers;
} cli_score_cache;
#define SCORE_CACHE_OPTIONS(c) \
    {"score-cache", 0, OPT_STRING, &(c).path, "FILE", "keep the scores of pairs in FILE, and take them from there"}, \
    {"score-cache-mb", 0, OPT_SIZE, &(c).mebibytes, "N", "its bound in MiB (256)", 1}
/* Nothing where none is wanted, or it is open. */
wn_status cli_score_cache_open(cli_score_cache *cache, wn_error *err);
/* *scorers with the cache in front, if one is wanted; once for each reranker. */
wn_status cli_score_cache_put(cli_score_cache *cache, wn_scorers *scorers, wn_error *err);
void cli_score_cache_drop(cli_score_cache *cache);  /* the scorers: before their models go */
void cli_score_cache_close(cli_score_cache *cache);
wn_score_cache_info cli_score_cache_info(const cli_score_cache *cache); /* zeros where there is none */

/* ---- searching.c: what the commands that search an index open ------------------ */

typedef struct cli_searching {
    wn_index *index;
    wn_model *bi_model, *cross_model;
    wn_bi_encoder *bi;
    wn_cross_encoder *cross;
    wn_searcher *searcher;
    int threads, precision; /* precision: a wn_precision, set before cli_searching_open */
    float blend;            /* wn_search_options.blend, once there is a reranker */
    bool blend_given;       /* by the user; else what the reranker recommends */
    double index_open_ms, sessions_ms; /* sessions: workers and buffers of the encoders */
    cli_score_cache cache;  /* in front of every reranker; path NULL: none */
} cli_searching;
#define BLEND_OPTION(s) \
    {"blend", 0, OPT_FLOAT, &(s).blend, "W", "order by logit + W * cosine; 0: logit alone (what the reranker recommends)", \
     .seen = &(s).blend_given}
/* Index, its bi-encoder and a searcher without reranking. embedder NULL: the one that made the
 * index. An index without embeddings turns *first_stage to BM25, and says so. Close whatever
 * happened. */
wn_status cli_searching_open(cli_searching *searching, const char *index, const char *embedder,
                             int threads, wn_first_stage *first_stage, wn_error *err);
/* With a reranker (NULL: the default one) from here on, in place of the one before. */
wn_status cli_searching_rerank(cli_searching *searching, const char *reranker, wn_error *err);
void cli_searching_close(cli_searching *searching);
/* "key=value" pieces; -1 to go on, else the exit code. Free with cli_filters_free whatever happened. */
int cli_filters_parse(const cli_command *command, const cli_list *where, wn_filter **out);
void cli_filters_free(wn_filter *filters, size_t n);

/* ---- timings.c: --timings of a search ------------------------------------------ */

double cli_now_ms(void);
json_t *cli_timings_json(const cli_searching *searching, const wn_answer_info *info); /* the caller owns it */
void cli_timings_print_loads(const cli_searching *searching); /* standard error; so does the next */
void cli_timings_print(const wn_answer_info *info);

/* ---- progress.c ---------------------------------------------------------------- */

/* A wn_progress_fn that draws a bar with rate and time left on a terminal's standard error
 * and stops the work on SIGINT. */
typedef struct cli_progress {
    const char *stage;
    double started, drawn;
    bool enabled, visible;
    const char *unit;
} cli_progress;
void cli_progress_start(cli_progress *progress, bool quiet);
bool cli_progress_update(void *ctx, const char *stage, uint64_t done, uint64_t total);
void cli_progress_end(cli_progress *progress);
#endif
