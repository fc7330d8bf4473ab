/* weights_fuzz.h -- what the targets of both weight formats do with a file: refuse it with a message, or
 * read every tensor whole. */
#ifndef WN_TESTS_WEIGHTS_FUZZ_H
#define WN_TESTS_WEIGHTS_FUZZ_H
#include "core/memory.h"
#include "model/weights.h"
#include "model_fuzz.h"

static void read_all(const wn_weights *w) {
    unsigned sum = 0;
    for (size_t i = 0; i < wn_weights_count(w); i++) {
        const wn_tensor *t = wn_weights_at(w, i);
        for (size_t k = 0; k < t->bytes; k++) sum += t->data[k];
        int64_t rows = t->rank > 0 ? t->shape[0] : 1, cols = t->rank > 1 ? t->shape[1] : 1;
        if (t->rank > 2 || t->bytes > 1 << 20 || rows > 1 << 20 || cols > 1 << 20) continue;
        float *out = malloc((t->bytes + 1) * 4);
        wn_error err = {0};
        if (wn_weights_read(w, t->name, rows, cols, out, &err) != WN_OK && !err.message[0]) abort();
        free(out);
    }
    wn_hash hash = wn_weights_hash(w);
    volatile unsigned sink = sum + hash.bytes[0];
    (void)sink;
}

static int fuzz_weights(fuzz_file *file, const uint8_t *data, size_t size) {
    if (!fuzz_dir[0]) fuzz_make_dir();
    fuzz_put(file, data, size);
    wn_weights *w = NULL;
    wn_error err = {0};
    if (wn_weights_open(fuzz_dir, &w, &err) != WN_OK) {
        if (w || !err.message[0]) abort();
        return 0;
    }
    read_all(w);
    wn_weights_close(w);
    return 0;
}
#endif
