/* test_onnx.c -- weights out of ONNX exports: names and orientation against the model they came from.
 *
 * tests/golden/models/onnx holds one model three times: as safetensors, and exported by torch's
 * TorchScript and dynamo exporters. Every parameter must come out bit-equal. Graphs that no
 * exporter at hand writes are built here with a small protobuf writer. */
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

/* ---- a protobuf writer --------------------------------------------------------------- */

typedef struct pb {
    unsigned char data[8192];
    size_t len;
} pb;

static void put(pb *b, const void *bytes, size_t n) {
    assert_true(b->len + n <= sizeof b->data);
    memcpy(b->data + b->len, bytes, n);
    b->len += n;
}

static void put_varint(pb *b, uint64_t v) {
    do {
        unsigned char byte = (unsigned char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        put(b, &byte, 1);
        v >>= 7;
    } while (v);
}

static void put_int(pb *b, unsigned field, uint64_t v) {
    put_varint(b, field << 3);
    put_varint(b, v);
}

static void put_bytes(pb *b, unsigned field, const void *bytes, size_t n) {
    put_varint(b, field << 3 | 2);
    put_varint(b, n);
    put(b, bytes, n);
}

static void put_text(pb *b, unsigned field, const char *text) { put_bytes(b, field, text, strlen(text)); }

/* dims end with a negative one. */
static pb tensor(const char *name, int type, const int64_t *dims, const void *raw, size_t n) {
    pb t = {.len = 0};
    for (; *dims >= 0; dims++) put_int(&t, 1, (uint64_t)*dims);
    put_int(&t, 2, (uint64_t)type);
    if (name) put_text(&t, 8, name);
    if (raw) put_bytes(&t, 9, raw, n);
    return t;
}

/* inputs: names divided by spaces. */
static pb node(const char *op, const char *name, const char *inputs, const char *output) {
    pb n = {.len = 0};
    while (*inputs) {
        size_t len = strcspn(inputs, " ");
        put_bytes(&n, 1, inputs, len);
        inputs += len + (inputs[len] == ' ');
    }
    put_text(&n, 2, output);
    put_text(&n, 3, name);
    put_text(&n, 4, op);
    return n;
}

static void put_attribute_int(pb *n, const char *name, int64_t value) {
    pb a = {.len = 0};
    put_text(&a, 1, name);
    put_int(&a, 3, (uint64_t)value);
    put_bytes(n, 5, a.data, a.len);
}

static void add_node(pb *graph, pb n) { put_bytes(graph, 1, n.data, n.len); }
static void add_tensor(pb *graph, pb t) { put_bytes(graph, 5, t.data, t.len); }

static void write_model(const pb *graph) {
    pb m = {.len = 0};
    put_int(&m, 1, 8);
    put_bytes(&m, 7, graph->data, graph->len);
    scratch_write(&dir, "model.onnx", m.data, m.len);
}

static wn_weights *must_open(void) {
    wn_weights *w = NULL;
    wn_error err = {0};
    if (wn_weights_open(dir.dir, &w, &err) != WN_OK) fail_msg("%s", err.message);
    return w;
}

static void expect_refused(wn_status status, const char *part) {
    wn_weights *w = NULL;
    wn_error err = {0};
    wn_status st = wn_weights_open(dir.dir, &w, &err);
    if (st != status || !strstr(err.message, part))
        fail_msg("wanted %d \"%s\", got %d \"%s\"", status, part, st, err.message);
    assert_null(w);
}

static const int64_t d23[] = {2, 3, -1}, d3[] = {3, -1}, d2[] = {2, -1}, d22[] = {2, 2, -1};
static const float six[6] = {1, 2, 3, 4, 5, 6}, four[4] = {1, 2, 3, 4}, zeros[4] = {0};

static void expect_weight(const wn_weights *w, const char *name, int64_t rows, int64_t cols,
                          const float *want) {
    float got[16];
    wn_error err = {0};
    if (wn_weights_read(w, name, rows, cols, got, &err) != WN_OK) fail_msg("%s", err.message);
    assert_memory_equal(got, want, (size_t)(rows * cols) * sizeof *want);
}

/* ---- exports of a known model --------------------------------------------------------- */

/* Every tensor of the safetensors model that the export holds must be equal; how many were
 * compared and how many the export lacks (pooler of a head-less export). */
static size_t compare(const wn_weights *want, const wn_weights *have, size_t *missing) {
    size_t same = 0;
    for (size_t i = 0; i < wn_weights_count(want); i++) {
        const wn_tensor *t = wn_weights_at(want, i);
        if (t->dtype == WN_DTYPE_I64) continue;
        if (!wn_weights_find(have, t->name)) {
            ++*missing;
            print_message("  not in the export: %s\n", t->name);
            continue;
        }
        int64_t rows = t->shape[0], cols = t->rank == 2 ? t->shape[1] : 1;
        size_t n = (size_t)(rows * cols);
        float *a = malloc(n * sizeof *a), *b = malloc(n * sizeof *b);
        wn_error err = {0};
        assert_int_equal(wn_weights_read(want, t->name, rows, cols, a, &err), WN_OK);
        if (wn_weights_read(have, t->name, rows, cols, b, &err) != WN_OK) fail_msg("%s", err.message);
        for (size_t k = 0; k < n; k++)
            if (a[k] != b[k]) fail_msg("%s differs at element %zu: %g and %g", t->name, k, a[k], b[k]);
        free(a);
        free(b);
        same++;
    }
    return same;
}

static unsigned char *slurp(const char *path, size_t *len) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    *len = (size_t)ftell(f);
    rewind(f);
    unsigned char *bytes = malloc(*len + 1);
    if (fread(bytes, 1, *len, f) != *len) abort();
    fclose(f);
    return bytes;
}

static void exports_of_both_exporters_equal_the_safetensors(void **state) {
    static const char *const models[] = {"bert-reranker", "xlmr-reranker"};
    static const char *const files[] = {"legacy.onnx", "dynamo.onnx"};
    for (size_t m = 0; m < 2; m++) {
        char path[512];
        snprintf(path, sizeof path, "%s/tests/golden/models/onnx/%s", WN_SOURCE_ROOT, models[m]);
        wn_weights *want = NULL;
        wn_error err = {0};
        if (wn_weights_open(path, &want, &err) != WN_OK) fail_msg("%s", err.message);
        for (size_t f = 0; f < 2; f++) {
            char file[640];
            size_t len, missing = 0;
            snprintf(file, sizeof file, "%s/%s", path, files[f]);
            unsigned char *bytes = slurp(file, &len);
            assert_non_null(bytes);
            scratch_write(&dir, "onnx/model.onnx", bytes, len);
            free(bytes);
            wn_weights *have = must_open();
            assert_string_equal(wn_weights_format(have), "onnx");
            size_t same = compare(want, have, &missing);
            print_message("%s %s: %zu tensors equal, %zu missing\n", models[m], files[f], same, missing);
            assert_int_equal(missing, 0);
            assert_true(same == wn_weights_count(want) && same > 35);
            wn_weights_close(have);
        }
        wn_weights_close(want);
    }
}

/* Larger exports, made by hand and not committed: WN_ONNX_COMPARE="onnx dir:safetensors dir,...".
 * Last in the list, and left off it when the variable is not set: a tool, not a skipped test. */
static void exports_named_by_the_environment_equal_their_originals(void **state) {
    const char *list = getenv("WN_ONNX_COMPARE");
    while (*list) {
        char pair[1024];
        size_t n = strcspn(list, ","), missing = 0;
        snprintf(pair, sizeof pair, "%.*s", (int)n, list);
        list += n + (list[n] == ',');
        char *second = strchr(pair, ':');
        assert_non_null(second);
        *second++ = 0;
        wn_weights *have = NULL, *want = NULL;
        wn_error err = {0};
        if (wn_weights_open(pair, &have, &err) != WN_OK) fail_msg("%s", err.message);
        if (wn_weights_open(second, &want, &err) != WN_OK) fail_msg("%s", err.message);
        size_t same = compare(want, have, &missing);
        print_message("%s: %zu tensors equal, %zu missing\n", pair, same, missing);
        assert_string_equal(wn_weights_format(have), "onnx");
        wn_weights_close(have);
        wn_weights_close(want);
    }
}

static void real_bge_small_has_every_tensor_in_its_shape(void **state) {
    static const struct { const char *part; int64_t rows, cols; } parts[] = {
        {"attention.self.query.weight", 384, 384},   {"attention.self.query.bias", 384, 1},
        {"attention.self.key.weight", 384, 384},     {"attention.self.key.bias", 384, 1},
        {"attention.self.value.weight", 384, 384},   {"attention.self.value.bias", 384, 1},
        {"attention.output.dense.weight", 384, 384}, {"attention.output.dense.bias", 384, 1},
        {"attention.output.LayerNorm.weight", 384, 1}, {"attention.output.LayerNorm.bias", 384, 1},
        {"intermediate.dense.weight", 1536, 384},    {"intermediate.dense.bias", 1536, 1},
        {"output.dense.weight", 384, 1536},          {"output.dense.bias", 384, 1},
        {"output.LayerNorm.weight", 384, 1},         {"output.LayerNorm.bias", 384, 1},
    };
    char path[1024];
    if (!model_dir("bge-small-en-v1.5", "model.onnx", path, sizeof path)) {
        print_message("SKIPPED: bge-small-en-v1.5 is not here\n");
        skip();
    }
    wn_weights *w = NULL;
    wn_error err = {0};
    if (wn_weights_open(path, &w, &err) != WN_OK) fail_msg("%s", err.message);
    float *out = malloc((size_t)30522 * 384 * sizeof *out);
    for (int l = 0; l < 12; l++)
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
            char name[128];
            snprintf(name, sizeof name, "encoder.layer.%d.%s", l, parts[p].part);
            if (wn_weights_read(w, name, parts[p].rows, parts[p].cols, out, &err) != WN_OK)
                fail_msg("%s", err.message);
        }
    assert_int_equal(wn_weights_read(w, "embeddings.word_embeddings.weight", 30522, 384, out, &err), WN_OK);
    free(out);
    print_message("12 layers of %zu tensors\n", sizeof parts / sizeof *parts);
    wn_weights_close(w);
}

/* ---- graphs built here ------------------------------------------------------------------- */

static pb linear_graph(const char *scope) {
    pb g = {.len = 0};
    char name[64];
    snprintf(name, sizeof name, "%sMatMul", scope);
    add_node(&g, node("MatMul", name, "x w", "y"));
    snprintf(name, sizeof name, "%sAdd", scope);
    add_node(&g, node("Add", name, "b y", "z"));
    return g;
}

static void matmul_weight_takes_the_name_of_its_bias(void **state) {
    pb g = {.len = 0};
    add_node(&g, node("MatMul", "MatMul_1", "x onnx::MatMul_7", "y"));
    add_node(&g, node("Add", "Add_2", "bert.encoder.a.bias y", "z"));
    add_tensor(&g, tensor("onnx::MatMul_7", 1, d23, six, 24));
    add_tensor(&g, tensor("bert.encoder.a.bias", 1, d3, six, 12));
    write_model(&g);
    wn_weights *w = must_open();
    const float want[6] = {1, 4, 2, 5, 3, 6};
    assert_true(wn_weights_find(w, "encoder.a.weight")->transposed);
    expect_weight(w, "encoder.a.weight", 3, 2, want);
    expect_weight(w, "encoder.a.bias", 3, 1, six);
    wn_weights_close(w);
}

static void weight_without_a_named_bias_takes_the_name_of_its_scope(void **state) {
    pb g = linear_graph("/0/auto_model/encoder/layer.0/output/dense/");
    add_tensor(&g, tensor("w", 1, d23, six, 24));
    add_tensor(&g, tensor("b", 1, d3, six, 12));
    write_model(&g);
    wn_weights *w = must_open();
    const float want[6] = {1, 4, 2, 5, 3, 6};
    expect_weight(w, "encoder.layer.0.output.dense.weight", 3, 2, want);
    expect_weight(w, "encoder.layer.0.output.dense.bias", 3, 1, six);
    wn_weights_close(w);
}

/* Two layers with equal biases, of which the exporter kept one: names by the bias clash. */
static pb shared_bias_graph(const char *scope_q, const char *scope_k) {
    static const float other[4] = {9, 8, 7, 6};
    pb g = {.len = 0};
    char name[64];
    snprintf(name, sizeof name, "%sMatMul", scope_q);
    add_node(&g, node("MatMul", name, "x w1", "y1"));
    snprintf(name, sizeof name, "%sAdd", scope_q);
    add_node(&g, node("Add", name, "y1 self.query.bias", "q"));
    snprintf(name, sizeof name, "%sMatMul", scope_k);
    add_node(&g, node("MatMul", name, "x w2", "y2"));
    snprintf(name, sizeof name, "%sAdd", scope_k);
    add_node(&g, node("Add", name, "y2 self.query.bias", "k"));
    add_tensor(&g, tensor("w1", 1, d22, four, 16));
    add_tensor(&g, tensor("w2", 1, d22, other, 16));
    add_tensor(&g, tensor("self.query.bias", 1, d2, zeros, 8));
    return g;
}

static void shared_bias_is_settled_by_scopes(void **state) {
    const float q[4] = {1, 3, 2, 4}, k[4] = {9, 7, 8, 6};
    pb g = shared_bias_graph("/self/query/", "/self/key/");
    write_model(&g);
    wn_weights *w = must_open();
    expect_weight(w, "self.query.weight", 2, 2, q);
    expect_weight(w, "self.key.weight", 2, 2, k);
    expect_weight(w, "self.key.bias", 2, 1, zeros);
    wn_weights_close(w);
}

static void shared_bias_without_scopes_is_refused_by_name(void **state) {
    pb g = shared_bias_graph("", "");
    write_model(&g);
    expect_refused(WN_ERR_UNSUPPORTED, "\"w1\" and \"w2\" would both be \"self.query.weight\"");
    g = shared_bias_graph("/a/", "/a/");
    write_model(&g);
    expect_refused(WN_ERR_UNSUPPORTED, "would both be \"a.weight\"");
}

/* A bias merged with an equal norm's shift must not make the matrix that norm's weight. */
static void bias_merged_with_a_norms_does_not_name_the_matrix(void **state) {
    for (int scoped = 0; scoped < 2; scoped++) {
        pb g = {.len = 0};
        add_node(&g, node("MatMul", scoped ? "/a/MatMul" : "m", "x w1", "y"));
        add_node(&g, node("Add", scoped ? "/a/Add" : "n", "y e.LayerNorm.bias", "z"));
        add_tensor(&g, tensor("w1", 1, d22, four, 16));
        add_tensor(&g, tensor("e.LayerNorm.bias", 1, d2, zeros, 8));
        write_model(&g);
        wn_weights *w = must_open();
        assert_null(wn_weights_find(w, "e.LayerNorm.weight"));
        assert_int_equal(wn_weights_find(w, "a.weight") != NULL, scoped);
        assert_int_equal(wn_weights_find(w, "a.bias") != NULL, scoped);
        wn_weights_close(w);
    }
}

/* An Identity gives a deduplicated initializer its second name. */
static void identity_gives_a_shared_initializer_both_names(void **state) {
    pb g = {.len = 0};
    add_node(&g, node("Identity", "Identity_0", "self.query.bias", "self.key.bias"));
    add_node(&g, node("MatMul", "MatMul_1", "x w1", "y1"));
    add_node(&g, node("Add", "Add_1", "y1 self.query.bias", "q"));
    add_node(&g, node("MatMul", "MatMul_2", "x w2", "y2"));
    add_node(&g, node("Add", "Add_2", "y2 self.key.bias", "k"));
    add_tensor(&g, tensor("w1", 1, d22, four, 16));
    add_tensor(&g, tensor("w2", 1, d22, six, 16));
    add_tensor(&g, tensor("self.query.bias", 1, d2, zeros, 8));
    write_model(&g);
    wn_weights *w = must_open();
    assert_non_null(wn_weights_find(w, "self.query.weight"));
    assert_non_null(wn_weights_find(w, "self.key.weight"));
    expect_weight(w, "self.key.bias", 2, 1, zeros);
    wn_weights_close(w);
}

/* The stored matrix is [2, 3] in all of these; what it means depends on the path to its use. */
static void orientation_follows_transposes_and_trans_b(void **state) {
    const float turned[6] = {1, 4, 2, 5, 3, 6};
    for (int form = 0; form < 5; form++) {
        pb g = {.len = 0};
        bool out_in = form == 1 || form == 2 || form == 4;
        if (form == 0) { /* used as it lies by a MatMul: [in, out], though it has its own name */
            add_node(&g, node("MatMul", "m", "x a.weight", "y"));
        } else if (form == 1) {
            add_node(&g, node("Transpose", "t", "a.weight", "wt"));
            add_node(&g, node("MatMul", "m", "x wt", "y"));
        } else if (form == 2) {
            pb gemm = node("Gemm", "m", "x a.weight", "y");
            put_attribute_int(&gemm, "transB", 1);
            add_node(&g, gemm);
        } else if (form == 3) {
            add_node(&g, node("Gemm", "m", "x a.weight", "y"));
        } else {
            add_node(&g, node("Identity", "i", "a.weight", "same"));
            add_node(&g, node("Transpose", "t", "same", "wt"));
            add_node(&g, node("Gemm", "m", "x wt", "y"));
        }
        add_tensor(&g, tensor("a.weight", 1, d23, six, 24));
        write_model(&g);
        wn_weights *w = must_open();
        assert_int_equal(wn_weights_find(w, "a.weight")->transposed, !out_in);
        if (out_in) expect_weight(w, "a.weight", 2, 3, six);
        else expect_weight(w, "a.weight", 3, 2, turned);
        wn_weights_close(w);
    }
}

/* A Constant node's tensor, packed float_data, half precision and a Cast between. */
static void constants_packed_floats_and_halves_are_read(void **state) {
    const uint16_t half[2] = {0x3c00, 0xc000};
    const float want[2] = {1, -2};
    pb g = {.len = 0}, c = node("Constant", "c", "", "p.weight"), a = {.len = 0};
    pb t = tensor(NULL, 1, d22, NULL, 0);
    put_bytes(&t, 4, four, 16);
    put_text(&a, 1, "value");
    put_bytes(&a, 5, t.data, t.len);
    put_bytes(&c, 5, a.data, a.len);
    add_node(&g, c);
    pb cast = node("Cast", "k", "h16", "h.bias");
    put_attribute_int(&cast, "to", 1);
    add_node(&g, cast);
    add_tensor(&g, tensor("h16", 10, d2, half, 4));
    add_tensor(&g, tensor("i.weight", 7, d2, four, 16));
    add_tensor(&g, tensor("u.weight", 2, d2, four, 2));
    write_model(&g);
    wn_weights *w = must_open();
    expect_weight(w, "p.weight", 2, 2, four);
    expect_weight(w, "h.bias", 2, 1, want);
    float out[4];
    wn_error err = {0};
    assert_int_equal(wn_weights_read(w, "u.weight", 2, 1, out, &err), WN_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "\"u.weight\" is U8"));
    wn_weights_close(w);
}

static void nameless_matrices_are_counted_in_the_error(void **state) {
    pb g = linear_graph("");
    add_tensor(&g, tensor("w", 1, d23, six, 24));
    add_tensor(&g, tensor("b", 1, d3, six, 12));
    write_model(&g);
    wn_weights *w = must_open();
    float out[6];
    wn_error err = {0};
    assert_int_equal(wn_weights_read(w, "a.weight", 3, 2, out, &err), WN_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "1 matrices of the ONNX graph have no name"));
    wn_weights_close(w);
}

static void rewritten_graphs_are_refused_by_operator(void **state) {
    static const char *const ops[] = {"MatMulInteger", "DynamicQuantizeLinear", "DequantizeLinear"};
    for (size_t i = 0; i < 3; i++) {
        pb g = {.len = 0};
        add_node(&g, node(ops[i], "q", "x w", "y"));
        write_model(&g);
        expect_refused(WN_ERR_UNSUPPORTED, ops[i]);
        expect_refused(WN_ERR_UNSUPPORTED, "use the f32 or f16 export");
    }
    pb g = {.len = 0}, n = node("Attention", "q", "x w b", "y");
    put_text(&n, 7, "com.microsoft");
    add_node(&g, n);
    write_model(&g);
    expect_refused(WN_ERR_UNSUPPORTED, "fused for ONNX Runtime (operator Attention");
}

/* ---- external data --------------------------------------------------------------------------- */

static void external(const char *location, const char *offset, const char *length) {
    pb g = {.len = 0}, t = tensor("a.weight", 1, d22, NULL, 0);
    const char *pairs[3][2] = {{"location", location}, {"offset", offset}, {"length", length}};
    for (int i = 0; i < 3; i++) {
        if (!pairs[i][1]) continue;
        pb e = {.len = 0};
        put_text(&e, 1, pairs[i][0]);
        put_text(&e, 2, pairs[i][1]);
        put_bytes(&t, 13, e.data, e.len);
    }
    put_int(&t, 14, 1);
    add_tensor(&g, t);
    write_model(&g);
}

static void external_data_beside_the_model_is_read_and_checked(void **state) {
    static const struct {
        const char *location, *offset, *length, *message;
    } bad[] = {
        {NULL, NULL, NULL, "must be the name of a file"},
        {"../w.data", NULL, NULL, "must be the name of a file"},
        {"/etc/passwd", NULL, NULL, "must be the name of a file"},
        {"w.data", "5", NULL, "does not fit"},
        {"w.data", "999999999999999999", "16", "does not fit"},
        {"w.data", "9999999999999999999999", "16", "not a number"},
        {"w.data", "-1", "16", "not a number"},
        {"w.data", "4", "12", "does not fit"},
    };
    scratch_write(&dir, "w.data", six, 20);
    external("w.data", "4", "16");
    wn_weights *w = must_open();
    expect_weight(w, "a.weight", 2, 2, six + 1);
    wn_hash one = wn_weights_hash(w);
    wn_weights_close(w);
    scratch_write(&dir, "w.data", zeros, 16);
    external("w.data", NULL, NULL);
    w = must_open();
    wn_hash two = wn_weights_hash(w);
    assert_false(wn_hash_equal(&one, &two));
    wn_weights_close(w);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        external(bad[i].location, bad[i].offset, bad[i].length);
        expect_refused(WN_ERR_FORMAT, bad[i].message);
    }
    external("none.data", NULL, NULL);
    expect_refused(WN_ERR_NOT_FOUND, "none.data");
}

/* ---- hostile bytes ----------------------------------------------------------------------------- */

static void write_raw(const char *bytes, size_t n) { scratch_write(&dir, "model.onnx", bytes, n); }
#define RAW(s) write_raw(s, sizeof s - 1)

static void wire_format_violations_are_refused(void **state) {
    RAW("");
    expect_refused(WN_ERR_FORMAT, "no graph");
    RAW("\x08\x80");
    expect_refused(WN_ERR_FORMAT, "byte 1: a number ends too early");
    RAW("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f");
    expect_refused(WN_ERR_FORMAT, "over 64 bits");
    RAW("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    expect_refused(WN_ERR_FORMAT, "over 64 bits");
    RAW("\x3a\x7f");
    expect_refused(WN_ERR_FORMAT, "longer than its message");
    RAW("\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    expect_refused(WN_ERR_FORMAT, "longer than its message");
    RAW("\x38\x01");
    expect_refused(WN_ERR_FORMAT, "is not a message");
    RAW("\x3b\x3c");
    expect_refused(WN_ERR_FORMAT, "wire type");
    RAW("\x00\x01");
    expect_refused(WN_ERR_FORMAT, "field number");
    RAW("\x3a\x00\x3a\x00");
    expect_refused(WN_ERR_FORMAT, "two graphs");
    RAW("\x0d\x01\x02");
    expect_refused(WN_ERR_FORMAT, "ends too early");
}

static void tensors_that_do_not_add_up_are_refused(void **state) {
    static const int64_t huge[] = {INT64_C(1) << 62, 4, -1}, wide[] = {INT64_C(1) << 62, -1};
    const struct {
        pb t;
        const char *message;
    } cases[] = {
        {tensor("a.weight", 1, d23, six, 20), "6 elements of F32 do not fill its 20 bytes"},
        {tensor("a.weight", 1, huge, six, 24), "overflow"},
        {tensor("a.weight", 1, wide, six, 24), "overflow"},
        {tensor("a.weight", 1, d23, NULL, 0), "it has no elements"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pb g = {.len = 0};
        add_tensor(&g, cases[i].t);
        write_model(&g);
        expect_refused(WN_ERR_FORMAT, cases[i].message);
    }
    pb g = {.len = 0}, t = tensor("a.weight", 1, d2, six, 8);
    put_int(&t, 1, (uint64_t)-2);
    add_tensor(&g, t);
    write_model(&g);
    expect_refused(WN_ERR_FORMAT, "negative");

    g = (pb){.len = 0};
    add_tensor(&g, tensor("a.weight", 1, d2, six, 8));
    add_tensor(&g, tensor("a.weight", 1, d2, six, 8));
    write_model(&g);
    expect_refused(WN_ERR_FORMAT, "\"a.weight\" is made twice");
}

/* A chain of Identity nodes that bites its tail, and one longer than any export's. */
static void circular_and_long_chains_end(void **state) {
    pb g = {.len = 0};
    add_node(&g, node("Identity", "i", "b.weight", "a.weight"));
    add_node(&g, node("Identity", "j", "a.weight", "b.weight"));
    add_node(&g, node("MatMul", "m", "x a.weight", "y"));
    write_model(&g);
    wn_weights *w = must_open();
    assert_int_equal(wn_weights_count(w), 0);
    wn_weights_close(w);
}

/* Opens what is there; if it opens, touches every byte of every tensor. */
static bool touch(void) {
    wn_weights *w = NULL;
    wn_error err = {0};
    if (wn_weights_open(dir.dir, &w, &err) != WN_OK) {
        assert_null(w);
        assert_true(err.message[0]);
        return false;
    }
    unsigned sum = 0;
    for (size_t i = 0; i < wn_weights_count(w); i++) {
        const wn_tensor *t = wn_weights_at(w, i);
        for (size_t k = 0; k < t->bytes; k++) sum += t->data[k];
    }
    wn_weights_close(w);
    volatile unsigned sink = sum;
    (void)sink;
    return true;
}

static void damaged_exports_never_crash(void **state) {
    char path[512];
    size_t len, opened = 0, cuts = 0, flips = 0;
    snprintf(path, sizeof path, "%s/tests/golden/models/onnx/bert-reranker/dynamo.onnx", WN_SOURCE_ROOT);
    unsigned char *bytes = slurp(path, &len);
    assert_non_null(bytes);
    for (size_t n = 0; n < len; n += 61, cuts++) {
        scratch_write(&dir, "model.onnx", bytes, n);
        assert_false(touch());
    }
    uint32_t seed = 12345;
    for (; flips < 4000; flips++) {
        seed = seed * 1664525u + 1013904223u;
        size_t at = (size_t)((uint64_t)seed * len >> 32);
        unsigned char bit = (unsigned char)(1 << (flips & 7));
        bytes[at] ^= bit;
        scratch_write(&dir, "model.onnx", bytes, len);
        opened += touch();
        bytes[at] ^= bit;
    }
    print_message("%zu truncations refused; of %zu bit flips %zu opened safely (most lie in weights)\n",
                  cuts, flips, opened);
    free(bytes);
}

static void open_any_failing_allocation_is_reported_and_leaks_nothing(void **state) {
    pb g = shared_bias_graph("/self/query/", "/self/key/");
    write_model(&g);
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
        assert_true(n > 20);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(exports_of_both_exporters_equal_the_safetensors),
        CASE(real_bge_small_has_every_tensor_in_its_shape),
        CASE(matmul_weight_takes_the_name_of_its_bias),
        CASE(weight_without_a_named_bias_takes_the_name_of_its_scope),
        CASE(shared_bias_is_settled_by_scopes),
        CASE(shared_bias_without_scopes_is_refused_by_name),
        CASE(bias_merged_with_a_norms_does_not_name_the_matrix),
        CASE(identity_gives_a_shared_initializer_both_names),
        CASE(orientation_follows_transposes_and_trans_b),
        CASE(constants_packed_floats_and_halves_are_read),
        CASE(nameless_matrices_are_counted_in_the_error),
        CASE(rewritten_graphs_are_refused_by_operator),
        CASE(external_data_beside_the_model_is_read_and_checked),
        CASE(wire_format_violations_are_refused),
        CASE(tensors_that_do_not_add_up_are_refused),
        CASE(circular_and_long_chains_end),
        CASE(damaged_exports_never_crash),
        CASE(open_any_failing_allocation_is_reported_and_leaks_nothing),
        CASE(exports_named_by_the_environment_equal_their_originals),
    };
    size_t n = sizeof tests / sizeof *tests - (getenv("WN_ONNX_COMPARE") == NULL);
    return _cmocka_run_group_tests("onnx", tests, n, NULL, NULL);
}
