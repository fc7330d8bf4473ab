/* timings.c -- where a search's time went, for --timings: a member of the JSON record, lines on standard error
 * otherwise, so that neither tables nor tables of tabs change. */
#include "cli.h"

#include <time.h>

double cli_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static json_t *model_json(const wn_model *model) {
    if (!model) return json_null();
    wn_model_info info = wn_model_describe(model);
    return json_pack("{s:o, s:o, s:o, s:o}", "open_ms", rec_real(info.open_time_ms), "tokenizer_ms",
                     rec_real(info.tokenizer_time_ms), "hash_ms", rec_real(info.hash_time_ms), "pack_ms",
                     rec_real(info.pack_time_ms));
}

json_t *cli_timings_json(const cli_searching *s, const wn_answer_info *info) {
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "index_open_ms", rec_real(s->index_open_ms),
                     "embedder", model_json(s->bi_model), "reranker", model_json(s->cross_model), "sessions_ms",
                     rec_real(s->sessions_ms), "embed_ms", rec_real(info->embed_time_ms), "dense_ms",
                     rec_real(info->dense_time_ms), "bm25_ms", rec_real(info->bm25_time_ms), "fusion_ms",
                     rec_real(info->fusion_time_ms), "passages_ms", rec_real(info->passages_time_ms), "rerank_ms",
                     rec_real(info->stage2_time_ms));
}

static void print_model(const char *what, const wn_model *model) {
    if (!model) return;
    wn_model_info info = wn_model_describe(model);
    fprintf(stderr, "; %s %.1f (tokenizer %.1f, hash %.1f, packing %.1f)", what, info.open_time_ms, info.tokenizer_time_ms,
            info.hash_time_ms, info.pack_time_ms);
}

void cli_timings_print_loads(const cli_searching *s) {
    fprintf(stderr, "loads in ms: index %.1f", s->index_open_ms);
    print_model("embedder", s->bi_model);
    print_model("reranker", s->cross_model);
    fprintf(stderr, "; sessions %.1f\n", s->sessions_ms);
}

void cli_timings_print(const wn_answer_info *info) {
    fprintf(stderr, "search in ms: embedding %.1f, scan %.1f, BM25 %.1f, fusion %.1f, passages %.1f, rerank %.1f\n",
            info->embed_time_ms, info->dense_time_ms, info->bm25_time_ms, info->fusion_time_ms, info->passages_time_ms,
            info->stage2_time_ms);
}
