/* test_index.c -- building, updating and searching an index. */
#include "fake_index.h"

#include <malloc.h>

static const fake_document small[] = {
    {.source = "docs/lora.md", .title = "LoRA", .text = "Low-rank adapters train few parameters.",
     .metadata = "{\"lang\": \"en\", \"tags\": [\"training\", \"adapter\"], \"year\": 2021}"},
    {.source = "docs/spark.md", .title = "DGX Spark", .text = "The DGX Spark has 128 GB of unified memory.",
     .metadata = "{\"lang\": \"en\", \"year\": 2025, \"draft\": true}"},
    {.source = "docs/quant.md", .title = "Quantisation", .text = "Quantised weights need less memory.",
     .metadata = "{\"lang\": \"de\"}"},
    {.source = "7", .origin = "c.jsonl", .kind = WN_DOCUMENT_CORPUS, .title = "Titled line",
     .text = "Only the body is here.", .metadata = "{}"},
};
enum { small_count = sizeof small / sizeof *small };

static char *build_small(fake_model *model) {
    char *path = temp_path("small.wn");
    wn_error err;
    assert_ok(fake_build(path, small, small_count, NULL, model, NULL, NULL, &err), &err);
    return path;
}

static wn_index *open_index(const char *path) {
    wn_index *index = NULL;
    wn_error err;
    assert_ok(wn_index_open(path, &index, &err), &err);
    return index;
}

static size_t bm25(wn_index *index, const char *query, wn_hit *hits, size_t k) {
    size_t count = 99;
    wn_error err;
    assert_ok(wn_index_search_bm25(index, (wn_str){query, strlen(query)}, k, NULL, 0, hits, &count, &err), &err);
    return count;
}

/* The source of a passage, checked to be `expected`. */
static void assert_source(wn_index *index, int64_t id, const char *expected) {
    wn_passage *passage = NULL;
    wn_error err;
    assert_ok(wn_index_passage(index, id, &passage, &err), &err);
    assert_string_equal(passage->source, expected);
    wn_passage_free(passage);
}

/* ---- Building and reading back --------------------------------------------------- */

static void build_new_index_describes_itself(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    assert_true(check_consistent(path));
    wn_index *index = open_index(path);
    wn_index_info info;
    assert_int_equal(wn_index_describe(index, &info, NULL), WN_OK);
    assert_int_equal(info.schema_version, WN_SCHEMA_VERSION);
    assert_int_equal(info.documents, 4);
    assert_int_equal(info.passages, 4);
    assert_int_equal(info.embedded, 4);
    assert_int_equal(info.dim, 24);
    assert_string_equal(info.model_name, "fake-model");
    assert_string_equal(info.query_prompt, "query: ");
    assert_int_equal(info.pooling, WN_POOL_MEAN);
    assert_true(info.normalize && info.stemming);
    assert_int_equal(info.chunk_size, 500);
    assert_int_equal(info.chunk_overlap, 100);
    wn_index_close(index);
    /* One file: were another left, the folder could not be removed. */
    unlink(path);
    *strrchr(path, '/') = 0;
    assert_int_equal(rmdir(path), 0);
    free(path);
}

static void passage_of_a_file_has_all_fields(void **state) {
    char *path = build_small(NULL);
    wn_index *index = open_index(path);
    wn_passage *p = NULL;
    assert_int_equal(wn_index_passage(index, 2, &p, NULL), WN_OK);
    assert_int_equal(p->id, 2);
    assert_string_equal(p->source, "docs/spark.md");
    assert_string_equal(p->title, "DGX Spark");
    assert_string_equal(p->heading_path, "");
    assert_string_equal(p->content, small[1].text);
    assert_int_equal(p->content_length, strlen(small[1].text));
    assert_int_equal(p->begin, 0);
    assert_int_equal(p->end, strlen(small[1].text));
    assert_int_equal(p->ordinal, 0);
    assert_non_null(strstr(p->metadata, "2025"));
    assert_string_equal(p->input, p->content);
    wn_passage_free(p);
    wn_error err;
    assert_int_equal(wn_index_passage(index, 77, &p, &err), WN_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "77"));
    wn_index_close(index);
    remove_path(path);
}

static void passage_of_a_corpus_is_read_with_its_title(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    wn_index *index = open_index(path);
    wn_passage *p = NULL;
    assert_int_equal(wn_index_passage(index, 4, &p, NULL), WN_OK);
    assert_string_equal(p->content, "Only the body is here.");
    assert_string_equal(p->input, "Titled line Only the body is here.");
    float query[24], score;
    fake_vector(&model, (wn_str){p->input, p->input_length}, query);
    int64_t id = 4;
    assert_int_equal(wn_index_score_dense(index, query, &id, 1, &score, NULL), WN_OK);
    assert_true(fabsf(score - 1) < 1e-6f);
    wn_passage_free(p);
    wn_hit hits[4];
    assert_int_equal(bm25(index, "titled", hits, 4), 1);
    assert_int_equal(hits[0].passage, 4);
    wn_index_close(index);
    remove_path(path);
}

/* Long texts: words are numbered so that passages differ. */
static char *long_text(size_t words, unsigned seed) {
    char *text = malloc(words * 16), *at = text;
    assert_non_null(text);
    for (size_t i = 0; i < words; i++) {
        seed = seed * 1664525u + 1013904223u;
        at += sprintf(at, "w%u%s", seed >> 20, i % 40 == 39 ? "\n\n" : " ");
    }
    return text;
}

static void many_documents(fake_document *documents, size_t n, size_t words) {
    for (size_t i = 0; i < n; i++) {
        char *source = NULL;
        assert_true(asprintf(&source, "many/%04zu.txt", i) > 0);
        documents[i] = (fake_document){.source = source, .text = long_text(words, (unsigned)i + 1)};
    }
}

static void free_documents(fake_document *documents, size_t n) {
    for (size_t i = 0; i < n; i++) {
        free((void *)(uintptr_t)documents[i].source);
        free((void *)(uintptr_t)documents[i].text);
    }
}

static int compare_hits(const void *a, const void *b) {
    const wn_hit *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->passage > y->passage) - (x->passage < y->passage);
}

/* More than one block; every k; against sorting all scores in double. */
static void dense_search_equals_sorting_everything(void **state) {
    enum { n = 300 };
    static fake_document documents[n];
    many_documents(documents, n, 600);
    fake_model model = {.dim = 37};
    char *path = temp_path("dense.wn");
    wn_error err;
    assert_ok(fake_build(path, documents, n, NULL, &model, NULL, NULL, &err), &err);
    assert_true(check_consistent(path));
    wn_index *index = open_index(path);
    wn_index_info info;
    assert_int_equal(wn_index_describe(index, &info, NULL), WN_OK);
    size_t total = (size_t)info.passages;
    assert_true(total > 2 * WN_VECTOR_BLOCK);
    float query[37], worst = 0;
    fake_vector(&model, (wn_str){"question", 8}, query);
    wn_hit *all = malloc(total * sizeof *all), *hits = malloc((total + 10) * sizeof *hits);
    for (size_t i = 0; i < total; i++) {
        wn_passage *p = NULL;
        assert_int_equal(wn_index_passage(index, (int64_t)i + 1, &p, NULL), WN_OK);
        float vector[37];
        fake_vector(&model, (wn_str){p->input, p->input_length}, vector);
        double sum = 0;
        for (int j = 0; j < 37; j++) sum += (double)vector[j] * query[j];
        int64_t id = p->id;
        all[i].passage = id;
        assert_int_equal(wn_index_score_dense(index, query, &id, 1, &all[i].score, NULL), WN_OK);
        worst = fmaxf(worst, fabsf(all[i].score - (float)sum));
        wn_passage_free(p);
    }
    print_message("%zu cosines, largest difference to double %g\n", total, (double)worst);
    assert_true(worst < 1e-6f);
    qsort(all, total, sizeof *all, compare_hits);
    static const size_t ks[] = {1, 2, 3, 50, 1023, 0};
    for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
        size_t k = ks[i] ? ks[i] : total + 10, count = 0, expected = k < total ? k : total;
        assert_ok(wn_index_search_dense(index, query, k, NULL, 0, hits, &count, &err), &err);
        assert_int_equal(count, expected);
        for (size_t j = 0; j < count; j++) {
            assert_int_equal(hits[j].passage, all[j].passage);
            assert_memory_equal(&hits[j].score, &all[j].score, sizeof(float));
        }
    }
    free(all);
    free(hits);
    wn_index_close(index);
    remove_path(path);
    free_documents(documents, n);
}

static void equal_scores_are_ordered_by_passage(void **state) {
    static const fake_document same[] = {
        {.source = "a", .text = "the same words"}, {.source = "b", .text = "the same words"},
        {.source = "c", .text = "the same words"}, {.source = "d", .text = "others here"}};
    fake_model model = {0};
    char *path = temp_path("ties.wn");
    wn_error err;
    wn_build_stats stats;
    assert_ok(fake_build(path, same, 4, NULL, &model, NULL, &stats, &err), &err);
    assert_int_equal(stats.passages_embedded, 2); /* equal texts are computed once */
    assert_int_equal(stats.passages_reused, 2);
    wn_index *index = open_index(path);
    float query[24];
    fake_vector(&model, (wn_str){"the same words", 14}, query);
    wn_hit hits[4];
    size_t count;
    assert_int_equal(wn_index_search_dense(index, query, 2, NULL, 0, hits, &count, NULL), WN_OK);
    assert_int_equal(hits[0].passage, 1);
    assert_int_equal(hits[1].passage, 2);
    assert_int_equal(bm25(index, "same", hits, 2), 2);
    assert_int_equal(hits[0].passage, 1);
    assert_int_equal(hits[1].passage, 2);
    wn_index_close(index);
    remove_path(path);
}

static void model_without_normalisation_gives_cosines(void **state) {
    fake_model model = {.length = 7};
    char *path = build_small(&model);
    wn_index *index = open_index(path);
    float query[24];
    fake_vector(&model, (wn_str){small[2].text, strlen(small[2].text)}, query);
    wn_hit hits[2];
    size_t count;
    assert_int_equal(wn_index_search_dense(index, query, 2, NULL, 0, hits, &count, NULL), WN_OK);
    assert_int_equal(hits[0].passage, 3);
    assert_true(fabsf(hits[0].score - 1) < 1e-6f);
    assert_true(fabsf(hits[1].score) < 1);
    wn_index_close(index);
    remove_path(path);
}

static void score_of_unknown_passage_is_nan(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    wn_index *index = open_index(path);
    float query[24], scores[3];
    fake_vector(&model, (wn_str){"q", 1}, query);
    int64_t ids[] = {4, 1000, -1};
    assert_int_equal(wn_index_score_dense(index, query, ids, 3, scores, NULL), WN_OK);
    assert_true(!isnan(scores[0]) && isnan(scores[1]) && isnan(scores[2]));
    wn_index_close(index);
    remove_path(path);
}

/* ---- Updating -------------------------------------------------------------------- */

static void build_again_changes_nothing(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    wn_build_stats stats;
    size_t before = model.texts;
    assert_int_equal(fake_build(path, small, small_count, "docs", &model, NULL, &stats, NULL), WN_OK);
    assert_int_equal(stats.documents_unchanged, 4);
    assert_int_equal(stats.documents_added + stats.documents_changed + stats.documents_removed, 0);
    assert_int_equal(model.texts, before);
    remove_path(path);
}

/* Three paragraphs of about 300 bytes: three passages. */
static char *paragraphs(const char *first, const char *second, const char *third) {
    char *text = malloc(2000), *at = text;
    const char *const parts[] = {first, second, third};
    for (int i = 0; i < 3; i++) {
        at += sprintf(at, "%s%s", i ? "\n\n" : "", parts[i]);
        for (int j = 0; j < 28; j++) at += sprintf(at, " %s%d", parts[i], j);
    }
    return text;
}

static int64_t passage_with(wn_index *index, const char *word) {
    wn_hit hit;
    assert_int_equal(bm25(index, word, &hit, 1), 1);
    return hit.passage;
}

static void changed_document_keeps_unchanged_passages(void **state) {
    fake_model model = {0};
    char *path = temp_path("changed.wn"), *before = paragraphs("alpha", "beta", "gamma"),
         *after = paragraphs("gamma", "delta", "beta");
    fake_document document = {.source = "d/x.txt", .text = before};
    wn_build_options options = wn_build_options_default();
    options.split.chunk_size = 300;
    options.split.chunk_overlap = 0;
    wn_build_stats stats;
    wn_error err;
    assert_ok(fake_build(path, &document, 1, "d", &model, &options, &stats, &err), &err);
    assert_int_equal(stats.passages_embedded, 3);
    wn_index *index = open_index(path);
    int64_t alpha = passage_with(index, "alpha"), beta = passage_with(index, "beta"),
            gamma = passage_with(index, "gamma");
    document.text = after;
    document.title = "A new title"; /* of a file: BM25's context, not what the model reads */
    assert_ok(fake_build(path, &document, 1, "d", &model, &options, &stats, &err), &err);
    assert_int_equal(stats.documents_changed, 1);
    assert_int_equal(stats.passages_embedded, 1);
    assert_int_equal(stats.passages_reused, 2);
    assert_true(check_consistent(path));
    /* The reader that was open meanwhile sees the new state. */
    assert_int_equal(passage_with(index, "beta"), beta);
    assert_int_equal(passage_with(index, "gamma"), gamma);
    assert_true(passage_with(index, "delta") > gamma);
    wn_hit hits[9];
    assert_int_equal(bm25(index, "alpha", hits, 9), 0);
    assert_int_equal(bm25(index, "title", hits, 9), 3);
    wn_passage *p = NULL;
    assert_int_equal(wn_index_passage(index, alpha, &p, NULL), WN_ERR_NOT_FOUND);
    assert_int_equal(wn_index_passage(index, beta, &p, NULL), WN_OK);
    assert_int_equal(p->ordinal, 2);
    assert_memory_equal(after + p->begin, p->content, p->content_length);
    wn_passage_free(p);
    wn_index_close(index);
    remove_path(path);
    free(before);
    free(after);
}

static void repeated_passages_survive_a_change(void **state) {
    fake_model model = {0};
    char *path = temp_path("repeats.wn"), *before = paragraphs("same", "same", "same"),
         *after = paragraphs("same", "other", "same");
    fake_document document = {.source = "d/x.txt", .text = before};
    wn_build_options options = wn_build_options_default();
    options.split.chunk_size = 300;
    options.split.chunk_overlap = 0;
    wn_build_stats stats;
    assert_int_equal(fake_build(path, &document, 1, "d", &model, &options, &stats, NULL), WN_OK);
    assert_int_equal(stats.passages_embedded, 1);
    document.text = after;
    assert_int_equal(fake_build(path, &document, 1, "d", &model, &options, &stats, NULL), WN_OK);
    assert_int_equal(stats.passages_embedded, 1);
    assert_true(check_consistent(path));
    document.text = before;
    assert_int_equal(fake_build(path, &document, 1, "d", &model, &options, &stats, NULL), WN_OK);
    assert_int_equal(stats.passages_embedded, 0);
    assert_true(check_consistent(path));
    remove_path(path);
    free(before);
    free(after);
}

static void vanished_documents_are_removed_unless_kept(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    wn_build_stats stats;
    wn_build_options options = wn_build_options_default();
    options.keep_missing = true;
    assert_int_equal(fake_build(path, small, 1, "docs", &model, &options, &stats, NULL), WN_OK);
    assert_int_equal(stats.documents_removed, 0);
    options.keep_missing = false;
    /* Not among the inputs of this build: "doc" is no parent of "docs/...". */
    assert_int_equal(fake_build(path, small, 1, "doc", &model, &options, &stats, NULL), WN_OK);
    assert_int_equal(stats.documents_removed, 0);
    assert_int_equal(fake_build(path, small, 1, "docs/", &model, &options, &stats, NULL), WN_OK);
    assert_int_equal(stats.documents_removed, 2); /* the corpus line stays */
    assert_int_equal(fake_build(path, small, 1, "c.jsonl", &model, &options, &stats, NULL), WN_OK);
    assert_int_equal(stats.documents_removed, 1);
    assert_true(check_consistent(path));
    wn_index *index = open_index(path);
    wn_hit hits[4];
    assert_int_equal(bm25(index, "memory", hits, 4), 0);
    float query[24];
    fake_vector(&model, (wn_str){"q", 1}, query);
    size_t count;
    assert_int_equal(wn_index_search_dense(index, query, 4, NULL, 0, hits, &count, NULL), WN_OK);
    assert_int_equal(count, 1);
    assert_source(index, hits[0].passage, "docs/lora.md");
    wn_index_close(index);
    remove_path(path);
}

static void renamed_document_is_not_embedded_again(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    fake_document renamed[small_count];
    memcpy(renamed, small, sizeof small);
    renamed[1].source = "docs/new-name.md";
    wn_build_stats stats;
    assert_int_equal(fake_build(path, renamed, small_count, "docs", &model, NULL, &stats, NULL), WN_OK);
    assert_int_equal(stats.documents_added, 1);
    assert_int_equal(stats.documents_removed, 1);
    assert_int_equal(stats.passages_embedded, 0);
    assert_int_equal(stats.passages_reused, 1);
    assert_true(check_consistent(path));
    remove_path(path);
}

static void note_warning(void *ctx, const char *message) { snprintf(ctx, 256, "%s", message); }

static void repeated_source_is_kept_once_with_a_warning(void **state) {
    static const fake_document twice[] = {
        {.source = "1", .origin = "c.jsonl", .kind = WN_DOCUMENT_CORPUS, .text = "first text"},
        {.source = "1", .origin = "c.jsonl", .kind = WN_DOCUMENT_CORPUS, .text = "second text"},
        {.source = "1", .origin = "d.jsonl", .kind = WN_DOCUMENT_CORPUS, .text = "third text"}};
    char *path = temp_path("twice.wn"), warning[256] = "";
    wn_build_options options = wn_build_options_default();
    options.warning = note_warning;
    options.warning_ctx = warning;
    wn_build_stats stats;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(fake_build(path, twice, 3, NULL, NULL, &options, &stats, NULL), WN_OK);
        assert_int_equal(stats.documents_skipped, 1);
        assert_string_equal(warning, "1: occurs twice; the first is kept");
    }
    wn_index *index = open_index(path);
    wn_hit hits[3];
    assert_int_equal(bm25(index, "text", hits, 3), 2);
    assert_int_equal(bm25(index, "second", hits, 3), 0);
    wn_index_close(index);
    remove_path(path);
}

/* Blocks fill, empty and fill again. */
static void vector_blocks_are_filled_again_after_removals(void **state) {
    enum { n = 2500 };
    static fake_document documents[n];
    static char texts[n][32], sources[n][16];
    for (size_t i = 0; i < n; i++) {
        sprintf(texts[i], "text number %zu", i);
        sprintf(sources[i], "m/%zu", i);
        documents[i] = (fake_document){.source = sources[i], .text = texts[i]};
    }
    fake_model model = {.dim = 8};
    char *path = temp_path("blocks.wn");
    wn_build_options options = wn_build_options_default();
    options.batch_tokens = 500;
    assert_int_equal(fake_build(path, documents, n, "m", &model, &options, NULL, NULL), WN_OK);
    assert_int_equal(fake_build(path, documents + 1500, 1000, "m", &model, &options, NULL, NULL), WN_OK);
    assert_true(check_consistent(path));
    assert_int_equal(fake_build(path, documents, n, "m", &model, &options, NULL, NULL), WN_OK);
    assert_true(check_consistent(path));
    sqlite3 *db = NULL;
    sqlite3_open(path, &db);
    assert_int_equal(sql_int(db, "SELECT count(*) FROM vectors"), 3);
    sqlite3_close(db);
    wn_index *index = open_index(path);
    float query[8];
    wn_hit hit;
    size_t count;
    for (size_t i = 0; i < n; i += 97) {
        fake_vector(&model, (wn_str){texts[i], strlen(texts[i])}, query);
        assert_int_equal(wn_index_search_dense(index, query, 1, NULL, 0, &hit, &count, NULL), WN_OK);
        assert_source(index, hit.passage, sources[i]);
    }
    wn_index_close(index);
    remove_path(path);
}

/* ---- What does not belong together ------------------------------------------------- */

static wn_status build_as(const char *path, wn_embedder embedder, wn_error *err) {
    fake_source source = {.documents = small, .count = small_count};
    wn_build_input input = {.ctx = &source, .next = fake_next};
    return wn_index_build_from(path, &input, embedder.embed ? &embedder : NULL, NULL, NULL, err);
}

static void another_model_is_refused_with_both_names(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    wn_error err;
    wn_embedder other = fake_embedder(&model);
    other.name = "other-model";
    assert_int_equal(build_as(path, other, &err), WN_OK); /* renamed, the same weights */
    other.hash = "ff";
    assert_int_equal(build_as(path, other, &err), WN_ERR_MISMATCH);
    assert_non_null(strstr(err.message, "fake-model"));
    assert_non_null(strstr(err.message, "other-model"));
    assert_non_null(strstr(err.message, path));
    other = fake_embedder(&model);
    other.document_prompt = "passage: ";
    assert_int_equal(build_as(path, other, &err), WN_ERR_MISMATCH);
    assert_non_null(strstr(err.message, "document prompt"));
    other = fake_embedder(&model);
    other.pooling = WN_POOL_CLS;
    assert_int_equal(build_as(path, other, &err), WN_ERR_MISMATCH);
    assert_non_null(strstr(err.message, "mean"));
    other = fake_embedder(&model);
    other.max_length = 128;
    assert_int_equal(build_as(path, other, &err), WN_ERR_MISMATCH);
    assert_int_equal(build_as(path, (wn_embedder){0}, &err), WN_ERR_MISMATCH);
    assert_non_null(strstr(err.message, "fake-model"));
    assert_true(check_consistent(path));
    remove_path(path);
}

static void other_split_options_are_refused_with_both(void **state) {
    char *path = build_small(NULL);
    wn_build_options options = wn_build_options_default();
    options.split.chunk_size = 300;
    wn_error err;
    assert_int_equal(fake_build(path, small, small_count, NULL, NULL, &options, NULL, &err), WN_ERR_MISMATCH);
    assert_non_null(strstr(err.message, "500 characters, overlap 100"));
    assert_non_null(strstr(err.message, "300 characters, overlap 100"));
    options = wn_build_options_default();
    options.stemming = false;
    assert_int_equal(fake_build(path, small, small_count, NULL, NULL, &options, NULL, &err), WN_ERR_MISMATCH);
    assert_non_null(strstr(err.message, "no stemming"));
    options.split.chunk_overlap = 900;
    assert_int_equal(fake_build(path, small, small_count, NULL, NULL, &options, NULL, &err), WN_ERR_ARGUMENT);
    remove_path(path);
}

static void index_without_model_takes_one_later(void **state) {
    char *path = build_small(NULL);
    wn_index *index = open_index(path);
    float query[24];
    wn_hit hits[4];
    size_t count;
    wn_error err;
    assert_int_equal(wn_index_search_dense(index, query, 4, NULL, 0, hits, &count, &err), WN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "no embeddings"));
    wn_index_close(index);
    fake_model model = {0};
    wn_build_stats stats;
    assert_int_equal(fake_build(path, small, small_count, NULL, &model, NULL, &stats, NULL), WN_OK);
    assert_int_equal(stats.documents_unchanged, 4);
    assert_int_equal(stats.passages_embedded, 4);
    index = open_index(path);
    fake_vector(&model, (wn_str){small[0].text, strlen(small[0].text)}, query);
    assert_int_equal(wn_index_search_dense(index, query, 4, NULL, 0, hits, &count, NULL), WN_OK);
    assert_int_equal(count, 4);
    assert_int_equal(hits[0].passage, 1);
    wn_index_close(index);
    remove_path(path);
}

/* ---- Stopping -------------------------------------------------------------------- */

typedef struct stop_after {
    size_t calls, limit;
    char stage[8];
    uint64_t done, total;
} stop_after;

static bool stop(void *ctx, const char *stage, uint64_t done, uint64_t total) {
    stop_after *s = ctx;
    snprintf(s->stage, sizeof s->stage, "%s", stage);
    s->done = done;
    s->total = total;
    return ++s->calls < s->limit;
}

static void cancelled_build_keeps_what_it_has_and_goes_on(void **state) {
    enum { n = 60 };
    static fake_document documents[n];
    many_documents(documents, n, 200);
    char *path = temp_path("cancel.wn");
    fake_model model = {.slow_us = 1500};
    wn_build_options options = wn_build_options_default();
    options.batch_tokens = 1500;
    size_t rounds = 0, embedded = 0;
    wn_build_stats stats;
    wn_error err;
    for (wn_status st = WN_ERR_CANCELLED; st != WN_OK; rounds++) {
        stop_after s = {.limit = 5};
        options.progress = stop;
        options.progress_ctx = &s;
        st = fake_build(path, documents, n, "many", &model, &options, &stats, &err);
        if (st != WN_OK) {
            assert_int_equal(st, WN_ERR_CANCELLED);
            assert_non_null(strstr(err.message, "stopped"));
        } else {
            if (strcmp(s.stage, "embed") == 0) assert_int_equal(s.done, s.total);
        }
        assert_true(check_consistent(path));
        sqlite3 *db = NULL;
        sqlite3_open(path, &db);
        size_t now = (size_t)sql_int(db, "SELECT count(block) FROM chunks");
        sqlite3_close(db);
        assert_true(now >= embedded);
        embedded = now;
        assert_true(rounds < 1000);
    }
    assert_true(rounds > 2);
    assert_int_equal(model.texts, embedded); /* nothing was computed twice */
    remove_path(path);
    free_documents(documents, n);
}

static void failing_model_loses_nothing_computed(void **state) {
    enum { n = 40 };
    static fake_document documents[n];
    many_documents(documents, n, 300);
    char *path = temp_path("broken.wn");
    fake_model model = {.fail_at = 150};
    wn_error err;
    assert_int_equal(fake_build(path, documents, n, NULL, &model, NULL, NULL, &err), WN_ERR_INTERNAL);
    assert_string_equal(err.message, "fake model broke");
    assert_true(check_consistent(path));
    sqlite3 *db = NULL;
    sqlite3_open(path, &db);
    assert_in_range(sql_int(db, "SELECT count(block) FROM chunks"), 20, 149);
    sqlite3_close(db);
    wn_build_stats stats;
    assert_ok(fake_build(path, documents, n, NULL, &model, NULL, &stats, &err), &err);
    assert_int_equal(stats.documents_unchanged, n);
    remove_path(path);
    free_documents(documents, n);
}

static void broken_source_keeps_the_documents_before_it(void **state) {
    char *path = temp_path("broken.wn");
    fake_source source = {.documents = small, .count = small_count, .fail_at = 3};
    const char *covered = "docs";
    wn_build_input input = {.ctx = &source, .next = fake_next, .covered = &covered, .ncovered = 1};
    wn_error err;
    assert_int_equal(wn_index_build_from(path, &input, NULL, NULL, NULL, &err), WN_ERR_FORMAT);
    assert_non_null(strstr(err.message, "line 3"));
    assert_true(check_consistent(path));
    wn_index *index = open_index(path);
    wn_index_info info;
    assert_int_equal(wn_index_describe(index, &info, NULL), WN_OK);
    assert_int_equal(info.documents, 2);
    wn_index_close(index);
    /* A source that breaks at once leaves no file where none was. */
    char *other = temp_path("none.wn");
    source = (fake_source){.documents = small, .count = small_count, .fail_at = 1};
    assert_int_equal(wn_index_build_from(other, &input, NULL, NULL, NULL, &err), WN_ERR_FORMAT);
    assert_int_equal(access(other, F_OK), -1);
    remove_path(other);
    remove_path(path);
}

/* ---- BM25 -------------------------------------------------------------------------- */

static void bm25_stems_and_orders(void **state) {
    char *path = build_small(NULL);
    wn_index *index = open_index(path);
    wn_hit hits[4];
    assert_int_equal(bm25(index, "quantising the MEMORIES", hits, 4), 3);
    assert_int_equal(hits[0].passage, 3);
    assert_true(hits[0].score > hits[1].score && hits[1].score > 0);
    assert_int_equal(bm25(index, "memory unified", hits, 1), 1);
    assert_int_equal(hits[0].passage, 2);
    wn_index_close(index);
    remove_path(path);
}

/* Against FTS5's own function, before and after lengths are loaded, and after an update. */
static void bm25_scores_equal_fts5_in_every_bit(void **state) {
    enum { n = 300 };
    static fake_document documents[n];
    many_documents(documents, n, 600);
    char *path = temp_path("bm25.wn");
    wn_error err;
    size_t compared = 0;
    assert_ok(fake_build(path, documents, n / 2, NULL, NULL, NULL, NULL, &err), &err);
    wn_index *index = open_index(path);
    wn_hit *hits = malloc(4000 * sizeof *hits);
    for (int round = 0; round < 8; round++) {
        if (round == 4) assert_ok(fake_build(path, documents, n, NULL, NULL, NULL, NULL, &err), &err);
        char query[400] = "";
        for (int i = 0; i < 40; i++) sprintf(query + strlen(query), "w%d ", round * 400 + i * (round == 3 ? 1 : 9));
        size_t count = bm25(index, query, hits, 4000);
        wn_buf expression = {0};
        assert_int_equal(wn_full_text_query((wn_str){query, strlen(query)}, &expression, NULL), WN_OK);
        sqlite3 *db = NULL;
        sqlite3_stmt *statement = NULL;
        sqlite3_open(path, &db);
        assert_int_equal(sqlite3_prepare_v2(db, "SELECT bm25(full_text) FROM full_text WHERE full_text MATCH ? AND rowid = ?", -1, &statement, NULL), SQLITE_OK);
        for (size_t i = 0; i < count; i++) {
            sqlite3_bind_text(statement, 1, expression.data, -1, SQLITE_STATIC);
            sqlite3_bind_int64(statement, 2, hits[i].passage);
            assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
            float expected = (float)-sqlite3_column_double(statement, 0);
            assert_memory_equal(&expected, &hits[i].score, sizeof expected);
            sqlite3_reset(statement);
            compared++;
        }
        sqlite3_finalize(statement);
        sqlite3_close(db);
        wn_buf_release(&expression);
    }
    print_message("%zu BM25 scores equal FTS5's\n", compared);
    assert_true(compared > 3000);
    free(hits);
    wn_index_close(index);
    remove_path(path);
    free_documents(documents, n);
}

static void bm25_hostile_queries_are_just_words(void **state) {
    static const fake_document documents[] = {
        {.source = "a", .text = "near content title NOT a sign * of quotes"},
        {.source = "b", .text = "embedded\0zero byte", .text_len = 18}};
    char *path = temp_path("hostile.wn");
    assert_int_equal(fake_build(path, documents, 2, NULL, NULL, NULL, NULL, NULL), WN_OK);
    assert_true(check_consistent(path));
    wn_index *index = open_index(path);
    static const struct { const char *text; size_t len, count; } queries[] = {
        {"\"", 1, 0}, {"* ^ : - + ( ) { }", 17, 0}, {"content:near", 12, 1}, {"\"near\" OR", 9, 1},
        {"NEAR(a b, 10)", 13, 1}, {"NOT quotes", 10, 1}, {"a AND zzz", 9, 1}, {"", 0, 0}, {"\0near", 5, 1},
        {"zero", 4, 1}, {"\xFF\xFEnear\xC3", 7, 1}, {"ne\0ar", 5, 0}, {"'; DROP TABLE chunks; --", 24, 0},
    };
    wn_hit hits[4];
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        size_t count = 99;
        wn_error err;
        assert_ok(wn_index_search_bm25(index, (wn_str){queries[i].text, queries[i].len}, 4, NULL, 0, hits, &count, &err), &err);
        if (count != queries[i].count) fail_msg("query %zu: %zu hits, not %zu", i, count, queries[i].count);
    }
    wn_passage *p = NULL;
    assert_int_equal(wn_index_passage(index, 2, &p, NULL), WN_OK);
    assert_int_equal(p->content_length, 18);
    assert_memory_equal(p->content, "embedded\0zero byte", 18);
    wn_passage_free(p);
    /* FTS5's expression tree is flat for OR: no limit on the number of words. */
    char *words = long_text(3000, 5);
    assert_int_equal(bm25(index, words, hits, 4), 0);
    free(words);
    wn_index_close(index);
    remove_path(path);
}

static void bm25_finds_words_in_chinese_and_japanese(void **state) {
    static const fake_document documents[] = {
        {.source = "zh", .text = "向量数据库存储嵌入。"},
        {.source = "ja", .text = "ベクトルデータベースは埋め込みを保存する"},
        {.source = "mixed", .text = "用GPU训练模型 with LoRA"}};
    char *path = temp_path("cjk.wn");
    assert_int_equal(fake_build(path, documents, 3, NULL, NULL, NULL, NULL, NULL), WN_OK);
    assert_true(check_consistent(path));
    wn_index *index = open_index(path);
    wn_hit hits[3];
    assert_int_equal(bm25(index, "数据库是什么？", hits, 3), 1);
    assert_int_equal(hits[0].passage, 1);
    assert_int_equal(bm25(index, "データベース", hits, 3), 1);
    assert_int_equal(hits[0].passage, 2);
    assert_int_equal(bm25(index, "gpu训练", hits, 3), 1);
    assert_int_equal(hits[0].passage, 3);
    assert_int_equal(bm25(index, "库", hits, 3), 1);
    assert_int_equal(bm25(index, "据数", hits, 3), 0); /* no such pair */
    wn_index_close(index);
    remove_path(path);
}

static void full_text_query_repeats_no_word(void **state) {
    wn_buf out = {0};
    static const char query[] = "The the THE cat\xE2\x80\x94" "cat's ÄRA ära 数据库";
    assert_int_equal(wn_full_text_query((wn_str){query, sizeof query - 1}, &out, NULL), WN_OK);
    assert_string_equal(out.data, "\"the\" OR \"cat\" OR \"s\" OR \"ära\" OR \"数 据\" OR \"据 库\"");
    wn_buf_release(&out);
}

/* ---- Filters ----------------------------------------------------------------------- */

static void filters_of_every_kind_hold_in_both_stages(void **state) {
    static const struct { wn_filter filters[2]; size_t n; const char *ids; } cases[] = {
        {{{"source", "docs/lora.md"}}, 1, "1"}, {{{"source", "docs/*"}}, 1, "123"},
        {{{"source", "*"}}, 1, "1234"}, {{{"title", "DGX*"}}, 1, "2"}, {{{"title", "DGX"}}, 1, ""},
        {{{"lang", "en"}}, 1, "12"}, {{{"tags", "adapter"}}, 1, "1"}, {{{"year", "2025"}}, 1, "2"},
        {{{"year", "20*"}}, 1, "12"}, {{{"draft", "true"}}, 1, "2"}, {{{"nothing", "*"}}, 1, ""},
        {{{"lang", "en"}, {"year", "2021"}}, 2, "1"}, {{{"lang", "de"}, {"source", "docs/lora.md"}}, 2, ""},
    };
    fake_model model = {0};
    char *path = build_small(&model);
    wn_index *index = open_index(path);
    float query[24];
    fake_vector(&model, (wn_str){"q", 1}, query);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wn_hit hits[4];
        size_t dense = 9, words = 9;
        wn_error err;
        assert_ok(wn_index_search_dense(index, query, 4, cases[i].filters, cases[i].n, hits, &dense, &err), &err);
        bool found[5] = {0};
        for (size_t j = 0; j < dense; j++) found[hits[j].passage] = true;
        wn_str q = {"low dgx quantised only", 22};
        assert_ok(wn_index_search_bm25(index, q, 4, cases[i].filters, cases[i].n, hits, &words, &err), &err);
        for (size_t j = 0; j < words; j++) assert_true(found[hits[j].passage]);
        if (dense != strlen(cases[i].ids) || words != dense)
            fail_msg("case %zu: %zu and %zu hits, not %s", i, dense, words, cases[i].ids);
        for (const char *c = cases[i].ids; *c; c++) assert_true(found[*c - '0']);
    }
    wn_filter bad = {NULL, "x"};
    wn_hit hit;
    size_t count;
    assert_int_equal(wn_index_search_dense(index, query, 1, &bad, 1, &hit, &count, NULL), WN_ERR_ARGUMENT);
    assert_int_equal(wn_index_search_dense(index, query, 0, NULL, 0, &hit, &count, NULL), WN_ERR_ARGUMENT);
    wn_index_close(index);
    remove_path(path);
}

/* ---- Many processes ---------------------------------------------------------------- */

typedef struct meanwhile {
    const char *path;
    size_t readers, writers;
} meanwhile;

/* Within a build: a reader is served, a second writer is not. */
static bool look_meanwhile(void *ctx, const char *stage, uint64_t done, uint64_t total) {
    meanwhile *m = ctx;
    wn_index *index = NULL;
    wn_error err;
    if (wn_index_open(m->path, &index, &err) == WN_OK) {
        wn_hit hits[2];
        size_t count;
        if (wn_index_search_bm25(index, (wn_str){"memory", 6}, 2, NULL, 0, hits, &count, &err) == WN_OK) m->readers++;
        wn_index_close(index);
    }
    if (fake_build(m->path, small, 1, NULL, NULL, NULL, NULL, &err) == WN_ERR_BUSY) m->writers++;
    return true;
}

static void second_writer_is_busy_and_readers_are_served(void **state) {
    char *path = build_small(NULL);
    meanwhile m = {.path = path};
    wn_build_options options = wn_build_options_default();
    options.progress = look_meanwhile;
    options.progress_ctx = &m;
    fake_document more[] = {small[0], {.source = "docs/new.md", .text = "a new text"}};
    wn_error err;
    assert_ok(fake_build(path, more, 2, "docs", NULL, &options, NULL, &err), &err);
    assert_true(m.readers >= 2 && m.writers == m.readers);
    assert_true(check_consistent(path));
    remove_path(path);
}

/* ---- Files ------------------------------------------------------------------------ */

static void write_text(const char *folder, const char *name, const char *text) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* The public call: Markdown, text and a corpus, through what reads them. */
static void folder_and_corpus_are_indexed_and_updated(void **state) {
    char *path = temp_path("files.wn"), *docs = temp_path("x"), corpus[300], file[300];
    *strrchr(docs, '/') = 0;
    write_text(docs, "spark.md", "---\nlang: en\n---\n# DGX Spark\n\nIntro.\n\n## Memory\n\nUnified LPDDR5x.\n");
    write_text(docs, "notes.txt", "Plain notes about adapters.");
    snprintf(corpus, sizeof corpus, "%s/c.jsonl", docs);
    write_text(docs, "c.jsonl", "{\"_id\": \"a\", \"title\": \"Cats\", \"text\": \"They purr.\"}\n"
                                "{\"_id\": \"b\", \"title\": \"Dogs\", \"text\": \"They bark.\"}\n");
    const char *inputs[] = {docs, corpus};
    wn_build_options options = wn_build_options_default();
    options.split.chunk_size = 30;
    options.split.chunk_overlap = 0;
    wn_build_stats stats;
    wn_error err;
    assert_ok(wn_index_build(path, inputs, 2, NULL, NULL, &options, &stats, &err), &err);
    assert_int_equal(stats.documents_added, 4);
    assert_true(check_consistent(path));
    wn_index *index = open_index(path);
    wn_hit hits[8];
    assert_int_equal(bm25(index, "lpddr5x", hits, 8), 1);
    wn_passage *p = NULL;
    assert_int_equal(wn_index_passage(index, hits[0].passage, &p, NULL), WN_OK);
    assert_string_equal(p->title, "DGX Spark");
    assert_string_equal(p->heading_path, "Memory");
    assert_non_null(strstr(p->metadata, "\"lang\""));
    wn_passage_free(p);
    assert_int_equal(bm25(index, "cats", hits, 8), 1);
    /* A line goes, a file goes, a file comes. */
    write_text(docs, "c.jsonl", "{\"_id\": \"b\", \"title\": \"Dogs\", \"text\": \"They bark.\"}\n");
    snprintf(file, sizeof file, "%s/notes.txt", docs);
    unlink(file);
    write_text(docs, "new.md", "# New\n\nSomething about quantisation.\n");
    assert_ok(wn_index_build(path, inputs, 2, NULL, NULL, &options, &stats, &err), &err);
    assert_int_equal(stats.documents_added, 1);
    assert_int_equal(stats.documents_removed, 2);
    assert_int_equal(stats.documents_unchanged, 2);
    assert_true(check_consistent(path));
    assert_int_equal(bm25(index, "cats adapters", hits, 8), 0);
    assert_int_equal(bm25(index, "quantisation", hits, 8), 1);
    /* One input alone: the other's documents stay. */
    assert_ok(wn_index_build(path, inputs + 1, 1, NULL, NULL, &options, &stats, &err), &err);
    assert_int_equal(stats.documents_removed, 0);
    /* An input that isn't there changes nothing, and makes no file. */
    const char *missing[] = {"/nowhere/at/all"};
    assert_int_equal(wn_index_build(path, missing, 1, NULL, NULL, &options, &stats, &err), WN_ERR_NOT_FOUND);
    char *none = temp_path("none.wn");
    assert_int_equal(wn_index_build(none, missing, 1, NULL, NULL, &options, &stats, &err), WN_ERR_NOT_FOUND);
    assert_int_equal(access(none, F_OK), -1);
    remove_path(none);
    wn_index_close(index);
    static const char *const left[] = {"spark.md", "new.md", "c.jsonl"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s/%s", docs, left[i]);
        unlink(file);
    }
    assert_int_equal(rmdir(docs), 0);
    free(docs);
    remove_path(path);
}

/* ---- Memory ------------------------------------------------------------------------ */

static void thousand_searches_do_not_grow(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    wn_index *index = open_index(path);
    float query[24];
    fake_vector(&model, (wn_str){"q", 1}, query);
    wn_filter filter = {"lang", "en"};
    size_t before = 0;
    sqlite3_int64 sqlite_before = 0;
    for (int i = 0; i < 1000; i++) {
        wn_hit hits[4];
        size_t count;
        wn_passage *p = NULL;
        assert_int_equal(wn_index_search_dense(index, query, 4, &filter, i % 2, hits, &count, NULL), WN_OK);
        assert_int_equal(wn_index_search_bm25(index, (wn_str){"memory of", 9}, 4, &filter, i % 2, hits, &count, NULL), WN_OK);
        assert_int_equal(wn_index_passage(index, hits[0].passage, &p, NULL), WN_OK);
        wn_passage_free(p);
        if (i == 10) {
            before = mallinfo2().uordblks;
            sqlite_before = sqlite3_memory_used();
        }
    }
    assert_true(mallinfo2().uordblks <= before + 1024);
    assert_true(sqlite3_memory_used() <= sqlite_before + 1024);
    wn_index_close(index);
    remove_path(path);
}

/* SQLite's allocations can fail too: through its own hook, installed before its first use. */
static sqlite3_mem_methods real_memory;
static uint64_t sqlite_made, sqlite_fail_at;
static void *failing_malloc(int n) {
    return sqlite_fail_at && ++sqlite_made >= sqlite_fail_at ? NULL : real_memory.xMalloc(n);
}
static void *failing_realloc(void *p, int n) {
    return sqlite_fail_at && ++sqlite_made >= sqlite_fail_at ? NULL : real_memory.xRealloc(p, n);
}

static wn_status open_and_search(const char *path, const float *query, wn_error *err) {
    wn_index *index = NULL;
    wn_status st = wn_index_open(path, &index, err);
    if (st != WN_OK) {
        assert_null(index);
        return st;
    }
    wn_hit hits[4];
    size_t count;
    wn_filter filter = {"lang", "en"};
    wn_passage *p = NULL;
    st = wn_index_search_dense(index, query, 4, &filter, 1, hits, &count, err);
    if (st == WN_OK) st = wn_index_search_bm25(index, (wn_str){"memory of 数据库", 18}, 4, &filter, 1, hits, &count, err);
    if (st == WN_OK) st = wn_index_passage(index, 4, &p, err);
    wn_passage_free(p);
    wn_index_close(index);
    return st;
}

static void every_failed_allocation_of_a_search_is_an_error(void **state) {
    fake_model model = {0};
    char *path = build_small(&model);
    float query[24];
    fake_vector(&model, (wn_str){"q", 1}, query);
    for (int of_sqlite = 0; of_sqlite < 2; of_sqlite++) {
        size_t n = 0, failures = 0;
        for (wn_status st = WN_ERR_MEMORY; st != WN_OK;) {
            n++;
            sqlite_made = 0;
            if (of_sqlite) sqlite_fail_at = n;
            else wn_memory_fail_at(n, true);
            wn_error err = {0};
            st = open_and_search(path, query, &err);
            wn_memory_fail_at(0, false);
            sqlite_fail_at = 0;
            if (st != WN_OK) {
                failures++;
                if (st != WN_ERR_MEMORY) fail_msg("allocation %zu of %d: %s: %s", n, of_sqlite, wn_status_name(st), err.message);
            }
        }
        print_message("%zu failed allocations of %s\n", failures, of_sqlite ? "SQLite" : "winnow");
        assert_true(failures > 5);
    }
    remove_path(path);
}

static void every_failed_allocation_of_a_build_loses_nothing(void **state) {
    fake_model model = {0};
    fake_document changed[small_count];
    memcpy(changed, small, sizeof small);
    changed[0].text = "A text that has changed.";
    size_t failures = 0;
    for (size_t n = 1;; n++) {
        char *path = build_small(&model);
        wn_error err = {0};
        wn_memory_fail_at(n, true);
        wn_status st = fake_build(path, changed, 3, "docs", &model, NULL, NULL, &err);
        wn_memory_fail_at(0, false);
        assert_true(check_consistent(path));
        if (st != WN_OK) {
            assert_int_equal(st, WN_ERR_MEMORY);
            failures++;
            assert_ok(fake_build(path, changed, 3, "docs", &model, NULL, NULL, &err), &err);
        }
        wn_index *index = open_index(path);
        wn_hit hit;
        assert_int_equal(bm25(index, "changed", &hit, 1), 1);
        wn_index_close(index);
        remove_path(path);
        if (st == WN_OK) break;
    }
    print_message("%zu failed allocations of a build\n", failures);
    assert_true(failures > 10);
}

int main(void) {
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory);
    sqlite3_mem_methods failing = real_memory;
    failing.xMalloc = failing_malloc;
    failing.xRealloc = failing_realloc;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &failing);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(build_new_index_describes_itself),
        cmocka_unit_test(passage_of_a_file_has_all_fields),
        cmocka_unit_test(passage_of_a_corpus_is_read_with_its_title),
        cmocka_unit_test(dense_search_equals_sorting_everything),
        cmocka_unit_test(equal_scores_are_ordered_by_passage),
        cmocka_unit_test(model_without_normalisation_gives_cosines),
        cmocka_unit_test(score_of_unknown_passage_is_nan),
        cmocka_unit_test(build_again_changes_nothing),
        cmocka_unit_test(changed_document_keeps_unchanged_passages),
        cmocka_unit_test(repeated_passages_survive_a_change),
        cmocka_unit_test(vanished_documents_are_removed_unless_kept),
        cmocka_unit_test(renamed_document_is_not_embedded_again),
        cmocka_unit_test(repeated_source_is_kept_once_with_a_warning),
        cmocka_unit_test(vector_blocks_are_filled_again_after_removals),
        cmocka_unit_test(another_model_is_refused_with_both_names),
        cmocka_unit_test(other_split_options_are_refused_with_both),
        cmocka_unit_test(index_without_model_takes_one_later),
        cmocka_unit_test(cancelled_build_keeps_what_it_has_and_goes_on),
        cmocka_unit_test(failing_model_loses_nothing_computed),
        cmocka_unit_test(broken_source_keeps_the_documents_before_it),
        cmocka_unit_test(bm25_stems_and_orders),
        cmocka_unit_test(bm25_scores_equal_fts5_in_every_bit),
        cmocka_unit_test(bm25_hostile_queries_are_just_words),
        cmocka_unit_test(bm25_finds_words_in_chinese_and_japanese),
        cmocka_unit_test(full_text_query_repeats_no_word),
        cmocka_unit_test(filters_of_every_kind_hold_in_both_stages),
        cmocka_unit_test(second_writer_is_busy_and_readers_are_served),
        cmocka_unit_test(folder_and_corpus_are_indexed_and_updated),
        cmocka_unit_test(thousand_searches_do_not_grow),
        cmocka_unit_test(every_failed_allocation_of_a_search_is_an_error),
        cmocka_unit_test(every_failed_allocation_of_a_build_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
