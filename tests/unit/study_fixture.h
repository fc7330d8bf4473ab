/* study_fixture.h -- twelve small documents indexed by the random-weight bi-encoder, the committed
 * reranker, and topics from a string: what the tests of studies stand on. The bi-encoder knows
 * nothing, which is welcome: dense, BM25 and the cross-encoder then disagree, so every order differs. */
#ifndef WN_TESTS_STUDY_FIXTURE_H
#define WN_TESTS_STUDY_FIXTURE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "test_tier.h"
#include "core/memory.h"
#include "model_files.h"
#include <winnow/analysis.h>

#define FIXTURE_RERANKER WN_SOURCE_ROOT "/models/reranker-minilm-l6-v0"
#define FIXTURE_BI WN_SOURCE_ROOT "/tests/golden/models/small-xlmr"

typedef struct study_fixture {
    scratch dir;
    char index_path[128];
    wn_model *bi_model, *cross_model;
    wn_bi_encoder *bi;
    wn_cross_encoder *cross;
    wn_index *index;
    wn_searcher *searcher;
} study_fixture;

enum { FIXTURE_DOCS = 12 };
static const char *const FIXTURE_TEXTS[FIXTURE_DOCS] = {
    "LoRA adds a pair of small trainable matrices beside a frozen weight matrix.",
    "Vector databases keep embeddings and find the nearest ones by approximate search.",
    "The harbour was quiet, and the boats lay still in the evening light.",
    "Quantisation stores weights in fewer bits. Eight bits halve the memory of sixteen.",
    "Attention compares each token's query with every token's key and mixes the values.",
    "A B-tree keeps keys in order; a page holds many of them, and search follows one path.",
    "The low-rank update is scaled by alpha over r, and merged into the weights before serving.",
    "A tokenizer cuts text into pieces from a fixed vocabulary and gives each a number.",
    "Memory bandwidth bounds generation: each token reads all the weights once.",
    "Cross-encoders read query and passage together and give one score.",
    "BM25 counts the words that query and passage share, and weighs the rare ones more.",
    "Key-value caches keep what attention has computed; memory grows with each token.",
};

static inline void fixture_ok(wn_status st, const wn_error *err) {
    if (st != WN_OK) fail_msg("%s: %s", wn_status_name(st), err->message);
}

static inline void fixture_link(const scratch *dir, const char *from, const char *name) {
    char to[256];
    snprintf(to, sizeof to, "%s/%s", dir->dir, name);
    if (symlink(from, to) != 0) abort();
}

/* `pieces`: each document is its text and the next one's, cut into passages of about one text. */
static inline void study_fixture_open(study_fixture *f, bool pieces) {
    wn_error err = {0};
    wn_build_options options = wn_build_options_default();
    wn_build_stats stats;
    char model[128];
    *f = (study_fixture){.dir = scratch_make()};
    snprintf(model, sizeof model, "%s/model", f->dir.dir);
    if (mkdir(model, 0755) != 0) abort();
    static const char *const parts[] = {"1_Pooling", "config.json", "config_sentence_transformers.json",
                                        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                                        "model.safetensors.index.json", "modules.json",
                                        "sentence_bert_config.json"};
    char from[512], name[128];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(from, sizeof from, "%s/%s", FIXTURE_BI, parts[i]);
        snprintf(name, sizeof name, "model/%s", parts[i]);
        fixture_link(&f->dir, from, name);
    }
    fixture_link(&f->dir, WN_SOURCE_ROOT "/tests/golden/tokenizers/small-xlmr/tokenizer.json",
                 "model/tokenizer.json");
    for (int i = 0; i < FIXTURE_DOCS; i++) {
        char text[600];
        snprintf(name, sizeof name, "docs/d%02d.md", i);
        snprintf(text, sizeof text, "%s\n\n%s\n", FIXTURE_TEXTS[i],
                 pieces ? FIXTURE_TEXTS[(i + 5) % FIXTURE_DOCS] : "");
        scratch_text(&f->dir, name, text);
    }
    snprintf(f->index_path, sizeof f->index_path, "%s/index", f->dir.dir);
    snprintf(from, sizeof from, "%s/docs", f->dir.dir);
    const char *inputs[1] = {from};
    options.split.chunk_size = 100;
    options.split.chunk_overlap = 0;
    fixture_ok(wn_model_open(model, NULL, &f->bi_model, &err), &err);
    fixture_ok(wn_model_open(FIXTURE_RERANKER, NULL, &f->cross_model, &err), &err);
    fixture_ok(wn_bi_encoder_create(f->bi_model, 1, &f->bi, &err), &err);
    fixture_ok(wn_cross_encoder_create(f->cross_model, 1, &f->cross, &err), &err);
    fixture_ok(wn_index_build(f->index_path, inputs, 1, f->bi, &options, &stats, &err), &err);
    fixture_ok(wn_index_open(f->index_path, &f->index, &err), &err);
    fixture_ok(wn_searcher_create(f->index, f->bi, f->cross, &f->searcher, &err), &err);
}

static inline void study_fixture_close(study_fixture *f) {
    wn_searcher_free(f->searcher);
    wn_index_close(f->index);
    wn_cross_encoder_free(f->cross);
    wn_bi_encoder_free(f->bi);
    wn_model_close(f->cross_model);
    wn_model_close(f->bi_model);
    scratch_remove(&f->dir);
}

static inline wn_topics *fixture_topics(const study_fixture *f, const char *jsonl) {
    char path[256];
    wn_topics *topics = NULL;
    wn_error err;
    scratch_text(&f->dir, "topics.jsonl", jsonl);
    snprintf(path, sizeof path, "%s/topics.jsonl", f->dir.dir);
    fixture_ok(wn_topics_read(path, WN_TOPICS_AUTO, &topics, &err), &err);
    return topics;
}

static inline wn_study *fixture_study(const study_fixture *f, const wn_topics *topics,
                                      wn_first_stage stage, const size_t *depths, size_t ndepths) {
    wn_error err;
    wn_study *study = NULL;
    wn_study_options options = wn_study_options_default();
    options.depths = depths;
    options.ndepths = ndepths;
    options.first_stage = stage;
    options.confidence = true;
    fixture_ok(wn_study_run(f->searcher, topics, &options, &study, &err), &err);
    return study;
}

#define FIXTURE_TOPICS                                                                         \
    "{\"query\": \"how does LoRA save memory\", \"expected_source\": \"d00.md\"}\n"            \
    "{\"query\": \"what does attention compare for each token\", \"expected_source\": \"d04.md\"}\n" \
    "{\"query\": \"search for the nearest embeddings\", \"expected_source\": \"docs/d01.md\"}\n" \
    "{\"query\": \"fewer bits for weights\", \"expected_source\": \"d03.md\"}\n"               \
    "{\"query\": \"which words does BM25 count\", \"expected_source\": \"d10.md\"}\n"
/* A study runs both encoders over and over: minutes a case under an emulator, where the encoders' own
 * tests already run. Meson and its readers know 77 as "skipped". */
static inline bool study_is_too_slow(const char *name) {
    if (!wn_test_emulated()) return false;
    printf("SKIPPED: %s is not run under an emulator\n", name);
    return true;
}
enum { STUDY_SKIPPED = 77 };

#endif
