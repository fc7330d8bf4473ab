/* studying.h -- what impact, eval, sweep and advise share: queries, an index, models, a study. */
#ifndef WN_CLI_STUDYING_H
#define WN_CLI_STUDYING_H
#include "report.h"

typedef struct cli_studying {
    /* as given */
    const char *index, *queries, *embedder;
    cli_list rerankers, where;
    int threads, policy, first_stage, format;
    size_t max_queries;
    bool quiet;
    /* as opened */
    wn_topics *topics;
    wn_qrels *qrels; /* NULL: no labels; then every query is asked, else the judged ones */
    wn_filter *filters;
    cli_searching searching;
    wn_first_stage stage;
} cli_studying;

#define STUDYING_OPTIONS(s)                                                                       \
    {"queries", 'q', OPT_STRING, &(s).queries, "FILE", "queries: JSONL, id TAB text, or one a line"}, \
    {"where", 'w', OPT_LIST, &(s).where, "KEY=VALUE", "filter on metadata; VALUE* is a prefix"},  \
    {"max-length-policy", 0, OPT_CHOICE, &(s).policy, NULL, "over-long passages",                 \
     .choices = REC_LENGTH_POLICIES},                                                                 \
    {"format", 'f', OPT_CHOICE, &(s).format, NULL, "how to print", .choices = REPORT_FORMATS},    \
    {"max-queries", 0, OPT_SIZE, &(s).max_queries, "N", "ask only the first N queries", 1},         \
    {"embedder", 'e', OPT_STRING, &(s).embedder, "M", "bi-encoder (default: the index's)"},       \
    {"threads", 't', OPT_INT, &(s).threads, "N", "worker threads (default: one a processor)", 0}, \
    BLEND_OPTION((s).searching),                                                                  \
    {"quiet", 0, OPT_FLAG, &(s).quiet, NULL, "no progress, no remarks"}

/* Topics, filters, index and bi-encoder; -1 to go on, else the exit code. Close whatever happened. */
int cli_studying_open(cli_studying *s, const cli_command *command);
void cli_studying_close(cli_studying *s);
/* The study of one reranker (NULL: the default) and first stage, with a progress bar; the exit code,
 * -1 when it is made. rerank false: first stage alone. */
int cli_studying_run(cli_studying *s, const char *reranker, wn_first_stage stage, bool rerank,
                     bool confidence, const size_t *depths, size_t ndepths, wn_study **out);
/* "10,20,30" into *out (malloc, *n of them, each at least 1); -1 or the exit code. */
int cli_parse_sizes(const cli_command *command, const char *option, const char *text, size_t **out,
                    size_t *n);
/* Judgements: from a file, or the queries' expected sources, told by what is wrong with them.
 * s->qrels stays NULL when there are none. -1 or the exit code. */
int cli_studying_labels(cli_studying *s, const char *qrels_path);
#endif
