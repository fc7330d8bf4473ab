/* test_encoder.c -- the forward pass on committed models: parity with transformers on our own texts, and what
 * encoder.h promises: the same bits in any company, nothing allocated, every bad input refused.
 *
 * Models: the committed reranker (BertForSequenceClassification, real weights), and small random-weight
 * BertForSequenceClassification, XLMRobertaForSequenceClassification and XLMRobertaModel, which prove those
 * architectures: positions behind padding_idx, padding tokens inside a text, the dense + out_proj head. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/cpu.h"
#include "core/json.h"
#include "encoder_fixture.h"
#include "kernels/gemm.h"
#include "test_tier.h"
#include <malloc.h>
#include <math.h>

#define GOLDENS WN_SOURCE_ROOT "/tests/golden/encoder/own.json"
#define RERANKER "models/reranker-minilm-l6-v0"

static const char *const models[] = {RERANKER, "tests/golden/models/small-bert-reranker",
                                     "tests/golden/models/small-xlmr-reranker", "tests/golden/models/small-xlmr"};
enum { NMODELS = sizeof models / sizeof *models };

static fixture model_open_in(const char *name, int threads, wn_precision precision) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", WN_SOURCE_ROOT, name);
    return fixture_open_in(path, threads, precision);
}
static fixture model_open(const char *name, int threads) { return model_open_in(name, threads, WN_F32); }

/* The golden cases of one model; want [n * width], freed by the caller. */
static packed cases_read(const char *model, size_t width, float **want) {
    json_t *root, *cases;
    wn_error err;
    packed p = {0};
    if (wn_json_load(GOLDENS, 1 << 24, &root, &err) != WN_OK) fail_msg("%s", err.message);
    cases = json_object_get(root, model);
    assert_true(json_array_size(cases) > 0);
    *want = malloc(json_array_size(cases) * width * sizeof **want);
    for (size_t c = 0; c < json_array_size(cases); c++) {
        json_t *one = json_array_get(cases, c), *list = json_object_get(one, "ids"), *out = json_object_get(one, "out");
        size_t n = json_array_size(list), second = (size_t)json_integer_value(json_object_get(one, "second"));
        int32_t ids[512];
        uint8_t types[512];
        assert_true(n <= 512);
        for (size_t i = 0; i < n; i++) {
            ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
            types[i] = i >= second;
        }
        packed_add(&p, ids, types, n);
        assert_int_equal(json_array_size(out), width);
        for (size_t i = 0; i < width; i++) (*want)[c * width + i] = (float)json_number_value(json_array_get(out, i));
    }
    json_decref(root);
    return p;
}

/* f32: logits within 1e-4, embeddings within 1e-5. Below f32 the rounding of every layer's rows shows:
 * a logit may move by 0.15 in bf16 (its deviation within a query's candidates is 1.2) and 0.4 in int8, an embedding's
 * component by 0.01 and 0.03. What it does to rankings is bench/quality.py's to say. */
static void parity_in(const char *model, wn_precision precision) {
    static const double logit_bounds[] = {1e-4, 0.15, 0.4}, embedding_bounds[] = {1e-5, 0.01, 0.03};
    wn_error err;
    float *want;
    fixture f = model_open_in(model, 0, precision);
    size_t width = fixture_width(&f);
    packed p = cases_read(model, width, &want);
    size_t most = wn_test_emulated() ? 2 : wn_test_quick() ? 12 : p.n;
    if (p.n > most) p.n = most;
    wn_packed batch = packed_view(&p);
    float *got = malloc(p.n * width * sizeof *got);
    if (fixture_run(&f, f.session, &batch, got, &err)) fail_msg("%s", err.message);
    double worst = 0;
    for (size_t i = 0; i < p.n * width; i++) {
        double d = fabs((double)got[i] - (double)want[i]);
        if (!(d <= worst)) worst = d;
    }
    bool logits = f.config.kind == WN_MODEL_CROSS_ENCODER;
    print_message("  %s, %s: %zu %s, largest difference %.2g\n", f.config.architecture,
                  wn_precision_name(precision), p.n, logits ? "pairs" : "texts", worst);
    assert_true(worst <= (logits ? logit_bounds : embedding_bounds)[precision]);
    free(got), free(want);
    packed_release(&p);
    fixture_close(&f);
}
static void parity_one(const char *model) { parity_in(model, WN_F32); }
static void own_texts_match_transformers(void **unused) {
    for (int m = 0; m < NMODELS; m++) parity_one(models[m]);
}

/* Every sequence alone, in reverse, doubled, with 1 to 3 threads and groups of 8 to 1,000 tokens; one to four of them on
 * 3 to 11 workers, who share rows. */
static void company_in(const char *model, wn_precision precision) {
    wn_error err;
    float *want;
    fixture f = model_open_in(model, 2, precision);
    size_t width = fixture_width(&f), row = width * sizeof(float);
    packed p = cases_read(model, width, &want);
    size_t most = wn_test_emulated() ? 2 : wn_test_quick() ? 6 : 24;
    if (p.n > most) p.n = most;
    wn_packed batch = packed_view(&p);
    float *all = malloc(p.n * row), *other = malloc(2 * p.n * row);
    assert_int_equal(fixture_run(&f, f.session, &batch, all, &err), WN_OK);
    packed reverse = {0};
    for (size_t i = 0; i < 2 * p.n; i++) {
        size_t s = p.n - 1 - i % p.n, at = p.starts[s], n = p.starts[s + 1] - at;
        packed_add(&reverse, p.ids + at, p.types + at, n);
        if (i >= p.n) continue;
        uint32_t starts[2] = {0, (uint32_t)n};
        wn_packed alone = {.ids = p.ids + at, .type_ids = p.types + at, .starts = starts, .n = 1};
        assert_int_equal(fixture_run(&f, f.session, &alone, other, &err), WN_OK);
        assert_memory_equal(other, all + s * width, row);
    }
    static const size_t groups[] = {8, 50, 64, 250, 1000};
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
        wn_session *session;
        wn_packed view = packed_view(&reverse);
        assert_int_equal(wn_session_create_grouped(f.encoder, 1 + (int)g % 3, groups[g], &session, &err), WN_OK);
        assert_int_equal(fixture_run(&f, session, &view, other, &err), WN_OK);
        for (size_t i = 0; i < 2 * p.n; i++)
            assert_memory_equal(other + i * width, all + (p.n - 1 - i % p.n) * width, row);
        wn_session_free(session);
    }
    for (int threads = 3; threads <= 11; threads += 4) { /* idle workers share what there is */
        wn_session *session;
        assert_int_equal(wn_session_create(f.encoder, threads, &session, &err), WN_OK);
        for (batch.n = 1; batch.n <= 4 && batch.n <= p.n; batch.n++) {
            assert_int_equal(fixture_run(&f, session, &batch, other, &err), WN_OK);
            assert_memory_equal(other, all, batch.n * row);
        }
        wn_session_free(session);
    }
    print_message("  %s, %s: %zu sequences, the same bits in 10 kinds of company\n", f.config.architecture,
                  wn_precision_name(precision), p.n);
    free(all), free(other), free(want);
    packed_release(&p), packed_release(&reverse);
    fixture_close(&f);
}
static void company_one(const char *model) { company_in(model, WN_F32); }
static void sequences_have_same_bits_in_any_company(void **unused) {
    for (int m = wn_test_emulated() ? 1 : 0; m < NMODELS; m++) company_one(models[m]); /* the first is a real one */
}

/* The same on lower tiers, where our own product stands in for the GEMM library's. */
static void sequences_have_same_bits_on_every_tier(void **unused) {
    static const uint32_t masks[] = {WN_CPU_AVX2, 0};
    for (int i = 0; i < 2; i++) {
        wn_cpu_set_mask(masks[i]);
        for (int m = 1; m < NMODELS; m++) {
            company_one(models[m]);
            parity_one(models[m]);
        }
    }
    wn_cpu_set_mask(UINT32_MAX);
}

/* bf16 and int8, where this processor has them: parity within its bounds, the same bits in any company. */
static void narrow_one(wn_precision precision) {
    for (int m = 0; m < NMODELS; m++) {
        parity_in(models[m], precision);
        company_in(models[m], precision);
    }
}
static void narrow_precisions_keep_the_promises(void **unused) {
    for (wn_precision p = WN_BF16; p < WN_AUTO; p++) {
        if (wn_precision_check(p, NULL) == WN_OK) narrow_one(p);
        else print_message("  SKIPPED: this processor has no %s products\n", wn_precision_name(p));
    }
    if (!(wn_cpu_flags() & WN_CPU_AVX512)) return;
    print_message("  AVX2 alone:\n");
    wn_cpu_set_mask(WN_CPU_AVX2);
    narrow_one(WN_INT8);
    wn_cpu_set_mask(UINT32_MAX);
}

static void precision_auto_is_told_and_missing_ones_are_refused(void **unused) {
    fixture f = model_open_in("tests/golden/models/small-xlmr", 1, WN_AUTO);
    wn_precision fast = wn_encoder_precision(f.encoder);
    assert_int_equal(fast, wn_precision_check(WN_BF16, NULL) == WN_OK ? WN_BF16 : WN_F32);
    print_message("  auto is %s here\n", wn_precision_name(fast));
    fixture_close(&f);
    wn_cpu_set_mask(WN_CPU_NEON);
    f = model_open_in("tests/golden/models/small-xlmr", 1, WN_AUTO);
    assert_int_equal(wn_encoder_precision(f.encoder), WN_F32);
    wn_encoder *encoder = NULL;
    wn_error err;
    assert_int_equal(wn_encoder_create(&f.config, f.weights, WN_BF16, &encoder, &err), WN_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "AVX512_BF16"));
    assert_int_equal(wn_encoder_create(&f.config, f.weights, WN_INT8, &encoder, &err), WN_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "AVX512_VNNI"));
    assert_null(encoder);
    fixture_close(&f);
    wn_cpu_set_mask(UINT32_MAX);
}

/* The last layer's short cut (first tokens only) against the whole layer: hidden states of a cross-encoder
 * come from the same products, so the head on their first rows must give the logits. */
static void last_layer_short_cut_matches_all_states(void **unused) {
    wn_error err;
    float *want;
    fixture f = model_open("tests/golden/models/small-xlmr", 1), cls = {0};
    packed p = cases_read("tests/golden/models/small-xlmr", f.config.hidden, &want);
    wn_packed batch = packed_view(&p);
    size_t hidden = f.config.hidden;
    cls.config = f.config;
    cls.config.pooling = WN_POOL_CLS;
    cls.config.normalize = false;
    assert_int_equal(wn_encoder_create(&cls.config, f.weights, WN_F32, &cls.encoder, &err), WN_OK);
    assert_int_equal(wn_session_create(cls.encoder, 1, &cls.session, &err), WN_OK);
    float *states = malloc(p.starts[p.n] * hidden * sizeof *states), *first = malloc(p.n * hidden * sizeof *first);
    float *split = malloc(p.starts[p.n] * hidden * sizeof *states);
    assert_int_equal(wn_session_hidden(f.session, &batch, states, &err), WN_OK);
    assert_int_equal(wn_session_hidden(cls.session, &batch, split, &err), WN_OK);
    assert_int_equal(wn_session_embed(cls.session, &batch, first, &err), WN_OK);
    for (size_t s = 0; s < p.n; s++)
        for (size_t i = 0; i < hidden; i++) {
            double a = (double)states[p.starts[s] * hidden + i];
            assert_true(fabs(a - (double)first[s * hidden + i]) <= 1e-5);
            assert_true(fabs(a - (double)split[p.starts[s] * hidden + i]) <= 1e-5);
        }
    free(states), free(first), free(split), free(want);
    packed_release(&p);
    wn_session_free(cls.session);
    wn_encoder_free(cls.encoder);
    fixture_close(&f);
}

static void forward_after_warm_up_allocates_nothing(void **unused) {
    wn_error err;
    float *want, out[64];
    fixture f = model_open("tests/golden/models/small-bert-reranker", 2);
    packed p = cases_read("tests/golden/models/small-bert-reranker", 1, &want);
    wn_packed batch = packed_view(&p);
    /* warm-up: each worker has run */
    for (int i = 0; i < 20; i++) assert_int_equal(wn_session_classify(f.session, &batch, out, &err), WN_OK);
    wn_memory_fail_at(0, false);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 100; i++) assert_int_equal(wn_session_classify(f.session, &batch, out, &err), WN_OK);
    assert_int_equal(wn_memory_fail_at(0, false), 0); /* ours: none at all */
    /* The GEMM library's: none kept. (A few hundred bytes come and go with the threads' allocator caches.) */
    assert_true(mallinfo2().uordblks < before + 4096);
    free(want);
    packed_release(&p);
    fixture_close(&f);
}

static void batch_bad_input_is_refused(void **unused) {
    wn_error err;
    fixture f = model_open("tests/golden/models/small-bert-reranker", 1);
    int32_t ids[200] = {5, 6, 7};
    uint8_t types[200] = {0};
    uint32_t starts[] = {0, 3};
    float out[4] = {42};
    wn_packed batch = {.ids = ids, .type_ids = types, .starts = starts, .n = 1};
    ids[1] = (int32_t)f.config.vocab;
    assert_int_equal(wn_session_classify(f.session, &batch, out, &err), WN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "vocabulary"));
    ids[1] = -1;
    assert_int_equal(wn_session_classify(f.session, &batch, out, &err), WN_ERR_ARGUMENT);
    ids[1] = 6, types[2] = 2;
    assert_int_equal(wn_session_classify(f.session, &batch, out, &err), WN_ERR_ARGUMENT);
    types[2] = 0, starts[1] = 0;
    assert_int_equal(wn_session_classify(f.session, &batch, out, &err), WN_ERR_ARGUMENT);
    starts[1] = (uint32_t)f.config.max_length + 1;
    assert_int_equal(wn_session_classify(f.session, &batch, out, &err), WN_ERR_ARGUMENT);
    starts[0] = 1, starts[1] = 3;
    assert_int_equal(wn_session_classify(f.session, &batch, out, &err), WN_ERR_ARGUMENT);
    starts[0] = 0;
    assert_true(out[0] == 42);
    assert_int_equal(wn_session_embed(f.session, &batch, out, &err), WN_ERR_UNSUPPORTED);
    batch.n = 0;
    assert_int_equal(wn_session_classify(f.session, &batch, out, &err), WN_OK);
    batch.n = 1, batch.type_ids = NULL;
    assert_int_equal(wn_session_classify(f.session, &batch, out, &err), WN_OK);
    fixture_close(&f);
}

static void encoder_wrong_config_names_the_tensor(void **unused) {
    wn_error err;
    fixture f = model_open("tests/golden/models/small-bert-reranker", 1);
    wn_encoder *encoder;
    wn_model_config c = f.config;
    c.layers = 3;
    assert_int_not_equal(wn_encoder_create(&c, f.weights, WN_F32, &encoder, &err), WN_OK);
    assert_non_null(strstr(err.message, "encoder.layer.2."));
    c = f.config, c.intermediate = 65;
    assert_int_not_equal(wn_encoder_create(&c, f.weights, WN_F32, &encoder, &err), WN_OK);
    assert_non_null(strstr(err.message, "encoder.layer.0.output.dense.weight"));
    c = f.config, c.vocab++;
    assert_int_not_equal(wn_encoder_create(&c, f.weights, WN_F32, &encoder, &err), WN_OK);
    assert_non_null(strstr(err.message, "word_embeddings"));
    c = f.config, c.heads = 3;
    assert_int_equal(wn_encoder_create(&c, f.weights, WN_F32, &encoder, &err), WN_ERR_FORMAT);
    c = f.config, c.max_length = c.max_positions + 1;
    assert_int_equal(wn_encoder_create(&c, f.weights, WN_F32, &encoder, &err), WN_ERR_FORMAT);
    c = f.config, c.max_positions = SIZE_MAX / 4;
    assert_int_equal(wn_encoder_create(&c, f.weights, WN_F32, &encoder, &err), WN_ERR_FORMAT);
    fixture_close(&f);
}

/* The n-th allocation fails, for every n, in creating encoder and session. */
static void creation_failing_allocations_are_reported(void **unused) {
    wn_error err;
    fixture f = model_open("tests/golden/models/small-bert-reranker", 1);
    wn_status st = WN_ERR_MEMORY;
    uint64_t n;
    for (n = 1; st != WN_OK && n < 500; n++) {
        wn_encoder *encoder = NULL;
        wn_session *session = NULL;
        wn_memory_fail_at(n, false);
        st = wn_encoder_create(&f.config, f.weights, WN_F32, &encoder, &err);
        if (st == WN_OK) st = wn_session_create(encoder, 1, &session, &err);
        wn_memory_fail_at(0, false);
        if (st != WN_OK) assert_int_equal(st, WN_ERR_MEMORY);
        wn_session_free(session);
        wn_encoder_free(encoder);
    }
    assert_int_equal(st, WN_OK);
    print_message("  %d allocations failed in turn\n", (int)n - 2);
    fixture_close(&f);
}

static void parameters_are_counted(void **unused) {
    fixture f = model_open(RERANKER, 1);
    assert_int_equal(wn_encoder_parameters(f.encoder), 22713601);
    fixture_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_texts_match_transformers),
        cmocka_unit_test(sequences_have_same_bits_in_any_company),
        cmocka_unit_test(sequences_have_same_bits_on_every_tier),
        cmocka_unit_test(narrow_precisions_keep_the_promises),
        cmocka_unit_test(precision_auto_is_told_and_missing_ones_are_refused),
        cmocka_unit_test(last_layer_short_cut_matches_all_states),
        cmocka_unit_test(forward_after_warm_up_allocates_nothing),
        cmocka_unit_test(batch_bad_input_is_refused),
        cmocka_unit_test(encoder_wrong_config_names_the_tensor),
        cmocka_unit_test(creation_failing_allocations_are_reported),
        cmocka_unit_test(parameters_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
