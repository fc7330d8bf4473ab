/* fuzz_safetensors.c -- any bytes as model.safetensors: refused with a message, or safe to read whole. */
#include "weights_fuzz.h"

static fuzz_file file = {.name = "model.safetensors"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_weights(&file, data, size);
}
