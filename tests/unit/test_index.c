/* test_index.c -- building and updating an index; stopping in the middle. */
#include "fake_index.h"

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
    assert_ok(wn_index_build(path, inputs, 2, NULL, &options, &stats, &err), &err);
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
    assert_ok(wn_index_build(path, inputs, 2, NULL, &options, &stats, &err), &err);
    assert_int_equal(stats.documents_added, 1);
    assert_int_equal(stats.documents_removed, 2);
    assert_int_equal(stats.documents_unchanged, 2);
    assert_true(check_consistent(path));
    assert_int_equal(bm25(index, "cats adapters", hits, 8), 0);
    assert_int_equal(bm25(index, "quantisation", hits, 8), 1);
    /* One input alone: the other's documents stay. */
    assert_ok(wn_index_build(path, inputs + 1, 1, NULL, &options, &stats, &err), &err);
    assert_int_equal(stats.documents_removed, 0);
    /* An input that isn't there changes nothing, and makes no file. */
    const char *missing[] = {"/nowhere/at/all"};
    assert_int_equal(wn_index_build(path, missing, 1, NULL, &options, &stats, &err), WN_ERR_NOT_FOUND);
    char *none = temp_path("none.wn");
    assert_int_equal(wn_index_build(none, missing, 1, NULL, &options, &stats, &err), WN_ERR_NOT_FOUND);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(build_new_index_describes_itself),
        cmocka_unit_test(passage_of_a_file_has_all_fields),
        cmocka_unit_test(passage_of_a_corpus_is_read_with_its_title),
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
        cmocka_unit_test(second_writer_is_busy_and_readers_are_served),
        cmocka_unit_test(folder_and_corpus_are_indexed_and_updated),
        cmocka_unit_test(every_failed_allocation_of_a_build_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
