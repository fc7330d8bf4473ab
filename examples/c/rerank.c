/* rerank.c -- reorder passages for a query with a cross-encoder.
 *
 *   cc rerank.c $(pkg-config --cflags --libs winnow) -o rerank
 *   ./rerank reranker-minilm-l6-v1
 *
 * The argument is a model directory or a name of winnow's model cache. */
#include <stdio.h>
#include <string.h>
#include <winnow.h>

static wn_str str(const char *s) { return (wn_str){s, strlen(s)}; }

int main(int argc, char **argv) {
    const char *passages[] = {
        "LoRA freezes a model's weights and trains small low-rank matrices beside them.",
        "LoRa is a radio technique for long-range links at a low data rate.",
        "Quantization stores weights in fewer bits.",
    };
    enum { N = sizeof passages / sizeof *passages };
    wn_str query = str("How does LoRA fine-tune a language model?"), documents[N];
    for (int i = 0; i < N; i++) documents[i] = str(passages[i]);

    wn_error err;
    wn_model *model = NULL;
    wn_cross_encoder *encoder = NULL;
    wn_pair_score scores[N];
    if (wn_model_open(argc > 1 ? argv[1] : "reranker-minilm-l6-v1", NULL, &model, &err) ||
        wn_cross_encoder_create(model, 0, &encoder, &err) ||
        wn_cross_encoder_score_batch(encoder, query, documents, N, 0, WN_LENGTH_TRUNCATE, scores,
                                     &err))
        fprintf(stderr, "%s\n", err.message);
    else
        for (int i = 0; i < N; i++) printf("%8.4f  %s\n", (double)scores[i].score, passages[i]);
    int failed = !encoder;
    wn_cross_encoder_free(encoder);
    wn_model_close(model);
    return failed;
}
