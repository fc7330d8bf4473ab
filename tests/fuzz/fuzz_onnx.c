/* fuzz_onnx.c -- any bytes as model.onnx: refused with a message, or safe to read whole. */
#include "weights_fuzz.h"

static fuzz_file file = {.name = "model.onnx"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_weights(&file, data, size);
}
