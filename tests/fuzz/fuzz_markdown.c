/* fuzz_markdown.c -- any bytes have an outline: offsets in order, parents before children, text
 * of valid UTF-8 where the input is. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"
#include "text/markdown.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    wn_str text = {(const char *)data, size};
    bool valid = wn_utf8_valid(text.data, size, NULL);
    wn_markdown *md = NULL;
    if (wn_markdown_parse(text, &md, NULL) != WN_OK) abort();
    assert(wn_markdown_body_begin(md) <= size);
    size_t last = wn_markdown_body_begin(md);
    for (size_t i = 0; i < wn_markdown_heading_count(md); i++) {
        wn_heading h = wn_markdown_heading(md, i);
        assert(h.begin >= last && h.begin < size && h.level >= 1 && h.level <= 6 && h.text[0]);
        assert(h.parent < (int64_t)i);
        if (h.parent >= 0) assert(wn_markdown_heading(md, (size_t)h.parent).level < h.level);
        if (valid) assert(wn_utf8_valid(h.text, strlen(h.text), NULL));
        assert(wn_markdown_heading_at(md, h.begin) == (int64_t)i);
        wn_buf path = {0};
        if (wn_markdown_heading_path(md, h.begin, &path, NULL) != WN_OK) abort();
        assert(strlen(path.data) == path.len);
        wn_buf_release(&path);
        last = h.begin + 1;
    }
    char *json = json_dumps(wn_markdown_front_matter(md), JSON_COMPACT);
    assert(json);
    free(json);
    wn_markdown_free(md);
    return 0;
}
