/* onnx_graph.c -- which matrix of an ONNX graph is which parameter of the model.
 *
 * Exporters keep the names of embeddings, norms and biases, but fold the transposition of a linear
 * layer's weight into a fresh constant: "onnx::MatMul_1525" (torch's TorchScript exporter) or
 * "val_53" (its dynamo exporter). The name is recovered from where the constant is used:
 *
 *   MatMul(x, W) -> Add(., b)     b is "encoder.layer.0.attention.self.query.bias", so W is that
 *                                 layer's ".weight"
 *   MatMul or Gemm by itself      the node's scope, "/encoder/layer.0/attention/self/query/MatMul"
 *
 * in this order, after the name W has itself (through Identity, Transpose and Cast nodes). The bias
 * comes before the scope because parameter names are what the model was saved with, and dynamo
 * writes no scopes. It is not always right: when two biases are equal bytes (all zeros, say) some
 * exporters keep one of them for both layers. Then two matrices claim one name, and the scopes
 * decide; without scopes the file is refused, since guessing would give a model that runs and is
 * wrong.
 *
 * Orientation is also a matter of use, never of shape (most matrices are square): MatMul's right
 * operand and Gemm's B lie [in, out] unless transB, and each Transpose on the way turns it over.
 *
 * Rejected: recovering names from the order of matrices in the file. Exporters emit query, key and
 * value in different orders, and a swap of query and key leaves plausible scores.
 *
 * Names and nodes are sorted once and searched; hostile graphs cost n log n. Chains are followed
 * for CHAIN steps, consumers for FANOUT; real graphs need 3 and 1.
 */
#include "model/onnx_wire.h"
#include "core/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHAIN = 8, FANOUT = 64, NAME_LIMIT = 512 };

/* A value (edge) by name: what makes it, or who reads it. */
typedef struct value_ref {
    wn_str name;
    int32_t node;   /* -1: an initializer */
    int32_t tensor; /* -1: not a constant */
} value_ref;

/* How a parameter came by a name; the lower one wins. */
typedef enum standing {
    BY_USE,  /* the weight of a linear layer, whatever names it */
    BY_NAME, /* a value that is called so */
    BY_SCOPE /* read by a node in a scope of that name */
} standing;

typedef struct claim {
    char *name;  /* normal form, owned */
    char *scope; /* BY_USE: the weight's name by its node's scope, owned; NULL */
    int32_t tensor;
    bool transposed;
    standing standing;
} claim;

typedef struct resolver {
    const wn_onnx_graph *graph;
    value_ref *made, *read; /* sorted by name */
    size_t nmade, nread;
    claim *claims;
    size_t nclaims, claims_cap;
    size_t nameless; /* linear layers that nothing names */
} resolver;

/* The constant behind a value. */
typedef struct source {
    int32_t tensor; /* -1: computed, not a constant */
    bool flipped;   /* an odd number of Transposes on the way */
    wn_str name;    /* first name on the way that is a parameter's; len 0: none */
} source;

/* ---- strings -------------------------------------------------------------------------- */

static int str_order(wn_str a, wn_str b) {
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_value(const void *a, const void *b) {
    const value_ref *x = a, *y = b;
    int order = str_order(x->name, y->name);
    return order ? order : (x->node > y->node) - (x->node < y->node);
}

static bool str_is(wn_str s, const char *text) {
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

static bool str_ends(wn_str s, const char *suffix) {
    size_t n = strlen(suffix);
    return s.len > n && memcmp(s.data + s.len - n, suffix, n) == 0;
}

/* "encoder.layer.0.output.dense.weight", but not "onnx::Add_7" or "/encoder/Constant_output_0". */
static bool parameter_name(wn_str s) {
    if (!s.len || s.len > NAME_LIMIT || s.data[0] == '/' || memchr(s.data, ':', s.len) || memchr(s.data, 0, s.len))
        return false;
    return str_ends(s, ".weight") || str_ends(s, ".bias") || str_ends(s, ".gamma") ||
           str_ends(s, ".beta");
}

/* ---- the tables ------------------------------------------------------------------------- */

static const value_ref *first_of(const value_ref *refs, size_t n, wn_str name) {
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (str_order(refs[mid].name, name) < 0) lo = mid + 1;
        else hi = mid;
    }
    return lo < n && str_order(refs[lo].name, name) == 0 ? &refs[lo] : NULL;
}

static wn_status index_values(resolver *r, wn_error *err) {
    const wn_onnx_graph *g = r->graph;
    r->made = wn_calloc(g->ntensors + g->nvalues, sizeof *r->made);
    r->read = wn_calloc(g->nvalues, sizeof *r->read);
    if (!r->made || !r->read) return wn_fail_memory(err, g->nvalues * sizeof *r->made);
    /* A Constant node's tensor is known by the node's output. */
    for (size_t i = 0; i < g->ntensors; i++)
        if (g->tensors[i].initializer && g->tensors[i].name.len)
            r->made[r->nmade++] = (value_ref){g->tensors[i].name, -1, (int32_t)i};
    for (size_t i = 0; i < g->nnodes; i++) {
        const wn_onnx_node *node = &g->nodes[i];
        for (uint32_t k = 0; k < node->nout; k++)
            if (g->values[node->out + k].len)
                r->made[r->nmade++] = (value_ref){g->values[node->out + k], (int32_t)i, node->tensor};
        for (uint32_t k = 0; k < node->nin; k++)
            if (g->values[node->in + k].len)
                r->read[r->nread++] = (value_ref){g->values[node->in + k], (int32_t)i, -1};
    }
    if (r->nmade) qsort(r->made, r->nmade, sizeof *r->made, by_value);
    if (r->nread) qsort(r->read, r->nread, sizeof *r->read, by_value);
    for (size_t i = 1; i < r->nmade; i++)
        if (str_order(r->made[i - 1].name, r->made[i].name) == 0)
            return wn_fail(err, WN_ERR_FORMAT, "%s: value \"%.*s\" is made twice", g->path,
                           (int)(r->made[i].name.len < 200 ? r->made[i].name.len : 200),
                           r->made[i].name.data);
    return WN_OK;
}

/* ---- following a value back to its constant ----------------------------------------------- */

static bool is_float(const wn_tensor *t) {
    return t->dtype == WN_DTYPE_F32 || t->dtype == WN_DTYPE_F16 || t->dtype == WN_DTYPE_BF16;
}

/* Casts between float types are transparent: we compute in f32 from what is stored. */
static bool transparent(const wn_onnx_node *node, bool *flips) {
    *flips = false;
    if (str_is(node->op, "Identity")) return true;
    if (str_is(node->op, "Cast")) return node->to == 1 || node->to == 10 || node->to == 16;
    *flips = str_is(node->op, "Transpose") && node->swaps;
    return *flips;
}

static source follow(const resolver *r, wn_str value) {
    const wn_onnx_graph *g = r->graph;
    source s = {.tensor = -1, .name = {"", 0}};
    for (int step = 0; step < CHAIN && value.len; step++) {
        if (!s.name.len && parameter_name(value)) s.name = value;
        const value_ref *made = first_of(r->made, r->nmade, value);
        if (!made) return s;
        if (made->tensor >= 0) {
            const wn_tensor *t = &g->tensors[made->tensor].view;
            if (t->data && is_float(t)) s.tensor = made->tensor;
            return s;
        }
        const wn_onnx_node *node = made->node >= 0 ? &g->nodes[made->node] : NULL;
        bool flips;
        if (!node || !node->nin || !transparent(node, &flips)) return s;
        s.flipped ^= flips;
        value = g->values[node->in];
    }
    return s;
}

static const wn_tensor *tensor_of(const resolver *r, source s) {
    return s.tensor < 0 ? NULL : &r->graph->tensors[s.tensor].view;
}

/* ---- names ---------------------------------------------------------------------------------- */

/* "/encoder/layer.0/output/dense/MatMul" -> "encoder.layer.0.output.dense" + suffix in normal
 * form; *out stays NULL when the node has no scope. */
static wn_status scope_name(const wn_onnx_node *node, const char *suffix, char **out, wn_error *err) {
    if (node->name.len < 2 || node->name.len > NAME_LIMIT || node->name.data[0] != '/' ||
        memchr(node->name.data, 0, node->name.len))
        return WN_OK;
    size_t end = node->name.len;
    while (end > 0 && node->name.data[end - 1] != '/') end--;
    if (end < 3) return WN_OK; /* "/MatMul": the model itself */
    wn_buf name = {0};
    wn_status st = wn_buf_append(&name, node->name.data + 1, end - 2, err);
    if (st == WN_OK) {
        for (size_t i = 0; i < name.len; i++)
            if (name.data[i] == '/') name.data[i] = '.';
        st = wn_buf_append(&name, suffix, strlen(suffix), err);
    }
    if (st == WN_OK) {
        *out = wn_weights_normal_name(name.data, name.len);
        if (!*out) st = wn_fail_memory(err, name.len);
    }
    wn_buf_release(&name);
    return st;
}

/* Takes over scope (may be NULL). name is copied in normal form, with ".bias" made ".weight" when
 * sibling is set. */
static wn_status add_claim(resolver *r, wn_str name, bool sibling, char *scope, source s,
                           bool transposed, standing how, wn_error *err) {
    claim c = {.scope = scope, .tensor = s.tensor, .transposed = transposed,
               .standing = how};
    wn_buf text = {0};
    wn_status st = wn_grow(&r->claims, &r->claims_cap, r->nclaims + 1, sizeof c, err);
    if (st == WN_OK)
        st = wn_buf_append(&text, name.data, sibling ? name.len - strlen("bias") : name.len, err);
    if (st == WN_OK && sibling) st = wn_buf_append(&text, "weight", 6, err);
    if (st == WN_OK) {
        c.name = wn_weights_normal_name(text.data, text.len);
        if (!c.name) st = wn_fail_memory(err, text.len);
    }
    wn_buf_release(&text);
    if (st == WN_OK) r->claims[r->nclaims++] = c;
    else wn_free(scope);
    return st;
}

/* ---- claims ---------------------------------------------------------------------------------- */

/* The bias added to a MatMul's output: the other operand of an Add that reads it. */
static source bias_of(const resolver *r, const wn_onnx_node *node, const wn_onnx_node **add) {
    const wn_onnx_graph *g = r->graph;
    source none = {.tensor = -1, .name = {"", 0}};
    if (!node->nout) return none;
    wn_str out = g->values[node->out];
    const value_ref *ref = first_of(r->read, r->nread, out), *end = r->read + r->nread;
    for (int i = 0; i < FANOUT && ref && ref < end && str_order(ref->name, out) == 0; i++, ref++) {
        const wn_onnx_node *reader = &g->nodes[ref->node];
        if (!str_is(reader->op, "Add") || reader->nin != 2) continue;
        bool left = str_order(g->values[reader->in], out) == 0;
        source s = follow(r, g->values[reader->in + (left ? 1 : 0)]);
        const wn_tensor *t = tensor_of(r, s);
        if (!t || t->rank != 1) continue;
        *add = reader;
        return s;
    }
    return none;
}

/* W and b of one MatMul or Gemm. A MatMul of two computed values is attention's: nothing to do. */
static wn_status claim_linear(resolver *r, const wn_onnx_node *node, bool gemm, wn_error *err) {
    const wn_onnx_graph *g = r->graph;
    if (node->nin < 2 || node->trans_a || node->scaled) return WN_OK;
    source w = follow(r, g->values[node->in + 1]), b = {.tensor = -1, .name = {"", 0}};
    const wn_tensor *t = tensor_of(r, w);
    if (!t || t->rank != 2) return WN_OK;
    bool stored_in_out = !(gemm && node->trans_b) != w.flipped;
    const wn_onnx_node *adder = node;
    if (!gemm) b = bias_of(r, node, &adder);
    else if (node->nin > 2) b = follow(r, g->values[node->in + 2]);
    const wn_tensor *bias = tensor_of(r, b);
    if (bias && (bias->rank != 1 || bias->shape[0] != t->shape[stored_in_out ? 1 : 0])) bias = NULL;

    char *scope = NULL, *bias_scope = NULL;
    bool own = w.name.len && str_ends(w.name, ".weight");
    /* A norm has no matrix: its shift stands here only because equal tensors were merged. */
    bool sibling = !own && bias && str_ends(b.name, ".bias") && !str_ends(b.name, "LayerNorm.bias");
    WN_TRY(scope_name(node, ".weight", &scope, err));
    if (!own && !sibling && !scope) {
        r->nameless++;
        return WN_OK;
    }
    wn_str by_scope = scope ? (wn_str){scope, strlen(scope)} : (wn_str){"", 0};
    wn_status st = add_claim(r, own ? w.name : sibling ? b.name : by_scope, sibling, scope, w,
                             stored_in_out, BY_USE, err);
    if (st != WN_OK || !bias) return st;
    /* The layer's own bias, in case it lies under another layer's name, or under none. */
    WN_TRY(scope_name(adder, ".bias", &bias_scope, err));
    if (!bias_scope) return WN_OK;
    st = add_claim(r, (wn_str){bias_scope, strlen(bias_scope)}, false, NULL, b, false, BY_SCOPE, err);
    wn_free(bias_scope);
    return st;
}

/* A constant without a name in a scope that says what it is: an embedding table, a norm's scale
 * or shift. Exports of a frozen model have all their parameters so. */
static wn_status claim_scoped(resolver *r, const wn_onnx_node *node, uint32_t input, int rank,
                              const char *suffix, wn_error *err) {
    if (input >= node->nin) return WN_OK;
    source s = follow(r, r->graph->values[node->in + input]);
    const wn_tensor *t = tensor_of(r, s);
    if (!t || s.name.len || s.flipped || t->rank != rank || (rank == 1 && t->shape[0] < 2))
        return WN_OK;
    char *name = NULL;
    WN_TRY(scope_name(node, suffix, &name, err));
    if (!name) return WN_OK;
    wn_status st = add_claim(r, (wn_str){name, strlen(name)}, false, NULL, s, false, BY_SCOPE,
                            err);
    wn_free(name);
    return st;
}

static bool in_norm(const wn_onnx_node *node) {
    size_t end = node->name.len;
    while (end > 0 && node->name.data[end - 1] != '/') end--;
    return end && str_ends((wn_str){node->name.data, end - 1}, "LayerNorm");
}

static wn_status claim_node(resolver *r, const wn_onnx_node *node, wn_error *err) {
    if (str_is(node->op, "MatMul")) return claim_linear(r, node, false, err);
    if (str_is(node->op, "Gemm")) return claim_linear(r, node, true, err);
    if (str_is(node->op, "Gather")) return claim_scoped(r, node, 0, 2, ".weight", err);
    if (str_is(node->op, "LayerNormalization")) {
        WN_TRY(claim_scoped(r, node, 1, 1, ".weight", err));
        return claim_scoped(r, node, 2, 1, ".bias", err);
    }
    bool mul = str_is(node->op, "Mul");
    if (!in_norm(node) || (!mul && !str_is(node->op, "Add"))) return WN_OK;
    for (uint32_t i = 0; i < 2; i++)
        WN_TRY(claim_scoped(r, node, i, 1, mul ? ".weight" : ".bias", err));
    return WN_OK;
}

/* Everything that has a parameter's name of its own: initializers, and values that Identity,
 * Transpose or Cast give a name to. */
static wn_status claim_named(resolver *r, wn_error *err) {
    for (size_t i = 0; i < r->nmade; i++) {
        if (!parameter_name(r->made[i].name)) continue;
        const value_ref *made = &r->made[i];
        source s = follow(r, made->name);
        if (s.tensor >= 0)
            WN_TRY(add_claim(r, made->name, false, NULL, s, s.flipped, BY_NAME, err));
        else if (made->node < 0) {
            /* A parameter of a type we do not compute with: listed, refused when asked for. */
            s.tensor = made->tensor;
            if (r->graph->tensors[s.tensor].view.dtype == WN_DTYPE_OTHER)
                WN_TRY(add_claim(r, made->name, false, NULL, s, false, BY_NAME, err));
        }
    }
    return WN_OK;
}

/* ---- settling ----------------------------------------------------------------------------------- */

static int by_claim(const void *a, const void *b) {
    const claim *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    if (order) return order;
    if (x->standing != y->standing) return x->standing < y->standing ? -1 : 1;
    if (x->tensor != y->tensor) return x->tensor < y->tensor ? -1 : 1;
    return (int)x->transposed - (int)y->transposed;
}

/* Two linear layers that differ and claim one name. */
static bool quarrel(const claim *a, const claim *b) {
    return a->standing == BY_USE && b->standing == BY_USE && strcmp(a->name, b->name) == 0 &&
           (a->tensor != b->tensor || a->transposed != b->transposed);
}

static wn_status refuse_quarrel(const resolver *r, const claim *a, const claim *b, wn_error *err) {
    wn_str x = r->graph->tensors[a->tensor].name, y = r->graph->tensors[b->tensor].name;
    return wn_fail(err, WN_ERR_UNSUPPORTED,
                   "%s: matrices \"%.*s\" and \"%.*s\" would both be \"%.120s\", and the export does "
                   "not say which is which; export again, or use model.safetensors",
                   r->graph->path, (int)(x.len < 60 ? x.len : 60), x.data,
                   (int)(y.len < 60 ? y.len : 60), y.data, a->name);
}

/* Where linear layers quarrel over a bias's name, their scopes decide, if all of them have one. */
static wn_status settle_quarrels(resolver *r, wn_error *err) {
    bool again = false;
    for (size_t i = 0, next; i < r->nclaims; i = next) {
        bool fight = false, scoped = true;
        for (next = i; next < r->nclaims && r->claims[next].standing == BY_USE &&
                       strcmp(r->claims[i].name, r->claims[next].name) == 0; next++) {
            fight |= next > i && quarrel(&r->claims[i], &r->claims[next]);
            scoped &= r->claims[next].scope != NULL;
        }
        if (next == i) next++;
        if (!fight) continue;
        if (!scoped) return refuse_quarrel(r, &r->claims[i], &r->claims[next - 1], err);
        for (size_t k = i; k < next; k++) {
            wn_free(r->claims[k].name);
            r->claims[k].name = r->claims[k].scope;
            r->claims[k].scope = NULL;
        }
        again = true;
    }
    if (!again) return WN_OK;
    qsort(r->claims, r->nclaims, sizeof *r->claims, by_claim);
    for (size_t i = 1; i < r->nclaims; i++)
        if (quarrel(&r->claims[i - 1], &r->claims[i]))
            return refuse_quarrel(r, &r->claims[i - 1], &r->claims[i], err);
    return WN_OK;
}

/* The first claim of a name wins. Two of equal standing that differ (names equal but for their
 * prefix, two constants in one scope) leave open which is meant. */
static wn_status publish(resolver *r, wn_weights *weights, wn_error *err) {
    for (size_t i = 0, last = 0; i < r->nclaims; i++) {
        const claim *c = &r->claims[i], *p = &r->claims[last];
        const wn_onnx_tensor *t = &r->graph->tensors[c->tensor];
        if (i && strcmp(c->name, p->name) == 0) {
            if (c->standing == p->standing && c->tensor != p->tensor)
                return wn_fail(err, WN_ERR_FORMAT, "%s: two tensors are named \"%.200s\"",
                               r->graph->path, c->name);
            continue;
        }
        last = i;
        wn_tensor view = t->view;
        view.transposed = c->transposed;
        WN_TRY(wn_weights_add(weights, t->file, c->name, strlen(c->name), &view, err));
    }
    if (r->nameless)
        snprintf(weights->hint, sizeof weights->hint,
                 " (%zu matrices of the ONNX graph have no name, and no named bias beside them)",
                 r->nameless);
    return WN_OK;
}

wn_status wn_onnx_resolve(const wn_onnx_graph *graph, wn_weights *weights, wn_error *err) {
    resolver r = {.graph = graph};
    wn_status st = WN_OK;
    WN_TRY_GOTO(index_values(&r, err));
    WN_TRY_GOTO(claim_named(&r, err));
    for (size_t i = 0; i < graph->nnodes; i++)
        WN_TRY_GOTO(claim_node(&r, &graph->nodes[i], err));
    if (r.nclaims) qsort(r.claims, r.nclaims, sizeof *r.claims, by_claim);
    WN_TRY_GOTO(settle_quarrels(&r, err));
    st = publish(&r, weights, err);
fail:
    for (size_t i = 0; i < r.nclaims; i++) {
        wn_free(r.claims[i].name);
        wn_free(r.claims[i].scope);
    }
    wn_free(r.claims);
    wn_free(r.read);
    wn_free(r.made);
    return st;
}
