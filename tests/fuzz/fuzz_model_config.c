/* fuzz_model_config.c -- any bytes as the JSON files of a model directory.
 * The input is cut at byte 0x1e (record separator) into the files below, in this order; an empty
 * or missing piece is an absent file. */
#include "core/memory.h"
#include "model/config.h"
#include "model_fuzz.h"

static fuzz_file files[] = {
    {.name = "config.json"},           {.name = "modules.json"},
    {.name = "1_Pooling/config.json"}, {.name = "sentence_bert_config.json"},
    {.name = "tokenizer_config.json"}, {.name = "config_sentence_transformers.json"},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!fuzz_dir[0]) {
        char path[256];
        fuzz_make_dir();
        fuzz_path(path, sizeof path, "1_Pooling");
        if (mkdir(path, 0755) != 0) abort();
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const uint8_t *cut = size ? memchr(data, 0x1e, size) : NULL;
        size_t len = cut ? (size_t)(cut - data) : size;
        fuzz_put(&files[i], len ? data : NULL, len);
        size_t step = cut ? len + 1 : len;
        data += step;
        size -= step;
    }
    wn_model_config c;
    wn_error err = {0};
    if (wn_model_config_read(fuzz_dir, &c, &err) != WN_OK) {
        if (!err.message[0]) abort();
        return 0;
    }
    /* What the encoder relies on. */
    if (!c.hidden || !c.heads || c.hidden % c.heads || !c.max_length || !c.vocab || !c.layers ||
        c.max_length + c.position_offset > c.max_positions)
        abort();
    wn_model_config_prompt(&c, "document");
    wn_model_config_release(&c);
    return 0;
}
