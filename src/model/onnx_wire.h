/* onnx_wire.h -- a bounds-checked reader of the protocol-buffer wire format, and the parsed graph.
 *
 * Only what an ONNX file needs: varints, 4- and 8-byte fields, length-delimited fields. Groups
 * (wire types 3 and 4) are long deprecated and refused. Nothing here recurses: sub-messages are
 * read by a reader over their own bytes, and the depth is that of our code, not of the file. */
#ifndef WN_MODEL_ONNX_WIRE_H
#define WN_MODEL_ONNX_WIRE_H
#include "model/weights_internal.h"

typedef struct wn_pb {
    const char *path;          /* for messages */
    const unsigned char *base; /* of the file: positions in messages count from here */
    const unsigned char *p, *end;
} wn_pb;

typedef struct wn_pb_field {
    uint32_t number;
    uint32_t wire;             /* 0 varint, 1 eight bytes, 2 bytes, 5 four bytes */
    uint64_t value;            /* wire 0, 1, 5 */
    const unsigned char *data; /* wire 2 */
    size_t len;
} wn_pb_field;

/* The next field into *out; *more is false at the end of the message. */
wn_status wn_pb_next(wn_pb *pb, wn_pb_field *out, bool *more, wn_error *err);
/* A reader over a length-delimited field. A field of another wire type is refused. */
wn_status wn_pb_enter(const wn_pb *pb, const wn_pb_field *field, wn_pb *out, wn_error *err);
wn_status wn_pb_string(const wn_pb *pb, const wn_pb_field *field, wn_str *out, wn_error *err);
wn_status wn_pb_int(const wn_pb *pb, const wn_pb_field *field, int64_t *out, wn_error *err);
/* A repeated int64 field, one element or packed: appended to out while there is room (max);
 * *n counts all of them. */
wn_status wn_pb_ints(const wn_pb *pb, const wn_pb_field *field, int64_t *out, size_t max, size_t *n,
                     wn_error *err);

/* ---- the graph, as far as weights go ---------------------------------------------- */

typedef struct wn_onnx_tensor {
    wn_str name;
    wn_tensor view; /* name unset. data is NULL when the elements lie in a form we do not read */
    size_t file;
    bool initializer; /* else a Constant node's */
} wn_onnx_tensor;

typedef struct wn_onnx_node {
    wn_str op, domain, name;
    uint32_t in, nin, out, nout; /* values[in, in + nin), values[out, out + nout) */
    int32_t tensor;              /* Constant: index of its tensor; -1 */
    bool trans_a, trans_b;       /* Gemm */
    bool scaled;                 /* Gemm: alpha or beta is not 1 */
    bool swaps;                  /* Transpose: perm is [1, 0], or absent */
    int64_t to;                  /* Cast: the element type */
} wn_onnx_node;

typedef struct wn_onnx_graph {
    const char *path;
    wn_onnx_node *nodes;
    wn_onnx_tensor *tensors; /* initializers, then those of Constant nodes as they come */
    wn_str *values;
    size_t nnodes, nodes_cap, ntensors, tensors_cap, nvalues, values_cap;
} wn_onnx_graph;

/* Adds the graph's weights to `weights` under their Hugging Face names (onnx_graph.c). */
wn_status wn_onnx_resolve(const wn_onnx_graph *graph, wn_weights *weights, wn_error *err);
#endif
