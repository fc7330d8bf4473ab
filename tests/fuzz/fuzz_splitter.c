/* fuzz_splitter.c -- any bytes split at any size: chunks lie in order, cut no character, hold at
 * most chunk_size of them and are stripped (single characters at size 1 excepted). */
#include <assert.h>
#include <stdlib.h>

#include "core/utf8.h"
#include "text/white_space.h"
#include <winnow/text.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3) return 0;
    wn_split_options options = wn_split_options_default();
    options.chunk_size = 1 + (data[0] | (size_t)(data[1] & 3) << 8);
    options.chunk_overlap = options.chunk_size * data[2] / 255;
    wn_str text = {(const char *)data + 3, size - 3};
    wn_chunks *chunks = NULL;
    if (wn_split_text(text, &options, &chunks, NULL) != WN_OK) abort();
    bool *starts = calloc(text.len + 1, sizeof *starts); /* where a character begins */
    if (!starts) abort();
    for (size_t at = 0; at < text.len; wn_utf8_next(text.data, text.len, &at, NULL)) starts[at] = true;
    starts[text.len] = true;
    wn_chunk_span last = {0, 0};
    for (size_t i = 0; i < wn_chunks_count(chunks); i++) {
        wn_chunk_span span = wn_chunks_span(chunks, i);
        assert(span.begin < span.end && span.end <= text.len);
        assert(span.begin >= last.begin && span.end >= last.end);
        assert(starts[span.begin] && starts[span.end]);
        const char *s = text.data + span.begin;
        size_t len = span.end - span.begin;
        assert(wn_utf8_length(s, len) <= options.chunk_size);
        assert(options.chunk_size == 1 || (!wn_space_at(s, len) && !wn_space_before(s, len)));
        last = span;
    }
    free(starts);
    wn_chunks_free(chunks);
    return 0;
}
