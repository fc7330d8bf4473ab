/* test_safetensors.c -- the safetensors container, its sharded index, and reading as f32.
 *
 * Files are built here, byte by byte; the reference they are held to is the format's own
 * implementation (contiguous data, checked products, a header that begins with '{'). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "core/memory.h"
#include "model/weights.h"
#include "model_files.h"

static scratch dir;

static int set_up(void **state) {
    dir = scratch_make();
    return 0;
}

static int tear_down(void **state) {
    scratch_remove(&dir);
    return 0;
}

/* Length, header text, then the data. */
static size_t build(unsigned char *out, const char *header, const void *data, size_t len) {
    uint64_t n = strlen(header);
    for (int i = 0; i < 8; i++) out[i] = (unsigned char)(n >> (8 * i));
    memcpy(out + 8, header, n);
    if (len) memcpy(out + 8 + n, data, len);
    return 8 + n + len;
}

static void write_tensors(const char *name, const char *header, const void *data, size_t len) {
    unsigned char file[4096];
    assert_true(strlen(header) + len + 8 <= sizeof file);
    scratch_write(&dir, name, file, build(file, header, data, len));
}

static void expect_refused(wn_status status, const char *part) {
    wn_weights *w = NULL;
    wn_error err = {0};
    assert_int_equal(wn_weights_open(dir.dir, &w, &err), status);
    assert_null(w);
    if (!strstr(err.message, part)) print_error("message was: %s\n", err.message);
    assert_non_null(strstr(err.message, part));
    assert_null(strchr(err.message, '\n'));
}

static void safetensors_f32_matrix_reads_back(void **state) {
    float data[6] = {1, 2, 3, 4, 5, 6}, got[6];
    write_tensors("model.safetensors",
                  "{\"__metadata__\":{\"format\":\"pt\"},"
                  "\"bert.a.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}  ",
                  data, sizeof data);
    wn_weights *w = NULL;
    assert_int_equal(wn_weights_open(dir.dir, &w, NULL), WN_OK);
    assert_string_equal(wn_weights_format(w), "safetensors");
    assert_int_equal(wn_weights_count(w), 1);
    assert_string_equal(wn_weights_at(w, 0)->name, "a.weight");
    assert_null(wn_weights_at(w, 1));
    assert_null(wn_weights_find(w, "bert.a.weight"));
    assert_int_equal(wn_weights_read(w, "a.weight", 2, 3, got, NULL), WN_OK);
    assert_memory_equal(got, data, sizeof data);
    wn_weights_close(w);
}

/* Every half and every bfloat16, against arithmetic done another way (ldexp). The header's length
 * is odd or even in turn, so that both alignments of the data are read. */
static void safetensors_every_half_and_bfloat_converts_exactly(void **state) {
    enum { N = 65536 };
    uint16_t *bits = malloc(2 * N * sizeof *bits);
    float *got = malloc(N * sizeof *got);
    unsigned char *file = malloc(8 + 512 + 4 * N);
    for (uint32_t i = 0; i < N; i++) bits[i] = bits[N + i] = (uint16_t)i;
    for (int odd = 0; odd < 2; odd++) {
        char header[512];
        snprintf(header, sizeof header,
                 "{\"h\":{\"dtype\":\"F16\",\"shape\":[65536],\"data_offsets\":[0,131072]},"
                 "\"b\":{\"dtype\":\"BF16\",\"shape\":[65536],\"data_offsets\":[131072,262144]}}%s",
                 odd ? " " : "");
        scratch_write(&dir, "model.safetensors", file, build(file, header, bits, 4 * N));
        wn_weights *w = NULL;
        assert_int_equal(wn_weights_open(dir.dir, &w, NULL), WN_OK);
        assert_int_equal(wn_weights_read(w, "h", N, 1, got, NULL), WN_OK);
        for (uint32_t i = 0; i < N; i++) {
            int e = (i >> 10) & 31, m = i & 1023;
            double v = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
            if (i & 0x8000) v = -v;
            if (isnan(v)) assert_true(isnan(got[i]));
            else assert_true(got[i] == (float)v && !signbit(got[i]) == !signbit(v));
        }
        assert_int_equal(wn_weights_read(w, "b", N, 1, got, NULL), WN_OK);
        for (uint32_t i = 0; i < N; i++) {
            int e = (i >> 7) & 255, m = i & 127;
            double v = e == 255 ? (m ? NAN : INFINITY) : e ? ldexp(128 + m, e - 134) : ldexp(m, -133);
            if (i & 0x8000) v = -v;
            if (isnan(v)) assert_true(isnan(got[i]));
            else assert_true((double)got[i] == v);
        }
        wn_weights_close(w);
    }
    free(file);
    free(got);
    free(bits);
}

static void safetensors_old_and_wrapped_names_are_normalised(void **state) {
    static const char *const cases[][2] = {
        {"bert.embeddings.LayerNorm.gamma", "embeddings.LayerNorm.weight"},
        {"roberta.embeddings.LayerNorm.beta", "embeddings.LayerNorm.bias"},
        {"0.auto_model.pooler.dense.weight", "pooler.dense.weight"},
        {"0.model.pooler.dense.weight", "pooler.dense.weight"},
        {"model.bert.pooler.dense.bias", "pooler.dense.bias"},
        {"classifier.out_proj.weight", "classifier.out_proj.weight"},
        {"gamma", "gamma"},
        {"bert.", "bert."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char header[256];
        float x = 7, got = 0;
        snprintf(header, sizeof header,
                 "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", cases[i][0]);
        write_tensors("model.safetensors", header, &x, 4);
        wn_weights *w = NULL;
        assert_int_equal(wn_weights_open(dir.dir, &w, NULL), WN_OK);
        assert_int_equal(wn_weights_read(w, cases[i][1], 1, 1, &got, NULL), WN_OK);
        assert_true(got == 7);
        wn_weights_close(w);
    }
}

static void safetensors_two_tensors_under_one_name_are_refused(void **state) {
    write_tensors("model.safetensors",
                  "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                  "\"bert.a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
                  "xy", 2);
    expect_refused(WN_ERR_FORMAT, "\"a\" is there twice");
}

static void safetensors_bad_headers_are_refused_with_file_and_place(void **state) {
    static const struct {
        const char *header, *message;
        size_t data;
    } cases[] = {
        {"[1]", "must begin with '{'", 0},
        {"{\"a\":1}", "\"a\": must be an object", 0},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}", "not valid JSON", 4},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", "\"dtype\" must be a string", 4},
        {"{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", "unknown dtype \"F33\"", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}", "\"shape\" must be an array", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", "at least 0", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", "integers", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]}}",
         "overflows", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,4294967296,4294967296,4294967296,0],"
         "\"data_offsets\":[0,4]}}", "overflows", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,4]}}",
         "overflows", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]}}",
         "not valid JSON", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", "do not fill", 4},
        {"{\"a\":{\"dtype\":\"F4\",\"shape\":[1],\"data_offsets\":[0,1]}}", "do not fill", 1},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", "data_offsets", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", "data_offsets", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", "data_offsets", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "truncated", 3},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "end at data byte 4 of 5", 5},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "a hole before it", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}", "tensors overlap", 6},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "a hole before it", 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_tensors("model.safetensors", cases[i].header, "12345678", cases[i].data);
        expect_refused(WN_ERR_FORMAT, cases[i].message);
        expect_refused(WN_ERR_FORMAT, "model.safetensors");
    }
}

static void safetensors_header_length_overflow_is_refused(void **state) {
    static const uint64_t lengths[] = {0, 1, 100000001, 1u << 31, UINT64_C(1) << 32, INT64_MAX,
                                       UINT64_MAX, UINT64_MAX - 7, UINT64_MAX - 8};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        unsigned char file[8];
        for (int k = 0; k < 8; k++) file[k] = (unsigned char)(lengths[i] >> (8 * k));
        scratch_write(&dir, "model.safetensors", file, sizeof file);
        expect_refused(WN_ERR_FORMAT, "header");
    }
    for (size_t len = 0; len < 8; len++) {
        scratch_write(&dir, "model.safetensors", "\1\0\0\0\0\0\0\0", len);
        expect_refused(WN_ERR_FORMAT, "at least 8 bytes");
    }
}

static void safetensors_deep_json_is_refused(void **state) {
    enum { DEPTH = 200000 };
    char *header = malloc(DEPTH + 8);
    strcpy(header, "{\"a\":");
    memset(header + 5, '[', DEPTH);
    header[5 + DEPTH] = 0;
    unsigned char *file = malloc(DEPTH + 64);
    scratch_write(&dir, "model.safetensors", file, build(file, header, NULL, 0));
    expect_refused(WN_ERR_FORMAT, "not valid JSON");
    free(file);
    free(header);
}

static void read_wrong_shape_type_or_name_is_refused_by_name(void **state) {
    unsigned char data[8 + 24 + 8 + 4] = {0};
    float out[8];
    wn_error err = {0};
    write_tensors("model.safetensors",
                  "{\"ids\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]},"
                  "\"m\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[8,32]},"
                  "\"q\":{\"dtype\":\"I8\",\"shape\":[2,4],\"data_offsets\":[32,40]},"
                  "\"deep\":{\"dtype\":\"I8\",\"shape\":[1,1,1,2,2],\"data_offsets\":[40,44]}}",
                  data, sizeof data);
    wn_weights *w = NULL;
    assert_int_equal(wn_weights_open(dir.dir, &w, NULL), WN_OK);
    assert_int_equal(wn_weights_read(w, "m", 3, 2, out, &err), WN_ERR_FORMAT);
    assert_non_null(strstr(err.message, "\"m\" has shape [2, 3]"));
    assert_non_null(strstr(err.message, "[3, 2]"));
    assert_non_null(strstr(err.message, "model.safetensors"));
    assert_int_equal(wn_weights_read(w, "m", 6, 1, out, &err), WN_ERR_FORMAT);
    assert_int_equal(wn_weights_read(w, "q", 2, 4, out, &err), WN_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "\"q\" is I8"));
    assert_int_equal(wn_weights_read(w, "ids", 1, 1, out, &err), WN_ERR_UNSUPPORTED);
    assert_int_equal(wn_weights_find(w, "deep")->shape[3], 4);
    assert_int_equal(wn_weights_read(w, "absent", 1, 1, out, &err), WN_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "\"absent\" is missing"));
    wn_weights_close(w);
}

/* ---- shards ------------------------------------------------------------------ */

static const char shard_a[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
static const char shard_b[] = "{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";

static void write_shards(const char *index) {
    float a = 1, b = 2;
    write_tensors("s1.safetensors", shard_a, &a, 4);
    write_tensors("s2.safetensors", shard_b, &b, 4);
    scratch_text(&dir, "model.safetensors.index.json", index);
}

static void index_two_shards_are_one_model(void **state) {
    float got = 0;
    write_shards("{\"metadata\":{},\"weight_map\":{\"b\":\"s2.safetensors\",\"a\":\"s1.safetensors\"}}");
    wn_weights *w = NULL;
    assert_int_equal(wn_weights_open(dir.dir, &w, NULL), WN_OK);
    assert_int_equal(wn_weights_count(w), 2);
    assert_int_equal(wn_weights_read(w, "b", 1, 1, &got, NULL), WN_OK);
    assert_true(got == 2);

    /* The hash is of the shards' bytes in name order, whatever the index's order. */
    unsigned char both[512];
    float a = 1, b = 2;
    size_t n = build(both, shard_a, &a, 4);
    n += build(both + n, shard_b, &b, 4);
    wn_hash want = wn_hash_bytes(both, n), have = wn_weights_hash(w), again = wn_weights_hash(w);
    assert_true(wn_hash_equal(&want, &have));
    assert_true(wn_hash_equal(&want, &again));
    wn_weights_close(w);
}

static void index_bad_maps_are_refused(void **state) {
    static const struct {
        const char *index, *message;
        wn_status status;
    } cases[] = {
        {"{}", "\"weight_map\" must be an object", WN_ERR_FORMAT},
        {"[]", "\"weight_map\" must be an object", WN_ERR_FORMAT},
        {"{\"weight_map\":{}}", "is empty", WN_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":1}}", "name of a file in the same directory", WN_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"../s1.safetensors\"}}", "same directory", WN_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "same directory", WN_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"..\"}}", "same directory", WN_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"s1.safetensors\\u0000x\"}}", "same directory", WN_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"s9.safetensors\"}}", "s9.safetensors", WN_ERR_NOT_FOUND},
        {"{\"weight_map\":{\"a\":\"s1.safetensors\",\"c\":\"s2.safetensors\"}}", "\"c\" is not in",
         WN_ERR_FORMAT},
        {"{\"weight_map\":", "not valid JSON", WN_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_shards(cases[i].index);
        expect_refused(cases[i].status, cases[i].message);
    }
}

static void directory_without_weights_says_what_was_looked_for(void **state) {
    expect_refused(WN_ERR_NOT_FOUND, "looked for model.safetensors");
    scratch_text(&dir, "pytorch_model.bin", "x");
    expect_refused(WN_ERR_UNSUPPORTED, "pickle");
    wn_weights *w = NULL;
    wn_error err = {0};
    assert_int_equal(wn_weights_open("/nonexistent-model", &w, &err), WN_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "no such model directory"));
}

static void git_lfs_pointer_is_named_as_such(void **state) {
    scratch_text(&dir, "model.safetensors", "version https://git-lfs.example/spec/v1\noid sha256:0\nsize 9\n");
    expect_refused(WN_ERR_FORMAT, "a Git LFS pointer");
}

/* ---- hostile bytes and failing memory ------------------------------------------ */

static const char sample[] =
    "{\"bert.encoder.w\":{\"dtype\":\"F16\",\"shape\":[4,8],\"data_offsets\":[0,64]},"
    "\"bert.b\":{\"dtype\":\"BF16\",\"shape\":[8],\"data_offsets\":[64,80]},"
    "\"ids\":{\"dtype\":\"I64\",\"shape\":[1,2],\"data_offsets\":[80,96]}}";

/* Opens what is there; if it opens, touches every byte of every tensor. */
static unsigned touch(void) {
    wn_weights *w = NULL;
    wn_error err = {0};
    unsigned sum = 0;
    wn_status st = wn_weights_open(dir.dir, &w, &err);
    if (st != WN_OK) {
        assert_null(w);
        assert_true(err.message[0]);
        return 0;
    }
    for (size_t i = 0; i < wn_weights_count(w); i++) {
        const wn_tensor *t = wn_weights_at(w, i);
        for (size_t k = 0; k < t->bytes; k++) sum += t->data[k];
    }
    wn_weights_close(w);
    return sum + 1;
}

static void safetensors_truncated_anywhere_is_refused(void **state) {
    unsigned char file[512], data[96] = {1};
    size_t n = build(file, sample, data, sizeof data);
    for (size_t len = 0; len < n; len++) {
        scratch_write(&dir, "model.safetensors", file, len);
        assert_int_equal(touch(), 0);
    }
    scratch_write(&dir, "model.safetensors", file, n);
    assert_int_equal(touch(), 2);
}

static void safetensors_every_bit_flip_of_the_header_is_safe(void **state) {
    unsigned char file[512], data[96] = {1};
    size_t n = build(file, sample, data, sizeof data), opened = 0, total = 8 * (n - sizeof data);
    for (size_t bit = 0; bit < total; bit++) {
        file[bit / 8] ^= (unsigned char)(1 << bit % 8);
        scratch_write(&dir, "model.safetensors", file, n);
        opened += touch() != 0;
        file[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    print_message("%zu bit flips of the header: %zu refused, %zu opened safely (names)\n", total,
                  total - opened, opened);
    assert_true(opened < total / 2);
}

static void open_any_failing_allocation_is_reported_and_leaks_nothing(void **state) {
    write_shards("{\"weight_map\":{\"b\":\"s2.safetensors\",\"a\":\"s1.safetensors\"}}");
    for (int sticky = 0; sticky < 2; sticky++) {
        uint64_t n = 1;
        for (;; n++) {
            wn_weights *w = NULL;
            wn_error err = {0};
            wn_memory_fail_at(n, sticky);
            wn_status st = wn_weights_open(dir.dir, &w, &err);
            wn_memory_fail_at(0, false);
            if (st == WN_OK) {
                wn_weights_close(w);
                break;
            }
            assert_int_equal(st, WN_ERR_MEMORY);
            assert_null(w);
        }
        assert_true(n > 5);
    }
}

/* ---- real models ----------------------------------------------------------------- */

static void real_models_have_every_tensor_of_the_encoder(void **state) {
    static const struct {
        const char *name;
        int layers;
    } models[] = {{"all-MiniLM-L6-v2", 6}, {"reranker-minilm-l6-v0", 6}};
    static const char *const parts[] = {
        "attention.self.query.weight", "attention.self.value.bias", "attention.output.LayerNorm.weight",
        "intermediate.dense.bias", "output.LayerNorm.bias"};
    int found = 0;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char path[1024], name[256];
        if (!model_dir(models[i].name, "model.safetensors", path, sizeof path)) continue;
        wn_weights *w = NULL;
        wn_error err = {0};
        if (wn_weights_open(path, &w, &err) != WN_OK) fail_msg("%s", err.message);
        for (int l = 0; l < models[i].layers; l++)
            for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
                snprintf(name, sizeof name, "encoder.layer.%d.%s", l, parts[p]);
                assert_non_null(wn_weights_find(w, name));
            }
        float *v = malloc(384 * 384 * sizeof *v);
        assert_int_equal(wn_weights_read(w, "encoder.layer.0.attention.self.query.weight", 384, 384, v,
                                         NULL), WN_OK);
        for (size_t k = 0; k < 384 * 384; k++) assert_true(fabsf(v[k]) < 10);
        free(v);
        wn_weights_close(w);
        found++;
    }
    if (!found) {
        print_message("SKIPPED: no real safetensors model here\n");
        skip();
    }
    print_message("%d real models\n", found);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(safetensors_f32_matrix_reads_back),
        CASE(safetensors_every_half_and_bfloat_converts_exactly),
        CASE(safetensors_old_and_wrapped_names_are_normalised),
        CASE(safetensors_two_tensors_under_one_name_are_refused),
        CASE(safetensors_bad_headers_are_refused_with_file_and_place),
        CASE(safetensors_header_length_overflow_is_refused),
        CASE(safetensors_deep_json_is_refused),
        CASE(read_wrong_shape_type_or_name_is_refused_by_name),
        CASE(index_two_shards_are_one_model),
        CASE(index_bad_maps_are_refused),
        CASE(directory_without_weights_says_what_was_looked_for),
        CASE(git_lfs_pointer_is_named_as_such),
        CASE(safetensors_truncated_anywhere_is_refused),
        CASE(safetensors_every_bit_flip_of_the_header_is_safe),
        CASE(open_any_failing_allocation_is_reported_and_leaks_nothing),
        CASE(real_models_have_every_tensor_of_the_encoder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
