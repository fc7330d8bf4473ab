/* search.c -- two-stage search from C: open, ask, print, close. The README shows this file. */
#include <stdio.h>
#include <string.h>
#include <winnow.h>

int main(int argc, char **argv) {
    if (argc != 4) return fprintf(stderr, "usage: search INDEX RERANKER QUERY\n"), 2;
    wn_error err;
    wn_index *index = NULL;
    wn_index_info info;
    wn_model *bi_model = NULL, *cross_model = NULL;
    wn_bi_encoder *bi = NULL;
    wn_cross_encoder *cross = NULL;
    wn_searcher *searcher = NULL;
    wn_answer *answer = NULL;
    wn_str query = {argv[3], strlen(argv[3])};
    int failed = wn_index_open(argv[1], &index, &err) ||
                 wn_index_describe(index, &info, &err) ||
                 wn_model_open(info.model_name, NULL, &bi_model, &err) ||
                 wn_model_open(argv[2], NULL, &cross_model, &err) ||
                 wn_bi_encoder_create(bi_model, 0, &bi, &err) ||
                 wn_cross_encoder_create(cross_model, 0, &cross, &err) ||
                 wn_searcher_create(index, bi, cross, &searcher, &err) ||
                 wn_search(searcher, query, NULL, &answer, &err);
    if (failed) fprintf(stderr, "%s\n", err.message);
    for (size_t i = 0; !failed && i < wn_answer_count(answer); i++) {
        const wn_result *r = wn_answer_result(answer, i);
        printf("%u. (was %u) %.3f %s\n", r->final_rank, r->first_stage_rank, r->rerank_score,
               r->passage->source);
    }
    wn_answer_free(answer);
    wn_searcher_free(searcher);
    wn_cross_encoder_free(cross);
    wn_bi_encoder_free(bi);
    wn_model_close(cross_model);
    wn_model_close(bi_model);
    wn_index_close(index);
    return failed != 0;
}
