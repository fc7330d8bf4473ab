/* onnx.c */
#include "model/weights_internal.h"
#include "core/error.h"
wn_status wn_onnx_load(wn_weights *weights, const char *path, wn_error *err) {
    return wn_fail(err, WN_ERR_UNSUPPORTED, "%s: ONNX weights are not read yet", path);
}
