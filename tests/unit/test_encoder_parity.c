/* test_encoder_parity.c -- the forward pass against transformers f32 on labelled collections, where they are:
 *
 *   dl19   reranker-minilm-l6-v0 on BM25's top 100 of 5 queries of TREC DL19           (BERT, real weights)
 *   xquad  the same on every 10th question with its passage, all-MiniLM-L6-v2 (mean) and bge-small-en-v1.5
 *          (CLS, from ONNX) on every 5th passage, in five languages                      (BERT, real weights)
 *   xlmr   small-xlmr, small-xlmr-reranker: the same passages and pairs                (XLM-R, random weights)
 *
 * tests/golden/encoder holds transformers' numbers and no text: texts come from $WN_SHARED (or ../shared)
 * and are tokenised here. Without the collections, or without a model in the cache, a test is SKIPPED.
 * Logits within 1e-4, embeddings within 1e-5 a component. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/file.h"
#include "core/json.h"
#include "encoder_fixture.h"
#include "test_tier.h"
#include <math.h>
#include <winnow/text.h>

static const char *const languages[] = {"en", "de", "es", "zh", "ar"};

static const char *shared_dir(void) {
    const char *dir = getenv("WN_SHARED");
    return dir && *dir ? dir : WN_SOURCE_ROOT "/../shared";
}

/* ---- Texts ---------------------------------------------------------------- */

typedef struct text {
    char *id, *body;
    size_t len;
} text;
typedef struct texts {
    text *at;
    size_t n, cap;
} texts;

/* {"_id", "text"} a line; false when the file is absent. */
static bool texts_read(const char *folder, const char *name, texts *out) {
    char path[1024];
    snprintf(path, sizeof path, "%s/data/%s/%s", shared_dir(), folder, name);
    FILE *f = fopen(path, "r");
    if (!f) return false;
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    *out = (texts){0};
    while ((len = getline(&line, &cap, f)) > 0) {
        json_t *one;
        if (wn_json_parse(path, line, (size_t)len, &one, NULL) != WN_OK) fail_msg("%s is not JSON lines", path);
        const json_t *body = json_object_get(one, "text");
        assert_int_equal(wn_grow(&out->at, &out->cap, out->n + 1, sizeof *out->at, NULL), WN_OK);
        out->at[out->n++] = (text){strdup(json_string_value(json_object_get(one, "_id"))),
                                   strdup(json_string_value(body)), json_string_length(body)};
        json_decref(one);
    }
    free(line);
    fclose(f);
    return true;
}
static void texts_release(texts *t) {
    for (size_t i = 0; i < t->n; i++) free(t->at[i].id), free(t->at[i].body);
    wn_free(t->at);
}
static wn_str texts_find(const texts *t, const char *id) {
    for (size_t i = 0; i < t->n; i++)
        if (!strcmp(t->at[i].id, id)) return (wn_str){t->at[i].body, t->at[i].len};
    fail_msg("no text %s", id);
    return (wn_str){0};
}

/* ---- A model and its tokenizer -------------------------------------------- */

typedef struct scorer {
    fixture f;
    wn_tokenizer *tokenizer;
    wn_encoding *encoding;
} scorer;

/* path: in the repository, or NULL: in the model cache. Skips the test when it is not there. */
static scorer scorer_open(const char *path, const char *cached, const char *tokenizer_dir) {
    char dir[1024];
    wn_error err;
    scorer s = {0};
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (path) snprintf(dir, sizeof dir, WN_SOURCE_ROOT "/%s", path);
    else if (cache && *cache) snprintf(dir, sizeof dir, "%s/winnow/models/%s", cache, cached);
    else snprintf(dir, sizeof dir, "%s/.cache/winnow/models/%s", home ? home : "", cached);
    if (!wn_dir_exists(dir)) {
        print_message("SKIPPED: no model %s\n", dir);
        skip();
    }
    s.f = fixture_open(dir, 0);
    if (tokenizer_dir) snprintf(dir, sizeof dir, WN_SOURCE_ROOT "/%s", tokenizer_dir);
    if (wn_tokenizer_open(dir, &s.tokenizer, &err) || wn_encoding_create(&s.encoding, &err))
        fail_msg("%s", err.message);
    return s;
}
static void scorer_close(scorer *s) {
    wn_encoding_free(s->encoding);
    wn_tokenizer_close(s->tokenizer);
    fixture_close(&s->f);
}
static void scorer_add(scorer *s, packed *p, wn_str a, const wn_str *b) {
    wn_error err;
    if (wn_tokenizer_encode(s->tokenizer, a, b, s->f.config.max_length, WN_TRUNCATE_LONGEST_FIRST, s->encoding, &err))
        fail_msg("%s", err.message);
    packed_add(p, wn_encoding_ids(s->encoding), wn_encoding_type_ids(s->encoding), wn_encoding_length(s->encoding));
}

/* Runs the batch and compares with a file of references; returns the largest difference. */
static double compare(const scorer *s, const packed *p, const char *golden) {
    char path[1024];
    wn_error err;
    wn_buf bytes = {0};
    size_t width = fixture_width(&s->f), n = p->n * width;
    float *got = malloc(n * sizeof *got), want;
    wn_packed batch = packed_view(p);
    double worst = 0;
    snprintf(path, sizeof path, WN_SOURCE_ROOT "/tests/golden/encoder/%s", golden);
    if (wn_file_read(path, 1 << 24, &bytes, &err) != WN_OK) fail_msg("%s", err.message);
    assert_true(wn_test_quick() ? bytes.len >= n * sizeof want : bytes.len == n * sizeof want);
    if (fixture_run(&s->f, s->f.session, &batch, got, &err)) fail_msg("%s", err.message);
    for (size_t i = 0; i < n; i++) {
        memcpy(&want, bytes.data + i * sizeof want, sizeof want);
        double d = fabs((double)got[i] - (double)want);
        if (!(d <= worst)) worst = d;
    }
    free(got);
    wn_buf_release(&bytes);
    return worst;
}

/* ---- Collections ---------------------------------------------------------- */

static void skip_without(bool there, const char *what) {
    if (there) return;
    print_message("SKIPPED: %s is not in %s/data\n", what, shared_dir());
    skip();
}

/* Before anything is opened: a skipped test must not leak. */
static void skip_without_xquad(void) {
    char path[1024];
    snprintf(path, sizeof path, "%s/data/xquad_en", shared_dir());
    skip_without(wn_dir_exists(path), "xquad_en");
}

static void dl19_pairs_match_transformers(void **unused) {
    texts queries, corpus;
    char path[1024], line[512], query[64], doc[64];
    packed p = {0};
    skip_without(texts_read("msmarco_dl19", "queries.jsonl", &queries), "msmarco_dl19");
    assert_true(texts_read("msmarco_dl19", "corpus.jsonl", &corpus));
    scorer s = scorer_open("models/reranker-minilm-l6-v0", NULL, NULL);
    snprintf(path, sizeof path, "%s/data/msmarco_dl19/runs/BM25.trec", shared_dir());
    for (size_t q = 0; q < 5; q++) {
        size_t ranks = 0, most = wn_test_emulated() ? 2 : wn_test_quick() ? 10 : 100;
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        while (ranks < most && fgets(line, sizeof line, f)) {
            if (sscanf(line, "%63s Q0 %63s", query, doc) != 2 || strcmp(query, queries.at[q].id) != 0) continue;
            wn_str passage = texts_find(&corpus, doc);
            scorer_add(&s, &p, (wn_str){queries.at[q].body, queries.at[q].len}, &passage);
            ranks++;
        }
        fclose(f);
        if (wn_test_quick()) break; /* the references are in order of queries */
    }
    double worst = compare(&s, &p, "dl19-reranker.f32");
    print_message("  dl19: %zu pairs, %u tokens, largest difference %.2g\n", p.n, p.starts[p.n], worst);
    assert_true(worst <= 1e-4);
    packed_release(&p);
    texts_release(&queries), texts_release(&corpus);
    scorer_close(&s);
}

static packed xquad_passages(scorer *s, const char *language) {
    char folder[32];
    texts corpus;
    packed p = {0};
    snprintf(folder, sizeof folder, "xquad_%s", language);
    assert_true(texts_read(folder, "corpus.jsonl", &corpus));
    size_t step = 5, most = wn_test_emulated() ? 1 : wn_test_quick() ? 20 : corpus.n;
    for (size_t i = 0; i < corpus.n && i < most; i += step)
        scorer_add(s, &p, (wn_str){corpus.at[i].body, corpus.at[i].len}, NULL);
    texts_release(&corpus);
    return p;
}

static packed xquad_pairs(scorer *s, const char *language) {
    char folder[32], path[1024], line[512], query[64], doc[64];
    texts corpus, questions;
    packed p = {0};
    size_t most = wn_test_emulated() ? 1 : wn_test_quick() ? 4 : SIZE_MAX;
    snprintf(folder, sizeof folder, "xquad_%s", language);
    assert_true(texts_read(folder, "queries.jsonl", &questions));
    assert_true(texts_read(folder, "corpus.jsonl", &corpus));
    snprintf(path, sizeof path, "%s/data/%s/qrels/test.tsv", shared_dir(), folder);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f)); /* header */
    for (size_t i = 0; fgets(line, sizeof line, f) && p.n < most; i++) {
        if (i % 10 || sscanf(line, "%63s %63s", query, doc) != 2) continue;
        wn_str passage = texts_find(&corpus, doc);
        scorer_add(s, &p, texts_find(&questions, query), &passage);
    }
    fclose(f);
    texts_release(&corpus), texts_release(&questions);
    return p;
}

static void xquad_check(scorer *s, const char *name, double tolerance) {
    bool pairs = s->f.config.kind == WN_MODEL_CROSS_ENCODER;
    size_t n = 0, tokens = 0;
    double worst = 0;
    int most = wn_test_emulated() ? 1 : 5; /* half a minute a text under an emulator */
    for (int l = 0; l < most; l++) {
        char golden[64];
        packed p = pairs ? xquad_pairs(s, languages[l]) : xquad_passages(s, languages[l]);
        snprintf(golden, sizeof golden, "xquad-%s-%s.f32", languages[l], name);
        double d = compare(s, &p, golden);
        if (!(d <= worst)) worst = d;
        n += p.n, tokens += p.starts[p.n];
        packed_release(&p);
    }
    print_message("  xquad, %s: %zu %s in %d languages, %zu tokens, largest difference %.2g\n", name, n,
                  pairs ? "pairs" : "texts", most, tokens, worst);
    assert_true(worst <= tolerance);
}

static void xquad_pairs_match_transformers(void **unused) {
    skip_without_xquad();
    scorer s = scorer_open("models/reranker-minilm-l6-v0", NULL, NULL);
    xquad_check(&s, "reranker", 1e-4);
    scorer_close(&s);
}
static void xquad_mean_pooled_passages_match_transformers(void **unused) {
    skip_without_xquad();
    scorer s = scorer_open(NULL, "all-MiniLM-L6-v2", NULL);
    xquad_check(&s, "minilm", 1e-5);
    scorer_close(&s);
}
static void xquad_cls_pooled_passages_match_onnxruntime(void **unused) {
    skip_without_xquad();
    scorer s = scorer_open(NULL, "bge-small-en-v1.5", NULL);
    xquad_check(&s, "bge", 1e-5);
    scorer_close(&s);
}
static void xquad_xlmr_pairs_match_transformers(void **unused) {
    skip_without_xquad();
    scorer s = scorer_open("tests/golden/models/small-xlmr-reranker", NULL, "tests/golden/tokenizers/small-xlmr");
    xquad_check(&s, "small-xlmr-reranker", 1e-4);
    scorer_close(&s);
}
static void xquad_xlmr_passages_match_transformers(void **unused) {
    skip_without_xquad();
    scorer s = scorer_open("tests/golden/models/small-xlmr", NULL, "tests/golden/tokenizers/small-xlmr");
    xquad_check(&s, "small-xlmr", 1e-5);
    scorer_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dl19_pairs_match_transformers),
        cmocka_unit_test(xquad_pairs_match_transformers),
        cmocka_unit_test(xquad_mean_pooled_passages_match_transformers),
        cmocka_unit_test(xquad_cls_pooled_passages_match_onnxruntime),
        cmocka_unit_test(xquad_xlmr_pairs_match_transformers),
        cmocka_unit_test(xquad_xlmr_passages_match_transformers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
