/* main.c -- winnow(1): picks the command. */
#include "cli.h"

#include <locale.h>
#include <signal.h>
#include <string.h>

static const struct {
    const char *name, *about;
    int (*run)(int argc, char **argv);
} COMMANDS[] = {
    {"index", "make or update an index of documents", cmd_index},
    {"search", "search an index in two stages", cmd_search},
    {"compare", "score passages with both encoders, side by side", cmd_compare},
    {"score", "score query-document pairs", cmd_score},
    {"embed", "turn texts into embeddings", cmd_embed},
    {"explain", "tell why a passage stands where it stands", cmd_explain},
    {"impact", "tell what reranking changes, without labels", cmd_impact},
    {"rerank", "reorder any system's run", cmd_rerank},
    {"sweep", "tell how many candidates to rerank, by quality and time", cmd_sweep},
    {"advise", "tell when to rerank and when not", cmd_advise},
    {"eval", "measure runs against relevance judgements, as trec_eval does", cmd_eval},
    {"report", "write a page that says whether reranking pays", cmd_report},
    {"serve", "answer over HTTP, in the dialects that clients speak", cmd_serve},
    {"tokenize", "turn texts into token ids", cmd_tokenize},
    {"model", "list, inspect, import and pull models", cmd_model},
};
enum { NCOMMANDS = sizeof COMMANDS / sizeof *COMMANDS };

static void print_help(FILE *stream) {
    fprintf(stream, "winnow %s: two-stage retrieval, recall then rerank\n\n"
                    "usage: winnow COMMAND [options]     (winnow COMMAND --help tells them)\n\n",
            wn_version());
    for (size_t i = 0; i < NCOMMANDS; i++)
        fprintf(stream, "  %-10s %s\n", COMMANDS[i].name, COMMANDS[i].about);
    fprintf(stream, "\nFor a start:\n"
                    "  winnow index DOCUMENTS/ -o docs.wnindex\n"
                    "  winnow search docs.wnindex \"how much memory does it have?\"\n");
}

int main(int argc, char **argv) {
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is reported by cli_finish_output, not by dying */
    const char *name = argc > 1 ? argv[1] : "";
    if (!strcmp(name, "--version") || !strcmp(name, "-V") || !strcmp(name, "version")) {
        printf("winnow %s\n", wn_version());
        return EXIT_DONE;
    }
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        print_help(stdout);
        return EXIT_DONE;
    }
    for (size_t i = 0; i < NCOMMANDS; i++)
        if (!strcmp(name, COMMANDS[i].name)) return COMMANDS[i].run(argc - 1, argv + 1);
    if (*name) fprintf(stderr, "winnow: there is no command \"%s\"\n\n", name);
    print_help(stderr);
    return EXIT_USAGE;
}
