/* onnx.c -- ModelProto, GraphProto, NodeProto and TensorProto, as far as weights go.
 *
 * We do not run the graph: the encoder is ours, and the file is only a container of its weights.
 * So this reads initializers, Constant nodes, and of each node its operator, its edges and the few
 * attributes that say how a matrix is used; onnx_graph.c then finds out which matrix is which.
 * Subgraphs (If, Loop) and model-local functions are not entered: no encoder export keeps weights
 * there, and one that did would be refused for the missing tensor's name.
 *
 * No protobuf library: the part of the format that ONNX uses is a page (onnx_wire.c), and libraries
 * copy the tensors, which we map. Elements are read where they lie as bytes: raw_data, packed
 * float_data, and external data in files beside the model (a name without a path; the offset and
 * length are checked against that file). Half floats as int32_data and unpacked floats are refused
 * when they are asked for: no exporter in use writes weights so.
 *
 * Graphs that were rewritten are refused by operator: quantised ones (the weights are no longer the
 * model's) and those fused for ONNX Runtime (com.microsoft: q, k and v merged into one matrix).
 * A graph in half precision is accepted, its weights are then just f16, computed in f32.
 */
#include "model/onnx_wire.h"
#include "core/error.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A 24-layer encoder by the most verbose exporter has some 5,000 nodes. Beyond these bounds a file
 * is not a model, and the tables would outgrow it. */
#define MAX_NODES (1u << 20)
#define MAX_VALUES (1u << 22)
#define MAX_TENSORS (1u << 20)
#define MAX_FILES 64u

enum { ELEM_FLOAT = 1, ELEM_INT64 = 7, ELEM_FLOAT16 = 10, ELEM_BFLOAT16 = 16 };

static const struct elem {
    const char *name;
    unsigned bytes; /* 0: strings and types under a byte */
} elems[] = {
    [1] = {"F32", 4},    [2] = {"U8", 1},         [3] = {"I8", 1},         [4] = {"U16", 2},
    [5] = {"I16", 2},    [6] = {"I32", 4},        [7] = {"I64", 8},        [8] = {"STRING", 0},
    [9] = {"BOOL", 1},   [10] = {"F16", 2},       [11] = {"F64", 8},       [12] = {"U32", 4},
    [13] = {"U64", 8},   [14] = {"C64", 8},       [15] = {"C128", 16},     [16] = {"BF16", 2},
    [17] = {"F8_E4M3FN", 1}, [18] = {"F8_E4M3FNUZ", 1}, [19] = {"F8_E5M2", 1}, [20] = {"F8_E5M2FNUZ", 1},
    [21] = {"U4", 0},    [22] = {"I4", 0},        [23] = {"F4_E2M1", 0},
};

typedef struct parser {
    wn_onnx_graph graph;
    wn_weights *weights;
    char *dir; /* of the model file: external data lies here */
    bool has_graph;
} parser;

/* ---- tensors ---------------------------------------------------------------------- */

/* What a TensorProto says of where its elements are. */
typedef struct elements {
    const unsigned char *raw, *floats;
    size_t raw_len, floats_len;
    bool has_raw, has_floats, other, external;
    wn_str location;
    int64_t offset, length; /* length -1: to the end of the file */
} elements;

static wn_status tensor_fail(const parser *ps, const wn_onnx_tensor *t, wn_error *err,
                             const char *what) {
    return wn_fail(err, WN_ERR_FORMAT, "%s: tensor \"%.*s\": %s", ps->graph.path,
                   (int)(t->name.len < 200 ? t->name.len : 200), t->name.data ? t->name.data : "",
                   what);
}

static wn_status decimal(wn_str text, int64_t *out) {
    int64_t value = 0;
    if (!text.len || text.len > 18) return WN_ERR_FORMAT;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return WN_ERR_FORMAT;
        value = value * 10 + (text.data[i] - '0');
    }
    *out = value;
    return WN_OK;
}

static bool str_is(wn_str s, const char *text) {
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

/* StringStringEntryProto: key = 1, value = 2. */
static wn_status read_external(const parser *ps, const wn_onnx_tensor *t, wn_pb pb, elements *out,
                               wn_error *err) {
    wn_str key = {"", 0}, value = {"", 0};
    wn_pb_field f;
    for (bool more;;) {
        WN_TRY(wn_pb_next(&pb, &f, &more, err));
        if (!more) break;
        if (f.number == 1) WN_TRY(wn_pb_string(&pb, &f, &key, err));
        if (f.number == 2) WN_TRY(wn_pb_string(&pb, &f, &value, err));
    }
    wn_status st = WN_OK;
    if (str_is(key, "location")) out->location = value;
    if (str_is(key, "offset")) st = decimal(value, &out->offset);
    if (str_is(key, "length")) st = decimal(value, &out->length);
    return st == WN_OK ? st : tensor_fail(ps, t, err, "external offset or length is not a number");
}

static wn_status map_external(parser *ps, const wn_onnx_tensor *t, wn_str name, size_t *file,
                              wn_error *err) {
    if (!name.data || !wn_weights_plain_name(name.data, name.len) || name.len > NAME_MAX)
        return tensor_fail(ps, t, err,
                           "external data must be the name of a file in the model's directory");
    char base[NAME_MAX + 1];
    memcpy(base, name.data, name.len);
    base[name.len] = 0;
    char *path = wn_path_join(ps->dir, base);
    if (!path) return wn_fail_memory(err, name.len);
    wn_status st = WN_OK;
    size_t i = 0;
    while (i < ps->weights->nfiles && strcmp(ps->weights->files[i].path, path) != 0) i++;
    if (i < ps->weights->nfiles) *file = i;
    else if (i >= MAX_FILES) st = tensor_fail(ps, t, err, "too many external data files");
    else st = wn_weights_map(ps->weights, path, file, err);
    wn_free(path);
    return st;
}

static wn_status place_external(parser *ps, wn_onnx_tensor *t, const elements *e, size_t want,
                                wn_error *err) {
    WN_TRY(map_external(ps, t, e->location, &t->file, err));
    const wn_map *map = &ps->weights->files[t->file].map;
    if ((uint64_t)e->offset > map->size || want > map->size - (size_t)e->offset ||
        (e->length >= 0 && (uint64_t)e->length != want))
        return wn_fail(err, WN_ERR_FORMAT,
                       "%s: tensor \"%.*s\": external data of %zu bytes at %lld does not fit %.*s "
                       "(%zu bytes)",
                       ps->graph.path, (int)(t->name.len < 100 ? t->name.len : 100), t->name.data,
                       want, (long long)e->offset, (int)e->location.len, e->location.data,
                       map->size);
    t->view.data = map->data + e->offset;
    t->view.bytes = want;
    return WN_OK;
}

/* Sets the view's data where the elements are plain bytes; leaves it NULL where they are not. */
static wn_status place(parser *ps, wn_onnx_tensor *t, const elements *e, int64_t type, size_t ndims,
                       wn_error *err) {
    size_t n, want;
    const struct elem *elem = type > 0 && type < (int64_t)(sizeof elems / sizeof *elems)
                                  ? &elems[type] : NULL;
    t->view.dtype = type == ELEM_FLOAT ? WN_DTYPE_F32 : type == ELEM_FLOAT16 ? WN_DTYPE_F16
                  : type == ELEM_BFLOAT16 ? WN_DTYPE_BF16 : type == ELEM_INT64 ? WN_DTYPE_I64
                                                                               : WN_DTYPE_OTHER;
    t->view.dtype_name = elem && elem->name ? elem->name : "of an unknown type";
    if (!wn_shape_elements(t->view.shape, ndims < 4 ? (int)ndims : 4, &n))
        return tensor_fail(ps, t, err, "its dimensions are negative or overflow");
    t->view.rank = (int)ndims;
    if (ndims > 4 || !elem || !elem->bytes) {
        t->view.rank = 0;
        t->view.dtype = WN_DTYPE_OTHER;
        return WN_OK;
    }
    if (wn_mul_overflows(n, elem->bytes, &want))
        return tensor_fail(ps, t, err, "its dimensions overflow");
    if (e->external) return place_external(ps, t, e, want, err);
    const unsigned char *data = e->has_raw ? e->raw : type == ELEM_FLOAT ? e->floats : NULL;
    size_t len = e->has_raw ? e->raw_len : e->floats_len;
    if (!data && n && !e->other && !(e->has_floats && type != ELEM_FLOAT))
        return tensor_fail(ps, t, err, "it has no elements");
    if (!data) return WN_OK;
    if (len != want)
        return wn_fail(err, WN_ERR_FORMAT,
                       "%s: tensor \"%.*s\": %zu elements of %s do not fill its %zu bytes",
                       ps->graph.path, (int)(t->name.len < 200 ? t->name.len : 200), t->name.data,
                       n, elem->name, len);
    t->view.data = data;
    t->view.bytes = len;
    return WN_OK;
}

/* TensorProto: dims = 1, data_type = 2, float_data = 4, int32_data = 5, string_data = 6,
 * int64_data = 7, name = 8, raw_data = 9, double_data = 10, uint64_data = 11, external_data = 13,
 * data_location = 14. */
static wn_status read_tensor(parser *ps, wn_pb pb, bool initializer, int32_t *index,
                             wn_error *err) {
    wn_onnx_tensor t = {.name = {"", 0}, .initializer = initializer};
    elements e = {.length = -1};
    int64_t type = 0, where = 0;
    size_t ndims = 0;
    wn_pb_field f;
    wn_pb sub;
    for (bool more;;) {
        WN_TRY(wn_pb_next(&pb, &f, &more, err));
        if (!more) break;
        switch (f.number) {
        case 1: WN_TRY(wn_pb_ints(&pb, &f, t.view.shape, 4, &ndims, err)); break;
        case 2: WN_TRY(wn_pb_int(&pb, &f, &type, err)); break;
        case 4:
            /* One packed run is the bytes themselves; anything else is not contiguous. */
            if (f.wire == 2 && !e.has_floats) e.floats = f.data, e.floats_len = f.len;
            else e.floats = NULL, e.floats_len = 0, e.other = true;
            e.has_floats = true;
            break;
        case 5: case 6: case 7: case 10: case 11: e.other = true; break;
        case 8: WN_TRY(wn_pb_string(&pb, &f, &t.name, err)); break;
        case 9: {
            wn_str raw;
            WN_TRY(wn_pb_string(&pb, &f, &raw, err));
            e.raw = (const unsigned char *)raw.data;
            e.raw_len = raw.len;
            e.has_raw = true;
            break;
        }
        case 13:
            WN_TRY(wn_pb_enter(&pb, &f, &sub, err));
            WN_TRY(read_external(ps, &t, sub, &e, err));
            break;
        case 14: WN_TRY(wn_pb_int(&pb, &f, &where, err)); break;
        default: break;
        }
    }
    e.external = where == 1;
    if (ps->graph.ntensors >= MAX_TENSORS) return tensor_fail(ps, &t, err, "too many tensors");
    WN_TRY(place(ps, &t, &e, type, ndims, err));
    WN_TRY(wn_grow(&ps->graph.tensors, &ps->graph.tensors_cap, ps->graph.ntensors + 1, sizeof t, err));
    *index = (int32_t)ps->graph.ntensors;
    ps->graph.tensors[ps->graph.ntensors++] = t;
    return WN_OK;
}

/* ---- nodes ------------------------------------------------------------------------- */

static float as_float(uint64_t bits) {
    uint32_t low = (uint32_t)bits;
    float f;
    memcpy(&f, &low, sizeof f);
    return f;
}

/* AttributeProto: name = 1, f = 2, i = 3, t = 5, ints = 8. */
static wn_status read_attribute(parser *ps, wn_pb pb, wn_onnx_node *node, wn_error *err) {
    wn_str name = {"", 0};
    int64_t i = 0, ints[3] = {0};
    float real = 0;
    size_t nints = 0;
    wn_pb tensor = {0};
    wn_pb_field f;
    for (bool more;;) {
        WN_TRY(wn_pb_next(&pb, &f, &more, err));
        if (!more) break;
        switch (f.number) {
        case 1: WN_TRY(wn_pb_string(&pb, &f, &name, err)); break;
        case 2: real = as_float(f.value); break;
        case 3: WN_TRY(wn_pb_int(&pb, &f, &i, err)); break;
        case 5: WN_TRY(wn_pb_enter(&pb, &f, &tensor, err)); break;
        case 8: WN_TRY(wn_pb_ints(&pb, &f, ints, 3, &nints, err)); break;
        default: break;
        }
    }
    if (str_is(name, "transA")) node->trans_a = i != 0;
    if (str_is(name, "transB")) node->trans_b = i != 0;
    if (str_is(name, "alpha") || str_is(name, "beta")) node->scaled |= real != 1;
    if (str_is(name, "perm")) node->swaps = nints == 2 && ints[0] == 1 && ints[1] == 0;
    if (str_is(name, "to")) node->to = i;
    if (str_is(name, "value") && tensor.p && node->tensor < 0)
        return read_tensor(ps, tensor, false, &node->tensor, err);
    return WN_OK;
}

static wn_status add_value(parser *ps, wn_str value, wn_error *err) {
    if (ps->graph.nvalues >= MAX_VALUES)
        return wn_fail(err, WN_ERR_FORMAT, "%s: the graph has over %u edges", ps->graph.path,
                       MAX_VALUES);
    WN_TRY(wn_grow(&ps->graph.values, &ps->graph.values_cap, ps->graph.nvalues + 1, sizeof value,
                   err));
    ps->graph.values[ps->graph.nvalues++] = value;
    return WN_OK;
}

/* Inputs and outputs may come interleaved on the wire, so each is read in a pass of its own. */
static wn_status read_edges(parser *ps, wn_pb pb, uint32_t number, uint32_t *first, uint32_t *n,
                            wn_error *err) {
    wn_pb_field f;
    wn_str value;
    *first = (uint32_t)ps->graph.nvalues;
    for (bool more;;) {
        WN_TRY(wn_pb_next(&pb, &f, &more, err));
        if (!more) break;
        if (f.number != number) continue;
        WN_TRY(wn_pb_string(&pb, &f, &value, err));
        WN_TRY(add_value(ps, value, err));
    }
    *n = (uint32_t)ps->graph.nvalues - *first;
    return WN_OK;
}

static wn_status refuse_rewritten(const parser *ps, const wn_onnx_node *node, wn_error *err) {
    static const char *const quantised[] = {
        "DynamicQuantizeLinear", "QuantizeLinear", "DequantizeLinear", "MatMulInteger",
        "ConvInteger", "QLinearMatMul", "MatMulNBits", "QGemm", "MatMulIntegerToFloat",
        "DynamicQuantizeMatMul", "QAttention", "QEmbedLayerNormalization", "MatMulBnb4"};
    int len = (int)(node->op.len < 60 ? node->op.len : 60);
    for (size_t i = 0; i < sizeof quantised / sizeof *quantised; i++)
        if (str_is(node->op, quantised[i]))
            return wn_fail(err, WN_ERR_UNSUPPORTED,
                           "%s: a quantised graph (operator %.*s) is not read; use the f32 or f16 "
                           "export, or model.safetensors",
                           ps->graph.path, len, node->op.data);
    if (str_is(node->domain, "com.microsoft"))
        return wn_fail(err, WN_ERR_UNSUPPORTED,
                       "%s: a graph fused for ONNX Runtime (operator %.*s of com.microsoft) is not "
                       "read; use the export before optimisation, or model.safetensors",
                       ps->graph.path, len, node->op.data);
    return WN_OK;
}

/* NodeProto: input = 1, output = 2, name = 3, op_type = 4, attribute = 5, domain = 7. */
static wn_status read_node(parser *ps, wn_pb pb, wn_error *err) {
    wn_onnx_node node = {.op = {"", 0}, .domain = {"", 0}, .name = {"", 0}, .tensor = -1,
                         .swaps = true};
    wn_pb all = pb, sub;
    wn_pb_field f;
    for (bool more;;) {
        WN_TRY(wn_pb_next(&pb, &f, &more, err));
        if (!more) break;
        switch (f.number) {
        case 3: WN_TRY(wn_pb_string(&pb, &f, &node.name, err)); break;
        case 4: WN_TRY(wn_pb_string(&pb, &f, &node.op, err)); break;
        case 5:
            WN_TRY(wn_pb_enter(&pb, &f, &sub, err));
            WN_TRY(read_attribute(ps, sub, &node, err));
            break;
        case 7: WN_TRY(wn_pb_string(&pb, &f, &node.domain, err)); break;
        default: break;
        }
    }
    WN_TRY(read_edges(ps, all, 1, &node.in, &node.nin, err));
    WN_TRY(read_edges(ps, all, 2, &node.out, &node.nout, err));
    WN_TRY(refuse_rewritten(ps, &node, err));
    if (ps->graph.nnodes >= MAX_NODES)
        return wn_fail(err, WN_ERR_FORMAT, "%s: the graph has over %u nodes", ps->graph.path,
                       MAX_NODES);
    WN_TRY(wn_grow(&ps->graph.nodes, &ps->graph.nodes_cap, ps->graph.nnodes + 1, sizeof node, err));
    ps->graph.nodes[ps->graph.nnodes++] = node;
    return WN_OK;
}

/* ---- graph and model ----------------------------------------------------------------- */

/* GraphProto: node = 1, initializer = 5. */
static wn_status read_graph(parser *ps, wn_pb pb, wn_error *err) {
    wn_pb_field f;
    wn_pb sub;
    int32_t index;
    for (bool more;;) {
        WN_TRY(wn_pb_next(&pb, &f, &more, err));
        if (!more) return WN_OK;
        if (f.number != 1 && f.number != 5) continue;
        WN_TRY(wn_pb_enter(&pb, &f, &sub, err));
        WN_TRY(f.number == 1 ? read_node(ps, sub, err) : read_tensor(ps, sub, true, &index, err));
    }
}

/* ModelProto: graph = 7. */
static wn_status read_model(parser *ps, wn_pb pb, wn_error *err) {
    wn_pb_field f;
    wn_pb sub;
    for (bool more;;) {
        WN_TRY(wn_pb_next(&pb, &f, &more, err));
        if (!more) break;
        if (f.number != 7) continue;
        if (ps->has_graph)
            return wn_fail(err, WN_ERR_FORMAT, "%s: the model has two graphs", ps->graph.path);
        ps->has_graph = true;
        WN_TRY(wn_pb_enter(&pb, &f, &sub, err));
        WN_TRY(read_graph(ps, sub, err));
    }
    if (!ps->has_graph)
        return wn_fail(err, WN_ERR_FORMAT, "%s: no graph: not an ONNX model, or truncated",
                       ps->graph.path);
    return WN_OK;
}

wn_status wn_onnx_load(wn_weights *weights, const char *path, wn_error *err) {
    size_t file = 0;
    WN_TRY(wn_weights_map(weights, path, &file, err));
    const wn_map map = weights->files[file].map;
    parser ps = {.graph.path = path, .weights = weights};
    const char *slash = strrchr(path, '/');
    ps.dir = slash ? wn_strndup(path, (size_t)(slash - path)) : wn_strdup(".");
    wn_status st = ps.dir ? WN_OK : wn_fail_memory(err, strlen(path));
    if (st != WN_OK) goto fail;
    wn_pb pb = {path, map.data, map.data, map.data + map.size};
    WN_TRY_GOTO(read_model(&ps, pb, err));
    st = wn_onnx_resolve(&ps.graph, weights, err);
fail:
    wn_free(ps.graph.values);
    wn_free(ps.graph.tensors);
    wn_free(ps.graph.nodes);
    wn_free(ps.dir);
    return st;
}
