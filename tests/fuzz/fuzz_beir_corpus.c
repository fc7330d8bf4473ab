/* fuzz_beir_corpus.c -- any bytes as corpus.jsonl: documents that hold what is promised, or one
 * error with a line. The bytes go through a file in memory, so the block reader is under test too. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/utf8.h"
#include "index/beir_corpus.h"
#include "text/white_space.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int fd = memfd_create("corpus", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0) abort();
    wn_beir_corpus *corpus = NULL;
    if (wn_beir_corpus_open_fd(fd, "corpus", 4096, &corpus, NULL) != WN_OK) abort();
    int64_t line = 0;
    for (;;) {
        wn_beir_event event;
        wn_beir_document d = {0};
        wn_error err = {0};
        wn_status st = wn_beir_corpus_next(corpus, &event, &d, &err);
        if (st != WN_OK) {
            assert(st == WN_ERR_FORMAT && err.line > line && err.message[0]);
            break;
        }
        if (event == WN_BEIR_END) {
            assert(wn_beir_corpus_bytes(corpus) == size);
            break;
        }
        if (event == WN_BEIR_SKIPPED) {
            assert(wn_beir_corpus_reason(corpus)[0]);
            continue;
        }
        assert(d.id[0] && d.line > line && json_is_object(d.metadata));
        assert(wn_utf8_valid(d.id, strlen(d.id), NULL) && wn_utf8_valid(d.title, strlen(d.title), NULL));
        assert(wn_utf8_valid(d.text.data, d.text.len, NULL) && !wn_is_blank(d.text.data, d.text.len));
        line = d.line;
    }
    wn_beir_corpus_close(corpus);
    return 0;
}
