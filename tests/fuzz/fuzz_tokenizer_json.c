/* fuzz_tokenizer_json.c -- tokenizer.json, and the compiled form of the cache.
 *
 * An input that begins with the image's magic is taken as a compiled tokenizer, its
 * checksum put right (a fuzzer would never get past it); anything else as JSON.
 * Whatever opens must encode without leaving its bounds. */
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(const wn_tokenizer *t, const char *text, size_t len, wn_encoding *e) {
    wn_str s = {text, len};
    if (wn_tokenizer_encode_raw(t, s, e, NULL) == WN_OK)
        for (size_t i = 0; i < wn_encoding_length(e); i++)
            if ((size_t)wn_encoding_ids(e)[i] >= wn_tokenizer_vocab_size(t)) abort();
    if (wn_tokenizer_encode(t, s, &s, 16, WN_TRUNCATE_LONGEST_FIRST, e, NULL) == WN_OK &&
        wn_encoding_length(e) > 16)
        abort();
}

static void use(wn_tokenizer *t, const uint8_t *data, size_t size) {
    static const char text[] = "Hello, [SEP] un\xC3\xA9 \xE6\xBC\xA2 <mask>\xEF\xBC\xA1\xCC\x81  ab day \xFF\0x";
    wn_encoding *e = NULL;
    if (wn_encoding_create(&e, NULL) != WN_OK) return;
    encode(t, text, sizeof text - 1, e);
    encode(t, (const char *)data, size > 256 ? 256 : size, e); /* its own tokens as text */
    for (int32_t id = -1; id <= (int32_t)wn_tokenizer_vocab_size(t) && id < 300; id++) {
        const char *token = wn_tokenizer_token(t, id);
        if (token && strlen(token) > size + 16) abort();
    }
    wn_encoding_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    wn_tokenizer t = {0};
    wn_buf image = {0};
    wn_error err = {0};
    if (size >= sizeof(wn_image_header) && !memcmp(data, WN_IMAGE_MAGIC, 8)) {
        unsigned char *copy = aligned_alloc(64, (size + 63) / 64 * 64);
        if (!copy) return 0;
        memcpy(copy, data, size);
        wn_image_header *head = (wn_image_header *)(void *)copy;
        head->payload = wn_hash_bytes(copy + sizeof *head, size - sizeof *head);
        head->size = size;
        if (wn_tokenizer_from_image("fuzz", copy, size, &t, &err) == WN_OK) use(&t, data, size);
        free(copy);
        return 0;
    }
    wn_hash hash = wn_hash_bytes(data, size);
    if (wn_tokenizer_compile("fuzz", (const char *)data, size, &hash, &image, &err) == WN_OK) {
        /* What we compiled ourselves must pass our own validator. */
        if (wn_tokenizer_from_image("fuzz", image.data, image.len, &t, &err) != WN_OK) abort();
        use(&t, data, size);
    } else if (err.code == WN_OK || !err.message[0]) {
        abort(); /* a failure without a reason */
    }
    wn_buf_release(&image);
    return 0;
}
