/* fuzz_topics.c -- any bytes as topics (the first byte picks the format): queries with an id and a
 * text, each id once, or one error with a line. */
#include "eval_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    int fd;
    const char *path = eval_fuzz_open(data + 1, size - 1, &fd);
    wn_topics *topics = NULL;
    wn_qrels *qrels = NULL;
    wn_error err = {0};
    wn_status st = wn_topics_read(path, (wn_topics_format)(data[0] % 4), &topics, &err);
    eval_fuzz_check(st, &err);
    for (size_t i = 0; st == WN_OK && i < wn_topics_count(topics); i++) {
        wn_topic t = wn_topics_get(topics, i);
        size_t at;
        assert(t.id[0] && t.text.len && !t.text.data[t.text.len]);
        assert(wn_topics_find(topics, t.id, &at) && at == i);
        for (size_t s = 0; s < t.nexpected; s++) assert(t.expected[s][0]);
    }
    if (st == WN_OK) eval_fuzz_check(wn_qrels_from_topics(topics, &qrels, &err), &err);
    wn_qrels_free(qrels);
    wn_topics_free(topics);
    close(fd);
    return 0;
}
