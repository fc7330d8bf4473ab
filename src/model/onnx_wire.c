/* onnx_wire.c -- the protocol-buffer wire format: every length is checked against its message. */
#include "model/onnx_wire.h"
#include "core/error.h"

#include <string.h>

static wn_status bad(const wn_pb *pb, const unsigned char *at, wn_error *err, const char *what) {
    return wn_fail_at(err, WN_ERR_FORMAT, pb->path, (int64_t)(at - pb->base),
                      "%s: not an ONNX file, or truncated or corrupt", what);
}

/* At most ten bytes, the last of which may only hold the 64th bit. */
static wn_status varint(wn_pb *pb, uint64_t *out, wn_error *err) {
    const unsigned char *start = pb->p;
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (pb->p == pb->end) return bad(pb, start, err, "a number ends too early");
        unsigned char byte = *pb->p++;
        if (shift == 63 && byte > 1) return bad(pb, start, err, "a number is over 64 bits");
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out = value;
            return WN_OK;
        }
    }
    return bad(pb, start, err, "a number is over 64 bits");
}

static wn_status fixed(wn_pb *pb, size_t n, uint64_t *out, wn_error *err) {
    if ((size_t)(pb->end - pb->p) < n) return bad(pb, pb->p, err, "a number ends too early");
    uint64_t value = 0;
    for (size_t i = n; i-- > 0;) value = value << 8 | pb->p[i];
    pb->p += n;
    *out = value;
    return WN_OK;
}

wn_status wn_pb_next(wn_pb *pb, wn_pb_field *out, bool *more, wn_error *err) {
    *more = pb->p < pb->end;
    if (!*more) return WN_OK;
    const unsigned char *start = pb->p;
    uint64_t key, len;
    WN_TRY(varint(pb, &key, err));
    wn_pb_field field = {.number = (uint32_t)(key >> 3), .wire = (uint32_t)(key & 7)};
    if (key >> 32 || !field.number) return bad(pb, start, err, "a field number is out of range");
    switch (field.wire) {
    case 0: WN_TRY(varint(pb, &field.value, err)); break;
    case 1: WN_TRY(fixed(pb, 8, &field.value, err)); break;
    case 5: WN_TRY(fixed(pb, 4, &field.value, err)); break;
    case 2:
        WN_TRY(varint(pb, &len, err));
        if (len > (uint64_t)(pb->end - pb->p))
            return bad(pb, start, err, "a field is longer than its message");
        field.data = pb->p;
        field.len = (size_t)len;
        pb->p += len;
        break;
    default: return bad(pb, start, err, "a field has a wire type that ONNX does not use");
    }
    *out = field;
    return WN_OK;
}

wn_status wn_pb_enter(const wn_pb *pb, const wn_pb_field *field, wn_pb *out, wn_error *err) {
    if (field->wire != 2) return bad(pb, pb->p, err, "a message field is not a message");
    *out = (wn_pb){pb->path, pb->base, field->data, field->data + field->len};
    return WN_OK;
}

wn_status wn_pb_string(const wn_pb *pb, const wn_pb_field *field, wn_str *out, wn_error *err) {
    if (field->wire != 2) return bad(pb, pb->p, err, "a string field is not a string");
    *out = (wn_str){(const char *)field->data, field->len};
    return WN_OK;
}

wn_status wn_pb_int(const wn_pb *pb, const wn_pb_field *field, int64_t *out, wn_error *err) {
    if (field->wire != 0) return bad(pb, pb->p, err, "a number field is not a number");
    *out = (int64_t)field->value;
    return WN_OK;
}

wn_status wn_pb_ints(const wn_pb *pb, const wn_pb_field *field, int64_t *out, size_t max, size_t *n,
                     wn_error *err) {
    if (field->wire == 0) {
        if (*n < max) out[*n] = (int64_t)field->value;
        ++*n;
        return WN_OK;
    }
    wn_pb packed = {0};
    uint64_t value = 0;
    WN_TRY(wn_pb_enter(pb, field, &packed, err));
    while (packed.p < packed.end) {
        WN_TRY(varint(&packed, &value, err));
        if (*n < max) out[*n] = (int64_t)value;
        ++*n;
    }
    return WN_OK;
}
